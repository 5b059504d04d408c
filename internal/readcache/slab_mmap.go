//go:build !race

package readcache

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// makeSlab takes memory from the system, outside the Go heap: content is no
// work for the collector, and with it on the heap the collector would let
// garbage grow to as much again before it runs.
func makeSlab(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("memory for the read cache: %w", err)
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a kernel without them says so
	return b, nil
}

func freeSlab(b []byte) error { return unix.Munmap(b) }
