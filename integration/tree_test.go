package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// 1.1 The root of the mount has one directory per workspace that the store lists.
func TestRootListsWorkspaces(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	_, err := s.api().CreateWorkspace(t.Context(), "scans", true)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return sh(t, "ls %s", m.dir) == "default\nscans\n" }, patience, 100*time.Millisecond)
	assert.Contains(t, fails(t, "mkdir %s/new", m.dir), "not permitted")
	assert.Contains(t, fails(t, "rmdir %s/scans", m.dir), "not permitted")
	assert.Contains(t, fails(t, "mv %s/scans %s/other", m.dir, m.dir), "not permitted")
}

// 1.2 Names that SCM refuses give EINVAL, too long ones ENAMETOOLONG.
func TestRefusedNames(t *testing.T) {
	m := newMount(t, newServer(t))
	for _, c := range `\%;:*?"<>|` {
		err := os.Mkdir(m.ws("a"+string(c)+"b"), 0o755)
		assert.ErrorContains(t, err, "invalid argument", "%q", c)
	}
	assert.ErrorContains(t, os.Mkdir(m.ws("a\nb"), 0o755), "invalid argument")
	assert.ErrorContains(t, os.Mkdir(m.ws(strings.Repeat("n", 256)), 0o755), "name too long")
	long := strings.Repeat("名", 85) // 255 bytes
	for _, name := range []string{long, `f:*?"<>|%;\.txt`, " leading", "中文.txt"} {
		require.NoError(t, os.WriteFile(m.ws(name), []byte(name), 0o644))
		b, err := os.ReadFile(m.ws(name))
		require.NoError(t, err)
		assert.Equal(t, name, string(b))
	}
}

// 1.3 What other clients change is seen after the expiry.
func TestRemoteChangesAppear(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	ws := s.api().Workspace("default")
	assert.Empty(t, sh(t, "ls %s", m.ws()))
	f, err := ws.CreateFile(t.Context(), client.NewFile{Name: "remote"}, client.BytesBody([]byte("one")))
	require.NoError(t, err)
	require.Eventually(t, func() bool { out, err := try(patience, "cat "+m.ws("remote")); return err == nil && out == "one" }, patience, 100*time.Millisecond)
	_, err = ws.UpdateContent(t.Context(), f.ID, f.Version, client.BytesBody([]byte("second")))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return read(t, m.ws("remote")) == "second" }, patience, 100*time.Millisecond)
	require.NoError(t, ws.DeleteFile(t.Context(), f.ID))
	require.Eventually(t, func() bool { return sh(t, "ls %s", m.ws()) == "" }, patience, 100*time.Millisecond)
}

// 1.4 A directory wins over a file of the same name.
func TestDirectoryWinsOverFile(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	ws := s.api().Workspace("default")
	_, err := ws.CreateDirectory(t.Context(), client.RootDir, "both")
	require.NoError(t, err)
	f, err := ws.CreateFile(t.Context(), client.NewFile{Name: "both"}, client.BytesBody([]byte("file")))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return sh(t, "ls %s", m.ws()) == "both\nboth~"+string(f.ID)+"\n" }, patience, 100*time.Millisecond)
	assert.Contains(t, sh(t, "ls -ld %s", m.ws("both")), "drwx")
	assert.Equal(t, "file", read(t, m.ws("both~"+string(f.ID))))
}

// 1.5 A workspace without directory support is one flat directory.
func TestFlatWorkspace(t *testing.T) {
	s := newServer(t)
	_, err := s.api().CreateWorkspace(t.Context(), "flat", false)
	require.NoError(t, err)
	m := newMount(t, s)
	sh(t, "echo x > %s/flat/f && cat %s/flat/f && mv %s/flat/f %s/flat/g", m.dir, m.dir, m.dir, m.dir)
	assert.Equal(t, "g\n", sh(t, "ls %s/flat", m.dir))
	assert.Contains(t, fails(t, "mkdir %s/flat/d", m.dir), "not permitted")
}

