#!/bin/sh
# Builds a Go program of another module into bin: sh tool.sh MODULE@VERSION
# The module proxy may be slow or miss something: three tries, then its own words.
set -eu
name=$(basename "${1%@*}")
stamp=bin/.$name
[ "$(cat "$stamp" 2>/dev/null || true)" = "$1" ] && [ -x "bin/$name" ] && exit 0
for try in 1 2 3; do
	if GOFLAGS=-mod=mod GOBIN=$(pwd)/bin ${GO:-go} install "$1"; then
		echo "$1" >"$stamp"
		exit 0
	fi
	echo "attempt $try to get $1 failed" >&2
	sleep 3
done
exit 1
