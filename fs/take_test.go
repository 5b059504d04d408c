package fs

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

// seenByLookup looks up a name and returns its node, as the kernel gets it.
func seenByLookup(t *testing.T, l *listing, name string) *fileNode {
	r, ok, left, err := l.lookup(t.Context(), name)
	require.NoError(t, err)
	require.True(t, ok)
	return l.ws.file(r.file, left)
}

// 1.3 A node that was looked up in a listing is as old as the listing: its content
// is not believed for an expiry more.
func TestOpenIsNotOlderThanTheListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		l.ws.fs.queue = new(writeback.Queue) // nothing is being written
		store.put(t, "f")
		listAll(t, l)
		time.Sleep(900 * time.Millisecond)
		n := seenByLookup(t, l, "f")
		old := n.rec
		store.all.count()
		assert.Zero(t, n.revalidate(t.Context()))
		assert.Zero(t, store.all.count(), "the listing is still believed")
		_, err := store.UpdateContent(t.Context(), old.ID, old.Version, client.BytesBody([]byte("new")))
		require.NoError(t, err)
		store.all.count()

		time.Sleep(200 * time.Millisecond) // the listing is 1.1 s old
		assert.Zero(t, n.revalidate(t.Context()))
		assert.Equal(t, 1, store.all.count("File"), "the store is asked")
		now, ok := n.content()
		require.True(t, ok)
		assert.NotEqual(t, old.Data, now.Data)
	})
}

// What the store said of one file is not taken back by a listing from before.
func TestOlderListingChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		l.ws.fs.queue = new(writeback.Queue)
		store.put(t, "f")
		listAll(t, l)
		n := seenByLookup(t, l, "f")
		newer, err := store.UpdateContent(t.Context(), n.rec.ID, n.rec.Version, client.BytesBody([]byte("new")))
		require.NoError(t, err)
		time.Sleep(500 * time.Millisecond)
		require.True(t, n.take(&newer, time.Second))
		assert.Same(t, n, seenByLookup(t, l, "f"))
		now, ok := n.content()
		require.True(t, ok)
		assert.Equal(t, newer.Data, now.Data)
	})
}
