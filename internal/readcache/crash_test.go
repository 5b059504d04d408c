package readcache

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fullDisk fails the n-th operation on a file, a write after half of it.
type fullDisk struct {
	n, done int
	failed  bool
}

func (d *fullDisk) fails() bool {
	d.done++
	d.failed = d.failed || d.done == d.n
	return d.done == d.n
}

func (d *fullDisk) create(path string) (io.WriteCloser, error) {
	if d.fails() {
		return nil, syscall.ENOSPC
	}
	f, err := createDiskFile(path)
	if err != nil {
		return nil, err
	}
	return &fullFile{f, d}, nil
}

type fullFile struct {
	io.WriteCloser
	d *fullDisk
}

func (f *fullFile) Write(p []byte) (int, error) {
	if f.d.fails() {
		n, _ := f.WriteCloser.Write(p[:len(p)/2])
		return n, syscall.ENOSPC
	}
	return f.WriteCloser.Write(p)
}

func (f *fullFile) Close() error {
	err := f.WriteCloser.Close()
	if f.d.fails() {
		return syscall.EIO
	}
	return err
}

// readAgain starts a cache on what is in the directory and reads all through it.
func readAgain(t *testing.T, o Options, content client.Content) {
	t.Helper()
	c := newCache(t, o)
	r := c.Reader(&fake{}, content)
	mustRead(t, r, 0, content.Size)
	settle(t, c)
	require.NoError(t, r.Close())
	closeChecked(t, c)
}

// Every operation on a block's file fails once: the reader does not notice, and
// nothing is left of the attempt, neither now nor for the next process.
func TestEveryDiskOperationFails(t *testing.T) {
	content := contentOf(3*pageSize + 100)
	for n := 1; ; n++ {
		o := Options{Dir: t.TempDir()}
		c := newCache(t, o)
		full := &fullDisk{n: n}
		c.disk.create = full.create
		r := c.Reader(&fake{}, content)
		mustRead(t, r, 0, content.Size)
		settle(t, c)
		require.NoError(t, r.Close())
		closeChecked(t, c)
		if !full.failed {
			require.Len(t, blockFiles(t, o.Dir), 1, "without a fault it is saved")
			require.Greater(t, n, 6, "create, header, four pages, close")
			return
		}
		assert.Empty(t, blockFiles(t, o.Dir), "operation %d", n)
		readAgain(t, o, content)
		assert.Len(t, blockFiles(t, o.Dir), 1, "operation %d: the next process saves it", n)
	}
}

// The process dies after every write of a block's file, or the power fails, after
// which the file has its name and some of its pages.
func TestCrashAfterEveryWrite(t *testing.T) {
	content := contentOf(3*pageSize + 100)
	o := Options{Dir: t.TempDir()}
	whole, err := os.ReadFile(fill(t, o, content)[0])
	require.NoError(t, err)
	head := int(diskHeaderSize(content.Size))
	ends := []int{0, 1, head - 1, head}
	for at := head + pageSize; at < len(whole); at += pageSize {
		ends = append(ends, at)
	}
	ends = append(ends, len(whole)-1)
	left := map[string]func(path string) error{}
	for _, end := range ends {
		left[fmt.Sprintf("killed at %d", end)] = func(path string) error { return os.WriteFile(path+".tmp", whole[:end], 0o600) }
		left[fmt.Sprintf("cut off at %d", end)] = func(path string) error { return os.WriteFile(path, whole[:end], 0o600) }
		left[fmt.Sprintf("zeros from %d", end)] = func(path string) error {
			return os.WriteFile(path, append(append([]byte{}, whole[:end]...), make([]byte, len(whole)-end)...), 0o600)
		}
	}
	for from := head; from < len(whole); from += pageSize {
		left[fmt.Sprintf("hole at %d", from)] = func(path string) error {
			b := append([]byte{}, whole...)
			clear(b[from:min(from+pageSize, len(b))])
			return os.WriteFile(path, b, 0o600)
		}
	}
	for name, leave := range left {
		t.Run(name, func(t *testing.T) {
			o := Options{Dir: t.TempDir()}
			path := filepath.Join(o.Dir, diskKey{content.Data, 0}.name())
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, leave(path))
			readAgain(t, o, content)
			files := blockFiles(t, o.Dir)
			require.Equal(t, []string{path}, files)
			now, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, whole, now, "written again")
		})
	}
}
