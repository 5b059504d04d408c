#!/bin/sh
# Runs every fuzz target for a time, one after the other: sh fuzz.sh [FUZZTIME [PARALLEL]]
# What fails is kept below the package's testdata/fuzz and from then on is a test.
set -eu
time=${1:-60s}
parallel=${2:-1}
for dir in $(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do
	for target in $(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -c6-); do
		echo "$dir $target"
		${GO:-go} test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel "$parallel"
	done
done
