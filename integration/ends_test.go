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

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// blackhole puts a network in front of s that can swallow everything: connections
// are made and kept, and no byte comes through.
func blackhole(t *testing.T, s *server) (swallow func()) {
	t.Helper()
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "scm", "127.0.0.1:0", s.addr)
	require.NoError(t, p.Start())
	t.Cleanup(p.Stop)
	s.seed = p.Listen + "/rootsite"
	return func() {
		t.Helper()
		for _, stream := range []string{"upstream", "downstream"} {
			_, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":%q,"type":"timeout","stream":%q,"attributes":{"timeout":0}}`, stream, stream)))
			require.NoError(t, err)
		}
	}
}

// 6.1 Every operation ends, whatever the server does not answer.
func TestEveryOperationEnds(t *testing.T) {
	t.Run("names known", func(t *testing.T) { everyOperationEnds(t, "10m") })
	t.Run("names asked for", func(t *testing.T) { everyOperationEnds(t, "100ms") })
}

func everyOperationEnds(t *testing.T, expiry string) {
	s := newServer(t)
	swallow := blackhole(t, s)
	m := newMount(t, s, "--timeout", "2s", "--close-timeout", "3s", "--expiry", expiry)
	t.Cleanup(m.kill)
	src := content(t, 100_000)
	// Each in a directory of its own, with a file f and a directory d with a file:
	// what changes a directory waits in the kernel for whatever else does.
	scripts := []string{
		"cat f", "ls d", "cat d/f", "cp " + src + " f", "cp " + src + " new", "cp " + src + " d/new", "mv f moved", "mv f d/f", "mv d moved", "mv -T d e", "rm f",
		"rmdir e", "rm -r d", "mkdir new", "mkdir d/new", "ln -s x new", "mkfifo new", "chmod 600 f", "touch -d yesterday f", "truncate -s 5 f", "cat " + src + " >> f",
		"chown 1 f", "setfattr -n user.a -v b f", "setfattr -n user.scm.title -v b f", "find d", "echo x > ../.partial/new", "ls ../.partial",
		"cat ../.partial/p", "mv ../.partial/p f", "rm ../.partial/p", "ls ../.versions/w0/d", "cat ../.versions/w0/f/1.0", "rm ../.versions/w1/f/1.0", "sync f && cat f",
	}
	sh(t, "cd %s && cp %s open && echo x > .partial/p && for i in $(seq 0 %d); do mkdir -p w$i/d w$i/e && cp %s w$i/f && cp %s w$i/d/f; done", m.ws(), src, len(scripts)-1, src, src)
	m.end() // no content and no sub-directory is in a cache
	m.start()
	sh(t, "ls -l %s %s/w*", m.ws(), m.ws())
	var in []*os.File // to get there without a lookup
	for i := range scripts {
		dir, err := os.Open(m.ws(fmt.Sprintf("w%d", i)))
		require.NoError(t, err)
		defer dir.Close()
		in = append(in, dir)
	}
	reading, err := os.Open(m.ws("open"))
	require.NoError(t, err)
	defer reading.Close()
	writing, err := os.Create(m.ws("writing"))
	require.NoError(t, err)
	swallow()

	began := time.Now()
	var wg sync.WaitGroup
	ends := func(what string, run func() (string, error)) {
		wg.Go(func() {
			out, err := run()
			took := time.Since(began)
			if assert.Error(t, err, what) {
				assert.Regexp(t, `(?i)connection timed out|input/output error`, out+err.Error(), what)
			}
			assert.Less(t, took, 30*time.Second, "%s: a deadline of 2 s, and a few operations", what)
		})
	}
	for i, script := range scripts {
		ends(script, func() (string, error) {
			return try(patience, fmt.Sprintf("cd /proc/%d/fd/%d && LC_ALL=C bash -c '%s'", os.Getpid(), in[i].Fd(), script))
		})
	}
	ends("read", func() (string, error) { _, err := reading.Read(make([]byte, 1000)); return "", err })
	ends("close", func() (string, error) {
		_, err := writing.WriteString("text")
		assert.NoError(t, err)
		assert.NoError(t, writing.Sync(), "fsync needs no server")
		return "", writing.Close()
	})
	wg.Wait()

	code, out := exitCode(t, binary+" umount --keep "+m.dir)
	assert.Equal(t, 5, code, "it is in use: %s", out)
	require.NoError(t, reading.Close())
	for _, dir := range in {
		require.NoError(t, dir.Close())
	}
	code, out = exitCode(t, binary+" umount --timeout 3s "+m.dir)
	assert.Equal(t, 4, code, out)
	assert.Regexp(t, `still to be uploaded: \d+ files?`, out)
	code, out = exitCode(t, binary+" umount --keep "+m.dir)
	assert.Zero(t, code, out)
	assert.Contains(t, out, "left in "+m.state)
}

