package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/writeback"
)

func waitCommand() *cobra.Command {
	var timeout time.Duration
	quiet := false
	cmd := &cobra.Command{
		Use: "wait PATH...", Short: "Wait until files are published",
		Long: `Returns when the server has each PATH: a file, a directory with everything below it,
or the whole mount. With --write-mode async a close returns before that. It fails at
once for a file that is stuck, or closed under a temporary name, which nothing
publishes by itself.`,
		Example: "  cp big.iso /mnt/scm/archive/ && scmfs wait /mnt/scm/archive/big.iso\n  scmfs wait /mnt/scm --timeout 1h",
		Args:    atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			w := waiter{cmd: cmd, bars: !quiet && onTerminal(cmd.OutOrStdout()), lines: !quiet}
			for _, path := range args {
				if err := w.wait(ctx, path); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after this long (default: never)")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing")
	return cmd
}

// waiter waits for paths and shows how far they are.
type waiter struct {
	cmd         *cobra.Command
	bars, lines bool
	said        string
}

func (w *waiter) wait(ctx context.Context, path string) error {
	at, err := placeOf(path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err != nil {
		return fileFailure("cannot wait", err)
	}
	c, err := attach(at.mount)
	left := func(ctx context.Context) (string, error) { return w.left(ctx, c, at) }
	if notOwner(err) {
		left = func(context.Context) (string, error) { return leftByState(path) }
	} else if err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		line, err := left(ctx)
		if err != nil && ctx.Err() == nil {
			w.show("")
			return err
		}
		if line == "" && err == nil {
			w.show("")
			return nil
		}
		w.show(line)
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.show("")
			return failure(exitPending, fmt.Errorf("%s is not published yet: %s", path, line))
		}
	}
}

// left describes what is not published at a place or below it, "" when nothing is.
func (w *waiter) left(ctx context.Context, c *controlClient, at place) (string, error) {
	if err := c.details(ctx); err != nil {
		return "", failure(exitMount, fmt.Errorf("the mount at %s ended, or does not answer: %w", at.mount, err))
	}
	s := &c.status
	var files []writeback.Info
	var acked, sent, size, rate int64
	for _, p := range s.Pending {
		name := s.pathOf(p.Target)
		if at.rel != "" && name != at.rel && !strings.HasPrefix(name, at.rel+"/") && !maybeBelow(name, at) {
			continue
		}
		switch {
		case p.State == writeback.Stuck.String():
			return "", fmt.Errorf("%s is stuck, nothing is lost: %s (see 'scmfs pending list %s')", name, p.Error, at.mount)
		case p.Held:
			return "", fmt.Errorf("%s is closed under a temporary name: rename it, or publish it with 'scmfs pending retry %s %s'", name, at.mount, p.ID)
		}
		files = append(files, p)
		acked, sent, size, rate = acked+p.Acked, sent+max(p.Handed, p.Acked), size+p.Size, rate+s.Rates[p.ID]
	}
	if len(files) == 0 {
		return "", nil
	}
	line := fmt.Sprintf("%s, %s of %s", count(len(files), "file"), human(acked), human(size))
	if len(files) == 1 {
		line = fmt.Sprintf("%s, %s of %s", filepath.Base(s.pathOf(files[0].Target)), human(acked), human(size))
	}
	if rate > 0 {
		line += ", " + humanRate(rate)
	}
	if w.bars {
		line = bar(acked, sent, size, 30) + " " + line
	}
	return line, nil
}

// maybeBelow tells that a pending file whose directory could not be asked for may
// be meant: waiting too long is better than not long enough.
func maybeBelow(name string, at place) bool {
	if at.narrow {
		return strings.HasPrefix(name, "…/")
	}
	ws, _, _ := strings.Cut(at.rel, "/")
	return strings.HasPrefix(name, ws+"/…/")
}

// leftByState is for those who may not ask the mount: only single files.
func leftByState(path string) (string, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if fi.IsDir() {
		return "", errors.New("only the owner of the mount can wait for directories")
	}
	switch state := attribute(path, "state"); state {
	case "published":
		return "", nil
	case "":
		return "", fmt.Errorf("%s: the mount does not say whether it is published", path)
	case writeback.Stuck.String():
		return "", fmt.Errorf("%s is stuck, nothing is lost; the owner of the mount can see why", path)
	default:
		return state, nil
	}
}

func (w *waiter) show(line string) {
	switch {
	case w.bars && (line != "" || w.said != ""):
		w.cmd.Printf("\r%s\x1b[K", line)
	case w.lines && !w.bars && line != "" && line != w.said:
		w.cmd.Println("waiting for", line)
	}
	w.said = line
}
