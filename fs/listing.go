package fs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

const (
	// pageRows is the store's page. A directory that fits into one page costs as
	// much to list as one of its names costs to look up: two requests.
	pageRows = 1000
	// fewSingles is how many names of an unlisted directory are looked up one by
	// one, within an expiry, before a page of it is fetched.
	fewSingles = 3
	// manyRows is how many rows are believed for one expiry. A listing of 10,000
	// takes 0.1 s of processor time here and at the server: with one a second,
	// whatever its length, making 32,000 files cost twice as much each as the first.
	manyRows = 10_000
	// maxBelief bounds what a listing is believed for because it is long.
	maxBelief = 30 * time.Second
)

// listing is a directory as last seen: what the store lists, with the changes
// made through this mount applied. Drafts are not in it.
type listing struct {
	ws  *workspace
	dir client.DirID

	mu      sync.Mutex
	rows    []row     // sorted by name, never changed: readers hold them; guarded by mu
	edits   edits     // not in rows yet; guarded by mu
	at      time.Time // when the fetch of rows began, zero = not listed; guarded by mu
	until   time.Time // how long rows are believed; guarded by mu
	fetch   *fetch    // the one in flight; guarded by mu
	singles int       // single lookups since singlesAt; guarded by mu
	since   time.Time // guarded by mu
	huge    bool      // known to be longer than a page; guarded by mu
	subdirs int       // directories in rows; guarded by mu
}

// freshLocked tells for how long rows are still believed; <= 0 is not at all.
func (l *listing) freshLocked() time.Duration {
	if l.at.IsZero() {
		return 0
	}
	return l.until.Sub(l.ws.fs.opt.Now())
}

// believed is until when a listing counts: an expiry from its beginning, and for
// one that took long or is long as long again as it took, or an expiry for each
// manyRows, so that a directory of 100,000 files is not listed all the time.
func believed(began, ended time.Time, expiry time.Duration, rows int) time.Time {
	until := began.Add(expiry)
	long := ended.Sub(began)
	if long <= expiry/2 {
		long = 0
	}
	if rows > manyRows {
		long = max(long, time.Duration(rows)*expiry/manyRows)
	}
	if t := ended.Add(min(long, maxBelief)); t.After(until) {
		return t
	}
	return until
}

// set records that a name now means a file or directory; drop that it is gone.
// The store has already agreed.
func (l *listing) set(r row)        { l.apply(r.name, r) }
func (l *listing) drop(name string) { l.apply(name, row{}) }

func (l *listing) apply(name string, r row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fetch != nil {
		// Its pages may be older than this change.
		l.fetch.changes.put(name, r)
	}
	if !l.at.IsZero() {
		if old, ok := l.edits.find(l.rows, name); ok && old.dir != nil {
			l.subdirs--
		}
		if r.dir != nil {
			l.subdirs++
		}
		if l.edits.put(name, r); l.edits.tooMany(l.rows) {
			l.foldLocked()
		}
	}
}

// changed returns what a row of a fetch means by now, when this mount has changed
// it since the row came. A reader of a long directory may have joined a fetch that
// was half through: a name that it removed itself must not come up again.
func (l *listing) changed(f *fetch, name string) (row, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := f.changes[name]
	if later, ok := l.edits[name]; ok && f != l.fetch {
		return later, true
	}
	return r, ok
}

func (l *listing) foldLocked() { l.rows, l.edits = l.edits.into(l.rows), nil }

// nlink is the link count of the directory: one for its name, one for its own
// ".", one for the ".." of each directory in it. One that was never listed has 1,
// which programs know as "not counted": 2 would say that it has none inside.
func (l *listing) nlink() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() && l.ws.directories {
		return 1
	}
	return 2 + uint32(l.subdirs)
}

func countDirs(rows []row) int {
	n := 0
	for _, r := range rows {
		if r.dir != nil {
			n++
		}
	}
	return n
}

// publish records a file of this directory that was just made or changed. It
// takes its own name unless another entry has that.
func (l *listing) publish(f *client.File) {
	name := shownName(f.Name, f.ID)
	l.mu.Lock()
	old, taken := l.edits.find(l.rows, name)
	l.mu.Unlock()
	if taken && (old.dir != nil || old.file.ID != f.ID && !l.ws.directories) {
		name = decorated(f.Name, f.ID)
	}
	l.set(row{name: name, file: f})
}

// forget drops what is known: the next look asks the store.
func (l *listing) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows, l.edits, l.at, l.subdirs = nil, nil, time.Time{}, 0
}

// isEmpty records that the directory was just made.
func (l *listing) isEmpty() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows, l.edits, l.at, l.subdirs = nil, nil, l.ws.fs.opt.Now(), 0
	l.until = l.at.Add(l.ws.fs.opt.Expiry)
}

// known finds a name in rows that are fresh, and tells for how long they still are.
func (l *listing) known(name string) (r row, left time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left = l.freshLocked(); left <= 0 {
		return row{}, 0, false
	}
	r, ok = l.edits.find(l.rows, name)
	return r, left, ok
}

// list returns the fetch in flight, or begins one. Rows that are still fresh
// come back as a fetch that is done.
func (l *listing) list(probe bool) *fetch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.freshLocked() > 0 {
		l.foldLocked()
		return &fetch{rows: l.rows, done: true, at: l.at, until: l.until}
	}
	if l.fetch != nil && (probe || !l.fetch.probe) {
		return l.fetch
	}
	f := &fetch{wake: make(chan struct{}), at: l.ws.fs.opt.Now(), probe: probe}
	l.fetch = f
	l.ws.fs.spawn(func(ctx context.Context) {
		rows, err := f.run(ctx, l)
		l.finish(f, rows, err)
	})
	return f
}

