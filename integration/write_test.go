package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// 2.1 Other mounts see a file whole or not at all.
func TestOtherMountSeesWholeFileOrNothing(t *testing.T) {
	s := newServer(t)
	writer, reader := newMount(t, s), newMount(t, s)
	f, err := os.Create(writer.ws("f"))
	require.NoError(t, err)
	b := make([]byte, 20*mib)
	for range 2 {
		_, err = f.Write(b)
		require.NoError(t, err)
		assert.Empty(t, sh(t, "ls %s", reader.ws()), "nothing is seen while it is written")
	}
	require.NoError(t, f.Close())
	require.Eventually(t, func() bool { return sh(t, "ls %s", reader.ws()) != "" }, patience, 50*time.Millisecond)
	assert.Equal(t, fmt.Sprintln(40*mib), sh(t, "cat %s | wc -c", reader.ws("f")))
}

// 2.2 On the same mount it behaves as on a disk.
func TestSameMountSeesGrowingFile(t *testing.T) {
	m := newMount(t, newServer(t))
	f, err := os.Create(m.ws("f"))
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString("one\n")
	require.NoError(t, err)
	assert.Equal(t, "one\n", read(t, m.ws("f")))
	_, err = f.WriteString("two\n")
	require.NoError(t, err)
	assert.Equal(t, "8\n", sh(t, "stat -c %%s %s", m.ws("f")))
	assert.Equal(t, "one\ntwo\n", read(t, m.ws("f")))
}

// 2.3 Content goes up while the program writes.
func TestStreamsWhileWriting(t *testing.T) {
	m := newMount(t, newServer(t), "--increment-size", "5MiB")
	before := m.requests()
	f, err := os.Create(m.ws("f"))
	require.NoError(t, err)
	for range 4 {
		_, err := f.Write(make([]byte, 5*mib))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return m.since(before)["PUT /breakpointfiles/{name}"] >= 3 }, patience, 50*time.Millisecond,
		"increments go up although the file is open")
	assert.Zero(t, m.since(before)["POST /files"])
	require.NoError(t, f.Close())
	assert.Equal(t, 1, m.since(before)["POST /files"])
	assert.Equal(t, 4, m.since(before)["PUT /breakpointfiles/{name}"])
	assert.Equal(t, []string{"1.0"}, m.versions("f"))
}

// 2.4 A small new file goes up in one request.
func TestSmallFileIsOneRequest(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "ls %s", m.ws())
	before := m.requests()
	sh(t, "head -c 4096 /dev/zero > %s", m.ws("f"))
	d := m.since(before)
	assert.Equal(t, 1, d["POST /files"])
	assert.Zero(t, d["POST /breakpointfiles/{name}"]+d["PUT /breakpointfiles/{name}"]+d["PUT /files/{id}"]+d["PUT /files/{id} info"], "%v", d)
}

// 2.5 Writing to a file makes one new version of the same id.
func TestOverwriteMakesVersion(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	ws := s.api().Workspace("default")
	sh(t, "cd %s && echo hello > f", m.ws())
	id := func() client.FileID {
		f, err := ws.LookupFile(t.Context(), client.RootDir, "f")
		require.NoError(t, err)
		return f.ID
	}
	first := id()
	sh(t, "cd %s && echo more >> f && printf J | dd of=f conv=notrunc bs=1 2>/dev/null && truncate -s 8 f && : > f && echo end > f", m.ws())
	assert.Equal(t, first, id())
	for i, want := range []string{"hello\n", "hello\nmore\n", "Jello\nmore\n", "Jello\nmo", "", "end\n"} {
		assert.Equal(t, want, read(t, m.ws(fmt.Sprintf(".versions/f/%d.0", i+1))))
	}
	assert.Len(t, m.versions("f"), 6)
}

// Random writes into a large file keep the rest of it.
func TestRandomWritesIntoLargeFile(t *testing.T) {
	m := newMount(t, newServer(t), "--increment-size", "5MiB")
	src := content(t, 23*mib)
	sh(t, "cp %s %s", src, m.ws("f"))
	for _, p := range []string{src, m.ws("f")} {
		f, err := os.OpenFile(p, os.O_RDWR, 0)
		require.NoError(t, err)
		for _, off := range []int64{0, 5*mib - 3, 17 * mib, 23*mib - 1, 24 * mib} {
			_, err := f.WriteAt([]byte("edited"), off)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
	}
	sh(t, "cmp %s %s", src, m.ws("f"))
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions("f"))
}

