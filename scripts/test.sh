#!/bin/sh
# Runs every test. Where /dev/fuse can be used, tests on a real mount must run.
set -eu
if [ -c /dev/fuse ] && [ "$(id -u)" = 0 ]; then
	export SCMFS_REQUIRE_FUSE=1
else
	echo "tests on a real mount are left out: they need root and /dev/fuse"
fi
exec ${GO:-go} test -race -timeout 50m ./...
