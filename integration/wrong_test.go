package integration

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// jargon is what an administrator cannot know: words of Go and of its packages.
var jargon = regexp.MustCompile(`dial tcp|context (deadline|canceled)|goroutine|panic|strconv|x509:|tls: |lstat|invalid argument "|Post "|%!|\.go:\d`)

// What a mount says to wrong input: what happened, what to do, the right exit code.
func TestMountFailsWithReason(t *testing.T) {
	s := newServer(t)
	tlsGateway := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr}))
	defer tlsGateway.Close()
	tlsAddr := tlsGateway.Listener.Addr().String()
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }))
	defer mute.Close()
	running := newMount(t, s)
	config := func(text string) []string { return []string{"--config", textFile(t, "c.yaml", text)} }
	readable := textFile(t, "pw", s.pass)
	require.NoError(t, os.Chmod(readable, 0o644))
	closed := freePort(t)
	args := func(a ...string) func(*mount) { return func(m *mount) { m.args = a } }
	seed := func(text string) func(*mount) { return func(m *mount) { m.s.seed = text } }
	for _, tt := range []struct {
		name   string
		change func(*mount)
		code   int
		says   []string
	}{
		{"malformed seed", seed("nonsense"), 2, []string{`seed "nonsense": want HOST:PORT/SITE`}},
		{"no such site", seed(s.addr + "/nosite"), 3, []string{`the gateway knows no site "nosite"`, "behind the '/'"}},
		{"no gateway", seed(mute.Listener.Addr().String() + "/rootsite"), 3, []string{"cannot log in at", "scmfs doctor"}},
		{"connection refused", seed(closed + "/rootsite"), 3, []string{"connection refused by " + closed, "is a gateway running there?", "scmfs doctor " + closed + "/rootsite"}},
		{"unknown host", seed("no-such-host.invalid:80/rootsite"), 3, []string{`host "no-such-host.invalid"`, "scmfs doctor"}},
		{"wrong password", func(m *mount) { m.s.pass = "wrong" }, 3, []string{"as " + s.user + ": not authenticated", "look at the user, and at the password"}},
		{"unknown user", func(m *mount) { m.s.user = "nobody" }, 3, []string{"as nobody: not authenticated", "user does not exist"}},
		{"password file for all", args("--password-file", readable), 2, []string{"can be read by others (mode 0644): run 'chmod 600 " + readable}},
		{"no password file", args("--password-file", "/nonexistent/pw"), 2, []string{"password file: /nonexistent/pw does not exist"}},
		{"password command", args("--password-command", "echo no key >&2; exit 3"), 3, []string{"no key", "look at the user"}},

		{"unknown key", args(config("user: a\nwrite-mde: sync\n")...), 2, []string{"c.yaml:2: unknown key \"write-mde\"; did you mean \"write-mode\"?"}},
		{"bad size in file", args(config("cache-size: big\n")...), 2, []string{`c.yaml:1: cache-size: "big": want a size such as 15MiB`}},
		{"bad ops value in file", args(config("log-format: xml\n")...), 2, []string{`c.yaml:1: log-format: "xml": must be auto, text or json`}},
		{"no such file", args("--config", "/nonexistent/c.yaml"), 2, []string{"configuration: /nonexistent/c.yaml does not exist"}},
		{"bad size", args("--cache-size", "big"), 2, []string{`--cache-size: "big": want a size such as 15MiB`}},
		{"negative size", args("--cache-size=-5MiB"), 2, []string{"want a size such as 15MiB"}},
		{"bad duration", args("--timeout", "5"), 2, []string{`--timeout: "5": want a time such as 30s or 5m`}},
		{"negative duration", args("--timeout=-5s"), 2, []string{"--timeout must be positive"}},
		{"bad number", args("--uploads", "many"), 2, []string{`--uploads: "many": want a whole number`}},
		{"bad truth", args("--read-only=perhaps"), 2, []string{`--read-only: "perhaps": want true or false`}},
		{"bad increment", args("--increment-size", "7MiB"), 2, []string{"multiple of 5MiB"}},

		{"mount point missing", func(m *mount) { m.dir += "/missing" }, 5, []string{"/missing does not exist: create it first"}},
		{"mount point is a file", func(m *mount) { m.dir = readable }, 5, []string{"is not a directory"}},
		{"mounted already", func(m *mount) { m.dir = running.dir }, 5, []string{"scmfs is mounted there already"}},
		{"state in use", func(m *mount) { m.state = running.state }, 1, []string{"in use by another process", "give --state-dir"}},
		{"address in use", func(m *mount) { m.http = running.http }, 1, []string{"another program has this address; choose another port"}},
		{"log file", args("--log-file", "/nonexistent/dir/log"), 1, []string{"log file: /nonexistent/dir/log does not exist"}},

		{"no such workspace", args("--workspaces", "nosuch"), 1, []string{`workspace "nosuch" does not exist, or ` + s.user + " may not read it"}},
		{"case of a workspace", args("--workspaces", "Default"), 1, []string{`workspace "Default" does not exist`, `there is "default"`}},
		{"root in no workspace", args("--root", "Default/x"), 1, []string{`there is "default"`}},
		{"root nowhere", args("--root", "default/x"), 1, []string{`look up directory "x": does not exist`}},

		{"untrusted certificate", seed("https://" + tlsAddr + "/rootsite"), 3, []string{"signed by an authority that this machine does not trust", "ca-file"}},
		{"no such user", func(m *mount) { m.s.user = "nobody" }, 3, []string{"as nobody: not authenticated: user does not exist; look at the user"}},
		{"no TLS there", seed("https://" + s.seed), 3, []string{"does not speak TLS at this port"}},
		{"TLS there", seed(tlsAddr + "/rootsite"), 3, []string{"does the seed want https:// in front?", "scmfs doctor"}},
		{"no authorities", args("--ca-file", "/nonexistent/ca"), 2, []string{"ca-file: /nonexistent/ca does not exist"}},
		{"authorities of junk", args("--ca-file", readable), 2, []string{"has no certificate in PEM form"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := *s
			m := &mount{t: t, s: &bad, dir: t.TempDir(), state: t.TempDir(), http: freePort(t)}
			tt.change(m)
			if len(m.args) > 0 && regexp.MustCompile("^--password-").MatchString(m.args[0]) {
				m.s.pass = "" // the flag is stronger; nothing of the environment helps it
			}
			out, err := m.tryStart()
			if err == nil {
				_, _ = try(patience, binary+" umount "+m.dir)
			}
			exit, ok := errors.AsType[*exec.ExitError](err)
			require.True(t, ok, "%v %s", err, out)
			assert.Equal(t, tt.code, exit.ExitCode(), out)
			for _, text := range tt.says {
				assert.Contains(t, out, text)
			}
			assert.NotRegexp(t, jargon, out)
			assert.NotContains(t, out, s.pass)
			if m.dir != running.dir && m.dir != readable {
				assert.Empty(t, sh(t, "grep ' %s ' /proc/mounts || true", m.dir), "a mount that failed leaves none behind")
			}
		})
	}
	assert.Equal(t, "default\n", sh(t, "ls %s", running.dir), "the mount that was in the way is unharmed")
}

