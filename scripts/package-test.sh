#!/bin/sh
# Installs the .deb, uses what it brings as an administrator does, removes it.
# Root and dpkg are needed; it changes this machine for as long as it runs.
set -eu
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
command -v dpkg >/dev/null || { echo "needs dpkg" >&2; exit 1; }
deb=$(ls dist/*.deb)
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
