package readcache

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// settle waits until the disk cache has written all it was given.
func settle(t testing.TB, c *Cache) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.disk.mu.Lock()
		defer c.disk.mu.Unlock()
		return !c.disk.saving
	}, 20*time.Second, time.Millisecond)
}

// blockFiles returns the paths of the blocks below dir.
func blockFiles(t testing.TB, dir string) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "lock" {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

// fill reads content through a new cache on dir, closes it, and returns the blocks.
func fill(t testing.TB, o Options, content client.Content) []string {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	r := c.Reader(&fake{}, content)
	for off := int64(0); off < content.Size; off += mib {
		mustRead(t, r, off, mib)
		settle(t, c)
	}
	require.NoError(t, r.Close())
	closeChecked(t, c)
	return blockFiles(t, o.Dir)
}

func TestDiskSurvivesRestart(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "a", "cache")}
	content := contentOf(5*mib + 1000)
	files := fill(t, o, content)
	require.Len(t, files, 6)
	for _, name := range append(files, filepath.Join(o.Dir, "lock")) {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
	for _, dir := range []string{o.Dir, filepath.Dir(files[0])} {
		info, err := os.Stat(dir)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	}
	require.NoError(t, os.WriteFile(files[0]+".tmp", []byte("x"), 0o600))

	c := newCache(t, o)
	f := &fake{down: &client.Error{Kind: client.Unavailable}}
	r := c.Reader(f, content)
	defer r.Close()
	mustRead(t, r, 3*mib+5000, 10)
	assert.EqualValues(t, pageSize, c.Stats().Loaded, "a small read loads one page")
	for off := int64(0); off < content.Size; off += mib {
		mustRead(t, r, off, mib)
	}
	opens, ranges, _, _ := f.counts()
	assert.Zero(t, opens+ranges)
	assert.Len(t, blockFiles(t, o.Dir), 6, "left-over temporary file removed, nothing written again")
}

func TestDiskDamage(t *testing.T) {
	write := func(path string, b []byte) error { return os.WriteFile(path, b, 0o600) }
	flip := func(at int) func(string, []byte) error {
		return func(path string, b []byte) error {
			b[(at+len(b))%len(b)] ^= 0x10
			return write(path, b)
		}
	}
	tests := map[string]func(path string, b []byte) error{
		"byte of the magic":      flip(0),
		"byte of the block size": flip(9),
		"byte of the length":     flip(15),
		"byte of a checksum":     flip(17),
		"byte of the header sum": flip(81),
		"first byte":             flip(84),
		"byte in the middle":     flip(84 + 600_000),
		"last byte":              flip(-1),
		"truncated by one":       func(path string, b []byte) error { return write(path, b[:len(b)-1]) },
		"truncated in header":    func(path string, b []byte) error { return write(path, b[:20]) },
		"empty":                  func(path string, b []byte) error { return write(path, nil) },
		"zeros":                  func(path string, b []byte) error { return write(path, make([]byte, len(b))) },
		"deleted":                func(path string, b []byte) error { return os.Remove(path) },
		"link":                   func(path string, b []byte) error { _ = os.Remove(path); return os.Symlink("/dev/zero", path) },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			o := Options{Dir: t.TempDir()}
			content := contentOf(mib)
			files := fill(t, o, content)
			require.Len(t, files, 1)
			c := newCache(t, o)
			b, err := os.ReadFile(files[0])
			require.NoError(t, err)
			require.NoError(t, damage(files[0], b))
			f := &fake{}
			r := c.Reader(f, content)
			defer r.Close()
			mustRead(t, r, 0, mib)
			opens, _, _, _ := f.counts()
			assert.Equal(t, 1, opens, "from the source")
			settle(t, c)
			if name != "deleted" {
				assert.EqualValues(t, 1, c.Stats().Corrupt)
			}
			again, err := os.ReadFile(files[0])
			require.NoError(t, err)
			assert.Len(t, again, int(mib)+84, "written again")
		})
	}
}

// A block under another block's name has right checksums and is wrong.
func TestDiskFileUnderAnotherName(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	content := contentOf(2 * mib)
	fill(t, o, content)
	path := func(i int64) string { return filepath.Join(o.Dir, diskKey{content.Data, i}.name()) }
	require.NoError(t, os.Rename(path(0), path(1)))
	c := newCache(t, o)
	f := &fake{}
	r := c.Reader(f, content)
	defer r.Close()
	mustRead(t, r, mib, mib)
	assert.EqualValues(t, 1, c.Stats().Corrupt)
	settle(t, c)
}

