package integration

import (
	"errors"
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

// sourceTree makes a local tree as programs have it.
func sourceTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sh(t, `cd %s && mkdir -p src/sub/deep empty && for i in $(seq 1 40); do head -c $((i*997)) /dev/urandom > src/f$i; done
		cp src/f1 'src/sub/with space' && cp src/f2 src/sub/deep/中文 && : > src/sub/nothing && ln -s f1 src/link
		chmod 600 src/f3 && touch -d '2003-04-05 06:07:08.9' src/f4 && head -c 18000000 /dev/urandom > src/big`, dir)
	return filepath.Join(dir, "src")
}

// The tools of the issue, each compared with its source.
func TestTools(t *testing.T) {
	m := newMount(t, newServer(t))
	src := sourceTree(t)
	sh(t, "cp -a %s %s && diff -r %s %s", src, m.ws("cp"), src, m.ws("cp"))
	sh(t, "cd %s && tar cf - . | (mkdir %s && cd %s && tar xf -) && diff -r %s %s", src, m.ws("tar"), m.ws("tar"), src, m.ws("tar"))
	sh(t, "tar cf %s -C %s . && tar df %s -C %s", m.ws("a.tar"), src, m.ws("a.tar"), src)
	sh(t, "dd if=%s/big of=%s bs=3000 2>/dev/null && cmp %s/big %s", src, m.ws("dd"), src, m.ws("dd"))
	sh(t, "rsync -a --inplace %s/big %s && rsync -a --append %s/big %s && cmp %s/big %s", src, m.ws("inplace"), src, m.ws("inplace"), src, m.ws("inplace"))
	sh(t, "cd %s && rsync -a -T .partial %s/big ./ && cmp %s/big big && test -z \"$(ls .partial)\"", m.ws(), src, src)
	sh(t, "mv %s %s && rm -r %s && rmdir %s 2>/dev/null || test ! -e %s", m.ws("cp"), m.ws("moved"), m.ws("moved"), m.ws("tar"), m.ws("moved"))
	sh(t, "rm -r %s", m.ws("tar"))
}

// 2.12 rsync makes one version per change and sends nothing when nothing changed.
func TestRsyncMakesVersions(t *testing.T) {
	m := newMount(t, newServer(t))
	src := sourceTree(t)
	sh(t, "rsync -a %s/ %s && diff -r %s %s", src, m.ws("r"), src, m.ws("r"))
	before := m.requests()
	// Directory times are not kept by the store; -O leaves them out.
	assert.Empty(t, sh(t, "rsync -aiO %s/ %s", src, m.ws("r")))
	d := m.since(before)
	assert.Zero(t, d["POST /files"]+d["PUT /files/{id}"]+d["PUT /files/{id} info"], "%v", d)
	sh(t, "echo changed >> %s/f7 && rsync -a %s/ %s && diff -r %s %s", src, src, m.ws("r"), src, m.ws("r"))
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions("r/f7"))
	assert.Equal(t, []string{"1.0"}, m.versions("r/f8"))
	assert.NotContains(t, sh(t, "find %s", m.ws("r")), "/.f")
}

// 2.12 Editors that save by rename keep the history.
func TestEditorSaveKeepsHistory(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "cd %s && echo 1 > sed && sed -i s/1/2/ sed && echo 1 > gnome && echo 2 > .goutputstream-ABC123 && mv .goutputstream-ABC123 gnome", m.ws())
	sh(t, "cd %s && echo 1 > office && echo 2 > lu12345.tmp && mv lu12345.tmp office", m.ws())
	for _, name := range []string{"sed", "gnome", "office"} {
		assert.Equal(t, "2\n", read(t, m.ws(name)))
		assert.Equal(t, []string{"1.0", "2.0"}, m.versions(name), name)
	}
	assert.Equal(t, "gnome\noffice\nsed\n", sh(t, "ls -A %s", m.ws()), "no temporary is left")
}

// 6.1 A process that waits for a server that hangs can be killed.
func TestKillWhileServerHangs(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	sh(t, "head -c 1000 /dev/zero > %s && head -c 1000 /dev/zero > %s", m.ws("f"), m.ws("g"))
	m.end()
	s.kill()
	s.args = []string{"--fault", "hang@GET /files/*"}
	s.start()
	m.start()
	cmd := exec.Command("cat", m.ws("f"))
	require.NoError(t, cmd.Start())
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the reader cannot be killed")
	}
	m.kill()
}

