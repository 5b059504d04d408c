package disk_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/disk"
)

func TestContract(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (disk.FS, string){
		"os":  func(t *testing.T) (disk.FS, string) { return disk.OS(), t.TempDir() },
		"mem": func(*testing.T) (disk.FS, string) { return disk.NewMem(), "/" },
	} {
		t.Run(name, func(t *testing.T) {
			fs, root := open(t)
			dir := filepath.Join(root, "a", "b")
			require.NoError(t, fs.MkdirAll("mkdir", dir))
			f, err := fs.OpenFile("create", filepath.Join(dir, "x"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("hello"), 3)
			require.NoError(t, err)
			require.NoError(t, f.Truncate("truncate", 6))
			got := make([]byte, 6)
			_, err = f.ReadAt(got, 0)
			require.NoError(t, err)
			assert.Equal(t, "\x00\x00\x00hel", string(got))
			require.NoError(t, f.Sync("sync"))
			require.NoError(t, f.Close())

			_, err = fs.OpenFile("create", filepath.Join(dir, "x"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
			assert.ErrorIs(t, err, os.ErrExist)
			_, err = fs.OpenFile("open", filepath.Join(dir, "none"), os.O_RDONLY)
			assert.ErrorIs(t, err, os.ErrNotExist)

			require.NoError(t, disk.WriteFile(fs, "record", filepath.Join(dir, "r"), []byte("one")))
			require.NoError(t, disk.WriteFile(fs, "record", filepath.Join(dir, "r"), []byte("two")))
			b, err := disk.ReadFile(fs, "read", filepath.Join(dir, "r"))
			require.NoError(t, err)
			assert.Equal(t, "two", string(b))
			names, err := fs.ReadDir("list", dir)
			require.NoError(t, err)
			assert.Equal(t, []string{"r", "x"}, names)

			l, err := fs.Lock(filepath.Join(root, "lock"))
			require.NoError(t, err)
			_, err = fs.Lock(filepath.Join(root, "lock"))
			assert.ErrorIs(t, err, disk.ErrLocked)
			require.NoError(t, l.Close())
			free, err := fs.Free(root)
			require.NoError(t, err)
			assert.Positive(t, free)
		})
	}
}

func TestOSRefusesSymlink(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "target"), nil, 0o600))
	require.NoError(t, os.Symlink("target", filepath.Join(dir, "link")))
	_, err := disk.OS().OpenFile("open", filepath.Join(dir, "link"), os.O_RDWR)
	assert.Error(t, err)
}

// A replaced record is the old or the new one after a power cut at any step,
// and the new one once WriteFile has returned.
func TestWriteFileSurvivesPowerCutAtEveryStep(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		for n := 0; ; n++ {
			m := disk.NewMem()
			require.NoError(t, disk.WriteFile(m, "r", "/r", []byte("old")))
			m.CutNth(n)
			err := disk.WriteFile(m, "r", "/r", []byte("newer"))
			got, rerr := disk.ReadFile(m.Crash(rng), "read", "/r")
			require.NoError(t, rerr)
			if err == nil {
				require.Equal(t, "newer", string(got))
				break
			}
			require.Contains(t, []string{"old", "newer"}, string(got), "cut after %d operations", n)
		}
	}
}

func TestFailNthFailsOnce(t *testing.T) {
	boom := errors.New("boom")
	m := disk.NewMem()
	m.FailNth(2, boom)
	assert.ErrorIs(t, disk.WriteFile(m, "r", "/r", []byte("x")), boom)
	assert.Equal(t, "write", m.Failed())
	assert.NoError(t, disk.WriteFile(m, "r", "/r", []byte("x")))
	names, err := m.ReadDir("list", "/")
	require.NoError(t, err)
	assert.Equal(t, []string{"r"}, names)
}
