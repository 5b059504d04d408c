package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// lists makes directories through every drive, and looks through them when nothing
// is cached, and again.
func lists(ctx context.Context, e *env) error {
	drives, stop, err := e.all(ctx, e.loopback(false), e.disk())
	if err != nil {
		return err
	}
	defer stop()
	content := make([]byte, smallSize)
	for _, s := range strings.Split(e.counts, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return err
		}
		t := newTable("s")
		err = every(ctx, drives, func(d *drive) error {
			dir := d.path(d.slug() + "-" + s)
			if _, _, err := d.measured(ctx, func() error { return makeFiles(ctx, dir, n, content) }); err != nil {
				return err
			}
			for range e.rounds {
				for _, cmd := range [][]string{{"ls", "-l"}, {"find"}} {
					d.stop()
					if err := d.start(ctx); err != nil {
						return err
					}
					for _, state := range []string{"cold", "warm"} {
						took, err := timed(ctx, cmd[0], append(cmd[1:], dir)...)
						if err != nil {
							return err
						}
						t.add(d.name+": "+strings.Join(cmd, " ")+", "+state, took.Seconds())
					}
				}
			}
			return nil
		})
		e.caption(fmt.Sprintf("a directory of %d files", n))
		e.show(t, "")
		if err != nil {
			return err
		}
	}
	return nil
}

// makeFiles fills a new directory by 8 threads.
func makeFiles(ctx context.Context, dir string, n int, content []byte) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return eachFile(ctx, dir, n, func(name string) error { return writeOnly(name, content) })
}

// eachFile does something with each of the n files of dir by 8 threads.
func eachFile(ctx context.Context, dir string, n int, do func(name string) error) error {
	var next atomic.Int64
	_, err := together(8, func(int) error {
		for i := next.Add(1) - 1; i < int64(n) && ctx.Err() == nil; i = next.Add(1) - 1 {
			if err := do(dir + "/" + fileName(int(i))); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	return err
}
