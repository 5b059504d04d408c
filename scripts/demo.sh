#!/bin/sh
# Shows a mount at work and leaves it mounted: sh demo.sh SCMFS DIR
set -eu
scmfs=$(realpath "$1")
dir=$2
mkdir -p "$dir/store" "$dir/mnt" "$dir/state"
if [ ! -e /dev/fuse ]; then
	echo "/dev/fuse is missing: load the kernel module with 'modprobe fuse', or give the container the device" >&2
	exit 1
fi
if grep -q " $(realpath "$dir/mnt") fuse.scmfs " /proc/self/mounts; then
	echo "== the demo is mounted already"
else
	echo "== scmfs mount --embedded $dir/store $dir/mnt"
	"$scmfs" mount --embedded "$dir/store" "$dir/mnt" --state-dir "$dir/state"
fi
ws="$dir/mnt/default"
echo "== copying files in"
mkdir -p "$ws/2026/11"
cp README.md LICENSE "$ws/2026/11/"
echo "first draft" >"$ws/2026/11/report.txt"
echo "second draft" >"$ws/2026/11/report.txt"
dd if=/dev/zero of="$ws/2026/scan.tif" bs=1M count=64 status=none
echo "== a breakpoint file, converted into a regular file by mv"
head -c 20000000 /dev/zero >"$ws/.partial/scan-0017.tif"
ls -l "$ws/.partial"
mv "$ws/.partial/scan-0017.tif" "$ws/2026/scan-0017.tif"
echo "== the tree"
(cd "$dir/mnt" && find . | sort)
echo "== report.txt has a history"
for v in "$ws/.versions/2026/11/report.txt"/*; do
	echo "${v##*/}: $(cat "$v")"
done
echo "== scmfs status"
"$scmfs" status "$dir/mnt"
cat <<EOF

It stays mounted. Look around:   ls -l $ws
What is going on:                $scmfs status $dir/mnt
Unmount:                         $scmfs umount $dir/mnt
Start over:                      make demo-stop && make demo
EOF