func TestDiskOtherBlockSize(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	content := contentOf(mib)
	fill(t, o, content)
	o.BlockSize = 256 * kib
	c := newCache(t, o)
	r := c.Reader(&fake{}, content)
	defer r.Close()
	mustRead(t, r, 0, mib)
	assert.Equal(t, mib, c.Stats().Fetched)
	settle(t, c)
}

func TestDiskDirDeletedWhileRunning(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "cache"), Memory: 2 * mib}
	content := contentOf(8 * mib)
	c := newCache(t, o)
	f := &fake{}
	r := c.Reader(f, content)
	defer r.Close()
	for round := range 3 {
		for off := int64(0); off < content.Size; off += mib {
			mustRead(t, r, off, mib)
			settle(t, c)
		}
		require.NotEmpty(t, blockFiles(t, o.Dir), "round %d", round)
		require.NoError(t, os.RemoveAll(o.Dir))
	}
	assert.Zero(t, c.Stats().Corrupt)
	require.NoError(t, os.MkdirAll(o.Dir, 0o700))
}

func TestDiskBounds(t *testing.T) {
	dir := t.TempDir()
	content := contentOf(8 * mib)
	o := Options{Dir: dir, DirMax: 4*mib + 4096}
	files := fill(t, o, content)
	require.Len(t, files, 4)
	for i := range int64(4) {
		assert.Contains(t, files, filepath.Join(dir, diskKey{content.Data, 4 + i}.name()), "the newest stay")
	}
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, diskKey{content.Data, 7}.name()), old, old))
	touched := filepath.Join(dir, diskKey{content.Data, 4}.name())
	require.NoError(t, os.Chtimes(touched, old.Add(-time.Hour), old.Add(-time.Hour)))

	// Reading makes a block the newest, and its file too.
	c, err := New(o)
	require.NoError(t, err)
	r := c.Reader(&fake{}, content)
	mustRead(t, r, 4*mib, 10)
	require.NoError(t, r.Close())
	closeChecked(t, c)
	info, err := os.Stat(touched)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), info.ModTime(), time.Minute)

	// A smaller bound takes effect at the start: 7 is the oldest.
	o.DirMax = 3*mib + 4096
	closeChecked(t, newCache(t, o))
	_, err = os.Stat(filepath.Join(dir, diskKey{content.Data, 7}.name()))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Len(t, blockFiles(t, dir), 3)

	// A floor that nothing satisfies: the cache gives all it has and works on.
	o.DirMinFree = 1 << 60
	assert.Empty(t, fill(t, o, content))
}

func TestDiskUnwritable(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	// A file where the block's directory should be.
	content := contentOf(mib)
	require.NoError(t, os.WriteFile(filepath.Join(o.Dir, filepath.Dir(diskKey{content.Data, 0}.name())), nil, 0o600))
	_, err := New(o)
	require.Error(t, err, "the directory is not one of ours")
	o.Dir = t.TempDir()
	c := newCache(t, o)
	require.NoError(t, os.WriteFile(filepath.Join(o.Dir, filepath.Dir(diskKey{content.Data, 0}.name())), nil, 0o600))
	r := c.Reader(&fake{}, content)
	defer r.Close()
	mustRead(t, r, 0, mib)
	settle(t, c)
	assert.Zero(t, c.Stats().Saved)
	assert.False(t, c.disk.rest.IsZero(), "it does not try for every block")
}

func TestDiskIsLocked(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	c := newCache(t, o)
	_, err := New(o)
	require.ErrorContains(t, err, "in use by another process")
	require.NoError(t, c.Close())
	closeChecked(t, newCache(t, o))
}

func TestDiskNames(t *testing.T) {
	for _, id := range []client.DataID{"65f0a1b2400001003a9c7e21", "a-b-1", "../../etc/passwd", "with space/%2F", ".", "日本"} {
		k := diskKey{id, 17}
		name := k.name()
		require.NotEmpty(t, name)
		assert.Equal(t, 1, strings.Count(name, "/"), name)
		assert.True(t, filepath.IsLocal(name))
		got, ok := parseDiskName(filepath.Base(name))
		assert.True(t, ok)
		assert.Equal(t, k, got)
	}
	assert.Empty(t, diskKey{client.DataID(strings.Repeat("x", 201)), 0}.name())
	for _, bad := range []string{"", "-1", "a", "a-", "a-x", "a-01", "%zz-1", "a b-1"} {
		_, ok := parseDiskName(bad)
		assert.False(t, ok, bad)
	}
}
