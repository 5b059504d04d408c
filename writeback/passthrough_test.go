package writeback

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/disk"
)

// With passthrough the kernel writes into the spool file and we see its length
// only. What was sent while it was written is compared at close: a byte that was
// written again below the sent mark gets to the store.
func TestUnseenRewrites(t *testing.T) {
	store := newFakeStore()
	q, err := Open(disk.OS(), t.TempDir(), func(string) Store { return store }, Options{Increment: incr})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = q.Run(ctx) }()
	defer func() { cancel(); <-done; assert.NoError(t, q.Close()) }()

	for _, rewrite := range []bool{false, true} {
		d, err := q.Create(ctx, target("f"), nil)
		require.NoError(t, err)
		f := d.Backing()
		require.NotNil(t, f)
		want := bytes.Repeat([]byte("abcdefgh"), 30)
		_, err = f.WriteAt(want, 0)
		require.NoError(t, err)
		d.Grown()
		for d.Info().Acked < 2*incr { // whole increments go up meanwhile
			d.mu.Lock()
			changed := d.mu.changed
			acked := d.mu.up.acked
			d.mu.Unlock()
			if acked < 2*incr {
				<-changed
			}
		}
		if rewrite {
			want[5] = 'X'
			_, err = f.WriteAt([]byte("X"), 5)
			require.NoError(t, err)
		}
		want = append(want, "tail"...)
		_, err = f.WriteAt([]byte("tail"), 240)
		require.NoError(t, err)
		_, err = d.Publish(ctx)
		require.NoError(t, err)
		_, have, _ := store.stat("f")
		assert.Equal(t, string(want), string(have))
		require.NoError(t, d.Release(ctx))
		store.remove("f")
	}
}
