package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/writeback"
)

func umountCommand() *cobra.Command {
	var timeout time.Duration
	var keep bool
	cmd := &cobra.Command{
		Use:   "umount MOUNTPOINT",
		Short: "Wait for uploads, then unmount",
		Long: `Waits for what is still to be uploaded, says what it waits for, and unmounts. When the
time is up the mount stays; with --keep it is unmounted at once and the next mount of
the same state directory goes on with the uploads.`,
		Example: "  scmfs umount /mnt/scm --timeout 10m",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if dead(dir) {
				if err := detachDead(dir); err != nil {
					return failure(exitMount, err)
				}
				cmd.Println("a dead mount was detached; mount again to go on with what it left")
				return nil
			}
			if !mounted(dir) {
				return failure(exitMount, fmt.Errorf("%s: no scmfs is mounted there", dir))
			}
			c, err := attach(dir)
			if err != nil {
				return err
			}
			return c.stop(cmd, dir, timeout, keep)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for uploads")
	cmd.Flags().BoolVar(&keep, "keep", false, "do not wait: leave uploads to the next mount")
	return cmd
}

// stop asks the mount to stop and reports what it waits for.
func (c *controlClient) stop(cmd *cobra.Command, dir string, timeout time.Duration, keep bool) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	type result struct {
		code int
		err  error
	}
	done := make(chan result, 1)
	go func() {
		code, err := c.do(ctx, http.MethodPost, "/stop", url.Values{"keep": {fmt.Sprint(keep)}}, nil)
		done <- result{code, err}
	}()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	said := ""
	for {
		select {
		case res := <-done:
			switch {
			case res.code == http.StatusConflict:
				return failure(exitMount, fmt.Errorf("%s is in use: close what works there and try again", dir))
			case ctx.Err() != nil:
				return failure(exitPending, fmt.Errorf("time is up, still to be uploaded: %s", waiting(c.status.Pending)))
			case res.code != http.StatusOK && mounted(dir):
				return res.err
			}
			return c.gone(dir)
		case <-tick.C:
			if c.refresh(ctx) != nil {
				continue
			}
			if line := waiting(c.status.Pending); line != said && line != "" {
				said = line
				cmd.Println("waiting for", line)
			}
		}
	}
}

// gone waits until the process has ended, so that a remount finds its state free.
func (c *controlClient) gone(dir string) error {
	deadline := time.Now().Add(15 * time.Second)
	for time.Now().Before(deadline) {
		if errors.Is(syscall.Kill(c.status.PID, 0), syscall.ESRCH) && !mounted(dir) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	if mounted(dir) {
		return failure(exitMount, fmt.Errorf("%s is still mounted", dir))
	}
	return nil
}

// waiting names what is on its way, "" when nothing is.
func waiting(all []writeback.Info) string {
	var names []string
	var bytes int64
	for _, p := range all {
		if p.State == writeback.Writing.String() || p.Held || p.Error != "" {
			continue
		}
		bytes += p.Size - p.Acked
		names = append(names, p.Target.Name)
	}
	if len(names) == 0 {
		return ""
	}
	list := strings.Join(names[:min(len(names), 3)], ", ")
	if len(names) > 3 {
		list += fmt.Sprintf(" and %d more", len(names)-3)
	}
	return fmt.Sprintf("%d files, %s: %s", len(names), humanize.IBytes(uint64(max(bytes, 0))), list)
}

// mounted tells from the kernel's table, without touching a mount that may hang.
func mounted(dir string) bool {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.ReplaceAll(f[4], `\040`, " ") == dir && strings.Contains(line, " fuse.scmfs ") {
			return true
		}
	}
	return false
}

func dead(dir string) bool {
	_, err := os.Stat(dir)
	return errors.Is(err, syscall.ENOTCONN)
}

func fusermountLazy(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH); err == nil {
		return nil
	}
	out, err := exec.Command("fusermount3", "-uz", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("fusermount3: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
