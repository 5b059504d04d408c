package writeback

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

// testdata has records of format 1, the oldest there is: whatever becomes of the
// format, what an older program promised is read and kept.
func TestRecordOfFormat1(t *testing.T) {
	b, err := os.ReadFile("testdata/record-v1.json")
	require.NoError(t, err)
	r, err := parseRecord("00112233", b)
	require.NoError(t, err)
	sum := uint32(7)
	assert.Equal(t, record{Format: 1, ID: "00112233", Target: Target{Workspace: "ws", Dir: "d", Name: "f"}, FileID: "f1",
		Onto: &ontoRecord{"f1", client.Version{Major: 3}, "d3", 100}, Size: 90, Origin: &client.Content{File: "f1", Size: 100}, Extents: [][2]int64{{0, 10}, {20, 90}},
		Partial: true, Meta: map[string]string{"posix": "x"}, MetaSet: true, Modified: time.Unix(1, 0).UTC(), Promised: true,
		Commit: &intent{90, &sum, true}, Held: true, Abandoned: true, Discarded: true, Stuck: "no", BP: "bp", BPData: "bd"}, *r)
}

func TestPromiseOfFormat1IsKept(t *testing.T) {
	rec, err := os.ReadFile("testdata/promise-v1.json")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "format", Options{})
		require.NoError(t, w.disk.MkdirAll("test", filepath.Join(state, "journal")))
		require.NoError(t, w.disk.MkdirAll("test", filepath.Join(state, "spool")))
		require.NoError(t, disk.WriteFile(w.disk, "test", filepath.Join(state, "journal", "0011223344556677.json"), rec))
		require.NoError(t, disk.WriteFile(w.disk, "test", filepath.Join(state, "spool", "0011223344556677"), []byte("promised")))
		require.NoError(t, w.mount())
		w.drain0(t)
		_, data, ok := w.store.stat("kept")
		assert.True(t, ok)
		assert.True(t, bytes.Equal(data, []byte("promised")), "%q", data)
		w.stop()
	})
}
