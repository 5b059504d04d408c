package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/internal/disk"
)

func mountCommand() *cobra.Command {
	m := &mountFlags{}
	cmd := &cobra.Command{
		Use:   "mount [[SEED[,SEED...]] MOUNTPOINT]",
		Short: "Mount the workspaces of a store",
		Long: `Mounts every workspace that the user may read below MOUNTPOINT, or what --workspaces
or --root say. It returns when the mount answers, and goes on in the background unless
--foreground is given. What a killed mount left at MOUNTPOINT is taken away first, and
its uploads go on.

A seed is HOST:PORT/SITE of a gateway; "https://" in front uses TLS. The password is
never given on the command line: use --password-file, --password-command or
$SCMFS_PASSWORD. It is asked for again when the server refuses the session.

` + precedenceHelp,
		Example: `  scmfs mount --embedded /srv/scm /mnt/scm
  scmfs mount gateway:8080/rootsite /mnt/scm --user alice --password-file /etc/scmfs/alice
  scmfs mount https://gw1:8443/rootsite,https://gw2:8443/rootsite /mnt/scm --ca-file /etc/scmfs/ca.pem --user alice --password-command 'pass show scm'
  scmfs mount --config /etc/scmfs/archive.yaml
  scmfs mount gateway:8080/rootsite /mnt/invoices --root archive/2026/invoices --read-only`,
		Args: rangeArgs(0, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s := settingsOf(cmd.Context())
			m.policies = s.policies()
			if err := m.check(); err != nil {
				return s.blame(err)
			}
			if err := m.arguments(s, args); err != nil {
				return err
			}
			var err error
			if m.stateDir == "" {
				if m.stateDir, err = stateDirFor(m.place.mountpoint); err != nil {
					return err
				}
			}
			if err := m.remember(s, cmd.Flags()); err != nil {
				return err
			}
			if err := m.private(); err != nil {
				return failure(exitMount, err)
			}
			if note := hides(m.place.mountpoint); note != "" && os.Getenv(daemonMark) == "" {
				cmd.PrintErrln("scmfs: note:", note)
			}
			if !m.foreground && os.Getenv(daemonMark) == "" {
				return background(cmd.Context(), m.stateDir, m.logFile, m.place.mountpoint)
			}
			err = m.serve(cmd.Context())
			reportReady(err)
			return err
		},
	}
	m.flags(cmd)
	completeMount(cmd)
	return cmd
}

// private makes sure that what is kept here is safe from other users: what is not
// uploaded yet, the log, the control socket, and what was read.
func (m *mountFlags) private() error {
	if err := disk.Private(m.stateDir, "journal", "spool"); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if m.cacheDir != "" {
		if err := disk.Private(m.cacheDir); err != nil {
			return fmt.Errorf("cache directory: %w", err)
		}
	}
	return nil
}

// gcFloor is added to what the garbage collector believes to be in use, so that it
// runs after 16 MiB of garbage at the earliest.
const gcFloor = 48 << 20

// serve mounts and stays until the mount ends.
func (m *mountFlags) serve(ctx context.Context) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := clearDead(m.place.mountpoint); err != nil {
		return failure(exitMount, err)
	}
	if err := mayMount(m.place.mountpoint, m.allowOther, fuseConf); err != nil {
		return failure(exitMount, err)
	}
	if os.Getenv(daemonMark) != "" {
		if err := os.Chdir("/"); err != nil { // not to keep another file system busy
			return err
		}
	}
	log, closeLog, err := m.logger()
	if err != nil {
		return err
	}
	defer closeLog()
	if os.Getenv("GOGC") == "" {
		// The heap is mostly nodes that the kernel knows, 1.2 KiB each, and the default
		// lets garbage grow to as much again. Resident after ls -l of 100,000 files:
		// 2,290 bytes each at 100, 2,130 at 50, 1,890 at 35. A random read takes 90 us
		// of processor time at 50 and 93 at 35.
		debug.SetGCPercent(35)
		// A small heap would be collected all the time then: 4,000 new small files took
		// 121 collections, with this 13. Nobody touches it, so it takes no memory.
		floor := make([]byte, gcFloor)
		defer runtime.KeepAlive(floor)
	}
	sup := supervisorFrom(os.Getenv, os.Getpid())
	r, err := m.start(ctx, log)
	if err != nil {
		return err
	}
	reportReady(nil)
	if err := sup.ready("mounted " + m.place.mountpoint); err != nil {
		log.WithError(err).Warn("systemd does not hear us")
	}
	defer sup.watching(ctx, r.alive)()
	return r.wait(ctx, signals, sup)
}
