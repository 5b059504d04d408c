package writeback

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

// sentBytes counts content bytes that requests have carried.
func (w *world) sentBytes() int64 {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.received
}

// copyAndDie writes a part of data to name and loses power; it returns how much
// the server has.
func copyAndDie(t *testing.T, w *world, name string, data []byte, n int) int64 {
	t.Helper()
	f := w.create(name)
	_, err := f.d.WriteAt(w.ctx, data[:n], 0)
	require.NoError(t, err)
	w.settle()
	acked := f.d.Info().Acked
	require.Positive(t, acked)
	w.crash(dice(0)[0])
	require.NoError(t, w.mount())
	w.settle()
	return acked
}

// The same copy after a crash sends only what is missing.
func TestInterruptedCopyResumes(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		data := w.fresh(500)
		acked := copyAndDie(t, w, "f", data, 300)
		require.Len(t, w.store.partials(), 1, "it waits in .partial")
		before := w.sentBytes()
		f := w.create("f")
		for off := 0; off < len(data); off += 50 {
			_, err := f.d.WriteAt(w.ctx, data[off:off+50], int64(off))
			require.NoError(t, err)
			w.settle()
		}
		f.data = data
		f.close()
		assert.Equal(t, int64(len(data))-acked, w.sentBytes()-before, "what is there is not sent again")
		w.finish(false)
	})
}

// Another content under the name starts over and leaves nothing behind.
func TestInterruptedCopyReplaced(t *testing.T) {
	for _, n := range []int{10, 500} {
		in(t, Options{}, func(t *testing.T, w *world) {
			copyAndDie(t, w, "f", w.fresh(500), 300)
			f := w.create("f")
			f.append(n)
			f.close()
			w.finish(false)
		})
	}
}

// On Ceph S3 increments start at multiples of 5 MiB: what a killed writer left
// with a short end cannot be continued, and is sent again.
func TestUnalignedRestStartsOver(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.store.align = incr
		data := w.fresh(400)
		f := w.create("f")
		_, err := f.d.WriteAt(w.ctx, data[:200], 0)
		require.NoError(t, err)
		require.NoError(t, f.d.Abandon(w.ctx, "killed"))
		f.release()
		w.settle()
		b, _, ok := w.store.partial(w.store.partials()[0])
		require.True(t, ok)
		require.EqualValues(t, 200, b.Size)
		g := w.create("f")
		_, err = g.d.WriteAt(w.ctx, data, 0)
		require.NoError(t, err)
		g.data = data
		g.close()
		w.finish(false)
	})
}

// At start what earlier runs left is looked at: a temporary name never comes
// back, so its upload is removed; a record without its breakpoint file is
// removed; other uploads wait; foreign breakpoint files are not touched.
func TestLeftoversAreRecognised(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.kept = true
		foreign := "f.abcdef-00000001"
		w.sent(foreign, w.fresh(100))
		for _, name := range []string{tmp, "f", "g"} {
			f := w.create(name)
			f.append(300)
			f.gone = true
		}
		w.settle()
		require.Len(t, w.store.partials(), 4)
		var gone string
		for _, d := range w.q.all() {
			if d.Target().Name == "g" {
				gone = d.Info().Breakpoint
			}
		}
		w.crash(dice(0)[0])
		require.NoError(t, w.store.DeleteBreakpointFile(t.Context(), gone))
		w.store.fail(1, fault{faultRefuse, 0}) // it does not give up at once
		require.NoError(t, w.mount())
		time.Sleep(10 * time.Minute)
		left := w.store.partials()
		require.Len(t, left, 2, left)
		assert.Contains(t, left, foreign)
		names, err := w.disk.ReadDir("test", state+"/journal")
		require.NoError(t, err)
		assert.Len(t, names, 1, "only f still waits")
		assert.False(t, w.q.Owns(ws, foreign))
	})
}

// What a killed writer left is removed once its name was published in another way.
func TestLeftoverIsSuperseded(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(200)
		require.NoError(t, f.d.Abandon(w.ctx, "killed"))
		f.release()
		w.settle()
		require.Len(t, w.store.partials(), 1)
		g := w.create(tmp)
		g.append(90)
		g.close()
		g.rename("f")
		w.settle()
		require.Empty(t, w.store.partials())
		w.finish(false)
	})
}

// Bytes that were written behind the promised ones and reached the disk by
// chance do not come back when the recovered file grows.
func TestUnpromisedBytesAreGone(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(40)
		f.fsync()
		f.append(100)
		data := append(bytes.Clone(f.data[:40]), make([]byte, 50)...)
		w.crash(dice(0)[1]) // everything that was written is on the disk
		w.store.outage(time.Hour)
		require.NoError(t, w.mount())
		d, ok := w.q.Lookup(target("f"))
		require.True(t, ok)
		require.NoError(t, d.Retain())
		require.NoError(t, d.Truncate(w.ctx, 90))
		got := make([]byte, 90)
		_, err := d.ReadAt(w.ctx, got, 0)
		require.NoError(t, err)
		assert.Equal(t, data, got)
		require.NoError(t, d.Release(w.ctx))
		w.drain0(t)
	})
}

