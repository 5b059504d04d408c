package integration

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scmfs runs a command of the binary, which must succeed.
func scmfs(t *testing.T, format string, args ...any) string {
	t.Helper()
	return sh(t, binary+" "+format, args...)
}

func TestStatusShowsTheMount(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	text := scmfs(t, "status %s", m.dir)
	require.Contains(t, text, s.seed+", answers in")
	require.Contains(t, text, s.user+", since")
	require.Contains(t, text, "workspaces  default")
	require.Contains(t, text, "http://"+m.http+"/  token ")
	require.Contains(t, text, "nothing is waiting to be published")
	require.NotContains(t, text, "\x1b", "not a terminal")

	var st struct {
		Token, Page string
		Session     struct{ User string }
	}
	require.NoError(t, json.Unmarshal([]byte(scmfs(t, "status %s --json", m.dir)), &st))
	require.Equal(t, s.user, st.Session.User)
	require.Len(t, st.Token, 26)
	// The token is only for the owner of the process.
	require.NotContains(t, read(t, m.dir+"/.scmfs/status"), st.Token)
	require.NotContains(t, sh(t, "curl -s %sapi/status", st.Page), st.Token)
	require.Equal(t, "ok\n", sh(t, "curl -s %sreadyz", st.Page))
	require.Equal(t, "ok\n", sh(t, "curl -s %shealthz", st.Page))
	require.Contains(t, sh(t, "curl -s %s", st.Page), "<title>scmfs</title>")
	require.Contains(t, fails(t, "%s status %s", binary, t.TempDir()), "no scmfs is mounted there")
}

// A stuck file is shown with its reason, and the page's action publishes it.
func TestStuckFileFromStatusToRetry(t *testing.T) {
	s := newServer(t, "--fault", "error=-109@POST /files")
	m := newMount(t, s)
	require.Contains(t, fails(t, "cp %s %s", content(t, 1000), m.ws("a")), "Permission denied")
	text := scmfs(t, "status %s", m.dir)
	require.Contains(t, text, "1 STUCK")
	require.Regexp(t, `(?s)default/a .*why: .*-109.*do:  scmfs pending retry`, text)
	require.Contains(t, text, "recent warnings and errors")
	require.Contains(t, fails(t, "%s wait %s", binary, m.ws("a")), "is stuck, nothing is lost")
	require.Contains(t, fails(t, "%s doctor %s", binary, m.dir), "1 file stuck")
	require.Contains(t, sh(t, "curl -s http://%s/metrics", m.http), `scmfs_queue_files{state="stuck"} 1`)

	token := regexp.MustCompile(`token (\w+)`).FindStringSubmatch(text)[1]
	id := regexp.MustCompile(`(?m)^  ([0-9a-f]{16})  default/a`).FindStringSubmatch(text)[1]
	require.Contains(t, sh(t, "curl -s -d id=%s http://%s/api/pending/retry", id, m.http), "needs the token")
	s.kill() // and come back without the fault
	s.args = nil
	s.start()
	sh(t, "curl -sf -H 'Authorization: Bearer %s' -d id=%s http://%s/api/pending/retry", token, id, m.http)
	scmfs(t, "wait %s --timeout 30s", m.ws("a"))
	require.Equal(t, []string{"1.0"}, m.versions("a"))
	require.Contains(t, scmfs(t, "pending list %s", m.dir), "nothing is waiting")
}

func TestExportIsWhole(t *testing.T) {
	s := newServer(t, "--fault", "error=-109@POST /files")
	m := newMount(t, s)
	src := content(t, 3*mib)
	fails(t, "cp %s %s", src, m.ws("a"))
	id := regexp.MustCompile(`"id":"([0-9a-f]{16})"`).FindStringSubmatch(scmfs(t, "pending list %s --json", m.dir))[1]
	out := filepath.Join(t.TempDir(), "out")
	scmfs(t, "pending export %s %s %s", m.dir, id, out)
	sh(t, "cmp %s %s", src, out)
	require.Contains(t, fails(t, "%s pending export %s %s %s", binary, m.dir, id, out), "exists")
	require.Contains(t, fails(t, "%s pending export %s nosuch %s2", binary, m.dir, out), "no such draft")
	require.NoFileExists(t, out+"2")
	scmfs(t, "pending discard %s %s", m.dir, id)
	require.Contains(t, scmfs(t, "pending list %s", m.dir), "nothing is waiting")
}

// wait returns when the store has it, not before.
func TestWaitUntilPublished(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--write-mode", "async", "--upload-limit", "4MiB", "--increment-size", "5MiB")
	sh(t, "mkdir %s && cp %s %s", m.ws("dir"), content(t, 12*mib), m.ws("dir", "a"))
	require.NotEqual(t, "published", sh(t, "getfattr --only-values -n user.scm.state %s", m.ws("dir", "a")), "too fast to see anything")
	require.Contains(t, fails(t, "%s wait %s --timeout 100ms", binary, m.ws("dir")), "not published yet")
	out := scmfs(t, "wait %s", m.ws("dir"))
	require.Contains(t, out, "waiting for a, ")
	require.NotContains(t, out, "[#", "not a terminal")
	require.Equal(t, []string{"1.0"}, m.versions("dir/a"))
	scmfs(t, "wait %s %s", m.dir, m.ws("dir", "a"))
	sh(t, "echo x > %s", m.ws("x.part"))
	require.Contains(t, fails(t, "%s wait %s", binary, m.ws("x.part")), "temporary name")
	require.Contains(t, fails(t, "%s wait %s", binary, t.TempDir()), "is not on an scmfs mount")
}

