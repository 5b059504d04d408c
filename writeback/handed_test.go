package writeback

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a request has handed to the network is told apart from what the server has
// acknowledged, and is taken back when nothing of it was.
func TestSentIsNotAcknowledged(t *testing.T) {
	in(t, Options{UploadLimit: 1 << 10, Increment: 8 << 10}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.write(0, 16<<10)
		closed := make(chan struct{})
		go func() { defer close(closed); f.close() }()
		seen := false
		for range 60 {
			time.Sleep(time.Second / 2)
			synctest.Wait()
			i := f.d.Info()
			require.GreaterOrEqual(t, i.Handed, i.Acked)
			require.LessOrEqual(t, i.Handed, i.Size)
			require.LessOrEqual(t, i.Handed-i.Acked, int64(8<<10), "an increment at a time")
			seen = seen || i.Acked == 0 && i.Handed > 0 && i.Handed < 8<<10
		}
		<-closed
		assert.True(t, seen, "half an increment was on its way")
		i := f.d.Info()
		assert.Equal(t, i.Acked, i.Handed)
		w.finish(false)
	})
}