// 2.6 A close by a process that merely inherited the file does not publish.
func TestShellGroupMakesOneVersion(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "cd %s && { echo 1; /bin/echo 2; sh -c 'echo 3'; } > report && seq 1 100 | while read i; do /bin/echo $i; done > loop && : > empty", m.ws())
	assert.Equal(t, "1\n2\n3\n", read(t, m.ws("report")))
	for _, name := range []string{"report", "loop", "empty"} {
		assert.Equal(t, []string{"1.0"}, m.versions(name), name)
	}
}

// 2.6 A child closes inherited descriptors inside execve, where the kernel lets
// nobody look at it; the close must neither wait for that nor publish too early.
func TestStartingAProgramWhileWriting(t *testing.T) {
	m := newMount(t, newServer(t))
	child := `open F, ">", shift or die $!; syswrite F, "x" x 100; system("true") == 0 or die; syswrite F, "y"; close F or die $!`
	sh(t, "perl -e '%s' %s", child, m.ws("child"))
	assert.Equal(t, strings.Repeat("x", 100)+"y", read(t, m.ws("child")))
	assert.Equal(t, []string{"1.0"}, m.versions("child"))
	// exec without fork: the last descriptor goes inside execve, whose end cannot
	// tell of errors; the file is published soon after.
	self := `open F, ">", shift or die $!; syswrite F, "x" x 100; exec "true"`
	sh(t, "perl -e '%s' %s", self, m.ws("self"))
	require.Eventually(t, func() bool {
		out, err := try(patience, "ls -v "+m.ws(".versions", "self"))
		return err == nil && out == "1.0\n"
	}, patience, 20*time.Millisecond)
	assert.Equal(t, strings.Repeat("x", 100), read(t, m.ws("self")))
}

// 2.7 A killed writer publishes nothing; its bytes are in .partial.
func TestKilledWriterPublishesNothing(t *testing.T) {
	m := newMount(t, newServer(t))
	cmd := exec.Command("sh", "-c", "exec dd if=/dev/zero of="+m.ws("f")+" bs=64k count=1000000")
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { fi, err := os.Stat(m.ws("f")); return err == nil && fi.Size() > 2*mib }, patience, 10*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { return sh(t, "ls %s", m.ws()) == "" }, patience, 100*time.Millisecond)
	require.Eventually(t, func() bool { return strings.HasPrefix(sh(t, "ls %s", m.ws(".partial")), "f.") }, patience, 100*time.Millisecond)
	assert.Contains(t, m.log(), "killed by a signal")
}

// 2.8 fsync survives kill -9 of the mount.
func TestFsyncSurvivesKill(t *testing.T) {
	m := newMount(t, newServer(t))
	f, err := os.Create(m.ws("f"))
	require.NoError(t, err)
	_, err = f.WriteString("promised")
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	m.kill()
	_ = f.Close()
	m.start()
	require.Eventually(t, func() bool { out, err := try(patience, "cat "+m.ws("f")); return err == nil && out == "promised" }, patience, 100*time.Millisecond)
	require.Eventually(t, func() bool { out, err := try(patience, "ls "+m.ws(".versions/f")); return err == nil && out == "1.0\n" }, patience, 100*time.Millisecond)
}

// 2.9 If the store refuses the content, close fails and the bytes stay.
func TestCloseReportsError(t *testing.T) {
	m := newMount(t, newServer(t, "--fault", "error=-414@POST /files"))
	f, err := os.Create(m.ws("f"))
	require.NoError(t, err)
	_, err = f.WriteString("kept")
	require.NoError(t, err)
	assert.ErrorIs(t, f.Close(), syscall.EDQUOT)
	out := sh(t, "%s pending list %s", binary, m.dir)
	assert.Contains(t, out, "stuck")
	id := strings.Fields(strings.Split(out, "\n")[1])[0]
	to := filepath.Join(t.TempDir(), "saved")
	sh(t, "%s pending export %s %s %s", binary, m.dir, id, to)
	assert.Equal(t, "kept", read(t, to))
	sh(t, "%s pending discard %s %s", binary, m.dir, id)
	require.Eventually(t, func() bool { return strings.Contains(sh(t, "%s pending list %s", binary, m.dir), "nothing is waiting") }, patience, 50*time.Millisecond)
}

