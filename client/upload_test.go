package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/server"
	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/storetest"
	"github.com/sequoiacm/scmfs/internal/wire"
)

const mib = 1 << 20

// Small increments for small tests; half a MiB would not be taken.
var small = client.UploadOptions{Increment: mib}

// pipe hides that a reader can seek.
func pipe(p []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(p)} }

type uploads struct {
	*testing.T
	s    *client.Store
	seen *requests
	n    int
}

func newUploads(t *testing.T) (*uploads, *universe) {
	u := newUniverse(t)
	w := u.world(t)
	return &uploads{T: t, s: w.s, seen: u.seen}, u
}

func (u *uploads) bp(typ client.ChecksumType) *client.BreakpointFile {
	u.Helper()
	u.n++
	b, err := u.s.CreateBreakpointFile(u.Context(), fmt.Sprintf("u%d", u.n), client.BreakpointOptions{ChecksumType: typ})
	require.NoError(u, err)
	clear(u.seen.n)
	return &b
}

// becomes converts b and compares the file with want.
func (u *uploads) becomes(b *client.BreakpointFile, want []byte) {
	u.Helper()
	assert.EqualValues(u, len(want), b.Size)
	assert.True(u, b.Completed)
	f, err := b.CreateFile(u.Context(), client.NewFile{Name: b.Name})
	require.NoError(u, err)
	assert.Equal(u, b.Data, f.Data)
	r, err := u.s.Open(u.Context(), f.Content(), 0)
	require.NoError(u, err)
	got, err := io.ReadAll(r)
	require.NoError(u, err)
	require.NoError(u, r.Close())
	assert.True(u, bytes.Equal(want, got), "the content differs")
}

func (u *uploads) kind(want client.Kind, err error) {
	u.Helper()
	assert.Equal(u, want, client.KindOf(err), err)
}

// C1, C4, C23 of part 2 section 9, and the driver's requests of section 6.1.
func TestUpload(t *testing.T) {
	u, _ := newUploads(t)
	for _, c := range []struct{ size, puts int }{{0, 1}, {1, 2}, {mib - 1, 2}, {mib, 2}, {mib + 1, 3}, {2*mib + mib/2, 4}, {3 * mib, 4}} {
		content := storetest.Pattern(c.size)
		for typ, sum := range map[client.ChecksumType]uint32{client.ChecksumNone: 0, client.ChecksumCRC32: crc32.ChecksumIEEE(content), client.ChecksumAdler32: adler32.Checksum(content)} {
			if c.size == 0 {
				sum = 0 // even for ADLER32 (5.5)
			}
			for name, r := range map[string]io.Reader{"file": bytes.NewReader(content), "pipe": pipe(content), "slow": iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(content)))} {
				b := u.bp(typ)
				require.NoError(t, b.Upload(t.Context(), r, small))
				assert.Equal(t, c.puts, u.seen.changing(), "%d bytes of a %s: whole increments, then an empty last one", c.size, name)
				assert.Equal(t, sum, b.Checksum)
				u.becomes(b, content)
			}
		}
	}
}

// C6, C8, C13, C17: a part by increments, then the whole.
func TestUploadResumes(t *testing.T) {
	u, _ := newUploads(t)
	content := storetest.Pattern(3*mib + 5)
	for _, typ := range []client.ChecksumType{client.ChecksumNone, client.ChecksumCRC32, client.ChecksumAdler32} {
		for _, part := range []int{0, 1, mib, 2*mib + 1, len(content)} {
			b := u.bp(typ)
			require.NoError(t, b.IncrementalUpload(t.Context(), bytes.NewReader(content[:part]), false, small))
			assert.EqualValues(t, part, b.Size)
			again, err := u.s.BreakpointFile(t.Context(), b.Name)
			require.NoError(t, err)
			assert.Equal(t, *b, again)
			require.NoError(t, again.Upload(t.Context(), pipe(content), small))
			u.becomes(&again, content)
		}
	}
}

// C2, C7, C9, C14, C15.
func TestUploadOfOtherContent(t *testing.T) {
	u, _ := newUploads(t)
	content := storetest.Pattern(1000)
	changed := bytes.Clone(content)
	changed[10]++
	for _, typ := range []client.ChecksumType{client.ChecksumCRC32, client.ChecksumAdler32} {
		b := u.bp(typ)
		require.NoError(t, b.IncrementalUpload(t.Context(), bytes.NewReader(content[:500]), false, small))
		before := *b
		u.kind(client.Invalid, b.Upload(t.Context(), bytes.NewReader(changed), small))
		u.kind(client.Invalid, b.Upload(t.Context(), bytes.NewReader(content[:499]), small))
		now, err := u.s.BreakpointFile(t.Context(), b.Name)
		require.NoError(t, err)
		assert.Equal(t, before, now, "untouched")
		require.NoError(t, b.Upload(t.Context(), bytes.NewReader(content), small))
		clear(u.seen.n)
		require.NoError(t, b.Upload(t.Context(), bytes.NewReader(content), small), "the same again is no work")
		u.kind(client.Invalid, b.Upload(t.Context(), bytes.NewReader(changed), small))
		u.kind(client.Invalid, b.Upload(t.Context(), bytes.NewReader(content[:999]), small))
		u.kind(client.Invalid, b.Upload(t.Context(), bytes.NewReader(append(bytes.Clone(content), 1)), small))
		u.kind(client.Invalid, b.IncrementalUpload(t.Context(), bytes.NewReader(content), true, small))
		assert.Zero(t, u.seen.changing())
		u.becomes(b, content)
	}
	b := u.bp(client.ChecksumNone)
	require.NoError(t, b.IncrementalUpload(t.Context(), bytes.NewReader(content[:500]), false, small))
	require.NoError(t, b.Upload(t.Context(), bytes.NewReader(changed), small), "nothing can detect it")
	u.becomes(b, content)
}

