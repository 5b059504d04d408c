package writeback

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// restart stops the mount in order, or with a power cut, and starts it again.
func (w *world) restart(t *testing.T, cut bool) {
	t.Helper()
	if cut {
		w.crash(dice(1)[0])
	} else {
		w.stop()
		require.NoError(t, w.q.Close())
	}
	require.NoError(t, w.mount())
}

// stick makes a draft stuck: somebody made a version, and conflicts are refused.
func stick(t *testing.T, w *world) (f *file, theirs []byte) {
	w.has("f", 50)
	f = w.open("f", true)
	f.append(150)
	theirs = w.fresh(33)
	w.store.put("f", theirs)
	_, err := f.d.Publish(w.ctx)
	require.Equal(t, client.VersionMismatch, client.KindOf(err), "the close fails")
	require.Equal(t, Stuck, f.d.State())
	return f, theirs
}

// A stuck draft keeps its bytes, is shown with its reason and publishes nothing
// by itself, across restarts, until it is retried, exported or discarded.
func TestStuckAcrossRestarts(t *testing.T) {
	for _, cut := range []bool{false, true} {
		in(t, Options{Conflict: ConflictFail}, func(t *testing.T, w *world) {
			f, theirs := stick(t, w)
			id, data := f.d.ID(), f.data
			f.release()
			asked := w.store.requests()
			for range 3 {
				w.restart(t, cut)
				time.Sleep(time.Hour)
				require.Equal(t, asked, w.store.requests(), "nothing is tried by itself")
				p := w.q.Pending()
				require.Len(t, p, 1)
				assert.Equal(t, id, p[0].ID)
				assert.Equal(t, "stuck", p[0].State)
				assert.Contains(t, p[0].Error, "version mismatch")
				var out bytes.Buffer
				require.NoError(t, w.q.Export(t.Context(), id, &out))
				assert.Equal(t, data, out.Bytes())
				_, have, _ := w.store.stat("f")
				assert.Equal(t, theirs, have)
			}
			require.NoError(t, w.q.Retry(id))
			w.drain0(t)
			_, have, _ := w.store.stat("f")
			assert.Equal(t, data, have, "a person decided: it is published on top")
			assert.Len(t, w.q.Conflicts(), 1)
			assert.Contains(t, w.store.everything(), string(theirs), "and theirs stays in the history")
			w.names, w.once = map[string]*promise{}, map[string]string{}
			w.finish(false)
		})
	}
}

func TestStuckDiscarded(t *testing.T) {
	for _, cut := range []bool{false, true} {
		in(t, Options{Conflict: ConflictFail}, func(t *testing.T, w *world) {
			f, theirs := stick(t, w)
			f.release()
			w.restart(t, cut)
			require.NoError(t, w.q.Discard(f.d.ID()))
			if cut { // once it was said, a crash does not bring it back
				w.restart(t, cut)
			}
			w.names, w.once = map[string]*promise{}, map[string]string{}
			w.finish(false)
			_, have, _ := w.store.stat("f")
			assert.Equal(t, theirs, have)
		})
	}
}

// A program that writes on after a failed close gets another try.
func TestStuckWrittenOn(t *testing.T) {
	in(t, Options{RetryTimeout: time.Minute}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(150)
		w.store.outage(2 * time.Minute)
		_, err := f.d.Publish(w.ctx)
		require.Error(t, err)
		time.Sleep(2 * time.Minute)
		f.write(20, 30)
		f.append(10)
		f.close()
		w.finish(false)
	})
}