// 2.10 A server that is killed and restarted during an upload.
func TestServerRestartDuringUpload(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--increment-size", "5MiB")
	src := content(t, 60*mib)
	f, err := os.Create(m.ws("f"))
	require.NoError(t, err)
	b, err := os.ReadFile(src)
	require.NoError(t, err)
	_, err = f.Write(b[:30*mib])
	require.NoError(t, err)
	s.kill()
	_, err = f.Write(b[30*mib:])
	require.NoError(t, err, "writing does not notice")
	closed := make(chan error, 1)
	go func() { closed <- f.Close() }()
	s.start()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(patience):
		t.Fatal("close hangs although the server is back")
	}
	sh(t, "cmp %s %s", src, m.ws("f"))
	assert.Equal(t, []string{"1.0"}, m.versions("f"))
}

// Nothing that the embedded server acknowledged is lost by kill -9.
func TestServerKillLosesNothing(t *testing.T) {
	s := newServer(t)
	ws := s.api().Workspace("default")
	names := map[string]client.File{}
	for round := range 5 {
		// A call would wait for the dead server to come back.
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan map[string]client.File)
		go func() {
			made := map[string]client.File{}
			for i := 0; ; i++ {
				if ctx.Err() != nil {
					done <- made
					return
				}
				name := fmt.Sprintf("r%d-%d", round, i)
				body := strings.Repeat(name, 1+i%5000)
				if f, err := ws.CreateFile(ctx, client.NewFile{Name: name}, client.BytesBody([]byte(body))); err == nil {
					made[name] = f
				}
			}
		}()
		require.Eventually(t, func() bool {
			n, err := ws.CountFiles(t.Context())
			return err == nil && n > int64(len(names)+20)
		}, patience, 10*time.Millisecond)
		s.kill()
		stop()
		for k, v := range <-done {
			names[k] = v
		}
		s.start()
		for name, f := range names {
			got, err := ws.File(t.Context(), f.ID)
			require.NoError(t, err, name)
			require.Equal(t, f.Content(), got.Content())
			p := make([]byte, f.Size)
			_, err = ws.ReadRange(t.Context(), got.Content(), p, 0)
			require.NoError(t, err, name)
			require.True(t, strings.HasPrefix(string(p), name))
		}
	}
	assert.Greater(t, len(names), 100)
}

// conflict leaves "f" open with new content, and gives it a version of somebody
// else's in between.
func conflict(t *testing.T, m *mount) (*client.Store, *os.File, client.FileID) {
	t.Helper()
	ws := m.s.api().Workspace("default")
	sh(t, "echo one > %s", m.ws("f"))
	f, err := os.OpenFile(m.ws("f"), os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	_, err = f.WriteString("ours\n")
	require.NoError(t, err)
	rec, err := ws.LookupFile(t.Context(), client.RootDir, "f")
	require.NoError(t, err)
	_, err = ws.UpdateContent(t.Context(), rec.ID, rec.Version, client.BytesBody([]byte("theirs\n")))
	require.NoError(t, err)
	return ws, f, rec.ID
}

// 2.11 A version that somebody else made meanwhile is kept.
func TestConflictKeepsBoth(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	ws, f, id := conflict(t, m)
	require.NoError(t, f.Close())
	assert.Equal(t, "ours\n", read(t, m.ws("f")))
	vs, err := ws.Versions(t.Context(), id)
	require.NoError(t, err)
	assert.Len(t, vs, 3)
	assert.Contains(t, m.log(), "somebody else")
	assert.Contains(t, sh(t, "%s status %s", binary, m.dir), "conflicts   1")
}

// 2.13 A full disk under the spool slows writers and then gives ENOSPC.
func TestFullSpoolDisk(t *testing.T) {
	s := newServer(t, "--fault", "hang@PUT /breakpointfiles/*")
	small := t.TempDir()
	sh(t, "mount -t tmpfs -o size=24m,mode=700 tmpfs %s", small)
	t.Cleanup(func() { _, _ = try(10*time.Second, "umount -l "+small) })
	m := &mount{t: t, s: s, dir: t.TempDir(), state: small, http: freePort(t), args: []string{"--timeout", "3s", "--close-timeout", "3s", "--spool-min-free", "2MiB", "--increment-size", "5MiB"}}
	m.start()
	t.Cleanup(m.kill)
	out := fails(t, "dd if=/dev/zero of=%s bs=1M count=64", m.ws("f"))
	assert.Contains(t, out, "No space left")
}
