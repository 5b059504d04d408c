package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// supervisor is systemd as a service sees it: sd_notify(3). Without it, nothing
// is sent. Safe for concurrent use.
type supervisor struct {
	address  string        // "" without systemd
	interval time.Duration // between signs of life that the watchdog wants, 0: none
}

// supervisorFrom reads the environment and takes the variables away, so that a
// password command cannot speak for us.
func supervisorFrom(getenv func(string) string, pid int) *supervisor {
	s := &supervisor{address: getenv("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	mine := getenv("WATCHDOG_PID") == "" || getenv("WATCHDOG_PID") == strconv.Itoa(pid)
	if s.address != "" && err == nil && usec > 0 && mine {
		s.interval = time.Duration(usec) * time.Microsecond
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	return s
}

func (s *supervisor) send(lines ...string) error {
	if s.address == "" {
		return nil
	}
	name := s.address
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the supervisor: %w", err)
	}
	_, err = conn.Write([]byte(strings.Join(lines, "\n")))
	return errors.Join(err, conn.Close())
}

// ready tells that the mount answers.
func (s *supervisor) ready(status string) error { return s.send("READY=1", "STATUS="+status) }

// stopping tells that a stop has begun and how long it may take; the unit's own
// TimeoutStopSec need not know our --stop-timeout.
func (s *supervisor) stopping(may time.Duration) {
	lines := []string{"STOPPING=1", "STATUS=waiting for uploads"}
	if may > 0 {
		lines = append(lines, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (may+30*time.Second).Microseconds()))
	}
	_ = s.send(lines...) // nobody to tell
}

// watch sends signs of life until ctx ends, each after alive has returned. alive
// takes the locks that a request takes; it must not touch the mount, because
// this process must never wait for itself.
func (s *supervisor) watch(ctx context.Context, alive func()) {
	if s.interval == 0 {
		return
	}
	tick := time.NewTicker(s.interval / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			alive()
			_ = s.send("WATCHDOG=1")
		case <-ctx.Done():
			return
		}
	}
}

// alive takes the locks that a request takes, see supervisor.watch.
func (r *running) alive() {
	r.tree.Nodes()
	r.status()
}

// watching runs watch in a goroutine; the returned function ends it and waits.
func (s *supervisor) watching(ctx context.Context, alive func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { s.watch(ctx, alive) })
	return func() { cancel(); wg.Wait() }
}
