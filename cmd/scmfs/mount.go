package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func mountCommand() *cobra.Command {
	m := &mountFlags{}
	cmd := &cobra.Command{
		Use:   "mount [SEED[,SEED...]] MOUNTPOINT",
		Short: "Mount the workspaces of a store",
		Long: `Mounts every workspace that the user may read below MOUNTPOINT. It returns when the
mount answers, and goes on in the background unless --foreground is given.

A seed is HOST:PORT/SITE of a gateway; "https://" in front uses TLS. The password is
never given on the command line: use --password-file or $SCMFS_PASSWORD.`,
		Example: `  scmfs mount --embedded /srv/scm /mnt/scm
  scmfs mount gateway:8080/rootsite /mnt/scm --user alice --password-file /etc/scmfs/alice
  SCMFS_USER=alice SCMFS_PASSWORD=… scmfs mount gw1:8080/rootsite,gw2:8080/rootsite /mnt/scm --write-mode async`,
		Args: rangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			seeds := ""
			if len(args) == 2 {
				seeds = args[0]
			}
			dir, err := filepath.Abs(args[len(args)-1])
			if err != nil {
				return err
			}
			if err := m.check(); err != nil {
				return err
			}
			if m.stateDir == "" {
				if m.stateDir, err = stateDirFor(dir); err != nil {
					return err
				}
			}
			if !m.foreground && os.Getenv(daemonMark) == "" {
				return background(m.stateDir, m.logFile)
			}
			err = m.serve(cmd.Context(), seeds, dir)
			reportReady(err)
			return err
		},
	}
	m.flags(cmd)
	return cmd
}

// serve mounts and stays until the mount ends.
func (m *mountFlags) serve(ctx context.Context, seeds, dir string) error {
	if err := detachDead(dir); err != nil {
		return failure(exitMount, err)
	}
	log, closeLog, err := m.logger()
	if err != nil {
		return err
	}
	defer closeLog()
	if os.Getenv("GOGC") == "" {
		// The heap is mostly nodes that the kernel knows, and the default lets garbage
		// grow to as much again: 2.2 KiB a known inode. With half of it the memory is
		// 1.9 KiB, and random reads and listings take the same processor time.
		debug.SetGCPercent(50)
	}
	r, err := m.start(ctx, seeds, dir, log)
	if err != nil {
		return err
	}
	reportReady(nil)
	return r.wait(ctx)
}

func (m *mountFlags) logger() (*logrus.Logger, func(), error) {
	log := logrus.New()
	level, err := logrus.ParseLevel(m.logLevel)
	if err != nil {
		return nil, nil, err
	}
	log.SetLevel(level)
	if m.logFile == "" {
		return log, func() {}, nil // stderr: the terminal, or the state directory's log
	}
	f, err := os.OpenFile(m.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	log.SetOutput(f)
	log.SetFormatter(&logrus.JSONFormatter{})
	return log, func() { log.SetOutput(io.Discard); _ = f.Close() }, nil
}

// detachDead takes away what a killed mount left: every access to it fails with
// ENOTCONN. It also tells when something else is mounted there.
func detachDead(dir string) error {
	type answer struct {
		fi  os.FileInfo
		err error
	}
	ch := make(chan answer, 1)
	go func() {
		fi, err := os.Stat(dir)
		ch <- answer{fi, err}
	}()
	var a answer
	select {
	case a = <-ch:
	case <-time.After(10 * time.Second):
		return fmt.Errorf("%s does not answer: something hung is mounted there", dir)
	}
	switch {
	case errors.Is(a.err, syscall.ENOTCONN):
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			if ferr := fusermountLazy(dir); ferr != nil {
				return fmt.Errorf("a dead mount is in the way: %w", errors.Join(err, ferr))
			}
		}
		return nil
	case errors.Is(a.err, os.ErrNotExist):
		return fmt.Errorf("mount point %s does not exist: create it first", dir)
	case a.err != nil:
		return fmt.Errorf("mount point: %w", a.err)
	case !a.fi.IsDir():
		return fmt.Errorf("mount point %s is not a directory", dir)
	}
	if mounted(dir) {
		return fmt.Errorf("%s: scmfs is mounted there already", dir)
	}
	return nil
}
