package writeback

import (
	"context"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// in runs a test in a world of its own and fake time.
func in(t *testing.T, o Options, fn func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, t.Name(), o)
		require.NoError(t, w.mount())
		defer w.stop()
		fn(t, w)
	})
}

func (w *world) logged(t *testing.T, words ...string) {
	t.Helper()
	all := strings.Join(w.logs.lines, "")
	for _, word := range words {
		assert.Contains(t, all, word)
	}
}

// Writers wait while the spool is full, and go on when an upload frees it.
func TestWritersWaitForTheSpool(t *testing.T) {
	in(t, Options{MaxSpool: 8 << 10, OpTimeout: time.Minute, Increment: 2 << 10}, func(t *testing.T, w *world) {
		w.store.delay(10 * time.Second)
		f, g := w.create("f"), w.create("g")
		f.write(0, 6<<10)
		go f.close()
		start := time.Now()
		g.write(0, 4<<10)
		waited := time.Since(start)
		assert.Greater(t, waited, time.Second, "there was no room before f was published")
		w.store.delay(0)
		g.close()
		w.finish(false)
	})
}

// At the deadline a write fails with ENOSPC and a log line that says which limit
// it met and how to raise it.
func TestFullSpool(t *testing.T) {
	in(t, Options{MaxSpool: 8 << 10, OpTimeout: time.Minute}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.write(0, 8<<10)
		start := time.Now()
		_, err := f.d.WriteAt(w.ctx, make([]byte, 10), 8<<10)
		require.ErrorIs(t, err, syscall.ENOSPC)
		assert.Equal(t, time.Minute, time.Since(start))
		w.logged(t, "spool.max_size", "--spool-max-size")
		f.truncate(100)
		f.write(100, 4<<10) // what was cut off is free again
		f.close()
		w.finish(false)
	})
}

func TestFreeSpaceFloor(t *testing.T) {
	in(t, Options{MinFree: 1 << 20, OpTimeout: time.Minute}, func(t *testing.T, w *world) {
		f := w.create("f")
		w.disk.SetFree(1 << 19)
		_, err := f.d.WriteAt(w.ctx, []byte("x"), 0)
		require.ErrorIs(t, err, ErrNoSpace)
		w.logged(t, "floor", "--spool-min-free", "--state-dir")
		go func() {
			time.Sleep(10 * time.Second)
			w.disk.SetFree(1 << 30)
		}()
		start := time.Now()
		f.append(10)
		assert.InDelta(t, 10, time.Since(start).Seconds(), 1, "it goes on when somebody frees the disk")
		f.close()
		w.finish(false)
	})
}

// A disk that is full in spite of the floor slows writers down as well.
func TestFullDisk(t *testing.T) {
	in(t, Options{MinFree: 1, MemorySpool: 10, OpTimeout: time.Minute}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(20)
		w.disk.SetFree(5)
		_, err := f.d.WriteAt(w.ctx, make([]byte, 100), 20)
		require.ErrorIs(t, err, ErrNoSpace)
		w.logged(t, "--state-dir")
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		_, err = f.d.WriteAt(ctx, make([]byte, 100), 20)
		require.ErrorIs(t, err, context.DeadlineExceeded, "the caller's context bounds the waiting")
		go func() {
			time.Sleep(10 * time.Second)
			w.disk.SetFree(1 << 30)
		}()
		f.append(100)
		f.fsync()
		f.close()
		w.finish(false)
	})
}

// Memory spools share a pool; what does not fit goes to a file.
func TestMemoryPool(t *testing.T) {
	in(t, Options{MemorySpool: 8 << 10, MemoryPool: 10 << 10, Increment: 1 << 20}, func(t *testing.T, w *world) {
		var all []*file
		for _, name := range []string{"a", "b", "c", "d"} {
			f := w.create(name)
			f.write(0, 5<<10)
			all = append(all, f)
		}
		assert.LessOrEqual(t, w.q.memory.used(), int64(10<<10))
		names, err := w.disk.ReadDir("test", state+"/spool")
		require.NoError(t, err)
		assert.Len(t, names, 2)
		for _, f := range all {
			f.reads()
			f.close()
		}
		w.finish(false)
	})
}

func TestUploadLimit(t *testing.T) {
	in(t, Options{UploadLimit: 1 << 20, Increment: 1 << 20, Uploads: 4}, func(t *testing.T, w *world) {
		start := time.Now()
		var all []*file
		for _, name := range []string{"a", "b", "c", "d"} {
			f := w.create(name)
			f.write(0, 5<<19)
			all = append(all, f)
		}
		for _, f := range all {
			f.close()
		}
		assert.InDelta(t, 10, time.Since(start).Seconds(), 1, "4 files of 2.5 MiB at 1 MiB/s")
		w.finish(false)
	})
}

