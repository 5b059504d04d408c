package storetest

import (
	"bytes"
	"context"
	"hash/crc32"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/wire"
)

func (s *suite) breakpoint(name string) client.BreakpointFile {
	s.Helper()
	b, err := s.s.CreateBreakpointFile(s.ctx, name, client.BreakpointOptions{ChecksumType: wire.ChecksumCRC32})
	require.NoError(s, err)
	s.Cleanup(func() { _ = s.s.DeleteBreakpointFile(context.Background(), name) })
	return b
}

func testBreakpoint(s *suite) {
	name := "bp 中 .!@#$*()_+" + string(client.NewFileID(time.Now()))
	b := s.breakpoint(name)
	assert.Zero(s, b.Size)
	assert.False(s, b.Completed)
	content := Pattern(1572864)
	b, err := s.s.AppendBreakpointFile(s.ctx, name, 0, client.BytesBody(content[:1<<20]), false)
	require.NoError(s, err)
	assert.EqualValues(s, 1<<20, b.Size)
	assert.EqualValues(s, 4010696788, b.Checksum)
	head, err := s.s.BreakpointFile(s.ctx, name)
	require.NoError(s, err)
	assert.Equal(s, b, head)
	b, err = s.s.AppendBreakpointFile(s.ctx, name, b.Size, client.Body{}, false)
	require.NoError(s, err, "an empty increment is a no-op")
	b, err = s.s.AppendBreakpointFile(s.ctx, name, b.Size, client.BytesBody(content[1<<20:]), true)
	require.NoError(s, err)
	assert.True(s, b.Completed)
	assert.Equal(s, crc32.ChecksumIEEE(content), b.Checksum)
	f, err := s.s.CreateFileFromBreakpoint(s.ctx, client.NewFile{Name: "f", Dir: s.dir}, name)
	require.NoError(s, err)
	assert.True(s, bytes.Equal(content, s.read(f)))
	empty := name + "0"
	s.breakpoint(empty)
	b, err = s.s.AppendBreakpointFile(s.ctx, empty, 0, client.Body{}, true)
	require.NoError(s, err)
	assert.True(s, b.Completed)
	f, err = s.s.CreateFileFromBreakpoint(s.ctx, client.NewFile{Name: "empty", Dir: s.dir}, empty)
	require.NoError(s, err)
	assert.Empty(s, s.read(f))
}

func testBreakpointErrors(s *suite) {
	name := "bp" + string(client.NewFileID(time.Now()))
	s.breakpoint(name)
	for _, off := range []int64{1, 5 << 20} {
		_, err := s.s.AppendBreakpointFile(s.ctx, name, off, client.BytesBody([]byte("x")), false)
		s.kind(client.Invalid, err)
	}
	_, err := s.s.CreateFileFromBreakpoint(s.ctx, client.NewFile{Name: "f", Dir: s.dir}, name)
	s.kind(client.Invalid, err, "incomplete")
	_, err = s.s.AppendBreakpointFile(s.ctx, name, 0, client.BytesBody([]byte("x")), true)
	require.NoError(s, err)
	_, err = s.s.AppendBreakpointFile(s.ctx, name, 1, client.BytesBody([]byte("y")), false)
	s.kind(client.Invalid, err)
	for _, bad := range []string{"", "a/b", "a%b", `a\b`, "a;b"} {
		_, err := s.s.CreateBreakpointFile(s.ctx, bad, client.BreakpointOptions{})
		s.kind(client.Invalid, err, bad)
	}
}

func testBreakpointMissing(s *suite) {
	name := "bp" + string(client.NewFileID(time.Now()))
	_, err := s.s.BreakpointFile(s.ctx, name)
	s.kind(client.NotExist, err)
	s.kind(client.NotExist, s.s.DeleteBreakpointFile(s.ctx, name))
	_, err = s.s.AppendBreakpointFile(s.ctx, name, 0, client.BytesBody([]byte("x")), false)
	s.kind(client.NotExist, err)
	s.breakpoint(name)
	_, err = s.s.CreateBreakpointFile(s.ctx, name, client.BreakpointOptions{})
	s.kind(client.Exist, err)
	n := 0
	for b, err := range s.s.BreakpointFiles(s.ctx, name) {
		require.NoError(s, err)
		assert.Equal(s, name, b.Name)
		n++
	}
	assert.Equal(s, 1, n)
	require.NoError(s, s.s.DeleteBreakpointFile(s.ctx, name))
	_, err = s.s.BreakpointFile(s.ctx, name)
	s.kind(client.NotExist, err)
}

func (s *suite) complete(name, content string) client.BreakpointFile {
	s.Helper()
	s.breakpoint(name)
	b, err := s.s.AppendBreakpointFile(s.ctx, name, 0, client.BytesBody([]byte(content)), true)
	require.NoError(s, err)
	return b
}

func testConvert(s *suite) {
	name := "bp" + string(client.NewFileID(time.Now()))
	b := s.complete(name, "first")
	f, err := s.s.CreateFileFromBreakpoint(s.ctx, client.NewFile{Name: "f", Dir: s.dir}, name)
	require.NoError(s, err)
	assert.Equal(s, b.Data, f.Data)
	assert.Equal(s, b.CreateTime, f.DataCreateTime)
	_, err = s.s.BreakpointFile(s.ctx, name)
	s.kind(client.NotExist, err)
	_, err = s.s.CreateFileFromBreakpoint(s.ctx, client.NewFile{Name: "f2", Dir: s.dir}, name)
	s.kind(client.Invalid, err)
	b = s.complete(name, "second")
	g, err := s.s.UpdateContentFromBreakpoint(s.ctx, f.ID, f.Version, name)
	require.NoError(s, err)
	assert.Equal(s, b.Data, g.Data)
	assert.Equal(s, client.Version{Major: 2}, g.Version)
	assert.Equal(s, "second", string(s.read(g)))
}

func testConvertConflict(s *suite) {
	name := "bp" + string(client.NewFileID(time.Now()))
	s.put("f", nil)
	s.complete(name, "x")
	_, err := s.s.CreateFileFromBreakpoint(s.ctx, client.NewFile{Name: "f", Dir: s.dir}, name)
	s.kind(client.Exist, err)
	_, err = s.s.CreateFileFromBreakpoint(s.ctx, client.NewFile{Name: "g", Dir: s.dir}, name)
	require.NoError(s, err)
}

func testPages(s *suite) {
	const n = 1005
	for i := range n {
		s.put("f"+time.Unix(int64(i), 0).UTC().Format("150405"), nil)
	}
	seen := map[string]bool{}
	last := ""
	for f, err := range s.s.Files(s.ctx, s.dir, "") {
		require.NoError(s, err)
		assert.Greater(s, f.Name, last)
		last = f.Name
		seen[f.Name] = true
	}
	assert.Len(s, seen, n)
	total, err := s.s.CountFiles(s.ctx)
	require.NoError(s, err)
	assert.GreaterOrEqual(s, total, int64(n))
}
