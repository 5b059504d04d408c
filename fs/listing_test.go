package fs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/writeback"
)

// newTestListing returns the listing of a workspace's root in a tree without a
// mount, on a store in memory.
func newTestListing(t *testing.T, directories bool) (*listing, *memStore) {
	stores := newMemStores()
	store := stores.add("ws", directories)
	fs := New(stores, nil, nil, Options{})
	t.Cleanup(fs.Close)
	ws := fs.workspace(store.info)
	return &listing{ws: ws, dir: client.RootDir}, store
}

func (m *memStore) put(t *testing.T, names ...string) {
	for _, name := range names {
		_, err := m.CreateFile(t.Context(), client.NewFile{Name: name, Dir: client.RootDir}, client.Body{})
		require.NoError(t, err)
	}
	m.all.count()
}

// numbered are n names in order.
func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("f%05d", i))
	}
	return names
}

func rowNames(rows []row) (out []string) {
	for _, r := range rows {
		out = append(out, r.name)
	}
	return out
}

func listAll(t *testing.T, l *listing) []string {
	f := l.list(false)
	require.NoError(t, f.wait(t.Context()))
	return rowNames(f.result())
}

func TestListingCostsTwoRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		store.put(t, "b", "a")
		_, err := store.CreateDirectory(t.Context(), client.RootDir, "d")
		require.NoError(t, err)
		store.all.count()

		assert.Equal(t, []string{"a", "b", "d"}, listAll(t, l))
		assert.Equal(t, 2, store.all.count())
		assert.Equal(t, []string{"a", "b", "d"}, listAll(t, l))
		for _, name := range []string{"a", "d", "absent"} {
			_, ok, _, err := l.lookup(t.Context(), name)
			require.NoError(t, err)
			assert.Equal(t, name != "absent", ok)
		}
		assert.Zero(t, store.all.count(), "a fresh listing answers, also that there is nothing")

		time.Sleep(time.Second)
		assert.Equal(t, []string{"a", "b", "d"}, listAll(t, l))
		assert.Equal(t, 2, store.all.count(), "an expired one asks again")
	})
}

func TestLookupWithoutListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		store.put(t, "a")
		for range fewSingles {
			_, ok, ttl, err := l.lookup(t.Context(), "a")
			require.NoError(t, err)
			assert.True(t, ok)
			assert.Equal(t, time.Second, ttl)
			assert.Equal(t, 1, store.all.count("LookupDirectory"))
			assert.Equal(t, 1, store.all.count("LookupFile"))
			assert.Zero(t, store.all.count())
		}
		_, ok, _, err := l.lookup(t.Context(), "b")
		require.NoError(t, err)
		assert.False(t, ok)
		assert.Equal(t, 2, store.all.count("Files", "Directories"), "many lookups: the directory is listed instead")
		assert.Zero(t, store.all.count())
	})
}

func TestLookupInAHugeDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		names := numbered(pageRows + 50)
		store.put(t, names...)
		for i := range 10 {
			_, ok, _, err := l.lookup(t.Context(), names[i])
			require.NoError(t, err)
			assert.True(t, ok)
		}
		assert.Equal(t, 2, store.all.count("Files", "Directories"), "one probe finds out that it is long")
		assert.Equal(t, 20, store.all.count("LookupFile", "LookupDirectory"))
		assert.Equal(t, names, listAll(t, l), "a reader of the directory gets all of it")
	})
}

func TestListingFlatWorkspace(t *testing.T) {
	l, store := newTestListing(t, false)
	store.put(t, "x", "y", "x") // the store lists by id: the names come in no order
	rows := listAll(t, l)
	require.Len(t, rows, 3)
	assert.Equal(t, "x", rows[0])
	assert.Equal(t, "y", rows[2])
	id, ok := decoratedID(rows[1])
	assert.True(t, ok)
	assert.Zero(t, store.all.count("Directories"))
	l.forget()
	r, ok, _, err := l.lookup(t.Context(), rows[1])
	require.NoError(t, err)
	require.True(t, ok, "a decorated name is found without a listing")
	assert.Equal(t, id, r.file.ID)
}

func TestListingHidesTheMountsNames(t *testing.T) {
	l, store := newTestListing(t, true)
	store.put(t, partialName, versionsName, "..", "a")
	rows := listAll(t, l)
	require.Len(t, rows, 2)
	assert.Contains(t, rows, "a")
	assert.Contains(t, rows[0]+rows[1], "..~")
}