// 6.2 umount waits for what is to be uploaded, and says so when time is up.
func TestUmountWaits(t *testing.T) {
	s := newServer(t, "--fault", "delay=1500ms@POST /files")
	m := newMount(t, s, "--write-mode", "async")
	sh(t, "echo x > %s", m.ws("f"))
	out, err := try(patience, binary+" umount "+m.dir+" --timeout 200ms")
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%v %s", err, out)
	assert.Equal(t, 4, exit.ExitCode())
	assert.Contains(t, out, "f")
	sh(t, "%s umount %s", binary, m.dir)
	m.start()
	assert.Equal(t, "x\n", read(t, m.ws("f")))
	assert.Equal(t, []string{"1.0"}, m.versions("f"))
}

// Async: what close promised survives kill -9 of the mount.
func TestAsyncCloseSurvivesKill(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--write-mode", "async")
	sh(t, "ls %s", m.ws())
	s.kill()
	sh(t, "cd %s && for i in 1 2 3 4 5; do echo $i > f$i; done", m.ws())
	m.kill()
	s.start()
	m.start()
	for _, n := range []string{"1", "2", "3", "4", "5"} {
		require.Eventually(t, func() bool {
			out, err := try(patience, "ls "+m.ws(".versions/f"+n))
			return err == nil && out == "1.0\n"
		}, patience, 100*time.Millisecond)
		assert.Equal(t, n+"\n", read(t, m.ws("f"+n)))
	}
}

// What an earlier mount promised is still on its way when a new one begins: its files
// are removed, renamed and changed as the files that they are at the store.
func TestAsyncVersionsAreWorkedOnAfterKill(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--write-mode", "async")
	sh(t, "cd %s && for i in gone old kept over from; do echo 1 > $i; done", m.ws())
	sh(t, "%s umount %s", binary, m.dir)
	s.kill()
	s.args = []string{"--fault", "delay=2s@PUT /files/*"}
	s.start()
	m.start()
	sh(t, "cd %s && for i in gone old kept over from; do echo 2 > $i; done", m.ws())
	m.kill()
	m.start()
	sh(t, "cd %s && rm gone && mv old new && chmod 600 kept && mv from over", m.ws())
	require.Equal(t, "kept\nnew\nover\n", sh(t, "ls %s", m.ws()))
	sh(t, "%s umount %s", binary, m.dir)
	other := newMount(t, s)
	assert.Equal(t, "kept\nnew\nover\n", sh(t, "ls %s", other.ws()))
	assert.Equal(t, "2\n2\n2\n", sh(t, "cd %s && cat kept new over", other.ws()))
	assert.Equal(t, "600\n", sh(t, "stat -c %%a %s", other.ws("kept")))
	// The history came along. The server may still hold the request of the mount that was
	// killed: then the content is there twice, as RELIABILITY.md says.
	assert.Subset(t, other.versions("new"), []string{"1.0", "2.0"})
}

// The embedded server in the mount's own process.
func TestMountEmbedded(t *testing.T) {
	requireFUSE(t)
	dir, mnt, state := t.TempDir(), t.TempDir(), t.TempDir()
	t.Cleanup(func() { _, _ = try(patience, binary+" umount "+mnt+"; umount -l "+mnt) })
	sh(t, "%s mount --embedded %s %s --state-dir %s", binary, dir, mnt, state)
	sh(t, "echo x > %s/default/f && %s workspace create scans --embedded %s && %s workspace list --embedded %s | grep scans", mnt, binary, dir, binary, dir)
	fi, err := os.Stat(filepath.Join(dir, "credentials"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), fi.Mode().Perm())
	sh(t, "%s umount %s && %s mount --embedded %s %s --state-dir %s", binary, mnt, binary, dir, mnt, state)
	assert.Equal(t, "x\n", read(t, mnt+"/default/f"))
	assert.True(t, strings.HasPrefix(sh(t, "%s version", binary), "scmfs "))
}
