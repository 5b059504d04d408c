package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// notifySocket is what systemd listens on.
func notifySocket(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return path, func() string {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
}

func TestSupervisor(t *testing.T) {
	path, next := notifySocket(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	s := supervisorFrom(os.Getenv, os.Getpid())
	assert.Empty(t, os.Getenv("NOTIFY_SOCKET"), "children must not speak for us")
	require.NoError(t, s.ready("mounted /mnt"))
	assert.Equal(t, "READY=1\nSTATUS=mounted /mnt", next())
	lived := 0
	stop := s.watching(t.Context(), func() { lived++ })
	assert.Equal(t, "WATCHDOG=1", next())
	assert.Equal(t, "WATCHDOG=1", next())
	stop()
	assert.GreaterOrEqual(t, lived, 2, "each sign of life is looked for first")
}

func TestSupervisorStopping(t *testing.T) {
	path, next := notifySocket(t)
	s := &supervisor{address: path}
	s.stopping(time.Minute)
	assert.Equal(t, "STOPPING=1\nSTATUS=waiting for uploads\nEXTEND_TIMEOUT_USEC=90000000", next())
	s.stopping(0)
	assert.Equal(t, "STOPPING=1\nSTATUS=waiting for uploads", next())
}

// A watchdog that hangs with the mount would be none.
func TestWatchdogWaitsForTheLocks(t *testing.T) {
	path, next := notifySocket(t)
	s := &supervisor{address: path, interval: 3 * time.Millisecond}
	locked := make(chan struct{})
	asked := make(chan struct{}, 1)
	stop := s.watching(t.Context(), func() {
		select {
		case asked <- struct{}{}:
		default:
		}
		<-locked
	})
	<-asked
	require.NoError(t, s.send("X=1"))
	assert.Equal(t, "X=1", next(), "no sign of life while a lock is held")
	close(locked)
	assert.Equal(t, "WATCHDOG=1", next())
	stop()
}

func TestWithoutSupervisor(t *testing.T) {
	env := map[string]string{"WATCHDOG_USEC": "1000"}
	s := supervisorFrom(func(k string) string { return env[k] }, 1)
	require.NoError(t, s.ready("x"))
	s.watch(t.Context(), nil) // returns at once
	env = map[string]string{"NOTIFY_SOCKET": "/nonexistent/s", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "2"}
	s = supervisorFrom(func(k string) string { return env[k] }, 1)
	assert.Zero(t, s.interval, "the watchdog is for another process")
	require.ErrorContains(t, s.ready("x"), "notify the supervisor")
}