// finish installs what a fetch brought and wakes its readers.
func (l *listing) finish(f *fetch, rows []row, err error) {
	n := -1
	var before []row
	l.mu.Lock()
	if err == nil {
		rows = f.changes.into(rows)
		if l.fetch == f { // a probe that a full listing overtook has missed changes
			l.foldLocked()
			before = l.rows
			l.rows, l.at, l.huge = rows, f.at, len(rows) > pageRows
			l.subdirs = countDirs(rows)
			l.until = believed(f.at, l.ws.fs.opt.Now(), l.ws.fs.opt.Expiry, len(rows))
			n = len(rows)
		}
	} else if err == errHuge {
		l.huge = true
	}
	if l.fetch == f {
		l.fetch = nil
	}
	l.mu.Unlock()
	for _, r := range missing(before, rows) {
		// Its node may have been looked at since, and the kernel may know the name: an
		// open with O_CREAT would open the file that is no more, and make none.
		if n := l.ws.files.peek(r.file.ID); n != nil {
			n.expire()
			l.ws.fs.nameGone(n)
		}
	}
	f.finish(rows, err)
	if n >= 0 {
		for _, old := range l.ws.fs.budget.set(l, n) {
			old.forget()
		}
	}
}

// missing returns the files of old that are not in rows; both are sorted by name.
func missing(old, rows []row) (out []row) {
	for _, r := range old {
		for len(rows) > 0 && rows[0].name < r.name {
			rows = rows[1:]
		}
		if r.file != nil && (len(rows) == 0 || rows[0].name != r.name || rows[0].file == nil || rows[0].file.ID != r.file.ID) {
			out = append(out, r)
		}
	}
	return out
}

// lookup finds one name. ttl is how long the answer may be believed.
func (l *listing) lookup(ctx context.Context, name string) (r row, ok bool, ttl time.Duration, err error) {
	expiry := l.ws.fs.opt.Expiry
	l.mu.Lock()
	now := l.ws.fs.opt.Now()
	if left := l.freshLocked(); left > 0 {
		r, ok = l.edits.find(l.rows, name)
		l.mu.Unlock()
		return r, ok, left, nil
	}
	f := l.fetch
	if f != nil {
		if r, ok := f.changes[name]; ok { // newer than what the fetch brings
			l.mu.Unlock()
			return r, r.present(), expiry, nil
		}
	}
	if now.Sub(l.since) > expiry {
		l.since, l.singles = now, 0
	}
	l.singles++
	if len(l.edits) > 0 && len(l.rows) <= pageRows {
		l.foldLocked() // to count what changed and what went right: it decides about pages
	}
	known := len(l.rows) + len(l.edits) // or a few fewer
	small := !l.at.IsZero() && known <= pageRows
	probe := !l.huge && l.at.IsZero() && l.singles > fewSingles
	relist := !l.at.IsZero() && cheaper(l.singles, known)
	l.mu.Unlock()

	if f != nil {
		if r, ok, passed := f.passed(name); passed {
			return r, ok, expiry, nil
		}
	}
	if relist {
		l.list(false) // for the names to come; this one need not wait for all of it
	}
	if small || probe {
		f = l.list(true)
		err := f.wait(ctx)
		if err == nil {
			r, ok := findRow(f.result(), name)
			return r, ok, max(0, expiry-now.Sub(f.at)), nil
		}
		if err != errHuge {
			return row{}, false, 0, err
		}
	}
	r, ok, err = l.single(ctx, name)
	return r, ok, expiry, err
}

// cheaper tells whether a directory that was listed and is not believed any more
// had better be listed again than asked for one name after the other: when as many
// single lookups as that costs were made within an expiry. So a program that goes
// through a large directory, rsync for one, costs at most twice the cheaper way.
func cheaper(singles, rows int) bool {
	return 2*singles > 1+(rows+pageRows)/pageRows
}

// single asks the store for one name: a directory and a file, at the same time.
func (l *listing) single(ctx context.Context, name string) (row, bool, error) {
	st := l.ws.store
	var dir client.Directory
	dirErr := errAbsent
	var wg sync.WaitGroup
	if l.ws.directories && checkDirectoryName(name) == 0 {
		wg.Go(func() { dir, dirErr = st.LookupDirectory(ctx, l.dir, name) })
	}
	file, fileErr := st.LookupFile(ctx, l.dir, name)
	wg.Wait()
	if dirErr == nil {
		return row{name: name, dir: &dir}, true, nil
	}
	if dirErr != errAbsent && client.KindOf(dirErr) != client.NotExist {
		return row{}, false, dirErr
	}
	if fileErr == nil {
		return row{name: name, file: &file}, true, nil
	}
	if client.KindOf(fileErr) != client.NotExist {
		return row{}, false, fileErr
	}
	id, ok := decoratedID(name)
	if !ok {
		return row{}, false, nil
	}
	file, err := st.File(ctx, id)
	switch {
	case client.KindOf(err) == client.NotExist:
		return row{}, false, nil
	case err != nil:
		return row{}, false, err
	}
	if decorated(file.Name, file.ID) != name || (l.ws.directories && file.Dir != l.dir) {
		return row{}, false, nil
	}
	return row{name: name, file: &file}, true, nil
}

// sortRows puts rows in order by shown name and drops a repeated name.
func sortRows(rows []row) []row {
	byName := func(a, b row) int { return strings.Compare(a.name, b.name) }
	inOrder := true
	for i := 1; i < len(rows) && inOrder; i++ {
		inOrder = rows[i-1].name < rows[i].name
	}
	if inOrder {
		return rows
	}
	rows = slices.Clone(rows) // readers of the fetch go by position
	slices.SortStableFunc(rows, byName)
	return slices.CompactFunc(rows, func(a, b row) bool { return a.name == b.name })
}
