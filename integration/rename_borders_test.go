package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/client"
)

// 3.3, 3.7, 4.1, 4.3 Renames that leave a workspace's tree, enter it, or concern
// names that the mount adds. Paths are below the mount.
func TestRenameBorders(t *testing.T) {
	s := newServer(t)
	for _, ws := range []string{"other", "flat"} {
		_, err := s.api().CreateWorkspace(t.Context(), ws, ws != "flat")
		require.NoError(t, err)
	}
	m := newMount(t, s)
	sh(t, "cd %s && mkdir -p d/sub/deep empty && echo f > f && echo g > g && echo g > g && echo in > d/in", m.ws())
	sh(t, "cd %s/.partial && for i in 1 2 3; do echo whole$i > whole$i; done", m.ws())
	half, err := os.Create(m.ws(".partial/half")) // open, so it is not complete
	require.NoError(t, err)
	defer half.Close()
	_, err = half.WriteString("half")
	require.NoError(t, err)
	draft, err := os.Create(m.ws("draft"))
	require.NoError(t, err)
	_, err = draft.WriteString("draft\n")
	require.NoError(t, err)

	const no, ex = unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE
	for _, c := range []struct {
		from, to string
		flags    uint
		want     error
	}{
		// Into itself, and onto what it is in.
		{"default/d", "default/d/x", 0, unix.EINVAL},
		{"default/d", "default/d/sub", 0, unix.EINVAL},
		{"default/d", "default/d/sub/deep/x", 0, unix.EINVAL},
		{"default/d/sub/deep", "default/d", 0, unix.ENOTEMPTY},
		{"default/d/in", "default/d", 0, unix.ENOTEMPTY},
		{"default/d/sub", "default/d", ex, unix.EINVAL},
		{"default/missing", "default/x", 0, unix.ENOENT},
		{"default/f", "default/missing/x", 0, unix.ENOENT},
		{"default/f", "default/g/x", 0, unix.ENOTDIR},
		// Names that the store refuses.
		{"default/d", "default/a*b", 0, unix.EINVAL},
		{"default/f", "default/a\nb", 0, unix.EINVAL},
		// Across workspaces: mv copies.
		{"default/f", "other/f", 0, unix.EXDEV},
		{"default/d", "other/d", 0, unix.EXDEV},
		{"default/draft", "other/draft", 0, unix.EXDEV},
		{"default/f", "flat/f", 0, unix.EXDEV},
		{"default/f", "other/f", no, unix.EXDEV},
		// Out of the tree. Where mv would copy and then delete, EPERM keeps it from that.
		{"default/f", "default/.partial/f", 0, unix.EPERM},
		{"default/d", "default/.partial/d", 0, unix.EPERM},
		{"default/draft", "default/.partial/draft", 0, unix.EPERM},
		{"default/f", "other/.partial/f", 0, unix.EPERM},
		{"default/f", "default/.versions/x", 0, unix.EPERM},
		{"default/f", "default/.versions/g/9.0", 0, unix.EPERM},
		{"default/d", "default/.versions/empty/x", 0, unix.EPERM},
		{"default/f", ".scmfs/f", 0, unix.EPERM},
		{"default/f", "f", 0, unix.EPERM},
		{"default/d", "d", 0, unix.EPERM},
		// The names themselves.
		{"default/.partial", "default/x", 0, unix.EBUSY},
		{"default/.versions", "default/x", 0, unix.EBUSY},
		{"default/f", "default/.partial", 0, unix.EISDIR},
		{"default/d", "default/.partial", 0, unix.EEXIST},
		{"default/d", "default/.versions", 0, unix.EEXIST},
		{".scmfs", "x", 0, unix.EPERM},
		{".scmfs/status", ".scmfs/x", 0, unix.EPERM},
		{".scmfs/status", "default/x", 0, unix.EPERM},
		{"default", "x", 0, unix.EPERM},
		{"other", "default/other", 0, unix.EPERM},
		// Versions are not moved: mv would copy one and delete it.
		{"default/.versions/g/1.0", "default/x", 0, unix.EPERM},
		{"default/.versions/g/1.0", "default/.versions/g/3.0", 0, unix.EPERM},
		{"default/.versions/g", "default/x", 0, unix.EPERM},
		{"default/.versions/g", "default/.versions/h", 0, unix.EPERM},
		{"default/.versions/d", "default/x", 0, unix.EPERM},
		// Breakpoint files.
		{"default/.partial/whole1", "default/.partial/x", 0, unix.EXDEV},
		{"default/.partial/whole1", "other/x", 0, unix.EXDEV},
		{"default/.partial/whole1", "other/.partial/x", 0, unix.EXDEV},
		{"default/.partial/whole1", "x", 0, unix.EPERM},
		{"default/.partial/whole1", "default/f", ex, unix.EINVAL},
		{"default/.partial/whole1", "default/f", no, unix.EEXIST},
		{"default/.partial/whole1", "default/d", 0, unix.EISDIR},
		{"default/.partial/half", "default/x", 0, unix.EBUSY},
		{"default/.partial/half", "default/f", 0, unix.EBUSY},
		{"default/.partial/half", "default/draft", 0, unix.EBUSY},
	} {
		err := unix.Renameat2(unix.AT_FDCWD, m.dir+"/"+c.from, unix.AT_FDCWD, m.dir+"/"+c.to, c.flags)
		assert.Equal(t, c.want, err, "%s to %s, flags %d", c.from, c.to, c.flags)
	}
	assert.Equal(t, "d\ndraft\nempty\nf\ng\n", sh(t, "ls %s", m.ws()), "nothing happened")
	assert.Equal(t, "f\n", read(t, m.ws("f")))
	assert.Equal(t, "draft\n", read(t, m.ws("draft")), "a conversion that is refused leaves what it was to replace")

	// Complete ones: a new file, a version of a published one, in place of a draft.
	require.NoError(t, os.Rename(m.ws(".partial/whole1"), m.ws("new")))
	assert.Equal(t, "whole1\n", read(t, m.ws("new")))
	require.NoError(t, os.Rename(m.ws(".partial/whole2"), m.ws("g")))
	assert.Equal(t, "whole2\n", read(t, m.ws("g")))
	assert.Equal(t, []string{"1.0", "2.0", "3.0"}, m.versions("g"))
	require.NoError(t, os.Rename(m.ws(".partial/whole3"), m.ws("draft")))
	_, err = draft.WriteString("lost its name\n")
	assert.NoError(t, err)
	assert.NoError(t, draft.Close())
	assert.Equal(t, "whole3\n", read(t, m.ws("draft")))
	assert.Equal(t, []string{"1.0"}, m.versions("draft"))
	assert.Equal(t, "half\n", sh(t, "ls %s", m.ws(".partial")))
}