func TestWatchWithoutTerminal(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	out, _ := try(patience, binary+" status "+m.dir+" --watch --interval 100ms & sleep 1; kill -INT $!; wait $!")
	require.Contains(t, out, "nothing is waiting to be published")
	out, _ = try(patience, "script -qec 'timeout 1 "+binary+" status "+m.dir+" --watch' /dev/null")
	require.Contains(t, out, "\x1b[H", "on a terminal the screen is written over")
}

func TestVersionsAndRestore(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	f := m.ws("dir", "re port.txt")
	sh(t, "mkdir %s; echo one > '%s'; echo twotwo > '%s'; chmod 640 '%s'; setfattr -n user.k -v v '%s'", m.ws("dir"), f, f, f, f)
	id := sh(t, "getfattr --only-values -n user.scm.id '%s'", f)
	out := scmfs(t, "versions '%s'", f)
	require.Regexp(t, `(?s)2\.0 \* +7 .*1\.0 +4 `, out)
	require.Contains(t, out, s.user)
	scmfs(t, "restore '%s@1.0'", f)
	require.Equal(t, "one\n", read(t, f))
	require.Equal(t, []string{"1.0", "2.0", "3.0"}, strings.Fields(sh(t, "ls -v '%s'", m.ws(".versions", "dir", "re port.txt"))))
	require.Equal(t, id, sh(t, "getfattr --only-values -n user.scm.id '%s'", f), "the same file")
	require.Equal(t, "640 v", sh(t, "stat -c %%a '%s' | tr '\\n' ' '; getfattr --absolute-names --only-values -n user.k '%s'", f, f))
	require.Equal(t, "re port.txt\n", sh(t, "ls -A %s", m.ws("dir")), "nothing is left beside it")
	require.Contains(t, scmfs(t, "restore '%s@3.0'", f), "already")
	require.Contains(t, fails(t, "%s restore '%s@9.0'", binary, f), "has no version 9.0")
	require.Contains(t, fails(t, "%s versions %s", binary, m.ws("dir")), "is a directory")
	old := filepath.Join(t.TempDir(), "old")
	scmfs(t, "restore '%s@2.0' --to %s", f, old)
	require.Equal(t, "twotwo\n", read(t, old))
	fails(t, "%s restore '%s@2.0' --to %s", binary, f, old)
}

func TestVerify(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	src := content(t, 2*mib)
	sh(t, "mkdir %s; cp %s %s; : > %s; cp %s %s", m.ws("d"), src, m.ws("d", "a"), m.ws("d", "empty"), src, m.ws(".partial", "p"))
	out := scmfs(t, "verify %s", m.ws("d"))
	require.Contains(t, out, "2 compared and equal, 0 not")
	require.Contains(t, out, "md5 "+strings.Fields(sh(t, "md5sum %s", src))[0]+", version 1.0")
	scmfs(t, "verify %s --against %s", m.ws("d", "a"), src)
	require.Contains(t, scmfs(t, "verify %s --against %s", m.ws(".partial", "p"), src), "crc32")
	other := content(t, 2*mib)
	require.Contains(t, fails(t, "%s verify %s --against %s", binary, m.ws("d", "a"), other), "DIFFERS")
	require.Contains(t, fails(t, "%s verify %s --against %s", binary, m.ws(".partial", "p"), other), "DIFFERS")
	require.Contains(t, fails(t, "echo x > %s; %s verify %s", m.ws("x.part"), binary, m.ws("x.part")), "it is not published")
	// The server's disk rots.
	sh(t, "n=0; for f in $(find %s -type f -size 2048k); do printf XXXX | dd of=$f bs=1 seek=1000 conv=notrunc status=none; n=1; done; test $n = 1", s.dir)
	require.Contains(t, fails(t, "%s verify %s --against %s", binary, m.ws("d", "a"), src), "DIFFERS")
}

func TestLogLevelAtRunTime(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	require.Equal(t, "info\n", scmfs(t, "log-level %s", m.dir))
	scmfs(t, "log-level %s debug", m.dir)
	require.Equal(t, "debug\n", scmfs(t, "log-level %s", m.dir))
	require.Contains(t, fails(t, "%s log-level %s loud", binary, m.dir), "not a valid logrus Level")
	lines := bufio.NewScanner(strings.NewReader(m.log()))
	n := 0
	for ; lines.Scan(); n++ {
		require.True(t, json.Valid(lines.Bytes()), lines.Text())
	}
	require.Positive(t, n)
	require.Contains(t, m.log(), `"msg":"log level changed"`)
}