// C20, C21.
func TestUploadBuffered(t *testing.T) {
	u, _ := newUploads(t)
	content := storetest.Pattern(11*mib + 3)
	buffered := client.UploadOptions{Buffered: true}
	b := u.bp(client.ChecksumCRC32)
	at := 0
	for _, n := range []int{1, 4 * mib, mib, 0, 6*mib + 2} {
		require.NoError(t, b.IncrementalUpload(t.Context(), pipe(content[at:at+n]), false, buffered))
		at += n
		assert.EqualValues(t, at, b.UploadSize(), "what is kept counts")
		assert.EqualValues(t, at/(5*mib)*5*mib, b.Size, "only whole blocks are sent")
	}
	require.NoError(t, b.IncrementalUpload(t.Context(), nothing(), true, buffered))
	assert.Equal(t, b.Size, b.UploadSize())
	u.becomes(b, content)

	// Whoever uploads the whole afterwards sends nothing twice.
	b = u.bp(client.ChecksumCRC32)
	require.NoError(t, b.IncrementalUpload(t.Context(), pipe(content[:6*mib]), false, buffered))
	require.NoError(t, b.Upload(t.Context(), pipe(content), buffered))
	u.becomes(b, content)

	// Direct behind buffered sends what was kept first.
	b = u.bp(client.ChecksumCRC32)
	require.NoError(t, b.IncrementalUpload(t.Context(), pipe(content[:2*mib]), false, buffered))
	require.NoError(t, b.IncrementalUpload(t.Context(), pipe(content[2*mib:]), true, small))
	u.becomes(b, content)
}

func nothing() io.Reader { return bytes.NewReader(nil) }

// Whatever breaks, a source that can seek is taken up where the store is.
func TestUploadGoesOn(t *testing.T) {
	u, univ := newUploads(t)
	const put = "PUT /breakpointfiles/*"
	content := storetest.Pattern(3*mib + 5)
	for name, faults := range map[string][]server.Fault{
		"cut in the body":    {{Kind: server.FaultCutRequest, Pattern: put, Bytes: 1000, Count: 2}},
		"answer lost":        {{Kind: server.FaultLostReply, Pattern: put, Count: 3}},
		"gateway":            {{Kind: server.FaultError, Code: 503, Pattern: put, Count: 2}},
		"source unreadable":  {{Kind: server.FaultError, Code: -601, Pattern: put, Count: 2}},
		"session":            {{Kind: server.FaultExpire, Pattern: put, Count: 1}},
		"record unreachable": {{Kind: server.FaultError, Code: -601, Pattern: put, Count: 1}, {Kind: server.FaultError, Code: 503, Pattern: "HEAD /breakpointfiles/*", Count: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			u.T = t
			b := u.bp(client.ChecksumCRC32)
			univ.srv.Faults.Add(faults...)
			r := bytes.NewReader(append([]byte("head"), content...))
			_, err := r.Seek(4, io.SeekStart)
			require.NoError(t, err)
			require.NoError(t, b.Upload(t.Context(), r, small), "the content begins where the reader stands")
			u.becomes(b, content)
		})
	}
	u.T = t
	b := u.bp(client.ChecksumCRC32)
	univ.srv.Faults.Add(server.Fault{Kind: server.FaultError, Code: -601, Pattern: put, Count: 1})
	u.kind(client.Unavailable, b.Upload(t.Context(), pipe(content), small))
	require.NoError(t, b.Refresh(t.Context()))
	require.NoError(t, b.Upload(t.Context(), pipe(content), small), "the recommended loop")
	u.becomes(b, content)

	b = u.bp(client.ChecksumCRC32)
	univ.srv.Faults.Add(server.Fault{Kind: server.FaultError, Code: -414, Pattern: put, Count: 1})
	u.kind(client.Quota, b.Upload(t.Context(), bytes.NewReader(content), small))
}

