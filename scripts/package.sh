#!/bin/sh
# Makes dist/*.deb and dist/*.rpm: sh package.sh SCMFS VERSION NFPM
set -eu
scmfs=$1
VERSION=${2#v}
case $VERSION in
[0-9]*.[0-9]*.[0-9]*) ;;
*) VERSION=0.0.0~git.$(echo "$VERSION" | tr - .) ;; # no tag yet: older than any release
esac
ARCH=$(${GO:-go} env GOARCH)
export VERSION ARCH
rm -rf dist/root dist/*.deb dist/*.rpm
"$scmfs" install --destdir dist/root --prefix /usr >/dev/null
find dist/root -name '*.[158]' -exec gzip -n9 {} +
for kind in deb rpm; do
	"$3" package --config deploy/nfpm.yaml --packager $kind --target dist/
done
ls -l dist/*.deb dist/*.rpm