func TestListingLocalChanges(t *testing.T) {
	l, store := newTestListing(t, true)
	store.put(t, "a", "c")
	f := l.list(false)
	require.NoError(t, f.wait(t.Context()))
	before, ok := l.snapshot()
	require.True(t, ok)

	l.set(row{name: "b", file: testFile("b", "id-b", 1)})
	l.drop("a")
	assert.Equal(t, []string{"a", "c"}, rowNames(before), "a reader keeps its snapshot")
	assert.Equal(t, []string{"b", "c"}, listAll(t, l))
	_, ok, _, err := l.lookup(t.Context(), "a")
	require.NoError(t, err)
	assert.False(t, ok)
	assert.Equal(t, 2, store.all.count(), "nothing was asked again")
}

// gatedStore holds its file list back until the gate opens.
type gatedStore struct {
	*memStore
	gate    chan struct{}
	entered chan struct{}
	once    sync.Once
	fail    error
}

func (g *gatedStore) Files(ctx context.Context, dir client.DirID, after string) iter.Seq2[client.File, error] {
	return func(yield func(client.File, error) bool) {
		first := slices.Collect(func(y func(client.File) bool) {
			for f := range g.memStore.Files(ctx, dir, after) {
				y(f)
			}
		})
		g.once.Do(func() { close(g.entered) })
		select {
		case <-g.gate:
		case <-ctx.Done():
			yield(client.File{}, ctx.Err())
			return
		}
		if g.fail != nil {
			yield(client.File{}, g.fail)
			return
		}
		for _, f := range first {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func gate(l *listing, store *memStore) *gatedStore {
	g := &gatedStore{memStore: store, gate: make(chan struct{}), entered: make(chan struct{})}
	l.ws.store = g
	return g
}

func TestChangesDuringAFetchAreKept(t *testing.T) {
	l, store := newTestListing(t, true)
	store.put(t, "a", "gone")
	g := gate(l, store)
	f := l.list(false)
	<-g.entered
	l.set(row{name: "new", file: testFile("new", "id-new", 1)})
	l.drop("gone")
	close(g.gate)
	require.NoError(t, f.wait(t.Context()))
	assert.Equal(t, []string{"a", "new"}, listAll(t, l))
}

// What a reader of a running fetch was shown stays where it was: it goes by
// position, and a local removal must not shift or clear rows under it.
func TestChangesDoNotMoveWhatWasShown(t *testing.T) {
	l, _ := newTestListing(t, true)
	var all []row
	for i := range 130 {
		name := fmt.Sprintf("f%03d", i)
		all = append(all, row{name: name, file: &client.File{ID: client.FileID(name), Name: name}})
	}
	f := &fetch{wake: make(chan struct{})}
	l.fetch = f
	f.progress(all[:128])
	l.drop("f000")
	l.drop("f050")
	l.finish(f, all, nil)
	for i := range 130 {
		r, ok, err := f.row(t.Context(), i)
		require.NoError(t, err)
		require.True(t, ok)
		assert.Equal(t, fmt.Sprintf("f%03d", i), r.name)
	}
	assert.Len(t, l.rows, 128, "the listing has the changes")
}

func TestSortRowsLeavesItsArgument(t *testing.T) {
	rows := []row{{name: "a"}, {name: "c"}, {name: "c"}, {name: "b"}, {name: "d"}}
	assert.Equal(t, []string{"a", "b", "c", "d"}, rowNames(sortRows(rows)))
	assert.Equal(t, []string{"a", "c", "c", "b", "d"}, rowNames(rows))
	rows = []row{{name: "a"}, {name: "a"}, {name: "b"}}
	assert.Equal(t, []string{"a", "b"}, rowNames(sortRows(rows)))
	assert.Equal(t, []string{"a", "a", "b"}, rowNames(rows))
}

func TestOneFetchInFlight(t *testing.T) {
	l, store := newTestListing(t, true)
	store.put(t, "a")
	g := gate(l, store)
	f := l.list(false)
	<-g.entered
	assert.Same(t, f, l.list(false))
	assert.Same(t, f, l.list(true))
	close(g.gate)
	require.NoError(t, f.wait(t.Context()))
	assert.Equal(t, 1, store.all.count("Files"))
}

// snapshot returns rows as a reader holds them.
func (l *listing) snapshot() ([]row, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.freshLocked() > 0
	l.foldLocked()
	return l.rows, fresh
}

func TestFetchFailure(t *testing.T) {
	l, store := newTestListing(t, true)
	store.put(t, "a")
	g := gate(l, store)
	g.fail = &client.Error{Op: "list", Kind: client.Unavailable}
	close(g.gate)
	f := l.list(false)
	require.ErrorIs(t, f.wait(t.Context()), g.fail)
	_, ok := l.snapshot()
	assert.False(t, ok, "a failure is not an empty directory")
	g.fail = nil
	assert.Equal(t, []string{"a"}, listAll(t, l))
}

func TestWaitingForAFetchEndsWithTheContext(t *testing.T) {
	l, store := newTestListing(t, true)
	g := gate(l, store)
	f := l.list(false)
	<-g.entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.wait(ctx), context.Canceled)
	_, _, err := f.row(ctx, 0)
	require.ErrorIs(t, err, context.Canceled)
	close(g.gate)
	require.NoError(t, f.wait(t.Context()), "the fetch itself went on")
}

func TestListingOfADirectoryThatIsGone(t *testing.T) {
	l, _ := newTestListing(t, true)
	l.dir = "6553f100510003001a2b3c01"
	err := l.list(false).wait(t.Context())
	assert.Equal(t, client.NotExist, client.KindOf(err), "got %v", err)
	assert.False(t, errors.Is(err, errHuge))
}

func TestBelieved(t *testing.T) {
	t0 := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		took, want time.Duration
		rows       int
	}{
		"quick":          {100 * time.Millisecond, time.Second, 10_000},
		"long":           {5 * time.Second, 10 * time.Second, 10_000},
		"very long":      {5 * time.Minute, 5*time.Minute + 30*time.Second, 10_000},
		"many rows":      {time.Second, 11 * time.Second, 100_000},
		"very many rows": {10 * time.Second, 40 * time.Second, 1_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, believed(t0, t0.Add(c.took), time.Second, c.rows).Sub(t0))
		})
	}
	assert.Equal(t, time.Hour, believed(t0, t0.Add(time.Second), time.Hour, 100_000).Sub(t0), "what the operator set is enough")
}