// The server verifies nothing, so we do (part 2 section 5.5).
func TestUploadComparesWhatTheStoreSays(t *testing.T) {
	put := "PUT /zuul/rootsite/api/v1/breakpointfiles/b?workspace_name=ws1&offset=0&is_last_content=false"
	for name, c := range map[string]struct {
		answer string
		kind   client.Kind
	}{
		"right":          {`"upload_size":5,"checksum":907060870`, client.Other},
		"other checksum": {`"upload_size":5,"checksum":907060871`, client.Corrupt},
		"other size":     {`"upload_size":4,"checksum":907060870`, client.Corrupt},
		"completed":      {`"upload_size":5,"checksum":907060870,"completed":true`, client.Corrupt},
	} {
		s := newScript(t,
			step{want: "HEAD /rootsite/api/v1/breakpointfiles/b?workspace_name=ws1", set: header("X-SCM-BREAKPOINTFILE", `{"file_name":"b","checksum_type":"CRC32","upload_size":0}`)},
			step{want: put, body: "hello", answer: `{"file_name":"b","checksum_type":"CRC32",` + c.answer + `}`})
		b, err := s.client().Workspace("ws1").BreakpointFile(t.Context(), "b")
		require.NoError(t, err)
		err = b.IncrementalUpload(t.Context(), pipe([]byte("hello")), false, small)
		assert.Equal(t, c.kind, client.KindOf(err), "%s: %v", name, err)
	}
}

func TestUploadSources(t *testing.T) {
	u, _ := newUploads(t)
	b := u.bp(client.ChecksumCRC32)
	err := b.Upload(t.Context(), iotest.ErrReader(errors.New("disk is gone")), small)
	assert.ErrorContains(t, err, "disk is gone")
	assert.False(t, client.IsTransient(err))
	_, err = b.CreateFile(t.Context(), client.NewFile{Name: "x"})
	u.kind(client.Invalid, err)
	_, err = b.UpdateContent(t.Context(), fileID, client.Version{})
	u.kind(client.Invalid, err)
	assert.Zero(t, u.seen.changing(), "nothing was sent")

	// A body that is not what was announced must not be taken for the whole.
	for name, body := range map[string]client.Body{
		"short": {Size: 10, Open: func() (io.Reader, error) { return bytes.NewReader([]byte("123456789")), nil }},
		"broken": {Size: -1, Open: func() (io.Reader, error) {
			return io.MultiReader(bytes.NewReader(make([]byte, mib)), iotest.ErrReader(errors.New("disk is gone"))), nil
		}},
		"absent": {Size: 10, Open: func() (io.Reader, error) { return nil, errors.New("no such file") }},
	} {
		_, err = u.s.CreateFile(t.Context(), client.NewFile{Name: name}, body)
		require.Error(t, err, name)
		assert.NotEqual(t, client.Uncertain, client.KindOf(err), "%s: %v", name, err)
		_, err = u.s.LookupFile(t.Context(), client.RootDir, name)
		u.kind(client.NotExist, err)
	}
	var record client.BreakpointFile
	u.kind(client.Invalid, record.Upload(t.Context(), nothing(), small))
	u.kind(client.Invalid, record.Refresh(t.Context()))
	u.kind(client.Canceled, b.Upload(canceled(t.Context()), bytes.NewReader([]byte("x")), small))
}

// C16, C18, C19, C20: storage whose increments begin at multiples of 5 MiB.
func TestUploadOnS3(t *testing.T) {
	srv := storetest.Serve(t, storetest.Options{Repo: repo.Options{S3Parts: true}})
	u := &uploads{T: t, s: srv.Client(t).Workspace("ws"), seen: &requests{n: map[string]int{}}}
	content := storetest.Pattern(11*mib + 3)
	for name, o := range map[string]client.UploadOptions{"default": {}, "one part": {Increment: 5 * mib}, "two parts": {Increment: 10 * mib}, "buffered": {Buffered: true}} {
		b := u.bp(client.ChecksumCRC32)
		require.NoError(t, b.Upload(t.Context(), pipe(content), o), name)
		u.becomes(b, content)
	}
	b := u.bp(client.ChecksumCRC32)
	at := 0
	for _, n := range []int{3 * mib, 7 * mib, mib + 3} {
		require.NoError(t, b.IncrementalUpload(t.Context(), pipe(content[at:at+n]), at+n == len(content), client.UploadOptions{Buffered: true}))
		at += n
	}
	u.becomes(b, content)

	b = u.bp(client.ChecksumCRC32)
	require.NoError(t, b.IncrementalUpload(t.Context(), pipe(content[:mib]), false, client.UploadOptions{}))
	err := b.IncrementalUpload(t.Context(), pipe(content[mib:]), false, client.UploadOptions{})
	assert.Equal(t, wire.CodeDataBreakpointWriteError, client.CodeOf(err), err)
	require.NoError(t, b.IncrementalUpload(t.Context(), nothing(), true, client.UploadOptions{}), "it can still be completed as it is")
	u.becomes(b, content[:mib])
}

func TestUploadWithoutBreakpoints(t *testing.T) {
	srv := storetest.Serve(t, storetest.Options{Repo: repo.Options{NoBreakpoints: true}})
	_, err := srv.Client(t).Workspace("ws").CreateBreakpointFile(t.Context(), "b", client.BreakpointOptions{})
	assert.Equal(t, client.Unsupported, client.KindOf(err), err)
}