// 4.2 What is being written to a file does not come back onto what replaced it.
func TestConvertOntoOpenFile(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "cd %s && echo old > f && echo whole > .partial/whole && ln -s nowhere link && echo whole > .partial/forlink", m.ws())
	f, err := os.OpenFile(m.ws("f"), os.O_RDWR|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString("more\n")
	require.NoError(t, err)
	require.NoError(t, os.Rename(m.ws(".partial/whole"), m.ws("f")))
	b := make([]byte, 100)
	n, _ := f.ReadAt(b, 0)
	assert.Equal(t, "old\nmore\n", string(b[:n]), "who has it open keeps it")
	require.NoError(t, f.Close())
	assert.Equal(t, "whole\n", read(t, m.ws("f")))
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions("f"))

	require.NoError(t, os.Rename(m.ws(".partial/forlink"), m.ws("link")))
	assert.Equal(t, "whole\n", read(t, m.ws("link")), "a link becomes the file")
}

// 4.1 A rename that comes while the content is on its way to the store renames what
// that makes.
func TestRenameMeetsPublication(t *testing.T) {
	s := newServer(t, "--fault", "delay=300ms@POST /files")
	m := newMount(t, s, "--write-mode", "async")
	ws := s.api().Workspace("default")
	// mv takes as long to start as the upload does to begin.
	sh(t, "cd %s && for i in 0 1 2 3 4 5 6 7; do printf content > old$i && mv old$i new$i || exit 1; done", m.ws())
	for i := range 8 {
		name := fmt.Sprint("new", i)
		assert.Equal(t, "content", read(t, m.ws(name)))
		sh(t, "%s wait --timeout 30s %s", binary, m.ws(name))
		f, err := ws.LookupFile(t.Context(), client.RootDir, name)
		require.NoError(t, err)
		assert.Equal(t, 1, f.Version.Major)
		_, err = ws.LookupFile(t.Context(), client.RootDir, fmt.Sprint("old", i))
		assert.Equal(t, client.NotExist, client.KindOf(err))
		assert.Equal(t, "content", read(t, m.ws(name)))
	}
	assert.NotContains(t, m.log(), "panic")
	spooled, err := filepath.Glob(m.state + "/spool/*")
	require.NoError(t, err)
	assert.Empty(t, spooled, "no draft is held any more")
}

// 4 The target of a rename is being published, under a temporary name that a published
// file was given: what is renamed onto it goes onto that version, and nobody is told
// that somebody else had made it.
func TestRenameOntoPublication(t *testing.T) {
	s := newServer(t, "--fault", "delay=300ms@PUT /files/*")
	m := newMount(t, s, "--write-mode", "async")
	sh(t, `cd %s && printf 1 > a && %s wait a && mv a a.part && printf 2 > b && %s wait b &&
		printf 3 > a.part && mv b a.part && printf 4 > .c.part && mv .c.part a.part`, m.ws(), binary, binary)
	assert.Equal(t, "4", read(t, m.ws("a.part")))
	sh(t, "%s wait --timeout 30s %s", binary, m.ws("a.part"))
	assert.Equal(t, "1324", sh(t, "cd %s && for v in $(ls -v); do cat $v; done", m.ws(".versions", "a.part")))
	assert.NotContains(t, m.log(), "somebody else")
}
