#!/bin/sh
# Formatting, file length, the client on other systems, vet and staticcheck: sh lint.sh STATICCHECK-MODULE
set -eu
bad=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$bad" ]; then
	echo "not gofmt-ed: $bad" >&2
	exit 1
fi
long=$(git ls-files '*.go' | grep -v '_test\.go$' | xargs wc -l | awk '$2 != "total" && $1 > 400 {print $2 " has " $1 " lines"}')
if [ -n "$long" ]; then
	echo "longer than one sitting (400 lines): $long" >&2
	exit 1
fi
if git grep -nE '^(<<<<<<<|>>>>>>>) ' -- .; then
	echo "conflict markers" >&2
	exit 1
fi
# The client is a library, also for programs elsewhere.
for os in darwin windows; do
	GOOS=$os ${GO:-go} build ./client
done
${GO:-go} vet ./...
${GO:-go} run "$1" ./...
