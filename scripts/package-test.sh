#!/bin/sh
# Installs the .deb, uses what it brings as an administrator does, removes it. Looks
# whether the .rpm is well-formed and brings the same files.
# Root, dpkg and rpm are needed; it changes this machine for as long as it runs.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
command -v dpkg >/dev/null || { echo "needs dpkg" >&2; exit 1; }
deb=$(ls dist/*.deb)
rpm=$(ls dist/*.rpm)
if dpkg -s scmfs >/dev/null 2>&1; then
	echo "scmfs is installed here already: not touching it" >&2
	exit 1
fi
tmp=$(mktemp -d)
mnt=$tmp/mnt
mkdir "$mnt"
cleanup() {
	[ -z "$(grep " $mnt fuse.scmfs" /proc/mounts || true)" ] || umount -l "$mnt" || true
	dpkg -P scmfs >/dev/null 2>&1 || true
	rm -rf "$tmp"
}
trap cleanup EXIT

step() { echo "== $*"; }
step "rpm: digests, scripts, the files of the .deb"
rpm -K --nosignature "$rpm"
rpm -qp --scripts "$rpm" | grep -q "systemctl stop 'scmfs@"
rpm -qp --configfiles "$rpm" | grep -qx /etc/scmfs/scmfs.yaml
rpm -qlp "$rpm" | sort >"$tmp/rpm.txt"
dpkg-deb --fsys-tarfile "$deb" | tar -t | sed 's|^\.||' | sort >"$tmp/deb.txt"
# Directories that other packages own are only in the .deb, where they end in "/".
grep -v '/$' "$tmp/deb.txt" >"$tmp/files.txt"
grep -qx /usr/bin/scmfs "$tmp/files.txt"
if comm -13 "$tmp/rpm.txt" "$tmp/files.txt" | grep . >&2; then
	echo "the .rpm lacks these files" >&2
	exit 1
fi
sed 's|/$||' "$tmp/deb.txt" | sort >"$tmp/all.txt"
if comm -23 "$tmp/rpm.txt" "$tmp/all.txt" | grep . >&2; then
	echo "the .deb lacks these files" >&2
	exit 1
fi
step "rpm -i into a directory, rpm -e"
rpm --root "$tmp/root" --initdb
rpm --force-debian --root "$tmp/root" --nodeps --noscripts -i "$rpm"
"$tmp/root/usr/bin/scmfs" version
rpm --root "$tmp/root" -V --nodeps --nouser --nogroup scmfs
rpm --force-debian --root "$tmp/root" --noscripts -e scmfs
[ ! -e "$tmp/root/usr/bin/scmfs" ]
step "dpkg -i"
dpkg -i "$deb" >/dev/null
scmfs version
for f in /sbin/mount.scmfs /sbin/mount.fuse.scmfs /sbin/umount.fuse.scmfs /etc/scmfs/scmfs.yaml \
	/usr/lib/systemd/system/scmfs@.service /usr/share/bash-completion/completions/scmfs; do
	[ -e "$f" ] || { echo "$f is missing" >&2; exit 1; }
done
[ "$(stat -c %a /var/lib/scmfs)" = 700 ]
scmfs config check
for type in scmfs fuse.scmfs; do
	step "mount -t $type, by fstab"
	echo "$tmp/store $mnt $type _netdev,nofail,x-systemd.automount,noatime,state_dir=$tmp/state 0 0" >"$tmp/fstab"
	mount -T "$tmp/fstab" "$mnt"
	grep " $mnt fuse.scmfs .*noatime" /proc/mounts
	echo hello >"$mnt/default/$type"
	umount "$mnt"
	if grep -q " $mnt " /proc/mounts; then
		echo "still mounted" >&2
		exit 1
	fi
done
step "what was written is there"
mount -T "$tmp/fstab" "$mnt"
[ "$(cat "$mnt/default/scmfs")" = hello ]
step "dpkg -r leaves a mount alone, umount ends it"
dpkg -r scmfs >/dev/null
[ "$(cat "$mnt/default/scmfs")" = hello ]
umount "$mnt"
if grep -q " $mnt " /proc/mounts; then
	echo "still mounted" >&2
	exit 1
fi
[ ! -e /usr/bin/scmfs ]
[ -e /etc/scmfs/scmfs.yaml ] || { echo "a removal must leave the configuration" >&2; exit 1; }
step "dpkg -P"
dpkg -P scmfs >/dev/null 2>&1
[ ! -e /etc/scmfs/scmfs.yaml ]
echo "package: ok"
