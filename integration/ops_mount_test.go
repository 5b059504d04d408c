package integration

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// textFile makes a file that only its owner may read.
func textFile(t *testing.T, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
	return p
}

// helpers makes the names that mount(8) looks for, in a directory of its own.
func helpers(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"scmfs", "mount.scmfs", "umount.scmfs"} {
		require.NoError(t, os.Symlink(binary, filepath.Join(dir, name)))
	}
	return dir
}

// A mount by helper takes everything from the options, and nothing from HOME,
// PATH or the directory it is started in.
func TestMountHelper(t *testing.T) {
	s := newServer(t)
	bin, dir, state := helpers(t), t.TempDir(), t.TempDir()
	options := "rw,noatime,noexec,_netdev,nofail,x-systemd.automount,username=" + s.user +
		",password_file=" + textFile(t, "pw", s.pass) + ",state_dir=" + state + ",write_mode=async"
	t.Cleanup(func() { _, _ = try(20*time.Second, "umount -l "+dir) })
	sh(t, "cd /proc && env -i %s/mount.scmfs %s %s -n -o %s", bin, s.seed, dir, options)
	assert.Regexp(t, "^"+s.seed+" "+dir+" fuse.scmfs rw,nosuid,nodev,noexec,noatime,", sh(t, "grep ' %s ' /proc/mounts", dir))
	sh(t, "echo hello > %s/default/f", dir)
	assert.Contains(t, fails(t, "%s/mount.scmfs %s %s -o %s", bin, s.seed, dir, options), "mounted there already")
	sh(t, "env -i %s/umount.scmfs %s -n", bin, dir)
	assert.Empty(t, sh(t, "grep ' %s ' /proc/mounts || true", dir))

	// fuse3's mount.fuse finds the program itself, and mount(8) finds mount.fuse.
	if _, err := os.Stat("/sbin/mount.fuse3"); err == nil {
		sh(t, "PATH=%s:$PATH /sbin/mount.fuse3 scmfs#%s %s -o ro,username=%s,password_file=%s,state_dir=%s", bin, s.seed, dir, s.user, textFile(t, "pw", s.pass), state)
		assert.Equal(t, "hello\n", sh(t, "cat %s/default/f", dir))
		assert.Contains(t, fails(t, "touch %s/default/g", dir), "Read-only")
		assert.NotContains(t, sh(t, "grep ' %s ' /proc/mounts", dir), " suid", "mount.fuse asks for dev and suid by itself")
		assert.Contains(t, sh(t, "grep ' %s ' /proc/mounts", dir), "nosuid,nodev")
		sh(t, "%s/umount.scmfs %s", bin, dir)
	}
	assert.Contains(t, fails(t, "%s/mount.scmfs %s %s -o password=hunter2", bin, s.seed, dir), "does not belong in mount options")
}

// One file says all: what to mount, where, and what is different in a workspace.
func TestConfigFile(t *testing.T) {
	s := newServer(t)
	for _, ws := range []string{"archive", "scans", "hidden"} {
		_, err := s.api().CreateWorkspace(t.Context(), ws, true)
		require.NoError(t, err)
	}
	dir, state := t.TempDir(), t.TempDir()
	config := textFile(t, "scmfs.yaml", `seed: [`+s.seed+`]
user: `+s.user+`
password-file: `+textFile(t, "pw", s.pass)+`
mountpoint: `+dir+`
state-dir: `+state+`
workspaces: [default, archive, scans]
policy:
  archive:
    read-only: true
  scans:
    held-names: ["*.hold"]
    write-mode: async
`)
	t.Cleanup(func() { _, _ = try(20*time.Second, binary+" umount --keep "+dir) })
	sh(t, "%s config check %s", binary, config)
	sh(t, "%s mount --config %s", binary, config)
	assert.Equal(t, "archive\ndefault\nscans\n", sh(t, "ls %s", dir))
	assert.Contains(t, fails(t, "ls %s/hidden", dir), "No such file")

	assert.Contains(t, fails(t, "touch %s/archive/f", dir), "Read-only file system")
	assert.Contains(t, fails(t, "mkdir %s/archive/d", dir), "Read-only file system")
	sh(t, "mkdir %s/default/d && touch %s/default/f", dir, dir)

	// Held names are those of the workspace, here and not there.
	sh(t, "echo x > %s/scans/a.hold && echo x > %s/scans/b.part && echo x > %s/default/c.hold && echo x > %s/default/d.part", dir, dir, dir, dir)
	pending := func() string { return sh(t, "%s pending list %s", binary, dir) }
	require.Eventually(t, func() bool { return !strings.Contains(pending(), "b.part") }, patience, 100*time.Millisecond)
	left := pending()
	assert.Contains(t, left, "a.hold")
	assert.Contains(t, left, "d.part")
	assert.NotContains(t, left, "c.hold")
	sh(t, "%s umount %s", binary, dir)
}