// 4.1 to 4.3 Renames.
func TestRenameMatrix(t *testing.T) {
	s := newServer(t)
	_, err := s.api().CreateWorkspace(t.Context(), "other", true)
	require.NoError(t, err)
	m := newMount(t, s)
	w := m.ws()
	sh(t, "cd %s && mkdir a b && echo 1 > a/f && mv a/f a/g && mv a/g b/ && mv b/g a/h && cat a/h", w)
	assert.Equal(t, "1\n", read(t, m.ws("a/h")), "same directory, other directory, both")

	sh(t, "cd %s && echo target > t && echo source > s && mv -f s t", w)
	assert.Equal(t, "source\n", read(t, m.ws("t")))
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions("t"), "onto an existing file: its next version")
	assert.Equal(t, "target\n", read(t, m.ws(".versions/t/1.0")))
	assert.NoFileExists(t, m.ws("s"))
	sh(t, "cd %s && echo new > s && touch -d @981173106.5 s && setfattr -n user.note -v mine s && mv -f s t", w)
	assert.Equal(t, "981173106", strings.TrimSpace(sh(t, "stat -c %%Y %s/t", w)), "the time of the file that was moved")
	assert.Contains(t, sh(t, "getfattr --absolute-names -n user.note %s/t", w), `"mine"`)

	sh(t, "cd %s && mkdir d1 d1/sub d2 && mv -T d1 d2 && test -d d2/sub && test ! -e d1", w)
	sh(t, "cd %s && mkdir full && touch full/x && mkdir d3", w)
	assert.Contains(t, fails(t, "mv -T %s/d3 %s/full", w, w), "not empty")
	assert.ErrorContains(t, os.Rename(m.ws("d2"), m.ws("d2/sub/in")), "invalid argument")
	assert.ErrorContains(t, os.Rename(m.ws("d2"), m.ws("t")), "not a directory")
	assert.ErrorContains(t, os.Rename(m.ws("t"), m.ws("d2")), "file exists")
	assert.ErrorContains(t, os.Rename(m.ws("t"), m.dir+"/other/t"), "cross-device")
	sh(t, "mv %s/t %s/other/ && cat %s/other/t", w, m.dir, m.dir)
	sh(t, "cd %s && mv d2 a/moved && test -d a/moved/sub", w)
}

// 4.4 unlink while open.
func TestUnlinkWhileOpen(t *testing.T) {
	m := newMount(t, newServer(t))
	assert.Equal(t, "kept\n", sh(t, "cd %s && echo kept > f && exec 3< f && rm f && test ! -e f && cat <&3", m.ws()))
	sh(t, "cd %s && exec 3> new && echo x >&3 && rm new && echo y >&3 && exec 3>&-", m.ws())
	assert.Empty(t, sh(t, "ls %s", m.ws()), "an unlinked file is not published")
	assert.Empty(t, sh(t, "ls %s", m.ws(".partial")))
}

// 4.5 Hard links are refused.
func TestHardLinkRefused(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "echo x > %s", m.ws("f"))
	assert.ErrorContains(t, os.Link(m.ws("f"), m.ws("g")), "operation not permitted")
}

// 5.1 Attributes of files are the same on every mount.
func TestAttributesSurvive(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	before := m.requests()
	sh(t, "cd %s && (umask 027; exec 3> f; echo x >&3; chmod 640 f; touch -d '2001-02-03 04:05:06.123456789' f; exec 3>&-) && ln -s f link", m.ws())
	assert.Equal(t, 2, m.since(before)["POST /files"], "attributes set before close cost no request")
	assert.Zero(t, m.since(before)["PUT /files/{id} info"])
	sh(t, "echo y > %s && chown 12:34 %s && chmod 600 %s", m.ws("g"), m.ws("g"), m.ws("g"))
	o := newMount(t, s)
	for _, at := range []*mount{m, o} {
		assert.Equal(t, "640 2001-02-03 04:05:06.123456789 0 0\n", sh(t, "TZ=UTC stat -c '%%a %%y %%u %%g' %s | sed 's/ +0000//'", at.ws("f")))
		assert.Equal(t, "600 12 34\n", sh(t, "stat -c '%%a %%u %%g' %s", at.ws("g")))
		assert.Equal(t, "f\n", sh(t, "readlink %s", at.ws("link")))
	}
}

// 5.2 Attributes of a directory.
func TestDirectoryAttributesLiveAsLongAsTheMount(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "cd %s && mkdir d && chmod 700 d && touch -d '2003-04-05 06:07:08' d", m.ws())
	assert.Equal(t, "700 2003-04-05\n", sh(t, "stat -c '%%a %%.10y' %s", m.ws("d")))
	m.end()
	m.start()
	assert.Equal(t, "755\n", sh(t, "stat -c %%a %s", m.ws("d")))
	assert.NotContains(t, sh(t, "stat -c %%y %s", m.ws("d")), "2003")
}

// 5.3 Files that no mount wrote.
func TestFilesOfOtherClients(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--uid", "12", "--gid", "34", "--umask", "027")
	f, err := s.api().Workspace("default").CreateFile(t.Context(), client.NewFile{Name: "theirs"}, client.BytesBody([]byte("x")))
	require.NoError(t, err)
	want := fmt.Sprintf("640 12 34 %d\n", max(f.UpdateTime.Unix(), f.DataCreateTime.Unix()))
	assert.Equal(t, want, sh(t, "stat -c '%%a %%u %%g %%Y' %s", m.ws("theirs")))
}
