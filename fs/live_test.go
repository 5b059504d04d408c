package fs

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/writeback"
)

// A node keeps no draft that was closed and published, though nobody looks at the
// file again: the kernel may know 100,000 files that were just made.
func TestNodesLetGoOfTheirDrafts(t *testing.T) {
	for name, mode := range map[string]writeback.WriteMode{"sync": writeback.Sync, "async": writeback.Async} {
		t.Run(name, func(t *testing.T) {
			l, store := newTestListing(t, true)
			q, err := writeback.Open(disk.OS(), t.TempDir(), func(string) writeback.Store { return store }, writeback.Options{WriteMode: mode})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			t.Cleanup(func() { cancel(); running.Wait(); assert.NoError(t, q.Close()) })
			running.Go(func() { _ = q.Run(ctx) })
			l.ws.fs.queue = q

			d := l.ws.dir(client.Directory{ID: client.RootDir})
			n, draft, err := d.create(ctx, "f", nil)
			require.NoError(t, err)
			h := &handle{on: n, writable: true, draft: draft}
			n.opened(h)
			_, err = draft.WriteAt(ctx, []byte("content"), 0)
			require.NoError(t, err)
			require.Zero(t, h.publish(ctx, draft, 0))
			require.Zero(t, h.Release(ctx))
			require.NoError(t, q.Drain(ctx))

			n.mu.Lock()
			defer n.mu.Unlock()
			assert.NotNil(t, n.rec, "the node has heard of the publication")
			assert.Nil(t, n.draft)
		})
	}
}