// What a mount hides is said, and a workspace that is missing beside others too;
// neither is a reason not to mount.
func TestMountWithRemarks(t *testing.T) {
	s := newServer(t)
	m := &mount{t: t, s: s, dir: t.TempDir(), state: t.TempDir(), http: freePort(t), args: []string{"--workspaces", "default,nosuch"}}
	t.Cleanup(m.end)
	sh(t, "touch %s/below", m.dir)
	out, err := m.tryStart()
	require.NoError(t, err, out)
	assert.Contains(t, out, m.dir+" is not empty: what is in it cannot be seen while the store is mounted there")
	assert.Equal(t, "default\n", sh(t, "ls %s", m.dir))
	assert.Contains(t, m.log(), `workspace \"nosuch\" does not exist`)
}

// Who is not root learns what is missing before fusermount is asked.
func TestMountNotAsRoot(t *testing.T) {
	s := newServer(t)
	if b, _ := os.ReadFile("/etc/fuse.conf"); regexp.MustCompile(`(?m)^user_allow_other`).Match(b) {
		t.Skip("this machine allows allow_other to everybody")
	}
	base, err := os.MkdirTemp("/var/tmp", "scmfs-not-root-") // below a directory that others may enter
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	sh(t, "cp %s %s/scmfs && mkdir %s/mnt %s/state && chown -R 4711:4711 %s && mkdir %s/foreign && chmod 755 %s", binary, base, base, base, base, base, base)
	mount := func(dir, flags string) (int, string) {
		return exitCode(t, "cd / && SCMFS_PASSWORD='"+s.pass+"' setpriv --reuid 4711 --regid 4711 --clear-groups env -u XDG_STATE_HOME "+base+"/scmfs mount "+
			s.seed+" "+filepath.Join(base, dir)+" --user "+s.user+" "+flags)
	}
	state := "--state-dir " + base + "/state"
	for _, tt := range []struct {
		dir, flags string
		code       int
		says       string
	}{
		{"mnt", state + " --allow-other", 5, "--allow-other: only root may do that unless /etc/fuse.conf has the line user_allow_other"},
		{"foreign", state, 5, "user 4711 may not mount there, because the directory is not theirs; run 'chown 4711 " + base + "/foreign' as root"},
		{"mnt", "", 2, "user 4711 has no home directory: give --state-dir"},
		{"mnt", "--state-dir /root/x", 5, "state directory"},
	} {
		code, out := mount(tt.dir, tt.flags)
		assert.Equal(t, tt.code, code, out)
		assert.Contains(t, out, tt.says)
		assert.NotRegexp(t, jargon, out)
		assert.NotContains(t, out, "fusermount exited")
	}
}

// Commands that need a mount say that there is none.
func TestCommandsWithoutAMount(t *testing.T) {
	requireFUSE(t)
	dir := t.TempDir()
	for command, code := range map[string]int{
		"status %s": 5, "pending list %s": 5, "pending retry %s 1f": 5, "log-level %s": 5, "wait %s/f": 5, "versions %s/f": 5,
		"restore %s/f@1.0": 5, "selftest %s": 5, "warm %s": 5, "umount %s": 5, "verify %s/f": 5, "doctor %s": 1,
	} {
		got, out := exitCode(t, binary+" "+regexp.MustCompile("%s").ReplaceAllString(command, dir))
		assert.Equal(t, code, got, "%s: %s", command, out)
		assert.Regexp(t, "no scmfs is mounted|not on an scmfs mount|not on a mount of scmfs", out, command)
		assert.NotRegexp(t, jargon, out, command)
	}
}