// 9.7 What a long directory costs does not grow faster than its length.
func TestGoingThroughALongDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		names := numbered(manyRows * 3 / 2)
		store.put(t, names...)
		listAll(t, l)
		store.all.count()
		// 11,000 a second, each of them and one that there is not.
		for i, name := range names {
			if i%100 == 0 {
				time.Sleep(9 * time.Millisecond)
			}
			_, ok, _, err := l.lookup(t.Context(), name)
			require.NoError(t, err)
			require.True(t, ok)
			_, ok, _, err = l.lookup(t.Context(), name+".tmp")
			require.NoError(t, err)
			require.False(t, ok)
		}
		assert.Zero(t, store.all.count(), "listed once")
		time.Sleep(200 * time.Millisecond)
		gone, err := store.LookupFile(t.Context(), l.dir, names[7])
		require.NoError(t, err)
		require.NoError(t, store.DeleteFile(t.Context(), gone.ID))
		_, ok, _, err := l.lookup(t.Context(), names[7])
		require.NoError(t, err)
		assert.False(t, ok, "and not for ever")
	})
}

func TestRowBudget(t *testing.T) {
	b := newRowBudget(100)
	a, c, d := &listing{}, &listing{}, &listing{}
	assert.Empty(t, b.set(a, 40))
	assert.Empty(t, b.set(c, 60))
	assert.Equal(t, []*listing{a}, b.set(d, 10))
	assert.Empty(t, b.set(c, 90), "listed again: the newest")
	assert.Equal(t, []*listing{d, c}, b.set(a, 500), "the one just fetched stays whatever its size")
	b.remove(a)
	b.remove(a)
	assert.Zero(t, b.total)
}

// A large directory that was listed before, is not believed any more and is gone
// through name by name is listed again, not asked for each name.
func TestManyLookupsInAnExpiredDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		names := numbered(5*pageRows + 1)
		store.put(t, names...)
		listAll(t, l)
		time.Sleep(2 * time.Second)
		store.all.count()
		for _, name := range names[:100] {
			_, ok, _, err := l.lookup(t.Context(), name)
			require.NoError(t, err)
			assert.True(t, ok)
			synctest.Wait()
		}
		assert.Equal(t, 2, store.all.count("Files", "Directories"), "listed once")
		assert.LessOrEqual(t, store.all.count(), 10, "the names before that, two requests each")
	})
}