// --root shows one directory as if it were all there is.
func TestRoot(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	sh(t, "mkdir -p %s && echo one > %s && echo two > %s && echo outside > %s", m.ws("a/b"), m.ws("a/b/f"), m.ws("a/b/f"), m.ws("a/g"))
	sub := newMount(t, s, "--root", "default/a/b")
	assert.Equal(t, "f\n", sh(t, "ls %s", sub.dir))
	assert.Equal(t, "two\n", sh(t, "cat %s/f", sub.dir))
	sh(t, "mkdir %s/c && echo three > %s/c/h && mv %s/c/h %s/h && rm -r %s/c", sub.dir, sub.dir, sub.dir, sub.dir, sub.dir)
	require.Eventually(t, func() bool { out, err := try(patience, "cat "+m.ws("a/b/h")); return err == nil && out == "three\n" }, patience, 100*time.Millisecond)
	// The mount's own names are in its root, whatever that is.
	assert.Equal(t, "one\n", sh(t, "cat %s/.versions/f/1.0", sub.dir))
	sh(t, "echo up > %s/.partial/u && mv %s/.partial/u %s/u && cat %s/u", sub.dir, sub.dir, sub.dir, sub.dir)
	var status struct{ Mountpoint string }
	require.NoError(t, json.Unmarshal([]byte(sh(t, "cat %s/.scmfs/status", sub.dir)), &status))
	assert.Equal(t, sub.dir, status.Mountpoint)
	assert.Contains(t, fails(t, "mkdir %s/.scmfs", sub.dir), "exists")
	assert.Contains(t, fails(t, "rmdir %s/.partial", sub.dir), "busy")
	// It is held by its id: renaming it elsewhere does not take it away.
	sh(t, "mv %s %s && echo four > %s/k", m.ws("a/b"), m.ws("moved"), sub.dir)
	require.Eventually(t, func() bool { _, err := os.Stat(m.ws("moved/k")); return err == nil }, patience, 100*time.Millisecond)

	whole := newMount(t, s, "--root", "default")
	assert.Equal(t, "a\nmoved\n", sh(t, "ls %s", whole.dir))
	out, err := (&mount{t: t, s: s, dir: t.TempDir(), state: t.TempDir(), http: freePort(t), args: []string{"--root", "default/no/such"}}).tryStart()
	require.Error(t, err)
	assert.Contains(t, out, `--root: root default/no/such: "no"`)
}

// A session that the server has forgotten is renewed with the password of now.
func TestPasswordIsAskedAgain(t *testing.T) {
	s := newServer(t, "--fault", "expire@POST /files#1")
	asked := filepath.Join(t.TempDir(), "asked")
	script := textFile(t, "ask.sh", "echo asked >> "+asked+"\necho '"+s.pass+"'\n")
	m := &mount{t: t, s: s, dir: t.TempDir(), state: t.TempDir(), http: freePort(t)}
	t.Cleanup(m.end)
	sh(t, "%s mount %s %s --user %s --password-command 'sh %s' --state-dir %s", binary, s.seed, m.dir, s.user, script, m.state)
	before := strings.Count(read(t, asked), "asked")
	sh(t, "echo content > %s", m.ws("f"))
	assert.Equal(t, "content\n", sh(t, "cat %s", m.ws("f")))
	assert.Equal(t, before+1, strings.Count(read(t, asked), "asked"))
}

// https seeds with an authority of our own, and none without it.
func TestTLS(t *testing.T) {
	s := newServer(t)
	gateway := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr}))
	gateway.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that must fail
	gateway.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	gateway.StartTLS()
	t.Cleanup(gateway.Close)
	ca := textFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: gateway.Certificate().Raw})))
	plain := *s
	plain.seed = "https://" + gateway.Listener.Addr().String() + "/rootsite"
	out, err := (&mount{t: t, s: &plain, dir: t.TempDir(), state: t.TempDir(), http: freePort(t)}).tryStart()
	require.Error(t, err)
	assert.Contains(t, out, "certificate")
	m := newMount(t, &plain, "--ca-file", ca)
	sh(t, "head -c %d /dev/urandom > %s && cat %s > /dev/null", 20*mib, m.ws("big"), m.ws("big"))
}

// Neither the password nor a session's token is anywhere to be seen.
func TestNoSecrets(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--log-level", "debug", "--timeout", "2s")
	sh(t, "echo x > %s; cat %s; ls %s; cat %s || true", m.ws("f"), m.ws("f"), m.dir, m.ws("none"))
	s.kill()
	_, _ = try(patience, "touch "+m.ws("g")) // an error with a story
	s.start()
	out, err := try(patience, binary+" mount "+s.seed+" "+t.TempDir()+" -o password="+s.pass)
	require.Error(t, err)
	seen := map[string]string{
		"error":  out,
		"log":    m.log(),
		"status": sh(t, "%s status --json %s", binary, m.dir),
		"ps":     sh(t, "timeout 5 cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' || true"),
		"state":  sh(t, "grep -rs -e '%s' %s || true", s.pass, m.state),
		"config": sh(t, "SCMFS_PASSWORD=%s %s config show --effective", s.pass, binary),
	}
	for where, text := range seen {
		assert.NotContains(t, text, s.pass, where)
	}
	require.NotEmpty(t, seen["log"])
	assert.NotRegexp(t, `(?i)(authorization|x-auth-token)[^ ]* *[:=] *"?[A-Za-z0-9-]{16,}`, seen["log"])
}
