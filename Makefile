# Two targets matter to a new user: demo and test.
.PHONY: demo test soak load build lint vuln fuzz bench bench-compare clean demo-stop nfpm package package-test image

GO ?= go
BIN := bin/scmfs
DEMO ?= $(CURDIR)/demo
# What the tests and the demo use beside Go and git.
PACKAGES := fuse3 rsync attr sqlite3 vim
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# 2.46 and newer need a module of another host (go.digitalxero.dev), which not every proxy has.
NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)

build:
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/scmfs

demo: build
	@sh scripts/need.sh fuse3
	@sh scripts/demo.sh $(BIN) $(DEMO)

demo-stop:
	-$(BIN) umount $(DEMO)/mnt
	rm -rf $(DEMO)

test:
	@sh scripts/need.sh $(PACKAGES)
	@sh scripts/need.sh chromium || echo "NOT RUN: the status page in a browser"
	@sh scripts/test.sh

# Random operations on a real mount with kills and faults, as long as you like.
SCMFS_SOAK ?= 1h
soak:
	@sh scripts/need.sh $(PACKAGES)
	SCMFS_SOAK=$(SCMFS_SOAK) SCMFS_LONG=1 SCMFS_REQUIRE_FUSE=1 $(GO) test -race -timeout 0 -v -run '^(TestModel|TestModelAsync|TestLargeFlatWorkspace|TestPosix)$$' ./integration

# 64 programs at once in 256 MiB for ten minutes, 500 open handles, and rsync of 10,000
# files while the server is killed: what it held before and after goes to
# docs/RELIABILITY.md. Needs root and 8 GiB of disk in $TMPDIR.
SCMFS_LOAD ?= 10m
SCMFS_LOAD_FILES ?= 10000
load:
	@sh scripts/need.sh $(PACKAGES)
	SCMFS_LOAD=$(SCMFS_LOAD) SCMFS_LOAD_FILES=$(SCMFS_LOAD_FILES) SCMFS_REQUIRE_FUSE=1 $(GO) test -timeout 60m -count 1 -v -run '^TestLoad' ./integration

lint:
	@sh scripts/lint.sh $(STATICCHECK)

# Needs vuln.go.dev, or another data base of GOVULNDB: it is no part of lint.
vuln:
	$(GO) run $(GOVULNCHECK) ./...

# Every fuzz target for a time. As ordinary tests they run their corpora.
FUZZTIME ?= 60s
FUZZPARALLEL ?= 1

fuzz:
	@sh scripts/fuzz.sh $(FUZZTIME) $(FUZZPARALLEL)

# Where the server and the mount of the large benchmark live: a local disk.
BENCH_DIR ?= /var/tmp/scmfs-bench
BENCH_PARTS ?= sequential random listing lists inodes write small writers programs trees growth-size growth-writers growth-files latency
# Such as -rounds 3. The tables are appended to the file.
BENCH_FLAGS ?= -markdown docs/BENCHMARKS.md

bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./internal/... ./client/... ./fs/... ./writeback/...
	$(GO) run ./scripts/bench -scmfs $(BIN) -dir $(BENCH_DIR) $(BENCH_FLAGS) $(BENCH_PARTS)

# The Go benchmarks of two commits, or two files of results, compared by benchstat:
#	make bench-compare OLD=main NEW=HEAD
# Such as BENCH_PACKAGES=./writeback BENCH=Spool COUNT=10 before it.
bench-compare:
	@sh scripts/bench-compare.sh "$(OLD)" "$(NEW)"

# By version: it is no dependency of ours.
nfpm:
	@sh scripts/tool.sh $(NFPM)

# dist/scmfs_VERSION_ARCH.deb and .rpm.
package: build nfpm
	@sh scripts/package.sh $(BIN) $(VERSION) bin/nfpm

# As root: installs the .deb, mounts by fstab's way, removes it; looks into the .rpm.
package-test: package
	@sh scripts/need.sh fuse3 rpm
	@sh scripts/package-test.sh

image:
	docker build --build-arg VERSION=$(VERSION) -t scmfs:$(VERSION) .

clean: demo-stop
	rm -rf bin dist
