package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/fs"
)

type umountFlags struct {
	timeout time.Duration
	keep    bool
	lazy    bool
}

func umountCommand() *cobra.Command {
	u := &umountFlags{}
	cmd := &cobra.Command{
		Use:   "umount MOUNTPOINT",
		Short: "Wait for uploads, then unmount",
		Long: `Waits for what is still to be uploaded, shows how far it is, and unmounts. When the
time is up the mount stays (exit code 4). When a program works there the mount stays as
well (5), and the message says which. With --keep it does not wait: the next mount of
the same state directory goes on with the uploads. A SIGTERM to the mount does the same
as this command, with --stop-timeout; a second one is --keep.

A dead mount, whose process was killed, is taken away.`,
		Example: "  scmfs umount /mnt/scm --timeout 10m\n  scmfs umount /mnt/scm --keep",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return u.umount(cmd, dir)
		},
	}
	cmd.Flags().DurationVar(&u.timeout, "timeout", 5*time.Minute, "how long to wait for uploads")
	cmd.Flags().BoolVar(&u.keep, "keep", false, "do not wait: leave uploads to the next mount")
	cmd.Flags().BoolVar(&u.lazy, "lazy", false, "take the mount out of the tree at once, whatever uses it; also one that hangs")
	completeMountpoints(cmd)
	return cmd
}

func (u *umountFlags) umount(cmd *cobra.Command, dir string) error {
	if !mounted(dir) {
		return failure(exitMount, fmt.Errorf("%s: no scmfs is mounted there", dir))
	}
	if u.lazy {
		if err := fs.Detach(dir); err != nil {
			return failure(exitMount, err)
		}
		return nil
	}
	switch _, err := statWithin(dir, 10*time.Second); {
	case isDead(err):
		if err := fs.Detach(dir); err != nil {
			return failure(exitMount, err)
		}
		cmd.Println("a dead mount was taken away; mount again to go on with what it left")
		return nil
	case err != nil:
		return failure(exitMount, err)
	}
	c, err := attach(dir)
	if err != nil {
		return err
	}
	return u.stop(cmd, c, dir)
}

// stop asks the mount to stop and shows what it waits for.
func (u *umountFlags) stop(cmd *cobra.Command, c *controlClient, dir string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), u.timeout)
	defer cancel()
	type result struct {
		code int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		code, err := c.do(ctx, http.MethodPost, "/stop", url.Values{"keep": {fmt.Sprint(u.keep)}}, nil)
		done <- result{code, err}
	}()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	bar := newProgress(cmd.OutOrStdout(), time.Now())
	defer bar.end()
	for {
		select {
		case res := <-done:
			bar.end()
			switch {
			case res.code == http.StatusConflict:
				return failure(exitMount, fmt.Errorf("%s is in use%s", dir, holders(dir, 3*time.Second)))
			case ctx.Err() != nil:
				return u.late(cmd, c, dir)
			case res.code != http.StatusOK && mounted(dir):
				return res.err
			}
			return u.left(cmd, c, dir)
		case <-tick.C:
			if c.refresh(ctx) == nil {
				bar.show(c.status.Pending, time.Now())
			}
		}
	}
}

// late reports a stop whose time was up, or that was interrupted.
func (u *umountFlags) late(cmd *cobra.Command, c *controlClient, dir string) error {
	if cmd.Context().Err() != nil {
		return failure(exitPending, fmt.Errorf("interrupted: %s stays mounted", dir))
	}
	if line := waiting(c.status.Pending); line != "" {
		return failure(exitPending, fmt.Errorf("time is up and %s stays mounted, still to be uploaded: %s", dir, line))
	}
	return failure(exitPending, fmt.Errorf("time is up and %s stays mounted", dir))
}

// left waits for the end of the process and says what it leaves.
func (u *umountFlags) left(cmd *cobra.Command, c *controlClient, dir string) error {
	if err := c.gone(dir); err != nil {
		return err
	}
	if line := waiting(c.status.Pending); u.keep && line != "" {
		cmd.Printf("left in %s for the next mount: %s\n", c.status.StateDir, line)
	}
	return nil
}

// gone waits until the process has ended, so that a remount finds its state free.
func (c *controlClient) gone(dir string) error {
	deadline := time.Now().Add(15 * time.Second)
	for time.Now().Before(deadline) {
		if ended(c.status.PID) && !mounted(dir) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	if mounted(dir) {
		return failure(exitMount, fmt.Errorf("%s is still mounted", dir))
	}
	return nil
}

// ended tells whether a process is no more. One that its new parent has not
// collected yet holds nothing either: in a container, where process 1 is no init,
// that can take seconds.
func ended(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, ok := strings.Cut(string(b), ") ")
	return err == nil && ok && strings.HasPrefix(state, "Z")
}
