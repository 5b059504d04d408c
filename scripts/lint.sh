#!/bin/sh
# Formatting, vet, staticcheck and file length: sh lint.sh STATICCHECK-MODULE
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
${GO:-go} vet ./...
${GO:-go} run "$1" ./...
