package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what a person sees and types.
type terminal struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	mu     sync.Mutex
	seen   bytes.Buffer
	read   sync.WaitGroup
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 120}))
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	tty := &terminal{t: t, master: os.NewFile(uintptr(fd), "ptmx"), slave: slave}
	tty.read.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := tty.master.Read(b)
			tty.mu.Lock()
			tty.seen.Write(b[:n])
			tty.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = slave.Close() // ends the read: nobody has the other side any more
		tty.read.Wait()
		_ = tty.master.Close()
	})
	return tty
}

func (tty *terminal) text() string {
	tty.mu.Lock()
	defer tty.mu.Unlock()
	return tty.seen.String()
}

func (tty *terminal) modes() unix.Termios {
	tty.t.Helper()
	m, err := unix.IoctlGetTermios(int(tty.slave.Fd()), unix.TCGETS)
	require.NoError(tty.t, err)
	return *m
}

// start runs a command as the terminal's foreground process.
func (tty *terminal) start(args ...string) *exec.Cmd {
	tty.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty.slave, tty.slave, tty.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(tty.t, cmd.Start())
	tty.t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// status --watch on a terminal: bars that move, an end on Ctrl-C, and the terminal
// as it was.
func TestWatchOnATerminal(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--write-mode", "async", "--upload-limit", "2MiB", "--increment-size", "5MiB")
	sh(t, "cp %s %s", content(t, 12*mib), m.ws("a"))
	tty := newTerminal(t)
	before := tty.modes()
	cmd := tty.start("status", m.dir, "--watch", "--interval", "100ms")
	require.Eventually(t, func() bool {
		return strings.Contains(tty.text(), "\x1b[H") && strings.Count(tty.text(), "[#") > 2
	}, patience, 50*time.Millisecond, "a bar that grows")
	_, err := tty.master.Write([]byte{3}) // Ctrl-C
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		require.NoError(t, err, "an end that was asked for is none of an error")
	case <-time.After(patience):
		require.Fail(t, "it goes on")
	}
	assert.Equal(t, before, tty.modes(), "echo, lines and signals as before")
	out := tty.text()
	for _, mode := range []string{"\x1b[?25l", "\x1b[?1049h", "\x1b[?7l"} { // cursor hidden, other screen, no wrapping
		assert.Equal(t, strings.Count(out, mode), strings.Count(out, mode[:len(mode)-1]+map[byte]string{'l': "h", 'h': "l"}[mode[len(mode)-1]]), "%q is taken back", mode)
	}
	assert.Regexp(t, `\[#+[=-]*\] +\d+%`, out)
}
