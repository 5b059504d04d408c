package integration

import (
	"encoding/json"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// Settings that concern reading and what is around it.
func TestReadingFlags(t *testing.T) {
	s := newServer(t)
	want := s.upload("a", 12*mib)
	var proxied atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) { proxied.Add(1) }})
	defer proxy.Close()
	cache, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	m := newMount(t, s, "--proxy", proxy.URL, "--read-streams", "3", "--cache-dir", cache, "--cache-max-size", "4MiB", "--cache-size", "4MiB", "--cache-min-free", "1MiB",
		"--log-file", log, "--log-format", "text", "--pprof")
	assert.Equal(t, want, sum(t, m.ws("a")))
	assert.Positive(t, proxied.Load(), "--proxy")
	assert.Contains(t, read(t, log), "level=info msg=mounted", "--log-format text")
	assert.Equal(t, "200", sh(t, "curl -s -o /dev/null -w '%%{http_code}' http://%s/debug/pprof/cmdline", m.http))
	require.Eventually(t, func() bool { n := used(t, cache); return n > 0 && n <= 5*mib }, patience, 50*time.Millisecond, "--cache-max-size and the index")

	// A floor that no disk has keeps all of it free.
	cache = t.TempDir()
	m = newMount(t, s, "--cache-dir", cache, "--cache-min-free", "1PiB")
	assert.Equal(t, want, sum(t, m.ws("a")))
	sh(t, "%s umount %s", binary, m.dir)
	assert.Less(t, used(t, cache), int64(mib))
	m.start()
	assert.NotEqual(t, "200", sh(t, "curl -s -o /dev/null -w '%%{http_code}' http://%s/debug/pprof/cmdline", m.http), "not without --pprof")
}

// used is the size of what is in a directory.
func used(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if fi, err := d.Info(); err == nil {
				n += fi.Size()
			}
		}
		return nil
	})
	require.NoError(t, err)
	return n
}

// --conflict fail publishes nothing upon what somebody else made.
func TestConflictFail(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--conflict", "fail")
	ws, f, id := conflict(t, m)
	require.Error(t, f.Close(), "close tells that it was not published")
	vs, err := ws.Versions(t.Context(), id)
	require.NoError(t, err)
	assert.Len(t, vs, 2, "theirs is the newest")
	assert.Contains(t, sh(t, "%s pending list %s", binary, m.dir), "f", "and ours is kept here")
}

// An upload that is given up after --retry-timeout is kept, and --all tries it again.
func TestRetryTimeoutAndRetryAll(t *testing.T) {
	s := newServer(t, "--fault", "error=503@POST /files")
	m := newMount(t, s, "--retry-timeout", "1s")
	sh(t, "echo content > %s", m.ws("f")) // the shell does not look at what close says
	require.Eventually(t, func() bool { return strings.Contains(sh(t, "%s status %s", binary, m.dir), "stuck") }, patience, 100*time.Millisecond)
	s.again()
	assert.Contains(t, sh(t, "%s pending retry --all %s", binary, m.dir), "trying again: ")
	sh(t, "%s wait --timeout 30s %s", binary, m.ws("f"))
	_, err := s.api().Workspace("default").LookupFile(t.Context(), client.RootDir, "f")
	require.NoError(t, err)
}

// A stop waits for --stop-timeout and no longer.
func TestStopTimeout(t *testing.T) {
	s := newServer(t, "--fault", "hang@POST /files")
	v := newService(t, s, "--write-mode", "async", "--stop-timeout", "1s")
	sh(t, "echo content > %s", v.ws("f"))
	v.signal()
	assert.Regexp(t, `EXTEND_TIMEOUT_USEC=3\d000000$`, v.next())
	assert.Equal(t, 4, v.code(), "uploads are left")
}

// Flags of the commands that look after a store and a mount.
func TestCommandFlags(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	as := "--user " + s.user + " --password-file " + textFile(t, "pw", s.pass)

	assert.Contains(t, sh(t, "%s workspace create flat --flat --seed %s %s", binary, s.seed, as), "created workspace flat")
	assert.Regexp(t, `(?m)^flat +false `, sh(t, "%s workspace list --seed %s %s", binary, s.seed, as))
	sh(t, "echo x > %s/flat/f", m.dir)
	assert.Contains(t, fails(t, "%s workspace delete flat --seed %s %s", binary, s.seed, as), "use --force")
	sh(t, "%s workspace delete flat --force --seed %s %s", binary, s.seed, as)
	assert.NotContains(t, sh(t, "%s workspace list --seed %s %s", binary, s.seed, as), "flat")

	sh(t, "echo one > %s && echo two > %s", m.ws("f"), m.ws("f"))
	versions := sh(t, "%s versions %s --json", binary, m.ws("f"))
	assert.True(t, json.Valid([]byte(strings.SplitN(versions, "\n", 2)[0])) || json.Valid([]byte(versions)), versions)
	assert.Contains(t, sh(t, "%s warm --jobs 2 %s", binary, m.ws("f")), "1 of 1 file")

	// doctor with --read-only makes nothing at the server, and --json is a line per check.
	state := filepath.Join(t.TempDir(), "state")
	out := sh(t, "%s doctor %s %s --read-only --json --state-dir %s", binary, s.seed, as, state)
	grades := map[string]bool{}
	for line := range strings.Lines(out) {
		var f struct{ Level, Check, Text string }
		require.NoError(t, json.Unmarshal([]byte(line), &f), line)
		grades[f.Level+" "+f.Check] = true
		if f.Check == "workspace" {
			assert.Contains(t, f.Text, "breakpoint files not tried")
		}
	}
	assert.Subset(t, grades, map[string]bool{"OK gateway": true, "OK site": true, "OK login": true, "OK workspace": true, "OK state": true})
	assert.NoDirExists(t, state)

	out = sh(t, "%s selftest --keep --only 'new version' %s", binary, m.ws())
	assert.Contains(t, out, "0 failed")
	assert.Regexp(t, `scmfs-selftest-\d+`, sh(t, "ls %s", m.ws()), "--keep")
	code, out := exitCode(t, binary+" selftest --only nosuch "+m.ws())
	assert.Equal(t, 2, code, out)
}
