#!/bin/sh
# Installs Debian packages that are missing: sh need.sh PACKAGE...
set -eu
missing=""
for p in "$@"; do
	case $p in
	fuse3) command -v fusermount3 >/dev/null 2>&1 || missing="$missing $p" ;;
	attr) command -v getfattr >/dev/null 2>&1 || missing="$missing $p" ;;
	*) command -v "$p" >/dev/null 2>&1 || missing="$missing $p" ;;
	esac
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
export DEBIAN_FRONTEND=noninteractive
for try in 1 2 3; do
	# shellcheck disable=SC2086 # the list is meant to be split
	if $sudo apt-get update -qq && $sudo apt-get install -y -qq $missing >/dev/null; then
		exit 0
	fi
	echo "attempt $try failed" >&2
	sleep 5
done
echo "cannot install$missing: install them by hand and try again" >&2
exit 1
