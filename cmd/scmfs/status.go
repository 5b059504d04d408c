package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	asJSON, watch := false, false
	every := time.Second
	cmd := &cobra.Command{
		Use: "status [MOUNTPOINT]", Short: "Show what a mount is doing", Args: rangeArgs(0, 1),
		Long: `Shows the server, the session, the queue with the progress of each file, what is stuck
and why, caches, limits, and recent errors. Without MOUNTPOINT the only scmfs mount of
this machine is meant. With --watch it goes on until interrupted: on a terminal in
place, otherwise a line whenever something changes (with --json, a line a second).`,
		Example: "  scmfs status /mnt/scm\n  scmfs status /mnt/scm --watch\n  scmfs status /mnt/scm --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := mountArg(args)
			if err != nil {
				return err
			}
			c, err := attach(dir)
			if err != nil {
				return err
			}
			v := statusView{out: cmd.OutOrStdout(), terminal: onTerminal(cmd.OutOrStdout()), json: asJSON}
			if !watch {
				if err := c.details(cmd.Context()); err != nil {
					return err
				}
				return v.once(c.status)
			}
			return v.watch(cmd.Context(), c, every)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVarP(&watch, "watch", "w", false, "go on until interrupted")
	f.DurationVar(&every, "interval", time.Second, "time between two looks of --watch")
	return cmd
}

// mountArg is the mount point given, or the only one there is.
func mountArg(args []string) (string, error) {
	if len(args) > 0 {
		return filepath.Abs(args[0])
	}
	all, err := mounts()
	switch {
	case err != nil:
		return "", err
	case len(all) == 0:
		return "", failure(exitMount, errors.New("no scmfs is mounted on this machine"))
	case len(all) > 1:
		return "", failure(exitUsage, fmt.Errorf("say which mount is meant: %s", strings.Join(all, ", ")))
	}
	return all[0], nil
}

func attachArg(arg string) (*controlClient, error) {
	dir, err := filepath.Abs(arg)
	if err != nil {
		return nil, err
	}
	return attach(dir)
}

// details asks for the status with what only the owner may see, and what the
// mount has to ask the server for.
func (c *controlClient) details(ctx context.Context) error {
	var b strings.Builder
	if _, err := c.do(ctx, "GET", "/details", nil, &b); err != nil {
		return err
	}
	c.status = status{}
	return json.Unmarshal([]byte(b.String()), &c.status)
}

// statusView shows a status.
type statusView struct {
	out      io.Writer
	terminal bool
	json     bool
}

func (v statusView) once(s status) error {
	if v.json {
		enc := json.NewEncoder(v.out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	_, err := io.WriteString(v.out, statusText(s, v.terminal, time.Now()))
	return err
}

// watch shows the status again and again. On a terminal the screen is written
// over; elsewhere a screen per second is of no use, so only the line that sums up
// the queue is printed when it changes.
func (v statusView) watch(ctx context.Context, c *controlClient, every time.Duration) error {
	tick := time.NewTicker(max(every, 100*time.Millisecond))
	defer tick.Stop()
	said := ""
	for {
		if err := c.details(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return failure(exitMount, fmt.Errorf("the mount ended, or does not answer: %w", err))
		}
		var err error
		switch line := queueLine(c.status); {
		case v.json:
			err = json.NewEncoder(v.out).Encode(c.status)
		case v.terminal:
			// To the top left, each line cleared to its end, then the rest of the screen.
			text := strings.ReplaceAll(statusText(c.status, true, time.Now()), "\n", "\x1b[K\n")
			_, err = io.WriteString(v.out, "\x1b[H"+text+"\x1b[J")
		case line != said:
			said = line
			_, err = fmt.Fprintf(v.out, "%s %s\n", time.Now().Format(time.TimeOnly), line)
		}
		if err != nil {
			if errors.Is(err, os.ErrClosed) || strings.Contains(err.Error(), "broken pipe") {
				return nil // into head
			}
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
