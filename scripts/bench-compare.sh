#!/bin/sh
# Compares the Go benchmarks of two commits, or of two files of results kept earlier:
#
#	sh bench-compare.sh OLD NEW
#
# COUNT (6) is how often each runs, BENCH_PACKAGES and BENCH (.) say which, BENCHTIME (1s)
# how long. The two take turns, so that a busy machine slows them alike. Results of
# a commit are left in bin/bench/COMMIT.txt.
set -eu
usage() {
	echo "usage: bench-compare.sh OLD NEW   (commits, or files of results)" >&2
	exit 2
}
[ $# = 2 ] && [ -n "$1" ] && [ -n "$2" ] || usage
go=${GO:-go}
benchstat=${BENCHSTAT:-golang.org/x/perf/cmd/benchstat@latest}
packages=${BENCH_PACKAGES:-./client ./fs ./writeback ./internal/...}
work=$(mktemp -d)
trees=
clean() {
	for tree in $trees; do git worktree remove --force "$tree"; done
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# results prints the file in which those of a commit or file will be.
results() {
	if [ -f "$1" ]; then
		echo "$1"
	elif commit=$(git rev-parse --verify --quiet "$1^{commit}"); then
		echo "bin/bench/$(git rev-parse --short "$commit").txt"
	else
		echo "bench-compare: $1 is neither a commit nor a file" >&2
		return 1
	fi
}
old=$(results "$1") && new=$(results "$2") || exit 2
for side in "$1" "$2"; do
	[ -f "$side" ] && continue
	mkdir -p bin/bench
	: >"$(results "$side")"
	tree=$work/$(git rev-parse --short "$side^{commit}")
	[ -d "$tree" ] && continue
	git worktree add --quiet --detach "$tree" "$side"
	trees="$trees $tree"
done
if [ -n "$trees" ]; then
	for run in $(seq "${COUNT:-6}"); do
		for tree in $trees; do
			out=$(pwd)/bin/bench/$(basename "$tree").txt
			# shellcheck disable=SC2086
			(cd "$tree" && $go test -run '^$' -bench "${BENCH:-.}" -benchtime "${BENCHTIME:-1s}" -benchmem $packages) >>"$out"
			echo "run $run of $(basename "$tree") is done" >&2
		done
	done
fi
$go run "$benchstat" "$old" "$new"
