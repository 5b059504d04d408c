// Package integration keeps the promises of docs/SEMANTICS.md on a real mount.
//
// The mount and the server are always other processes, started from the built
// binary, so that a test can neither deadlock with its own mount nor survive in
// its memory what a kill should have lost. Every command has a deadline.
package integration

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

var binary string

func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		workerMain()
		return
	}
	if os.Getenv(loadEnv) != "" {
		loadMain()
		return
	}
	dir, err := os.MkdirTemp("", "scmfs-integration-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "scmfs")
	// With the race detector: what goes wrong in the mount shows in its log.
	out, err := exec.Command("go", "build", "-race", "-o", binary, "../cmd/scmfs").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		os.Exit(1)
	}
	// A program with the race detector sleeps for a second before it exits.
	if err := os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// plain builds the program as users have it: without the race detector, whose
// shadow of the memory is several times what is shadowed.
func plain(t *testing.T) string {
	t.Helper()
	path := binary + "-plain"
	if _, err := os.Stat(path); err != nil {
		out, err := exec.Command("go", "build", "-o", path, "../cmd/scmfs").CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return path
}

func requireFUSE(t *testing.T) {
	t.Helper()
	_, err := os.Stat("/dev/fuse")
	if err == nil && os.Geteuid() == 0 {
		return
	}
	if os.Getenv("SCMFS_REQUIRE_FUSE") == "1" {
		t.Fatalf("tests on a real mount must run here, but cannot: root %t, /dev/fuse %v", os.Geteuid() == 0, err)
	}
	t.Skip("needs root and /dev/fuse")
}

// patience bounds every command; it is far beyond what any takes.
const patience = 60 * time.Second

// sh runs a shell script and returns what it printed.
func sh(t *testing.T, format string, args ...any) string {
	t.Helper()
	out, err := try(patience, fmt.Sprintf(format, args...))
	require.NoError(t, err, "%s\n%s", fmt.Sprintf(format, args...), out)
	return out
}

// try runs a shell script that may fail.
func try(d time.Duration, script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// fails runs a script that must fail and returns what it printed.
func fails(t *testing.T, format string, args ...any) string {
	t.Helper()
	out, err := try(patience, fmt.Sprintf(format, args...))
	require.Error(t, err, "%s\n%s", fmt.Sprintf(format, args...), out)
	return out
}

// server is an embedded server in a process of its own.
type server struct {
	t          *testing.T
	dir, addr  string
	seed       string
	args       []string
	cmd        *exec.Cmd
	log        *bytes.Buffer
	user, pass string
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// newServer starts a server; args are more flags of "scmfs serve".
func newServer(t *testing.T, args ...string) *server {
	t.Helper()
	requireFUSE(t)
	s := &server{t: t, dir: t.TempDir(), addr: freePort(t), args: args, log: &bytes.Buffer{}}
	s.seed = s.addr + "/rootsite"
	s.start()
	t.Cleanup(s.kill)
	b, err := os.ReadFile(filepath.Join(s.dir, "credentials"))
	require.NoError(t, err)
	m := regexp.MustCompile(`"user":"([^"]*)","password":"([^"]*)"`).FindSubmatch(b)
	require.NotNil(t, m)
	s.user, s.pass = string(m[1]), string(m[2])
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(binary, append([]string{"serve", s.dir, "--listen", s.addr}, s.args...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	require.NoError(s.t, s.cmd.Start())
	require.Eventually(s.t, func() bool {
		res, err := http.Get("http://" + s.addr + "/rootsite/internal/v1/health")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, patience, 20*time.Millisecond, "the server does not answer")
}

// kill is kill -9.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// api returns a client of the server, as another user of the store has one.
func (s *server) api() *client.Client {
	c, err := client.New([]string{s.seed}, client.Options{User: s.user, Password: func() (string, error) { return s.pass, nil }})
	require.NoError(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// mount is a mounted store in a process of its own.
type mount struct {
	t          *testing.T
	s          *server
	dir, state string
	http       string
	args       []string
	bin        string // binary when empty
}

// newMount mounts s; args are more flags of "scmfs mount".
func newMount(t *testing.T, s *server, args ...string) *mount {
	t.Helper()
	m := &mount{t: t, s: s, dir: t.TempDir(), state: t.TempDir(), http: freePort(t), args: args}
	m.start()
	t.Cleanup(m.end)
	return m
}

func (m *mount) start() {
	m.t.Helper()
	out, err := m.tryStart()
	require.NoError(m.t, err, out)
}

func (m *mount) tryStart() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args := append([]string{"mount", m.s.seed, m.dir, "--state-dir", m.state, "--http", m.http}, m.args...)
	cmd := exec.CommandContext(ctx, cmp.Or(m.bin, binary), args...)
	cmd.Env = append(os.Environ(), "SCMFS_USER="+m.s.user, "SCMFS_PASSWORD="+m.s.pass)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// end unmounts, by force if need be, and looks for races.
func (m *mount) end() {
	out, err := try(30*time.Second, binary+" umount "+m.dir+" --timeout 20s")
	if err != nil && !strings.Contains(out, "no scmfs is mounted") {
		m.t.Logf("umount: %v %s", err, out)
		m.kill()
	}
	log := m.log()
	if strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		m.t.Errorf("the mount's log:\n%s", log)
	} else if m.t.Failed() {
		m.t.Logf("the mount's log:\n%s", log)
	}
}

func (m *mount) log() string {
	b, _ := os.ReadFile(filepath.Join(m.state, "scmfs.log"))
	return string(b)
}

// kill is kill -9 of the mount process and what an administrator does then.
func (m *mount) kill() {
	out, err := try(10*time.Second, "pkill -9 -f '[s]cmfs mount .*"+m.state+"'")
	if err != nil {
		m.t.Logf("pkill: %v %s", err, out)
	}
	_, _ = try(10*time.Second, "umount -l "+m.dir+" || fusermount3 -uz "+m.dir)
}

// ws is a path in the workspace "default".
func (m *mount) ws(name ...string) string {
	return filepath.Join(append([]string{m.dir, "default"}, name...)...)
}

// requests returns how many requests of a kind the mount has made, such as
// "PUT /breakpointfiles/{name}".
func (m *mount) requests() map[string]int {
	m.t.Helper()
	out := sh(m.t, "curl -s http://%s/metrics", m.http)
	n := map[string]int{}
	for _, l := range regexp.MustCompile(`(?m)^scmfs_requests_total\{endpoint="([^"]*)",status="\d+"\} (\d+)$`).FindAllStringSubmatch(out, -1) {
		v, err := strconv.Atoi(l[2])
		require.NoError(m.t, err)
		n[l[1]] += v
	}
	return n
}

// since returns what was requested after before.
func (m *mount) since(before map[string]int) map[string]int {
	d := map[string]int{}
	for k, v := range m.requests() {
		if v != before[k] {
			d[k] = v - before[k]
		}
	}
	return d
}

// versions lists the versions of a file, oldest first.
func (m *mount) versions(name string) []string {
	m.t.Helper()
	return strings.Fields(sh(m.t, "ls -v %s", m.ws(".versions", name)))
}

// content makes a local file of n random bytes.
func content(t *testing.T, n int) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "content")
	sh(t, "head -c %d /dev/urandom > %s", n, p)
	return p
}

func read(t *testing.T, path string) string {
	t.Helper()
	return sh(t, "cat '%s'", path)
}

const mib = 1 << 20
