package readcache

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testdata has a block of format 1 ("SCMBLK01"), the oldest there is:
// SCMFS_WRITE_SAMPLE=1 go test -run BlockOfFormat wrote it. A block of a format
// that is not known counts as damaged and is fetched again: nothing is lost.
func TestBlockOfFormat1(t *testing.T) {
	const sample = "testdata/block-v1"
	k := diskKey{"6553f100510003001a2b3c01", 3}
	content := bytes.Repeat([]byte("committed content, "), 4000) // two pages
	if os.Getenv("SCMFS_WRITE_SAMPLE") != "" {
		pages := make([]page, 2)
		for i := range pages {
			pages[i].data = make([]byte, pageSize)
			copy(pages[i].data, content[i*pageSize:])
		}
		require.NoError(t, writeDiskFile(createDiskFile, sample, k, mib, int64(len(content)), pages))
	}
	f, err := openDiskFile(sample, k, mib, int64(len(content)))
	require.NoError(t, err)
	defer f.Close()
	var got []byte
	for i := range int64(2) {
		p := make([]byte, pageSize)
		n, err := f.readPage(p, i)
		require.NoError(t, err)
		got = append(got, p[:n]...)
	}
	assert.True(t, bytes.Equal(content, got))
	assert.Equal(t, filepath.Join("4a", "6553f100510003001a2b3c01-3"), k.name(), "where it is looked for")

	b, err := os.ReadFile(sample)
	require.NoError(t, err)
	newer := filepath.Join(t.TempDir(), "newer")
	require.NoError(t, os.WriteFile(newer, bytes.Replace(b, []byte("SCMBLK01"), []byte("SCMBLK02"), 1), 0o600))
	_, err = openDiskFile(newer, k, mib, int64(len(content)))
	assert.ErrorIs(t, err, errDamaged)
}
