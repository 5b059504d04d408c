package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// growFiles makes, lists and removes directories of more and more files through
// the mount. What each file costs must not depend on how many there are.
func growFiles(ctx context.Context, e *env) error {
	speed := newPlot("files of 4 KiB in one directory, 8 threads", "files", "files/s")
	cost := newPlot("what each of them costs the mount", "files", "CPU us/file")
	rss := newPlot("memory of the mount", "files", "MiB")
	content := make([]byte, smallSize)
	for _, s := range strings.Split(e.counts, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return err
		}
		rate, cpu, peaks := newTable("files/s"), newTable("mount CPU us/file"), newTable("mount peak RSS MiB")
		for round := range e.rounds {
			if err := e.mount(); err != nil {
				return err
			}
			dir := e.path(fmt.Sprintf("many-%d-%d", n, round))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			step := func(name string, do func() error) error {
				before, err := e.cpu()
				if err != nil {
					return err
				}
				start := time.Now()
				if err := do(); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				d := time.Since(start)
				after, err := e.cpu()
				if err != nil {
					return err
				}
				rate.add(name, float64(n)/d.Seconds())
				cpu.add(name, float64((after-before).Microseconds())/float64(n))
				return nil
			}
			each := func(do func(name string) error) error { return eachFile(ctx, dir, n, do) }
			err = errors.Join(
				step("create", func() error {
					return each(func(name string) error { return writeOnly(name, content) })
				}),
				step("ls -l", func() error { _, err := timed(ctx, "sh", "-c", "ls -l "+dir+" >/dev/null"); return err }),
				step("remove", func() error { return each(os.Remove) }))
			if err != nil {
				return err
			}
			peak, err := e.peak()
			if err != nil {
				return err
			}
			peaks.add("mount", float64(peak)/(1<<20))
			if err := os.Remove(dir); err != nil {
				return err
			}
			e.unmount()
		}
		e.caption(fmt.Sprintf("%d files", n))
		e.show(rate, "")
		e.show(cpu, "")
		e.show(peaks, "")
		for _, name := range rate.names {
			speed.add(name, float64(n), median(rate.rows[name]))
			cost.add(name, float64(n), median(cpu.rows[name]))
		}
		rss.add("mount", float64(n), median(peaks.rows["mount"]))
	}
	return errors.Join(speed.save(e.plots, "files-speed.svg"), cost.save(e.plots, "files-cost.svg"), rss.save(e.plots, "files-memory.svg"))
}

// writeOnly makes a file as cp, tar and rsync do.
func writeOnly(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
