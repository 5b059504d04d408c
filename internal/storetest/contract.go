package storetest

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// Pattern is the protocol's test content: byte i is i mod 251.
func Pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// Run checks a store, whatever is behind it. Row numbers are those of part 2
// section 9. dir is an empty directory that the suite may fill.
func Run(t *testing.T, open func(t *testing.T) (*client.Store, client.DirID)) {
	for _, c := range []struct {
		name string
		fn   func(*suite)
	}{
		{"directories: create, look up, list, rename, move, delete", testDirectories},
		{"directories: conflicts and names", testDirectoryErrors},
		{"files: C68 write, read, delete incl. empty", testFileRoundTrip},
		{"files: C69 C70 names", testFileNames},
		{"files: C72 C73 missing version, malformed id", testFileMissing},
		{"files: C80 C81 name taken, overwrite", testOverwrite},
		{"files: chosen id settles a lost answer", testChosenID},
		{"files: C87 properties, rename, move", testProperties},
		{"files: ranged reads C64", testRanged},
		{"versions: C100 C105 C77 updates", testVersions},
		{"versions: -264 and delete version", testVersionMismatch},
		{"breakpoint: C1 C4 empty and increments", testBreakpoint},
		{"breakpoint: C38 C15 wrong offset, completed", testBreakpointErrors},
		{"breakpoint: C27 C29 C30 C51 missing, delete, exists", testBreakpointMissing},
		{"breakpoint: C43 C31 convert, C102 new version", testConvert},
		{"breakpoint: C50 C83 lost name race keeps it", testConvertConflict},
		{"breakpoint: C103 incomplete to version", testIncompleteConversion},
		{"upload: C4 C6 C8 C13 whole, resumed", testUpload},
		{"upload: C2 C7 C14 C15 other content", testUploadOther},
		{"upload: C20 C21 buffered", testUploadBuffered},
		{"md5: C40 C42 C75 C76 on request", testMD5},
		{"lists: entries on the fast path", testEntries},
		{"lists: keyset pages and counts", testPages},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, dir := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c.fn(&suite{t, ctx, s, dir})
		})
	}
}

type suite struct {
	*testing.T
	ctx context.Context
	s   *client.Store
	dir client.DirID
}

func (s *suite) put(name string, content []byte) client.File {
	s.Helper()
	f, err := s.s.CreateFile(s.ctx, client.NewFile{Name: name, Dir: s.dir}, client.BytesBody(content))
	require.NoError(s, err)
	return f
}