// A refusal that comes before the end of the close was waited for stays one: the
// draft is not taken for one that is on its way, with nobody who works on it.
func TestStuckBeforeTheCloseWasWaitedFor(t *testing.T) {
	in(t, Options{Conflict: ConflictFail, WriteMode: Async}, func(t *testing.T, w *world) {
		w.has("f", 50)
		f := w.open("f", true)
		f.append(150)
		w.store.put("f", w.fresh(33))
		closed, ok := f.d.Seal()
		require.True(t, ok)
		require.NoError(t, w.q.Drain(w.ctx))
		require.Equal(t, Stuck, f.d.State())
		_, err := closed.Wait(w.ctx)
		require.NoError(t, err, "it is durable here, which is what an asynchronous close waits for")
		assert.Equal(t, Stuck, f.d.State())
		id, data := f.d.ID(), f.data
		f.release()
		w.restart(t, true)
		p := w.q.Pending()
		require.Len(t, p, 1)
		assert.Equal(t, "stuck", p[0].State)
		var out bytes.Buffer
		require.NoError(t, w.q.Export(t.Context(), id, &out))
		assert.Equal(t, data, out.Bytes())
		require.NoError(t, w.q.Discard(id))
		w.names, w.once = map[string]*promise{}, map[string]string{}
		w.finish(false)
	})
}

// A commit whose outcome is unknown when everything is given up is asked about
// when it is retried, though its content was changed since.
func TestStuckInDoubt(t *testing.T) {
	for _, n := range []int{30, 150} {
		in(t, Options{RetryTimeout: time.Minute}, func(t *testing.T, w *world) {
			f := w.create("f")
			f.append(n)
			commit := 1
			if n > incr {
				w.settle()
				require.Equal(t, 3, w.store.requests(), "create and two increments")
				commit = 2 // after the rest
			}
			w.store.fail(commit, fault{faultLose, 0})
			for i := range 100 {
				w.store.fail(commit+1+i, fault{faultRefuse, 0})
			}
			_, err := f.d.Publish(w.ctx)
			require.Error(t, err)
			w.store.calm()
			_, first, done := w.store.stat("f")
			require.True(t, done, "it was carried out")
			w.once[string(first)] = "f"
			f.write(0, 20)
			f.close()
			w.finish(false)
			assert.Len(t, w.store.everything(), 2)
		})
	}
}

// A file that was unlinked while nobody knew whether it had been made is looked for
// by the id that was chosen for it: what has its name and content by then may be
// somebody else's. Only at a server that is known to choose the ids itself the name
// has to do.
func TestUnlinkedInDoubt(t *testing.T) {
	for _, own := range []bool{false, true} {
		in(t, Options{}, func(t *testing.T, w *world) {
			w.store.ownIDs = own
			written("before", 10)(w) // tells whose ids count
			f := w.create("f")
			f.append(30)
			verdict := faultCut
			if own {
				verdict = faultLose
			}
			w.store.fail(1, fault{verdict, 0})
			for i := range 100 {
				w.store.fail(2+i, fault{faultRefuse, 0})
			}
			ctx, cancel := context.WithTimeout(w.ctx, time.Second)
			defer cancel()
			_, err := f.d.Publish(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoError(t, f.d.Remove())
			_, _, made := w.store.stat("f")
			require.Equal(t, own, made)
			if !own {
				w.store.put("f", f.data)
			}
			w.store.calm()
			time.Sleep(time.Minute)
			_, _, there := w.store.stat("f")
			assert.Equal(t, !own, there, "what somebody else made stays, what was made here goes")
		})
	}
}

// Conflicts are counted and listed; both contents are versions.
func TestConflictVersion(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.has("f", 50)
		f := w.open("f", true)
		f.append(40)
		theirs := w.fresh(33)
		w.store.put("f", theirs)
		f.close()
		require.Len(t, w.q.Conflicts(), 1)
		assert.Equal(t, client.Version{Major: 1}, w.q.Conflicts()[0].Expected)
		assert.Contains(t, w.store.everything(), string(theirs))
		w.finish(false)
	})
}