// No more than Options.Uploads requests with content run at once.
func TestUploadsAtOnce(t *testing.T) {
	in(t, Options{Uploads: 2}, func(t *testing.T, w *world) {
		w.store.delay(time.Second)
		done := make(chan struct{})
		start := time.Now()
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			f := w.create(name)
			f.append(10)
			go func() { _, _ = f.d.Publish(w.ctx); f.release(); done <- struct{}{} }()
		}
		for range 6 {
			<-done
		}
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}

// A file whose increment hangs does not hold up others, and goes on when the
// request is given up for lack of progress.
func TestHungIncrement(t *testing.T) {
	in(t, Options{Uploads: 2}, func(t *testing.T, w *world) {
		f := w.create("f")
		w.store.fail(2, fault{faultStall, 0})
		f.append(200)
		w.settle()
		start := time.Now()
		g := w.create("g")
		g.append(200)
		g.close()
		assert.Less(t, time.Since(start), time.Second)
		f.close()
		took := time.Since(start)
		assert.Greater(t, took, stallTimeout-time.Second)
		assert.Less(t, took, stallTimeout+time.Second)
		w.finish(false)
	})
}

// An outage shorter than the retry timeout is waited for; one that is longer
// makes a synchronous close fail, and what came of it is stuck, not lost.
func TestOutage(t *testing.T) {
	in(t, Options{RetryTimeout: 5 * time.Minute}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(200)
		w.settle()
		time.Sleep(time.Hour) // nothing to do is not lack of progress
		w.store.outage(4 * time.Minute)
		start := time.Now()
		f.close()
		assert.InDelta(t, 4*60, time.Since(start).Seconds(), 10)

		g := w.create("g")
		g.append(200)
		w.store.outage(20 * time.Minute)
		start = time.Now()
		_, err := g.d.Publish(w.ctx)
		require.Equal(t, client.Unavailable, client.KindOf(err))
		assert.InDelta(t, 5*60, time.Since(start).Seconds(), 10)
		assert.Equal(t, Stuck, g.d.State())
		time.Sleep(time.Hour)
		g.close()
		w.finish(false)
	})
}

// What was promised and closed long ago waits as long as the outage lasts, also
// when that begins before the mount.
func TestLongOutageNeedsNoPerson(t *testing.T) {
	in(t, Options{WriteMode: Async, RetryTimeout: time.Minute}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(200)
		w.store.outage(3 * time.Hour)
		f.close()
		time.Sleep(time.Hour)
		w.crash(dice(0)[0])
		w.o.WriteMode = Sync
		require.NoError(t, w.mount())
		time.Sleep(time.Hour)
		require.Len(t, w.q.Pending(), 1)
		assert.Empty(t, w.q.Pending()[0].Error)
		w.finish(false)
	})
}

// outage makes every request fail for a while.
func (s *fakeStore) outage(d time.Duration) {
	s.mu.Lock()
	s.always = &fault{faultRefuse, 0}
	s.mu.Unlock()
	time.AfterFunc(d, s.calm)
}

// A damaged transfer is noticed by the checksum and sent again; damaged twice it
// is not published.
func TestChecksumMismatch(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.store.fail(2, fault{faultFlip, 0})
		f := w.create("f")
		f.append(200)
		f.close()
		w.logged(t, "starting over")
		g := w.create("g")
		w.store.always = &fault{faultFlip, 0}
		g.append(200)
		_, err := g.d.Publish(w.ctx)
		require.ErrorIs(t, err, errMismatch)
		assert.Equal(t, client.Corrupt, client.KindOf(err))
		_, _, ok := w.store.stat("g")
		assert.False(t, ok)
		w.store.calm()
		g.close()
		w.finish(false)
	})
}

// A server whose answers contradict each other is not asked for ever without a pause.
func TestContradictingServer(t *testing.T) {
	in(t, Options{RetryTimeout: time.Minute}, func(t *testing.T, w *world) {
		w.store.always = &fault{faultGarble, 0}
		f := w.create("f")
		f.append(200)
		_, err := f.d.Publish(w.ctx)
		require.Error(t, err)
		assert.Less(t, w.store.requests(), 200)
		w.store.calm()
		f.close()
		w.finish(false)
	})
}

// What was sent is handed on as it is at the store, version by version, and nothing
// that the store refused or that is large.
func TestKeeperGetsWhatIsAtTheStore(t *testing.T) {
	got := map[client.DataID][]byte{}
	o := Options{Keep: func(c client.Content, data []byte) {
		if assert.EqualValues(t, c.Size, len(data)) {
			got[c.Data] = data
		}
	}, Increment: 200 << 10}
	in(t, o, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(40)
		f.flush()
		w.store.fail(1, fault{faultRefuse, 0})
		f.append(30)
		f.close()
		large := w.create("large")
		large.append(keepMax + 1)
		large.close()
		w.create("empty").close()
		w.finish(false)
		assert.Len(t, got, 2)
		for _, v := range w.store.everything() {
			if n := len(v); n > 0 && n <= keepMax {
				assert.True(t, slices.ContainsFunc(slices.Collect(maps.Values(got)), func(b []byte) bool { return string(b) == v }))
			}
		}
	})
}
