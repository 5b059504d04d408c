package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"
)

func selftestCommand() *cobra.Command {
	t := &selftest{}
	keep, only := false, ""
	cmd := &cobra.Command{
		Use: "selftest DIR", Short: "Try a mounted directory: write, resume, rename, crash, names, sizes",
		Long: `Makes a scratch directory in DIR, does there what programs do, looks whether it came out
right, and removes it. It takes less than two minutes, writes about 100 MiB, and touches
nothing else, so that it can be run in production. DIR must be on an scmfs mount.

A writer is killed on purpose; what it leaves in .partial is removed as well.`,
		Example: "  scmfs selftest /mnt/scm/archive/scratch\n  scmfs selftest --only 'resumed|large' /mnt/scm/archive/scratch",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t.cmd = cmd
			var err error
			if t.only, err = regexp.Compile(only); err != nil {
				return usage(fmt.Errorf("--only %q: want a part of a step's name, or a pattern", only))
			}
			return t.run(cmd.Context(), args[0], keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the scratch directory")
	cmd.Flags().StringVar(&only, "only", "", "do the steps with such a name only, a regular expression")
	// The writer that is killed is this program.
	victim := &cobra.Command{Use: "victim FILE", Hidden: true, Args: exactArgs(1), RunE: func(_ *cobra.Command, args []string) error { return beVictim(args[0]) }}
	cmd.AddCommand(victim)
	return cmd
}

// selftest tries a directory of a mount.
type selftest struct {
	cmd   *cobra.Command
	at    place  // of dir
	dir   string // scratch
	bp    string // .partial of the workspace, "" when it has none
	id    string // makes names unique
	flat  bool
	only  *regexp.Regexp
	fails int
}

// skipped is why a step was not done.
type skipped struct{ why string }

func (s skipped) Error() string { return s.why }

func (t *selftest) run(ctx context.Context, dir string, keep bool) (err error) {
	if t.at, err = placeOf(dir); err != nil {
		return err
	}
	top, _ := t.at.split()
	if top == "" {
		return usage(fmt.Errorf("%s is the mount point: give a directory in a workspace", dir))
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 110*time.Second)
	defer cancel()
	t.id = fmt.Sprintf("scmfs-selftest-%d-%d", os.Getpid(), began.Unix())
	t.dir = filepath.Join(t.at.mount, t.at.rel, t.id)
	switch err := os.Mkdir(t.dir, 0o700); {
	case errors.Is(err, os.ErrPermission):
		t.dir, t.flat = filepath.Join(t.at.mount, t.at.rel), true // no directories there; the names are unique enough
	case err != nil:
		return err
	}
	if err := t.probePartial(top); err != nil {
		t.cmd.Printf("note  no breakpoint files here: %v\n", err)
	}
	if !keep {
		defer func() { err = errors.Join(err, t.clean()) }()
	}
	done := 0
	for _, s := range t.steps() {
		if !t.only.MatchString(s.name) {
			continue
		}
		done++
		start := time.Now()
		err := s.do(ctx)
		took := time.Since(start).Round(time.Millisecond)
		var skip skipped
		switch {
		case err == nil:
			t.cmd.Printf("OK    %-26s %s\n", s.name, took)
		case errors.As(err, &skip):
			t.cmd.Printf("SKIP  %-26s %v\n", s.name, err)
		default:
			t.fails++
			t.cmd.Printf("FAIL  %-26s %v\n", s.name, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped after %s: %w", time.Since(began).Round(time.Second), ctx.Err())
		}
	}
	if done == 0 {
		return usage(fmt.Errorf("--only %q: no step has such a name", t.only))
	}
	t.cmd.Printf("%d failed, in %s\n", t.fails, time.Since(began).Round(100*time.Millisecond))
	if t.fails > 0 {
		return fmt.Errorf("%s failed", count(t.fails, "step"))
	}
	return nil
}

type step struct {
	name string
	do   func(context.Context) error
}

func (t *selftest) steps() []step {
	return []step{
		{"sizes", t.sizes},
		{"large file", t.large},
		{"names", t.names},
		{"refused names", t.refused},
		{"new version", t.newVersion},
		{"append and rewrite", t.rewrite},
		{"rename", t.rename},
		{"rename onto a file", t.renameOnto},
		{"directories", t.directories},
		{"attributes", t.attributes},
		{"close means published", t.closeMeansPublished},
		{"fsync", t.fsync},
		{"killed writer", t.killedWriter},
		{"breakpoint file, resumed", t.resume},
		{"many at once", t.many},
		{"delete", t.remove},
	}
}

// path names a file of the test.
func (t *selftest) path(name string) string {
	if t.flat {
		name = t.id + "-" + name
	}
	return filepath.Join(t.dir, name)
}

// probePartial tries .partial, which is in top.
func (t *selftest) probePartial(top string) error {
	dir := filepath.Join(top, ".partial")
	if _, err := os.ReadDir(dir); err != nil {
		return err
	}
	name := filepath.Join(dir, t.id+"-probe")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("probe")
	if err = errors.Join(err, f.Close(), os.Remove(name)); err == nil {
		t.bp = dir
	}
	return err
}

// clean removes what the test made.
func (t *selftest) clean() error {
	var errs []error
	if t.bp != "" {
		left, err := filepath.Glob(filepath.Join(t.bp, "*"+t.id+"*"))
		errs = append(errs, err)
		for _, p := range left {
			errs = append(errs, os.Remove(p))
		}
	}
	if t.flat {
		left, err := filepath.Glob(filepath.Join(t.dir, t.id+"-*"))
		errs = append(errs, err)
		for _, p := range left {
			errs = append(errs, os.Remove(p))
		}
	} else {
		errs = append(errs, os.RemoveAll(t.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("not everything could be removed: %w", err)
	}
	return nil
}