// gate is a disk on which removing a record takes as long as the test wants.
type gate struct {
	disk.FS
	opened chan struct{}
}

func (g gate) Remove(op, name string) error {
	if op == "journal.remove" {
		<-g.opened
	}
	return g.FS.Remove(op, name)
}

// gated runs f on a draft with a record, and on a disk behind a gate that f opens.
func gated(t *testing.T, f func(t *testing.T, ctx context.Context, q *Queue, d *Draft, g gate)) {
	synctest.Test(t, func(t *testing.T) {
		store, g := newFakeStore(), gate{disk.NewMem(), make(chan struct{})}
		q, err := Open(g, state, func(string) Store { return store }, Options{Increment: incr})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = q.Run(ctx) }()
		d, err := q.Create(ctx, target("f"), nil)
		require.NoError(t, err)
		_, err = d.WriteAt(ctx, []byte("content"), 0)
		require.NoError(t, err)
		require.NoError(t, d.Fsync(ctx))
		f(t, ctx, q, d, g)
		require.NoError(t, d.Release(ctx))
		require.NoError(t, q.Drain(ctx))
		cancel()
	})
}

// While the record of a published content is being removed, the content does not
// change: after a crash the record would promise what is not there any more.
func TestChangeWaitsForTheRecord(t *testing.T) {
	gated(t, func(t *testing.T, ctx context.Context, _ *Queue, d *Draft, g gate) {
		_, err := d.Publish(ctx)
		require.NoError(t, err, "the close does not wait for the record")
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		require.ErrorIs(t, d.Truncate(short, 0), context.DeadlineExceeded)
		close(g.opened)
		require.NoError(t, d.Truncate(ctx, 0))
	})
}

// Who waited for a publication knows of it before its record is gone. From then on the
// draft is no reason to show a name that he has taken away, and does not come back.
func TestHeardOfPublication(t *testing.T) {
	gated(t, func(t *testing.T, ctx context.Context, q *Queue, d *Draft, g gate) {
		f, err := d.Publish(ctx)
		require.NoError(t, err)
		assert.True(t, d.Ahead(), "the watchers have not heard")
		d.Heard(client.File{ID: f.ID, Version: f.Version.Next()})
		assert.True(t, d.Ahead())
		d.Heard(f)
		assert.False(t, d.Ahead())
		assert.Empty(t, q.InDir(ws, d.Target().Dir))
		d.Unname()
		_, ok := q.Lookup(d.Target())
		assert.False(t, ok)
		q.rekey(d, d.FileID()) // as the end of the publication does
		_, ok = q.Lookup(d.Target())
		assert.False(t, ok)
		close(g.opened)
	})
}

// A store without breakpoint support is asked once per workspace.
func TestFallbackIsLearnt(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.store.noBP = client.Permission
		for _, name := range []string{"a", "b", "c"} {
			f := w.create(name)
			f.append(200)
			f.close()
		}
		assert.Equal(t, 4, w.store.requests(), "one refusal and three files")
		w.finish(false)
	})
}

// A small file is one request, a large one as few as the protocol allows.
func TestRequests(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		for _, c := range []struct{ size, want int }{{0, 1}, {10, 1}, {incr, 1}, {incr + 1, 4}, {3 * incr, 5}} {
			before := w.store.requests()
			f := w.create("f")
			f.append(max(c.size, 1))
			if c.size == 0 {
				f.truncate(0)
			}
			f.close()
			assert.Equal(t, c.want, w.store.requests()-before, "%d bytes", c.size)
			w.store.remove("f")
			w.names, w.once = map[string]*promise{}, map[string]string{}
		}
	})
}

// A lost answer to the conversion of a breakpoint file is settled by asking.
func TestConvertLostAnswer(t *testing.T) {
	for _, k := range []faultKind{faultLose, faultGateway, faultGarble} {
		in(t, Options{}, func(t *testing.T, w *world) {
			f := w.partialFile("p", true)
			f.gone = true
			w.bps["p"] = nil
			f.append(100)
			f.complete()
			w.store.fail(1, fault{k, 0})
			w.convert("p", "f", nil)
			w.finish(false)
		})
	}
}

func TestConvertIncomplete(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.sent("p", w.fresh(100))
		_, err := w.q.Convert(w.ctx, ws, "p", target("f"), nil, nil)
		require.ErrorIs(t, err, ErrIncomplete)
		_, err = w.q.Convert(w.ctx, ws, "missing", target("f"), nil, nil)
		require.Equal(t, client.NotExist, client.KindOf(err))
		w.finish(false)
	})
}

// Appending below what the server has, without the bytes before, cannot be done
// and says so at close.
func TestPartialRewriteIsRefused(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.sent("p", w.fresh(100))
		f := w.partialFile("p", false)
		f.write(10, 20)
		_, err := f.d.Publish(w.ctx)
		require.ErrorIs(t, err, ErrNotLocal)
		_, err = f.d.ReadAt(w.ctx, make([]byte, 5), 0)
		require.ErrorIs(t, err, ErrNotLocal)
		b, _, ok := w.store.partial("p")
		require.True(t, ok)
		assert.EqualValues(t, 100, b.Size, "what was there stays")
	})
}
