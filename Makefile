# Two targets matter to a new user: demo and test.
.PHONY: demo test build lint bench clean demo-stop

GO ?= go
BIN := bin/scmfs
DEMO ?= $(CURDIR)/demo
# What the tests and the demo use beside Go and git.
PACKAGES := fuse3 rsync attr sqlite3
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
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
	@sh scripts/test.sh

lint:
	@sh scripts/lint.sh $(STATICCHECK)

# Where the server and the mount of the large benchmark live: a local disk.
BENCH_DIR ?= /var/tmp/scmfs-bench
BENCH_PARTS ?= sequential random listing inodes

bench: build
	$(GO) test -run '^$$' -bench . -benchmem ./internal/... ./client/... ./fs/... ./writeback/...
	$(GO) run ./scripts/bench -scmfs $(BIN) -dir $(BENCH_DIR) $(BENCH_PARTS)

clean: demo-stop
	rm -rf bin dist
