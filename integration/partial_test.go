package integration

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// 3.1 .partial lists breakpoint files with their uploaded size.
func TestPartialListsBreakpointFiles(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	ws := s.api().Workspace("default")
	_, err := ws.CreateBreakpointFile(t.Context(), "theirs", client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
	require.NoError(t, err)
	_, err = ws.AppendBreakpointFile(t.Context(), "theirs", 0, client.BytesBody(make([]byte, 12345)), false)
	require.NoError(t, err)
	assert.Equal(t, "theirs\n", sh(t, "ls %s", m.ws(".partial")))
	assert.Equal(t, "12345\n", sh(t, "stat -c %%s %s", m.ws(".partial/theirs")))
	assert.Contains(t, fails(t, "mv %s %s", m.ws(".partial/theirs"), m.ws("f")), "busy", "an incomplete one cannot be converted")
	assert.Contains(t, m.log(), "cannot become a file yet")
	fails(t, "cat %s", m.ws(".partial/theirs"))
}

// 3.2 and 3.3 Create, complete, convert; onto an existing file: a version.
func TestPartialConvert(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--increment-size", "5MiB")
	ws := s.api().Workspace("default")
	src := content(t, 12*mib)
	sh(t, "mkdir %s && cp %s %s", m.ws("dir"), src, m.ws(".partial/x"))
	bp, err := ws.BreakpointFile(t.Context(), "x")
	require.NoError(t, err)
	assert.True(t, bp.Completed)
	assert.EqualValues(t, 12*mib, bp.Size)
	assert.Empty(t, sh(t, "ls %s", m.ws("dir")), "it is not a file of the tree")
	before := m.requests()
	sh(t, "mv %s %s", m.ws(".partial/x"), m.ws("dir/y"))
	d := m.since(before)
	assert.Equal(t, 1, d["POST /files"])
	assert.Zero(t, d["PUT /breakpointfiles/{name}"], "nothing is copied")
	sh(t, "cmp %s %s", src, m.ws("dir/y"))
	assert.Empty(t, sh(t, "ls %s", m.ws(".partial")))

	sh(t, "echo second > %s && mv -f %s %s", m.ws(".partial/x"), m.ws(".partial/x"), m.ws("dir/y"))
	assert.Equal(t, "second\n", read(t, m.ws("dir/y")))
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions("dir/y"))
	assert.ErrorIs(t, os.Rename(m.ws("dir/y"), m.ws(".partial/y")), syscall.EPERM, "3.7")
}