// blocked waits until a process sleeps in the kernel for an answer of the mount.
func blocked(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	at := fmt.Sprintf("/proc/%d/wchan", cmd.Process.Pid)
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(at)
		require.NoError(t, err)
		return bytes.Contains(b, []byte("request_wait_answer")) || bytes.Contains(b, []byte("folio_wait")) // of read-ahead
	}, patience, 20*time.Millisecond, "%v does not wait for the mount", cmd.Args)
}

// 6.1 A signal that a program handles ends its call only when it asks it to stop.
func TestHandledSignals(t *testing.T) {
	s := newServer(t)
	swallow := blackhole(t, s)
	m := newMount(t, s, "--timeout", "10m")
	t.Cleanup(m.kill)
	sh(t, "cd %s && mkdir 0 1 2", m.ws())
	m.end()
	m.start() // it knows nothing of them
	var cmds []*exec.Cmd
	for i := range 3 {
		dir, err := os.Open(m.ws(fmt.Sprint(i))) // to get there without a lookup
		require.NoError(t, err)
		defer dir.Close()
		cmd := exec.Command("perl", "-MFcntl", "-e", `$SIG{INT} = $SIG{ALRM} = sub {}; sysopen(F, "/proc/self/fd/3/new", O_CREAT | O_RDWR) or exit(0 + $!)`)
		cmd.ExtraFiles = []*os.File{dir}
		cmds = append(cmds, cmd)
	}
	swallow()
	for _, cmd := range cmds {
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		blocked(t, cmd)
	}
	stop := func(cmd *exec.Cmd) {
		require.NoError(t, cmd.Process.Signal(unix.SIGINT))
		_ = cmd.Wait()
		assert.Equal(t, int(unix.EINTR), cmd.ProcessState.ExitCode())
	}
	// The other two take a second each from the signal to the end.
	require.NoError(t, cmds[0].Process.Signal(unix.SIGALRM))
	stop(cmds[1])
	stop(cmds[2])
	blocked(t, cmds[0])
	stop(cmds[0])
}

// 6.1 A program that waits for a server that does not answer can be stopped, by
// ^C and by kill -9, wherever it waits.
func TestBlockedProgramsCanBeKilled(t *testing.T) {
	s := newServer(t)
	swallow := blackhole(t, s)
	// The deadlines are far away: only the signal can end a program.
	m := newMount(t, s, "--timeout", "10m", "--close-timeout", "10m", "--expiry", "100ms", "--increment-size", "5MiB", "--spool-max-size", "64MiB")
	t.Cleanup(m.kill)
	src := content(t, 100_000)
	sh(t, "cd %s && mkdir a a/b && for i in 1 2; do cp %s read$i && cp %s rm$i; done", m.ws(), src, src)
	m.end()
	m.start()
	sh(t, "ls %s %s", m.dir, m.ws())
	cwd, err := os.Open(m.ws()) // to get there without a lookup
	require.NoError(t, err)
	defer cwd.Close()
	swallow()

	var wg sync.WaitGroup
	defer wg.Wait()
	for i, sig := range []os.Signal{unix.SIGINT, unix.SIGKILL} {
		for what, script := range map[string]string{
			"read":       "exec cat read%d",
			"list":       "exec ls a; : %d",
			"remove":     "exec rm -f rm%d",
			"mkdir":      "exec mkdir new%d",
			"close":      "exec cp " + src + " close%d",
			"redirected": "exec cat " + src + " > redirected%d",
			"full spool": "exec cat /dev/zero > full%d",
			"breakpoint": "exec cp " + src + " .partial/p%d",
		} {
			cmd := exec.Command("sh", "-c", fmt.Sprintf(script, i+1))
			cmd.Dir = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), cwd.Fd())
			require.NoError(t, cmd.Start())
			wg.Go(func() {
				blocked(t, cmd)
				assert.NoError(t, cmd.Process.Signal(sig))
				done := make(chan error, 1)
				go func() { done <- cmd.Wait() }()
				select {
				case <-done:
				case <-time.After(20 * time.Second):
					state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
					stack, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stack", cmd.Process.Pid))
					assert.Fail(t, "it cannot be stopped", "%s by %v: %s\n%s", what, sig, state, stack)
					_ = cmd.Process.Signal(unix.SIGKILL)
					return
				}
				ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
				assert.Equal(t, sig, ws.Signal(), "%s by %v", what, sig)
			})
		}
	}
}
