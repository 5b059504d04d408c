package integration

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// service is a mount as systemd runs it.
type service struct {
	*mount
	cmd    *exec.Cmd
	out    *bytes.Buffer
	notify *net.UnixConn
}

// newService starts a mount in the foreground and waits for READY.
func newService(t *testing.T, s *server, args ...string) *service {
	t.Helper()
	v := &service{mount: &mount{t: t, s: s, dir: t.TempDir(), state: t.TempDir(), args: args}}
	v.up()
	t.Cleanup(v.down)
	return v
}

func (v *service) up() {
	t := v.t
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	var err error
	v.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	v.out = &bytes.Buffer{}
	v.cmd = exec.Command(binary, append([]string{"mount", "--foreground", v.s.seed, v.dir, "--state-dir", v.state}, v.args...)...)
	v.cmd.Env = append(os.Environ(), "SCMFS_USER="+v.s.user, "SCMFS_PASSWORD="+v.s.pass, "NOTIFY_SOCKET="+path)
	v.cmd.Stdout, v.cmd.Stderr = v.out, v.out
	require.NoError(t, v.cmd.Start())
	require.Contains(t, v.next(), "READY=1")
}

// next is what systemd hears next.
func (v *service) next() string {
	v.t.Helper()
	require.NoError(v.t, v.notify.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 4096)
	n, err := v.notify.Read(b)
	require.NoError(v.t, err, v.out)
	return string(b[:n])
}

func (v *service) signal() { require.NoError(v.t, v.cmd.Process.Signal(syscall.SIGTERM)) }

// code waits for the end.
func (v *service) code() int {
	v.t.Helper()
	done := make(chan error, 1)
	go func() { done <- v.cmd.Wait() }()
	select {
	case err := <-done:
		_ = v.notify.Close()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		}
		require.NoError(v.t, err)
		return 0
	case <-time.After(patience):
		require.Fail(v.t, "the mount does not end", v.out.String())
		return -1
	}
}

func (v *service) down() {
	if v.cmd.ProcessState == nil {
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
	}
	_ = v.notify.Close()
	_, _ = try(10*time.Second, "umount -l "+v.dir)
	if v.t.Failed() {
		v.t.Logf("the mount said:\n%s", v.out)
	}
	assert.NotContains(v.t, v.out.String(), "DATA RACE")
}

// exitCode runs a command and returns its exit code and output.
func exitCode(t *testing.T, script string) (int, string) {
	t.Helper()
	out, err := try(patience, script)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out
	}
	require.NoError(t, err, out)
	return 0, out
}

// again restarts the server without its faults.
func (s *server) again() {
	s.t.Helper()
	s.kill()
	s.args = nil
	s.start()
}

// A SIGTERM waits for what close has promised to upload.
func TestSigtermWaitsForUploads(t *testing.T) {
	s := newServer(t, "--fault", "delay=1s@POST /files")
	v := newService(t, s, "--write-mode", "async")
	sh(t, "echo content > %s", v.ws("f"))
	v.signal()
	assert.Regexp(t, `STOPPING=1\n(?s:.*)EXTEND_TIMEOUT_USEC=\d{9}`, v.next())
	assert.Zero(t, v.code())
	f, err := s.api().Workspace("default").LookupFile(t.Context(), "000000000000000000000000", "f")
	require.NoError(t, err)
	assert.EqualValues(t, len("content\n"), f.Size)
}

// A second SIGTERM stops at once; the next mount goes on.
func TestSecondSigtermStops(t *testing.T) {
	s := newServer(t, "--fault", "hang@POST /files")
	v := newService(t, s, "--write-mode", "async")
	sh(t, "echo content > %s", v.ws("f"))
	v.signal()
	assert.Contains(t, v.next(), "STOPPING=1")
	v.signal()
	assert.Equal(t, 4, v.code(), "uploads are left")
	assert.Contains(t, v.out.String(), "the next mount goes on: 1 file, 8 B: f")
	assert.Empty(t, sh(t, "grep ' %s ' /proc/mounts || true", v.dir))

	s.again()
	v.up()
	assert.Equal(t, "content\n", sh(t, "cat %s", v.ws("f")))
	v.signal()
	assert.Zero(t, v.code())
	_, err := s.api().Workspace("default").LookupFile(t.Context(), "000000000000000000000000", "f")
	require.NoError(t, err)
}

// umount says by its exit code what became of it.
func TestUmountOutcomes(t *testing.T) {
	s := newServer(t, "--fault", "hang@POST /files")
	m := newMount(t, s, "--write-mode", "async")
	umount := binary + " umount " + m.dir

	// 5: in use, and by whom.
	holder := exec.Command("sleep", "600")
	holder.Dir = m.dir
	require.NoError(t, holder.Start())
	code, out := exitCode(t, umount+" --keep")
	_ = holder.Process.Kill()
	_ = holder.Wait()
	assert.Equal(t, 5, code, out)
	assert.Contains(t, out, "is in use by sleep (pid ")

	// 4: time is up, and the mount stays.
	sh(t, "echo content > %s", m.ws("f"))
	code, out = exitCode(t, umount+" --timeout 2s")
	assert.Equal(t, 4, code, out)
	assert.Contains(t, out, "waiting for 1 file, 8 B: f\n")
	assert.Contains(t, out, "stays mounted, still to be uploaded: 1 file, 8 B: f")
	assert.Equal(t, "content\n", sh(t, "cat %s", m.ws("f")))

	// 0 with --keep: the next mount goes on.
	code, out = exitCode(t, umount+" --keep")
	assert.Zero(t, code, out)
	assert.Contains(t, out, "left in "+m.state+" for the next mount: 1 file, 8 B: f")
	s.again()
	m.start()
	code, out = exitCode(t, umount)
	assert.Zero(t, code, out)
	_, err := s.api().Workspace("default").LookupFile(t.Context(), "000000000000000000000000", "f")
	require.NoError(t, err)

	// 5: nothing there.
	code, _ = exitCode(t, umount)
	assert.Equal(t, 5, code)
}

// What a killed mount left is no obstacle to the next one, and to umount neither.
func TestMountOverDead(t *testing.T) {
	s := newServer(t)
	v := newService(t, s)
	sh(t, "echo content > %s", v.ws("f"))
	kill := func() {
		require.NoError(t, v.cmd.Process.Kill())
		_ = v.cmd.Wait()
		assert.Contains(t, fails(t, "ls %s", v.dir), "not connected")
	}
	kill()
	v.up()
	assert.Equal(t, "content\n", sh(t, "cat %s", v.ws("f")))
	assert.Len(t, strings.Fields(sh(t, "grep -c ' %s ' /proc/mounts", v.dir)), 1)
	assert.Equal(t, "1\n", sh(t, "grep -c ' %s ' /proc/mounts", v.dir), "not one upon the other")
	kill()
	assert.Contains(t, sh(t, "%s umount %s", binary, v.dir), "a dead mount was taken away")
	assert.Empty(t, sh(t, "grep ' %s ' /proc/mounts || true", v.dir))
}

// umount --lazy takes away a mount that is in use.
func TestUmountLazy(t *testing.T) {
	v := newService(t, newServer(t))
	holder := exec.Command("sleep", "600")
	holder.Dir = v.dir
	require.NoError(t, holder.Start())
	sh(t, "%s umount --lazy %s", binary, v.dir)
	assert.Empty(t, sh(t, "grep ' %s ' /proc/mounts || true", v.dir))
	_ = holder.Process.Kill()
	_ = holder.Wait()
	assert.Zero(t, v.code())
}
