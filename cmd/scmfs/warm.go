package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// warming reads files of a mount so that its read cache has them.
type warming struct {
	jobs          int
	warn          func(path string, err error)
	files, bytes  atomic.Int64 // found
	filesDone     atomic.Int64
	bytesDone     atomic.Int64
	failures      atomic.Int64
	walked        atomic.Bool // nothing more will be found
	started       time.Time
	stdout        io.Writer
	interval      time.Duration
	render, clear func(progress) string
}

// warmChunk is what one read asks for: several of the kernel's requests, which
// then are on their way at the same time.
const warmChunk = 4 << 20

func warmCommand() *cobra.Command {
	w := &warming{}
	cmd := &cobra.Command{
		Use:   "warm PATH...",
		Short: "Read files and directories into the read cache",
		Long: `Reads the files at or below each PATH of a mount into its read cache, so that programs
find them near. Memory holds --cache-size of it; for more, mount with --cache-dir. The
kernel's own page cache is left alone. Links are not followed.

It stays until all is read; add & to have it in the background. Progress is a bar on a
terminal, a line every ten seconds elsewhere.`,
		Example: "  scmfs warm /mnt/scm/archive/2026\n  scmfs warm --jobs 8 /mnt/scm/scans/*.tif > warm.log &",
		Args:    func(cmd *cobra.Command, args []string) error { return usage(cobra.MinimumNArgs(1)(cmd, args)) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.jobs < 1 || w.jobs > 64 {
				return failure(exitUsage, fmt.Errorf("--jobs %d: must be between 1 and 64", w.jobs))
			}
			for _, path := range args {
				if err := onMount(path); err != nil {
					return failure(exitMount, err)
				}
			}
			w.stdout = cmd.OutOrStdout()
			w.warn = func(path string, err error) { cmd.PrintErrf("scmfs: %s: %v\n", path, err) }
			w.interval, w.render, w.clear = 10*time.Second, progress.line, func(progress) string { return "" }
			if f, ok := w.stdout.(*os.File); ok && isTerminal(f) {
				w.interval, w.render, w.clear = 200*time.Millisecond, progress.bar, progress.wipe
			}
			return w.run(cmd.Context(), args)
		},
	}
	cmd.Flags().IntVar(&w.jobs, "jobs", 4, "files that are read at the same time")
	return cmd
}

// onMount refuses what is not on a FUSE file system: reading it warms nothing.
func onMount(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if int64(st.Type) != unix.FUSE_SUPER_MAGIC {
		return fmt.Errorf("%s is not on a mount of scmfs", path)
	}
	return nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (w *warming) run(ctx context.Context, paths []string) error {
	w.started = time.Now()
	found := make(chan string, 1024)
	var readers sync.WaitGroup
	for range w.jobs {
		readers.Go(func() {
			for path := range found {
				if err := w.read(ctx, path); err != nil && ctx.Err() == nil {
					w.failures.Add(1)
					w.warn(path, err)
				}
				w.filesDone.Add(1)
			}
		})
	}
	shown := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(shown)
		w.show(done)
	}()
	for _, path := range paths {
		w.walk(ctx, path, found)
	}
	w.walked.Store(true)
	close(found)
	readers.Wait()
	close(done)
	<-shown
	if err := ctx.Err(); err != nil {
		return err
	}
	if n := w.failures.Load(); n > 0 {
		return fmt.Errorf("%d files or directories could not be read", n)
	}
	return nil
}

// walk finds the files at or below path.
func (w *warming) walk(ctx context.Context, path string, found chan<- string) {
	_ = filepath.WalkDir(path, func(p string, d iofs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return filepath.SkipAll
		}
		if err != nil {
			w.failures.Add(1)
			w.warn(p, err)
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			w.bytes.Add(info.Size())
		}
		w.files.Add(1)
		select {
		case found <- p:
		case <-ctx.Done():
		}
		return nil
	})
}

// read has one file read. O_DIRECT goes past the kernel's pages: they would answer
// for blocks that the read cache does not have, and be filled for nothing.
func (w *warming) read(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		f, err = os.Open(path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, warmChunk)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		w.bytesDone.Add(int64(n))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// show prints the progress until done is closed, and then how it ended.
func (w *warming) show(done <-chan struct{}) {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprint(w.stdout, w.render(w.progress()))
		case <-done:
			p := w.progress()
			fmt.Fprint(w.stdout, w.clear(p), p.line())
			return
		}
	}
}

func (w *warming) progress() progress {
	return progress{files: w.filesDone.Load(), ofFiles: w.files.Load(), bytes: w.bytesDone.Load(), ofBytes: w.bytes.Load(),
		all: w.walked.Load(), took: time.Since(w.started)}
}