// 3.4 Copying the same source again sends only what is missing.
func TestPartialResume(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--increment-size", "5MiB")
	ws := s.api().Workspace("default")
	src := content(t, 33*mib)
	b, err := os.ReadFile(src)
	require.NoError(t, err)
	for name, have := range map[string][]byte{"same": b[:20*mib], "different": make([]byte, 20*mib)} {
		_, err := ws.CreateBreakpointFile(t.Context(), name, client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
		require.NoError(t, err)
		_, err = ws.AppendBreakpointFile(t.Context(), name, 0, client.BytesBody(have), false)
		require.NoError(t, err)
		before := m.requests()
		sh(t, "cp %s %s", src, m.ws(".partial", name))
		want := 3 // 13 MiB
		if name == "different" {
			want = 7 // all of it
		}
		assert.Equal(t, want, m.since(before)["PUT /breakpointfiles/{name}"], name)
		sh(t, "mv %s %s && cmp %s %s", m.ws(".partial", name), m.ws(name), src, m.ws(name))
	}
	// A complete one copied again is not sent at all.
	sh(t, "cp %s %s", src, m.ws(".partial/again"))
	before := m.requests()
	sh(t, "cp %s %s", src, m.ws(".partial/again"))
	assert.Zero(t, m.since(before)["PUT /breakpointfiles/{name}"])
}

// 3.5 Appending at the uploaded size continues.
func TestPartialAppend(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	ws := s.api().Workspace("default")
	for name, how := range map[string]string{
		"shell": "printf world >> %s",
		"dd":    "printf world | dd of=%s bs=1 seek=6 conv=notrunc 2>/dev/null",
	} {
		_, err := ws.CreateBreakpointFile(t.Context(), name, client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
		require.NoError(t, err)
		_, err = ws.AppendBreakpointFile(t.Context(), name, 0, client.BytesBody([]byte("hello ")), false)
		require.NoError(t, err)
		sh(t, how, m.ws(".partial", name))
		sh(t, "mv %s %s", m.ws(".partial", name), m.ws(name))
		assert.Equal(t, "hello world", read(t, m.ws(name)), name)
	}
	src := content(t, 3*mib)
	b, err := os.ReadFile(src)
	require.NoError(t, err)
	_, err = ws.CreateBreakpointFile(t.Context(), "rs", client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
	require.NoError(t, err)
	_, err = ws.AppendBreakpointFile(t.Context(), "rs", 0, client.BytesBody(b[:mib]), false)
	require.NoError(t, err)
	sh(t, "rsync --append %s %s && mv %s %s && cmp %s %s", src, m.ws(".partial/rs"), m.ws(".partial/rs"), m.ws("rs"), src, m.ws("rs"))
}

// 3.6 rm deletes the breakpoint file.
func TestPartialRemove(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	sh(t, "echo x > %s && rm %s", m.ws(".partial/x"), m.ws(".partial/x"))
	_, err := s.api().Workspace("default").BreakpointFile(t.Context(), "x")
	assert.Equal(t, client.NotExist, client.KindOf(err))
	assert.Empty(t, sh(t, "ls %s", m.ws(".partial")))
}

// 3.6 A gateway that answers for the store once does not make rm fail.
func TestPartialRemoveInDoubt(t *testing.T) {
	for _, fault := range []string{"error=502", "error-after=502", "error=500", "error-after=500", "lost-reply"} {
		t.Run(fault, func(t *testing.T) {
			s := newServer(t, "--fault", fault+"@DELETE /breakpointfiles/*#1")
			m := newMount(t, s)
			_, err := s.api().Workspace("default").CreateBreakpointFile(t.Context(), "x", client.BreakpointOptions{})
			require.NoError(t, err)
			sh(t, "echo y > %[1]s/y && rm %[1]s/x", m.ws(".partial"))
			assert.Equal(t, "y\n", sh(t, "ls %s", m.ws(".partial")))
		})
	}
}

// 6.3 The same copy resumes after kill -9 of the mount in the middle of it.
func TestKillMountDuringBigWrite(t *testing.T) {
	m := newMount(t, newServer(t), "--increment-size", "5MiB")
	src := content(t, 64*mib)
	b, err := os.ReadFile(src)
	require.NoError(t, err)
	f, err := os.Create(m.ws("big"))
	require.NoError(t, err)
	before := m.requests()
	_, err = f.Write(b[:58*mib])
	require.NoError(t, err)
	require.Eventually(t, func() bool { return m.since(before)["PUT /breakpointfiles/{name}"] >= 11 }, patience, 20*time.Millisecond)
	m.kill()
	_ = f.Close()
	m.start()
	assert.Empty(t, sh(t, "ls %s", m.ws()), "nothing half is seen")
	assert.Contains(t, sh(t, "ls %s", m.ws(".partial")), "big.")
	before = m.requests()
	sh(t, "cp %s %s", src, m.ws("big"))
	assert.LessOrEqual(t, m.since(before)["PUT /breakpointfiles/{name}"], 3, "what the server had is not sent again: %v", m.since(before))
	sh(t, "cmp %s %s", src, m.ws("big"))
	assert.Empty(t, sh(t, "ls %s", m.ws(".partial")))
	assert.Equal(t, []string{"1.0"}, m.versions("big"))
	assert.Equal(t, "journal\nspool\n", sh(t, "cd %s && find journal spool", m.state), "no temporary is left: %s", fmt.Sprint(m.state))
}
