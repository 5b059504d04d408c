package client_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/storetest"
)

// inFile is a part of a file as a body's reader.
type inFile struct {
	f        *os.File
	off, end int64
	read     int   // bytes that were
	damaged  error // what reading says
}

func (r *inFile) Read(p []byte) (int, error) {
	if r.damaged != nil {
		return 0, r.damaged
	}
	if r.off == r.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.end-r.off)]
	n, err := r.f.ReadAt(p, r.off)
	if errors.Is(err, io.EOF) {
		n, err = len(p), nil // a hole at the end
	}
	r.off += int64(n)
	r.read += n
	return n, err
}

func (r *inFile) Next() (*os.File, int64, int64) { return r.f, r.off, r.end - r.off }
func (r *inFile) Skip(n int64)                   { r.off += n }

func fileOf(t *testing.T, content []byte) *os.File {
	name := filepath.Join(t.TempDir(), "content")
	require.NoError(t, os.WriteFile(name, content, 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func (r *inFile) body() client.Body {
	return client.Body{Size: r.end - r.off, Open: func() (io.Reader, error) { return r, nil }}
}

// What is in a file is sent by the kernel but for what the request's head takes
// with it, byte for byte, and counted; a hole behind the file is read.
func TestTheKernelSendsFiles(t *testing.T) {
	u, _ := newUploads(t)
	content := storetest.Pattern(9*mib + 12345)
	f := fileOf(t, content)
	for _, c := range []struct{ off, end, read int64 }{
		{0, int64(len(content)), 64 << 10},
		{4711, 8 * mib, 64 << 10},
		{3, 1000, 997}, // no use to begin
		{8 * mib, 12 * mib, 3*mib + 64<<10},
	} {
		b := u.bp(client.ChecksumCRC32)
		want := append(bytes.Clone(content), make([]byte, 4*mib)...)[c.off:c.end]
		r := &inFile{f: f, off: c.off, end: c.end}
		got, err := u.s.AppendBreakpointFile(t.Context(), b.Name, 0, r.body(), true)
		require.NoError(t, err)
		assert.EqualValues(t, len(want), got.Size)
		assert.Equal(t, crc32.ChecksumIEEE(want), got.Checksum)
		assert.LessOrEqual(t, int64(r.read), c.read, "of %d bytes", len(want))
		u.becomes(&got, want)
	}
}

// What the file cannot give breaks the request: half a content must not look whole.
func TestAFileThatCannotBeSent(t *testing.T) {
	u, _ := newUploads(t)
	f := fileOf(t, storetest.Pattern(4*mib))
	require.NoError(t, f.Close())
	b := u.bp(client.ChecksumCRC32)
	damage := errors.New("the disk is gone")
	r := &inFile{f: f, end: 4 * mib, damaged: damage}
	_, err := u.s.AppendBreakpointFile(t.Context(), b.Name, 0, r.body(), true)
	require.ErrorIs(t, err, damage)
	got, err := u.s.BreakpointFile(t.Context(), b.Name)
	require.NoError(t, err)
	assert.False(t, got.Completed)
	assert.Zero(t, got.Size)
}

// Over TLS all of it passes through this process.
func TestFilesOverTLSAreRead(t *testing.T) {
	content := storetest.Pattern(3 * mib)
	var got []byte
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-auth-token", token)
		if r.Method == http.MethodPut {
			got, _ = io.ReadAll(r.Body)
		}
		if r.Method == http.MethodPut || r.URL.Path == "/auth/api/v2/salt" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c := dial(t, []string{srv.URL + "/rootsite"}, func(o *client.Options) { o.TLS = &tls.Config{RootCAs: roots} })
	r := &inFile{f: fileOf(t, content), end: int64(len(content))}
	_, err := c.Workspace("ws").AppendBreakpointFile(t.Context(), "b", 0, r.body(), true)
	require.Error(t, err)
	assert.Equal(t, len(content), r.read)
	assert.True(t, bytes.Equal(content, got))
}

// A server that takes nothing more ends the call after the stall timeout, and who
// ended it does not wait for the socket. What it had not taken then it does not get.
func TestAFileToAServerThatStalls(t *testing.T) {
	release, got := make(chan struct{}), make(chan int64, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-auth-token", token)
		if r.URL.Path == "/auth/api/v2/salt" {
			w.WriteHeader(http.StatusNotFound)
		}
		if r.Method == http.MethodPut {
			<-release
			n, err := io.Copy(io.Discard, r.Body)
			assert.Error(t, err)
			got <- n
		}
	}))
	defer srv.Close()
	resume := sync.OnceFunc(func() { close(release) })
	defer resume()
	c := dial(t, []string{srv.Listener.Addr().String() + "/rootsite"}, func(o *client.Options) { o.StallTimeout = 300 * time.Millisecond })
	const size = 64 * mib
	f := fileOf(t, nil)
	require.NoError(t, os.Truncate(f.Name(), size))
	r := &inFile{f: f, end: size}
	_, err := c.Workspace("ws").AppendBreakpointFile(t.Context(), "b", 0, r.body(), true)
	require.ErrorContains(t, err, "no progress within the stall timeout")
	assert.Greater(t, r.off, int64(mib), "the socket was full")
	assert.Less(t, r.off, int64(size))
	resume()
	assert.Less(t, <-got, r.off)
}