func TestAuditLog(t *testing.T) {
	s := newServer(t)
	audit := filepath.Join(t.TempDir(), "audit")
	m := newMount(t, s, "--audit-log", audit)
	sh(t, "mkdir -p %s; echo hello > %s; ls -l %s", m.ws("d/e"), m.ws("d/e/f"), m.ws("d/e"))
	sh(t, "mv %s %s; chmod 600 %s; cat %s; rm %s; ! rmdir %s 2>/dev/null", m.ws("d/e/f"), m.ws("d/g"), m.ws("d/g"), m.ws("d/g"), m.ws("d/g"), m.ws("d"))
	var got []string
	for line := range strings.Lines(read(t, audit)) {
		var e struct {
			Op, Path, To, Errno string
			Bytes               int64
			PID                 int
			Time                time.Time
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.NotZero(t, e.PID)
		require.False(t, e.Time.IsZero())
		got = append(got, strings.TrimSpace(e.Op+" "+e.Path+" "+e.To)+" "+e.Errno)
	}
	require.Equal(t, []string{"mkdir default/d OK", "mkdir default/d/e OK", "create default/d/e/f OK", "close default/d/e/f OK",
		"rename default/d/e/f default/d/g OK", "setattr default/d/g mode OK", "unlink default/d/g OK", "rmdir default/d ENOTEMPTY"}, got)
}

func TestSelftestPasses(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	out := scmfs(t, "selftest %s", m.ws())
	require.Contains(t, out, "0 failed")
	require.NotContains(t, out, "SKIP")
	require.Empty(t, sh(t, "ls -A %s %s | grep selftest; true", m.ws(), m.ws(".partial")), "it cleans up")
	require.Contains(t, fails(t, "%s selftest %s", binary, t.TempDir()), "is not on an scmfs mount")
	require.Contains(t, fails(t, "%s selftest %s", binary, m.dir), "give a directory in a workspace")
}

// Whoever has no privilege to write learns it from selftest.
func TestSelftestFindsARefusal(t *testing.T) {
	s := newServer(t, "--fault", "error=-109@POST /files", "--fault", "error=-109@PUT /files/*")
	m := newMount(t, s)
	require.Regexp(t, `(?s)FAIL  sizes .*FAIL  new version`, fails(t, "%s selftest %s", binary, m.ws()))
}

func TestDoctorOnAMount(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	out := scmfs(t, "doctor %s", m.dir)
	require.Contains(t, out, "default: can be read, takes breakpoint files")
	require.Contains(t, out, "0 failed")
	s.kill()
	out = fails(t, "%s doctor %s", binary, m.dir)
	require.Regexp(t, `FAIL  gateway .*connection refused`, out)
	s.start()
	m.kill()
	require.Contains(t, fails(t, "%s doctor %s", binary, m.dir), "no scmfs is mounted")
	m.start()
}

func TestDebugBundle(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	to := filepath.Join(t.TempDir(), "b.tar.gz")
	scmfs(t, "debug bundle %s --output %s --cpu 1s", m.dir, to)
	fi, err := os.Stat(to)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	list := sh(t, "tar tzf %s", to)
	for _, name := range []string{"status.json", "metrics.txt", "settings.txt", "goroutines.txt", "heap.pprof", "cpu.pprof", "log/scmfs.log", "doctor.txt", "version.txt"} {
		require.Contains(t, list, "scmfs-bundle/"+name+"\n")
	}
	all := sh(t, "tar xzOf %s", to)
	require.NotContains(t, all, s.pass)
	require.Contains(t, all, `"token":"REMOVED"`)
	settings := sh(t, "tar xzOf %s scmfs-bundle/settings.txt", to)
	require.Regexp(t, `(?m)^http: `+m.http+` +# --http$`, settings)
	require.Regexp(t, `(?m)^user: `+s.user+` +# \$SCMFS_USER$`, settings)
	require.Regexp(t, `(?m)^mountpoint: `+m.dir+` +# argument$`, settings)
	require.Contains(t, settings, "# in the environment: SCMFS_PASSWORD\n", "by its name only")

	// A mount that does not answer in its tree still does on its socket.
	sh(t, "umount -l %s", m.dir)
	out := scmfs(t, "debug bundle %s --output %s2 --cpu 1s --state-dir %s", m.dir, to, m.state)
	require.Contains(t, out, "missing: status")
	require.Contains(t, sh(t, "tar tzf %s2", to), "log/scmfs.log")
}

func TestLogRotates(t *testing.T) {
	s := newServer(t)
	audit := filepath.Join(t.TempDir(), "audit")
	m := newMount(t, s, "--audit-log", audit, "--log-max-size", "64KiB", "--log-keep", "2")
	sh(t, "cd %s; for i in $(seq 200); do mkdir -p a$i/b; done; rm -r a*", m.ws())
	require.FileExists(t, audit+".1")
	fi, err := os.Stat(audit)
	require.NoError(t, err)
	require.LessOrEqual(t, fi.Size(), int64(64<<10))
	require.NoFileExists(t, audit+".3")
}