func (s *suite) read(f client.File) []byte {
	s.Helper()
	r, err := s.s.Open(s.ctx, f.Content(), 0)
	require.NoError(s, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(s, err)
	return b
}

func (s *suite) kind(want client.Kind, err error, msg ...any) {
	s.Helper()
	assert.Equal(s, want, client.KindOf(err), append([]any{err}, msg...)...)
}

func testDirectories(s *suite) {
	a, err := s.s.CreateDirectory(s.ctx, s.dir, "a 中文 .!_ test@#$()+")
	require.NoError(s, err)
	got, err := s.s.LookupDirectory(s.ctx, s.dir, a.Name)
	require.NoError(s, err)
	assert.Equal(s, a, got)
	b, err := s.s.CreateDirectory(s.ctx, a.ID, "b")
	require.NoError(s, err)
	byID, err := s.s.Directory(s.ctx, b.ID)
	require.NoError(s, err)
	assert.Equal(s, a.ID, byID.Parent)
	_, err = s.s.RenameDirectory(s.ctx, b.ID, "c")
	require.NoError(s, err)
	_, err = s.s.MoveDirectory(s.ctx, b.ID, s.dir)
	require.NoError(s, err)
	var names []string
	for d, err := range s.s.Directories(s.ctx, s.dir, "") {
		require.NoError(s, err)
		names = append(names, d.Name)
	}
	assert.Equal(s, []string{"a 中文 .!_ test@#$()+", "c"}, names)
	require.NoError(s, s.s.DeleteDirectory(s.ctx, b.ID))
	s.kind(client.NotExist, s.s.DeleteDirectory(s.ctx, b.ID))
	_, err = s.s.RenameDirectory(s.ctx, a.ID, a.Name)
	require.NoError(s, err, "renaming to its own name succeeds")
	_, err = s.s.MoveDirectory(s.ctx, a.ID, s.dir)
	require.NoError(s, err, "moving to its own parent succeeds")
}

func testDirectoryErrors(s *suite) {
	a, err := s.s.CreateDirectory(s.ctx, s.dir, "a")
	require.NoError(s, err)
	_, err = s.s.CreateDirectory(s.ctx, s.dir, "a")
	s.kind(client.Exist, err)
	b, err := s.s.CreateDirectory(s.ctx, a.ID, "b")
	require.NoError(s, err)
	s.kind(client.NotEmpty, s.s.DeleteDirectory(s.ctx, a.ID))
	_, err = s.s.MoveDirectory(s.ctx, a.ID, b.ID)
	s.kind(client.MoveIntoSelf, err)
	s.put("f", nil)
	_, err = s.s.CreateDirectory(s.ctx, s.dir, "f")
	s.kind(client.Exist, err)
	assert.Equal(s, wire.CodeFileExist, client.CodeOf(err))
	for _, bad := range []string{"", ".", "..", "a/b", `a\b`, "a%b", "a;b", "a:b", "a*b", "a?b", `a"b`, "a<b", "a>b", "a|b", "a\nb"} {
		_, err := s.s.CreateDirectory(s.ctx, s.dir, bad)
		s.kind(client.Invalid, err, bad)
	}
}

func testFileRoundTrip(s *suite) {
	for _, n := range []int{0, 1, 16 << 10, 16<<10 + 1, 1 << 20, 3<<20 + 7} {
		content := Pattern(n)
		f := s.put("f"+time.Duration(n).String(), content)
		assert.EqualValues(s, n, f.Size)
		assert.Equal(s, client.Version{Major: 1}, f.Version)
		assert.True(s, bytes.Equal(content, s.read(f)), "%d bytes", n)
		head, err := s.s.File(s.ctx, f.ID)
		require.NoError(s, err)
		assert.Equal(s, f, head)
		found, err := s.s.LookupFile(s.ctx, s.dir, f.Name)
		require.NoError(s, err)
		assert.Equal(s, f.Content(), found.Content())
		require.NoError(s, s.s.DeleteFile(s.ctx, f.ID))
		s.kind(client.NotExist, s.s.DeleteFile(s.ctx, f.ID))
		_, err = s.s.LookupFile(s.ctx, s.dir, f.Name)
		s.kind(client.NotExist, err)
	}
}

func testFileNames(s *suite) {
	for _, name := range []string{`a\b*c?d<e>f|g"h:i%j;k'l&m=n+o`, " leading", "中文.txt", ".", "..", "\f form", string(bytes.Repeat([]byte("n"), 950))} {
		f := s.put(name, []byte(name))
		found, err := s.s.LookupFile(s.ctx, s.dir, name)
		require.NoError(s, err, name)
		assert.Equal(s, f.ID, found.ID, name)
	}
	for _, bad := range []string{"", "a/b"} {
		_, err := s.s.CreateFile(s.ctx, client.NewFile{Name: bad, Dir: s.dir}, client.Body{})
		s.kind(client.Invalid, err, bad)
	}
}

func testFileMissing(s *suite) {
	f := s.put("f", nil)
	_, err := s.s.FileVersion(s.ctx, f.ID, client.Version{Major: 7})
	s.kind(client.NotExist, err)
	_, err = s.s.File(s.ctx, "nonsense")
	s.kind(client.Invalid, err)
	_, err = s.s.File(s.ctx, client.NewFileID(time.Now()))
	s.kind(client.NotExist, err)
	_, err = s.s.CreateFile(s.ctx, client.NewFile{Name: "x", Dir: "6553f064510003001a2b3b10"}, client.BytesBody([]byte("x")))
	s.kind(client.NotExist, err)
}

func testOverwrite(s *suite) {
	f := s.put("f", []byte("one"))
	_, err := s.s.CreateFile(s.ctx, client.NewFile{Name: "f", Dir: s.dir}, client.BytesBody([]byte("two")))
	s.kind(client.Exist, err)
	assert.Equal(s, []byte("one"), s.read(f))
	g, err := s.s.CreateFile(s.ctx, client.NewFile{Name: "f", Dir: s.dir, Overwrite: true}, client.BytesBody([]byte("three")))
	require.NoError(s, err)
	assert.NotEqual(s, f.ID, g.ID)
	assert.Equal(s, client.Version{Major: 1}, g.Version)
	_, err = s.s.File(s.ctx, f.ID)
	s.kind(client.NotExist, err)
}

func testChosenID(s *suite) {
	id := client.NewFileID(time.Now())
	f, err := s.s.CreateFile(s.ctx, client.NewFile{ID: id, Name: "f", Dir: s.dir, Metadata: map[string]string{"posix": `{"mode":33188}`}}, client.BytesBody([]byte("x")))
	require.NoError(s, err)
	assert.Equal(s, id, f.ID)
	assert.NotEqual(s, string(f.ID), string(f.Data))
	got, err := s.s.File(s.ctx, id)
	require.NoError(s, err)
	assert.Equal(s, map[string]string{"posix": `{"mode":33188}`}, got.Metadata)
}

func testProperties(s *suite) {
	f := s.put("f", []byte("x"))
	got, err := s.s.SetMetadata(s.ctx, f.ID, map[string]string{"k": "v"})
	require.NoError(s, err)
	assert.Equal(s, map[string]string{"k": "v"}, got.Metadata)
	got, err = s.s.RenameFile(s.ctx, f.ID, "g")
	require.NoError(s, err)
	assert.Equal(s, "g", got.Name)
	_, err = s.s.RenameFile(s.ctx, f.ID, "g")
	require.NoError(s, err, "renaming to its own name succeeds")
	d, err := s.s.CreateDirectory(s.ctx, s.dir, "d")
	require.NoError(s, err)
	got, err = s.s.MoveFile(s.ctx, f.ID, d.ID)
	require.NoError(s, err)
	assert.Equal(s, d.ID, got.Dir)
	assert.Equal(s, map[string]string{"k": "v"}, got.Metadata)
	_, err = s.s.SetProperty(s.ctx, f.ID, "size", 5)
	s.kind(client.Unsupported, err)
	_, err = s.s.SetProperty(s.ctx, f.ID, "title", "")
	s.kind(client.Invalid, err)
	h := s.put("h", nil)
	_, err = s.s.RenameFile(s.ctx, h.ID, "h2")
	require.NoError(s, err)
	s.put("g", nil)
	_, err = s.s.RenameFile(s.ctx, h.ID, "g")
	s.kind(client.Exist, err)
}

func testRanged(s *suite) {
	content := Pattern(200_000)
	f := s.put("f", content)
	for _, c := range []struct{ off, n int }{{0, 10}, {0, 200_000}, {65_535, 70_000}, {199_999, 1}, {199_990, 100}, {200_000, 5}, {5, 0}} {
		p := make([]byte, c.n)
		n, err := s.s.ReadRange(s.ctx, f.Content(), p, int64(c.off))
		require.NoError(s, err)
		want := content[c.off:min(len(content), c.off+c.n)]
		assert.True(s, bytes.Equal(want, p[:n]), "%d bytes at %d", c.n, c.off)
	}
	r, err := s.s.Open(s.ctx, f.Content(), 150_000)
	require.NoError(s, err)
	b, err := io.ReadAll(r)
	require.NoError(s, err)
	require.NoError(s, r.Close())
	assert.True(s, bytes.Equal(content[150_000:], b))
}

func testVersions(s *suite) {
	f := s.put("f", []byte("one"))
	g, err := s.s.UpdateContent(s.ctx, f.ID, f.Version, client.BytesBody([]byte("second")))
	require.NoError(s, err)
	assert.Equal(s, client.Version{Major: 2}, g.Version)
	assert.NotEqual(s, f.Data, g.Data)
	h, err := s.s.UpdateContent(s.ctx, f.ID, client.Version{}, client.Body{})
	require.NoError(s, err)
	assert.Equal(s, client.Version{Major: 3}, h.Version)
	assert.Equal(s, "one", string(s.read(f)))
	assert.Equal(s, "second", string(s.read(g)))
	assert.Empty(s, s.read(h))
	vs, err := s.s.Versions(s.ctx, f.ID)
	require.NoError(s, err)
	require.Len(s, vs, 3)
	assert.Equal(s, []client.Version{{Major: 3}, {Major: 2}, {Major: 1}}, []client.Version{vs[0].Version, vs[1].Version, vs[2].Version})
}

func testVersionMismatch(s *suite) {
	f := s.put("f", []byte("one"))
	_, err := s.s.UpdateContent(s.ctx, f.ID, client.Version{Major: 4}, client.BytesBody([]byte("x")))
	s.kind(client.VersionMismatch, err)
	g, err := s.s.UpdateContent(s.ctx, f.ID, f.Version, client.BytesBody([]byte("two")))
	require.NoError(s, err)
	require.NoError(s, s.s.DeleteVersion(s.ctx, f.ID, g.Version))
	now, err := s.s.File(s.ctx, f.ID)
	require.NoError(s, err)
	assert.Equal(s, f.Content(), now.Content())
	require.NoError(s, s.s.DeleteVersion(s.ctx, f.ID, client.Version{Major: 9}), "a missing version is no error")
}
