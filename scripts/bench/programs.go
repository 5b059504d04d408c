package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// all are the drives that a part compares: ours first, then the limits, then peers.
func (e *env) all(ctx context.Context, limits ...*drive) ([]*drive, func(), error) {
	peers, stop, err := e.peers(ctx)
	return append(append([]*drive{e.ours()}, limits...), peers...), stop, err
}

// programs runs the same work on every drive: one large file, many small ones, a
// long listing, small reads.
func programs(ctx context.Context, e *env) error {
	drives, stop, err := e.all(ctx, e.loopback(false), e.loopback(true), e.disk())
	if err != nil {
		return err
	}
	defer stop()
	src, err := e.source(ctx, e.size)
	if err != nil {
		return err
	}
	defer os.Remove(src)
	content := bytes.Repeat([]byte("0123456789abcdef"), smallSize/16)
	tables := map[string]*table{}
	add := func(what, unit, name string, v float64) {
		if tables[what] == nil {
			tables[what] = newTable(unit)
		}
		tables[what].add(name, v)
	}
	mib := float64(e.size) / (1 << 20)
	gib := mib / 1024
	var errs []error
	for round := range e.rounds {
		errs = append(errs, every(ctx, drives, func(d *drive) error {
			large := d.path(fmt.Sprintf("large-%d-%s", round, d.slug()))
			wall, cpu, err := d.measured(ctx, func() error {
				return exec.CommandContext(ctx, "dd", "if="+src, "of="+large, "bs=1M", "conv=fsync", "status=none").Run()
			})
			if err != nil {
				return err
			}
			add("write, durable", "MiB/s", d.name, mib/wall.Seconds())
			add("write, processor", "s/GiB", d.name, cpu.Seconds()/gib)
			for _, threads := range []int{1, 8} {
				dir := d.path(fmt.Sprintf("small-%d-%d-%s", round, threads, d.slug()))
				if err := os.Mkdir(dir, 0o755); err != nil {
					return err
				}
				wall, _, err := d.measured(ctx, func() error {
					_, err := e.share(ctx, threads, func(i int) error { return os.WriteFile(filepath.Join(dir, fileName(i)), content, 0o644) })
					return err
				})
				if err != nil {
					return err
				}
				add(fmt.Sprintf("4 KiB files, %d threads", threads), "files/s", d.name, float64(e.smallFiles)/wall.Seconds())
			}
			d.stop()
			if err := d.start(ctx); err != nil {
				return err
			}
			for _, state := range []string{"cold", "warm"} {
				wall, cpu, err := d.measured(ctx, func() error {
					return exec.CommandContext(ctx, "dd", "if="+large, "of=/dev/null", "bs=1M", "status=none").Run()
				})
				if err != nil {
					return err
				}
				add("read, "+state, "MiB/s", d.name, mib/wall.Seconds())
				add("read, "+state+", processor", "s/GiB", d.name, cpu.Seconds()/gib)
			}
			d.stop()
			if err := d.start(ctx); err != nil {
				return err
			}
			f, err := os.Open(large)
			if err != nil {
				return err
			}
			start := time.Now()
			order := rand.Perm(int(e.size / 4096))
			p := make([]byte, 4096)
			for _, i := range order[:min(e.ops, len(order))] {
				if _, err := f.ReadAt(p, int64(i)*4096); err != nil {
					return errors.Join(err, f.Close())
				}
			}
			add("4 KiB reads, cold, 1 job", "op/s", d.name, float64(min(e.ops, len(order)))/time.Since(start).Seconds())
			return errors.Join(f.Close(), os.Remove(large))
		}))
	}
	for _, what := range []string{"write, durable", "write, processor", "4 KiB files, 1 threads", "4 KiB files, 8 threads", "read, cold",
		"read, cold, processor", "read, warm", "read, warm, processor", "4 KiB reads, cold, 1 job"} {
		if t := tables[what]; t != nil {
			e.caption(what)
			e.show(t, "scmfs")
		}
	}
	return errors.Join(errs...)
}
