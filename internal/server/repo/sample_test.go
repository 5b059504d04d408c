package repo

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// samplePath is a store of format 1, the oldest there is. A program with a newer
// format reads it all the same; it is never written again:
// SCMFS_WRITE_SAMPLE=1 go test -run StoreOfFormat made it.
const samplePath = "testdata/store-v1.tar.gz"

func writeSample(t *testing.T) {
	f := newFixture(t, Options{})
	f.mkdir("/a")
	dir := f.mkdir("/a/b")
	file := f.put("ws", named("report.pdf", dir), "first content")
	f.update("ws", str(file, "id"), Version{1, 0}, pattern(50_000))
	f.put("flat", named("flat file", ""), "flat")
	f.create("half.tif", NewBreakpoint{Body: endingBody("half of it")})
	f.user("alice", [3]string{"workspace", "ws", "READ"})
	require.NoError(t, f.Repo.Close())
	defer f.open()
	out, err := os.Create(samplePath)
	require.NoError(t, err)
	z := gzip.NewWriter(out)
	w := tar.NewWriter(z)
	require.NoError(t, w.AddFS(os.DirFS(f.dir)))
	require.NoError(t, errors.Join(w.Close(), z.Close(), out.Close()))
}

func TestStoreOfFormat1(t *testing.T) {
	if os.Getenv("SCMFS_WRITE_SAMPLE") != "" {
		writeSample(t)
	}
	dir := t.TempDir()
	in, err := os.Open(samplePath)
	require.NoError(t, err)
	defer in.Close()
	z, err := gzip.NewReader(in)
	require.NoError(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		p := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			require.NoError(t, os.MkdirAll(p, 0o700))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o700))
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(p, b, 0o600))
	}
	f := &fixture{t: t, dir: dir, opts: Options{HashCost: 4}}
	f.open()
	defer f.close()
	assert.Empty(t, f.Checked().Missing)
	assert.Zero(t, f.Checked().Orphans)
	d, err := f.File(admin, "ws", FileRef{Path: "/a/b/report.pdf"}, Current)
	require.NoError(t, err)
	assert.Equal(t, pattern(50_000), f.content("ws", str(d, "id"), Version{2, 0}))
	assert.Equal(t, "first content", f.content("ws", str(d, "id"), Version{1, 0}))
	bp, err := f.Breakpoint(t.Context(), admin, "ws", "half.tif")
	require.NoError(t, err)
	size, _ := bp.Get("upload_size")
	assert.EqualValues(t, len("half of it"), size)
	_, err = f.append("half.tif", int64(len("half of it")), " and the rest", true)
	require.NoError(t, err, "it goes on where it stood")
	_, ok := f.User("alice")
	assert.True(t, ok)
	assert.True(t, f.allowed(Caller{User: "alice"}, "ws", "", Read))
	assert.False(t, f.allowed(Caller{User: "alice"}, "flat", "", Read))
	f.put("ws", named("new", ""), "and it can be written to")
}