// Where there are no breakpoint files, a killed writer's bytes stay here; a
// person exports them or has them published as they are.
func TestKilledWithoutBreakpointFiles(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.store.noBP = client.Unsupported
		f := w.create("f")
		f.append(150)
		require.NoError(t, f.d.Abandon(w.ctx, "killed"))
		f.gone = true
		f.release()
		w.settle()
		for _, cut := range []bool{false, true} {
			p := w.q.Pending()
			require.Len(t, p, 1)
			assert.Equal(t, "stuck", p[0].State)
			var out bytes.Buffer
			require.NoError(t, w.q.Export(t.Context(), p[0].ID, &out))
			assert.Equal(t, f.data, out.Bytes())
			w.restart(t, cut)
			w.settle()
		}
		_, _, ok := w.store.stat("f")
		require.False(t, ok)
		require.NoError(t, w.q.Retry(f.d.ID()))
		time.Sleep(time.Minute)
		if len(w.q.Pending()) > 0 { // the new mount had to learn it
			require.NoError(t, w.q.Retry(f.d.ID()))
		}
		w.drain0(t)
		_, have, _ := w.store.stat("f")
		assert.Equal(t, f.data, have)
	})
}

// The deadline of a waiting close ends the waiting, not the upload.
func TestCloseGivenUp(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.store.delay(time.Minute)
		f := w.create("f")
		f.append(40)
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		_, err := f.d.Publish(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		w.at("f").settle(&f.data)
		f.release()
		w.restart(t, false) // even a stop keeps it: the program was not told that it failed
		w.store.delay(0)
		w.finish(false)
	})
}

// A second close of the same content, whose sync ends when the first one's upload
// does, leaves no record behind that a crash would publish again.
func TestPromiseOfWhatIsPublished(t *testing.T) {
	in(t, Options{WriteMode: Async}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(26)
		p := &promised{gen: f.d.mu.gen, size: 26}
		f.flush()
		w.drain0(t)
		require.NoError(t, f.d.promiseOf(w.ctx, true, func() *promised { return p })) // late
		w.crash(dice(0)[1])
		require.NoError(t, w.mount())
		w.drain0(t)
		w.settle()
		assert.Len(t, w.store.everything(), 1)
		w.finish(false)
	})
}

func TestExportToBrokenPipe(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(40)
		require.ErrorIs(t, w.q.Export(w.ctx, f.d.ID(), failingWriter{}), errPipe)
		require.ErrorIs(t, w.q.Export(w.ctx, "nothing", failingWriter{}), ErrUnknown)
		require.ErrorIs(t, w.q.Retry("nothing"), ErrUnknown)
		f.close()
	})
}

var errPipe = errors.New("broken pipe")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errPipe }

// A draft under a temporary name that was changed and never flushed, such as by
// truncate(2) while somebody has it open, is not published by its last release.
func TestReleaseKeepsTemporaryNames(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		f := w.create(tmp)
		f.append(40)
		f.close()
		require.NoError(t, f.d.Retain())
		require.NoError(t, f.d.Truncate(w.ctx, 1))
		require.NoError(t, f.d.Release(w.ctx))
		w.settle()
		assert.Empty(t, w.store.everything())
		assert.True(t, f.d.mu.held, "it waits for its name")
	})
}

// Attributes that were set after the content was made durable survive as well.
func TestAttributesOfHeldDraftSurvive(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *world){
		"stop":  func(t *testing.T, w *world) { w.stop(); require.NoError(t, w.q.Close()) },
		"crash": func(_ *testing.T, w *world) { time.Sleep(3 * time.Second); w.crash(dice(0)[1]) },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, Options{}, func(t *testing.T, w *world) {
				f := w.create(tmp)
				f.append(40)
				f.fsync()
				f.d.SetMeta(map[string]string{"note": "late"})
				f.close()
				end(t, w)
				require.NoError(t, w.mount())
				d, ok := w.q.Lookup(target(tmp))
				require.True(t, ok)
				assert.Equal(t, "late", d.Meta()["note"])
			})
		})
	}
}