// A directory of a page stays one after some of its files were made under another name,
// or changed: what is not believed any more is read again, and no name by itself.
func TestManyLookupsAfterChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		names := numbered(pageRows)
		store.put(t, names...)
		listAll(t, l)
		rows, _ := l.snapshot()
		for i := range 5 {
			l.set(rows[i])
			l.set(row{name: fmt.Sprint(".tmp", i), file: rows[i].file})
			l.drop(fmt.Sprint(".tmp", i))
		}
		time.Sleep(2 * time.Second)
		store.all.count()
		for _, name := range names[:100] {
			_, ok, _, err := l.lookup(t.Context(), name)
			require.NoError(t, err)
			assert.True(t, ok)
		}
		assert.Equal(t, 2, store.all.count(), "listed once")
	})
}

// 1.3 What a listing does not have any more is not opened, however short ago its
// node was looked at.
func TestFileThatAListingLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		l.ws.fs.queue = new(writeback.Queue) // nothing is being written
		dir := l.ws.root()
		defer runtime.KeepAlive(dir) // the nodes ask its listing
		l = dir.list
		store.put(t, "gone", "stays")
		listAll(t, l)
		rows, ok := l.snapshot()
		require.True(t, ok)
		gone, stays := l.ws.file(rows[0].file, time.Second), l.ws.file(rows[1].file, time.Second)
		time.Sleep(900 * time.Millisecond)
		l.ws.file(rows[0].file, 100*time.Millisecond) // looked up again, in the listing that is still believed
		l.ws.file(rows[1].file, 100*time.Millisecond)
		require.NoError(t, store.DeleteFile(t.Context(), rows[0].file.ID))
		time.Sleep(200 * time.Millisecond)
		assert.Equal(t, []string{"stays"}, listAll(t, l))
		store.all.count()
		assert.Equal(t, syscall.ESTALE, gone.revalidate(t.Context()), "the kernel looks the name up again")
		assert.Equal(t, 1, store.all.count())
		assert.Zero(t, stays.revalidate(t.Context()))
		assert.Zero(t, store.all.count(), "the others cost nothing")
	})
}

func TestMissing(t *testing.T) {
	file := func(name, id string) row {
		return row{name: name, file: &client.File{ID: client.FileID(id), Name: name}}
	}
	dir := row{name: "d", dir: &client.Directory{Name: "d"}}
	old := []row{file("a", "1"), file("b", "2"), dir, file("e", "3"), file("f", "4")}
	assert.Empty(t, missing(nil, old))
	assert.Empty(t, missing(old, old))
	assert.Equal(t, []string{"a", "b", "e", "f"}, rowNames(missing(old, nil)))
	assert.Equal(t, []string{"b", "e", "f"}, rowNames(missing(old, []row{file("a", "1"), file("b", "9"), file("c", "2"), {name: "e", dir: dir.dir}})))
}

// 1.3 A name that was listed an expiry ago is not believed for another one because
// a directory was read again just before.
func TestRowsOfAnEarlierReadingAreBelievedForWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := newTestListing(t, true)
		expiry := l.ws.fs.opt.Expiry
		store.put(t, "a")
		h := &dirHandle{dir: &dirNode{ws: l.ws}, rows: l.list(false)}
		require.NoError(t, h.rows.wait(t.Context()))
		assert.Equal(t, expiry, h.believed(), "just fetched")
		time.Sleep(expiry - 10*time.Millisecond)
		h.rows = l.list(false)
		assert.Equal(t, 10*time.Millisecond, h.believed())
		time.Sleep(time.Second)
		assert.Zero(t, h.believed())
	})
}

// A program that reads a directory after it removed a name from it does not see
// the name, though the listing that it joined had brought it before.
func TestRemovedNamesDoNotComeUpAgain(t *testing.T) {
	l, _ := newTestListing(t, true)
	var all []row
	for i := range 130 {
		name := fmt.Sprintf("d%03d", i)
		all = append(all, row{name: name, dir: &client.Directory{ID: client.DirID(name), Name: name}})
	}
	f := &fetch{wake: make(chan struct{}), at: l.ws.fs.opt.Now()}
	l.fetch = f
	f.progress(all[:128])
	l.drop("d050")
	shown := func() (names []string) {
		h := &dirHandle{dir: &dirNode{ws: l.ws, list: l}, rows: f, pos: dots}
		for {
			e, errno := h.Readdirent(t.Context())
			require.Zero(t, errno)
			if e == nil {
				return names
			}
			names = append(names, e.Name)
		}
	}
	l.finish(f, all, nil)
	assert.Len(t, shown(), 129)
	assert.NotContains(t, shown(), "d050")
	l.drop("d060")
	assert.NotContains(t, shown(), "d060")
	l.set(row{name: "d060", dir: &client.Directory{ID: "new", Name: "d060"}})
	assert.Contains(t, shown(), "d060")
}
