package storetest

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// pipe hides that a reader can seek.
func pipe(p []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(p)} }

func uniqueBP() string { return "bp" + string(client.NewFileID(time.Now())) }

func testUpload(s *suite) {
	content := Pattern(2<<20 + 5)
	o := client.UploadOptions{Increment: 1 << 20}
	for _, typ := range []client.ChecksumType{client.ChecksumNone, client.ChecksumCRC32, client.ChecksumAdler32} {
		for _, part := range []int{0, 1, 1<<20 + 1, len(content)} {
			name := uniqueBP()
			b, err := s.s.CreateBreakpointFile(s.ctx, name, client.BreakpointOptions{ChecksumType: typ})
			require.NoError(s, err)
			require.NoError(s, b.IncrementalUpload(s.ctx, pipe(content[:part]), false, o))
			b, err = s.s.BreakpointFile(s.ctx, name)
			require.NoError(s, err)
			assert.EqualValues(s, part, b.Size)
			require.NoError(s, b.Upload(s.ctx, pipe(content), o))
			assert.True(s, b.Completed)
			f, err := b.CreateFile(s.ctx, client.NewFile{Name: name, Dir: s.dir})
			require.NoError(s, err)
			assert.Equal(s, b.Data, f.Data)
			assert.True(s, bytes.Equal(content, s.read(f)), "%s after %d bytes", typ, part)
		}
	}
}

func testUploadOther(s *suite) {
	b := s.breakpoint(uniqueBP())
	content := Pattern(1000)
	changed := bytes.Clone(content)
	changed[0]++
	o := client.UploadOptions{}
	require.NoError(s, b.IncrementalUpload(s.ctx, pipe(content[:500]), false, o))
	s.kind(client.Invalid, b.Upload(s.ctx, pipe(changed), o), "changed")
	s.kind(client.Invalid, b.Upload(s.ctx, pipe(content[:400]), o), "shortened")
	require.NoError(s, b.Refresh(s.ctx))
	assert.EqualValues(s, 500, b.Size, "untouched")
	require.NoError(s, b.Upload(s.ctx, pipe(content), o), "continued")
	require.NoError(s, b.Upload(s.ctx, pipe(content), o), "the same again")
	s.kind(client.Invalid, b.Upload(s.ctx, pipe(changed), o), "other content when completed")
	s.kind(client.Invalid, b.IncrementalUpload(s.ctx, pipe(content), true, o), "completed")
	require.NoError(s, b.Refresh(s.ctx))
	assert.Equal(s, crc32.ChecksumIEEE(content), b.Checksum)
}

func testUploadBuffered(s *suite) {
	b := s.breakpoint(uniqueBP())
	content := Pattern(11<<20 + 3)
	o := client.UploadOptions{Buffered: true}
	at := 0
	for _, n := range []int{5 << 20, 6 << 20, 3} {
		require.NoError(s, b.IncrementalUpload(s.ctx, pipe(content[at:at+n]), at+n == len(content), o))
		at += n
		assert.EqualValues(s, at, b.UploadSize())
	}
	f, err := b.CreateFile(s.ctx, client.NewFile{Name: "f", Dir: s.dir})
	require.NoError(s, err)
	assert.True(s, bytes.Equal(content, s.read(f)))
}

func testMD5(s *suite) {
	sum := func(p []byte) string {
		h := md5.Sum(p)
		return base64.StdEncoding.EncodeToString(h[:])
	}
	f := s.put("f", []byte("hello"))
	assert.Empty(s, f.MD5, "only on request")
	got, err := s.s.CalcMD5(s.ctx, f.ID, client.Version{})
	require.NoError(s, err)
	assert.Equal(s, "XUFAKrxLKna5cZ2REBfFkg==", got)
	f, err = s.s.File(s.ctx, f.ID)
	require.NoError(s, err)
	assert.Equal(s, got, f.MD5, "and then stored")
	f, err = s.s.CreateFile(s.ctx, client.NewFile{Name: "empty", Dir: s.dir, NeedMD5: true}, client.Body{})
	require.NoError(s, err)
	assert.Equal(s, "1B2M2Y8AsgTpgAmY7PhCfg==", f.MD5)

	name := uniqueBP()
	b := s.complete(name, "hello scm\n")
	_, err = b.CreateFile(s.ctx, client.NewFile{Name: "g", Dir: s.dir, NeedMD5: true})
	s.kind(client.Invalid, err, "C40: without md5, and kept")
	got, err = s.s.CalcBreakpointMD5(s.ctx, name)
	require.NoError(s, err)
	assert.Equal(s, sum([]byte("hello scm\n")), got)
	f, err = b.CreateFile(s.ctx, client.NewFile{Name: "g", Dir: s.dir, NeedMD5: true})
	require.NoError(s, err)
	assert.Equal(s, got, f.MD5)
}

func testIncompleteConversion(s *suite) {
	f := s.put("f", []byte("one"))
	name := uniqueBP()
	s.breakpoint(name)
	_, err := s.s.UpdateContentFromBreakpoint(s.ctx, f.ID, f.Version, name)
	s.kind(client.Invalid, err)
	now, err := s.s.File(s.ctx, f.ID)
	require.NoError(s, err)
	assert.Equal(s, f.Content(), now.Content())
	_, err = s.s.BreakpointFile(s.ctx, name)
	require.NoError(s, err, "kept")
}

func testEntries(s *suite) {
	for _, name := range []string{"b", "a", "c d"} {
		s.put(name, []byte(name))
	}
	var names []string
	for f, err := range s.s.Entries(s.ctx, s.dir, "") {
		require.NoError(s, err)
		names = append(names, fmt.Sprintf("%s %d %s", f.Name, f.Size, f.Version))
	}
	assert.Equal(s, []string{"a 1 1.0", "b 1 1.0", "c d 3 1.0"}, names)
	names = nil
	for f, err := range s.s.Entries(s.ctx, s.dir, "a") {
		require.NoError(s, err)
		names = append(names, f.Name)
	}
	assert.Equal(s, []string{"b", "c d"}, names)
	for _, err := range s.s.Entries(s.ctx, "6553f064510003001a2b3b10", "") {
		s.kind(client.NotExist, err, "or nothing, for a user with READ on the workspace")
	}
}
