package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func device(path string) (uint64, error) {
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	return st.Dev, err
}

// serveLoopback mounts src at mnt and serves until it is unmounted: go-fuse's own
// loopback, the limit of what a mount by go-fuse can do here.
func serveLoopback(src, mnt string, passthrough bool) error {
	root, err := fs.NewLoopbackRoot(src)
	if err != nil {
		return err
	}
	second := time.Second
	o := &fs.Options{EntryTimeout: &second, AttrTimeout: &second}
	o.MountOptions = fuse.MountOptions{FsName: src, Name: "loopback", DirectMount: true, MaxWrite: 1 << 20}
	if o.MaxStackDepth = 1; !passthrough {
		o.MaxStackDepth = -1 // 0 means 1; the kernel passes nothing through at a depth that it does not know
	}
	s, err := fs.Mount(mnt, root, o)
	if err != nil {
		return err
	}
	s.Wait()
	return nil
}

func (e *env) loopback(passthrough bool) *drive {
	mnt := filepath.Join(e.dir, "loopback")
	src := filepath.Join(e.dir, "loopback.src")
	d := &drive{name: "go-fuse loopback", root: mnt}
	args := []string{"-loopback", src, "-dir", mnt}
	if passthrough {
		d.name += ", passthrough"
		args = append(args, "-passthrough")
	}
	var p *process
	d.start = func(ctx context.Context) (err error) {
		if err := os.MkdirAll(src, 0o700); err != nil {
			return err
		}
		// This program serves it from another process.
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		p, err = startMount(ctx, mnt, self, args...)
		return err
	}
	d.stop = func() { p.stop(); p = nil }
	d.pids = func() []int { return p.pids() }
	return d
}
