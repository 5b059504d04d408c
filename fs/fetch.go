package fs

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

var (
	errAbsent = errors.New("not asked for")
	// errHuge ends a probe of a directory that does not fit into one page.
	errHuge = errors.New("directory is longer than a page")
)

// fetch is one reading of a directory. Rows appear while it runs, so that the
// first page reaches the kernel before the last one was asked for.
type fetch struct {
	at      time.Time
	until   time.Time // for rows that were there already: how long they are believed
	probe   bool      // stops after a page
	changes edits     // local changes since it began; guarded by listing.mu

	mu   sync.Mutex
	rows []row         // guarded by mu while not done
	done bool          // guarded by mu
	err  error         // guarded by mu
	wake chan struct{} // closed at every progress; guarded by mu
}

// run reads both lists of the directory and merges them. It returns the rows
// sorted by name.
func (f *fetch) run(ctx context.Context, l *listing) ([]row, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A long directory may take long; no page of it may.
	stall := time.AfterFunc(l.ws.fs.opt.OpTimeout, func() { cancel(context.DeadlineExceeded) })
	defer stall.Stop()

	files := feed(ctx, l.files(ctx, f.probe, func() { stall.Reset(l.ws.fs.opt.OpTimeout) }))
	var dirs source[client.Directory]
	if l.ws.directories {
		dirs = feed(ctx, l.ws.store.Directories(ctx, l.dir, ""))
	} else {
		dirs = feed(ctx, func(func(client.Directory, error) bool) {})
	}
	var rows []row
	users := map[string]string{}
	for r := range mergeRows(dirs.all(), files.all()) {
		if l.hides(r) {
			continue
		}
		if r.file != nil {
			share(r.file, l.dir, users)
		}
		rows = append(rows, r)
		if len(rows)%64 == 0 {
			f.progress(rows)
			stall.Reset(l.ws.fs.opt.OpTimeout)
		}
		if f.probe && len(rows) > pageRows {
			return nil, errHuge
		}
	}
	if err := errors.Join(dirs.err(), files.err()); err != nil {
		if errors.Is(err, errHuge) {
			return nil, errHuge
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	if len(rows) == 0 && l.ws.directories && l.dir != client.RootDir {
		// The list of a directory that does not exist is empty, not an error
		// (protocol part 1, section 5.2, D10).
		if _, err := l.ws.store.Directory(ctx, l.dir); err != nil {
			return nil, err
		}
	}
	return sortRows(rows), nil
}

// files lists the files in order of name, of a probe a page. progress is called now
// and then while nothing is yielded yet.
func (l *listing) files(ctx context.Context, probe bool, progress func()) iter.Seq2[client.File, error] {
	if l.ws.directories {
		return l.ws.store.Files(ctx, l.dir, "")
	}
	most := math.MaxInt
	if probe {
		most = pageRows // or a look at the fourth name would read them all
	}
	return byName(l.ws.store.FlatFiles(ctx, ""), most, progress)
}

// byName puts all of a list in order of name. A workspace without directories can
// be paged by id only, as names repeat there; merged in that order, files of one
// name would not be seen to share it, and all but one would vanish. A list of more
// than most ends in errHuge.
func byName(seq iter.Seq2[client.File, error], most int, progress func()) iter.Seq2[client.File, error] {
	return func(yield func(client.File, error) bool) {
		var all []client.File
		for f, err := range seq {
			if err != nil {
				yield(f, err)
				return
			}
			if all = append(all, f); len(all) > most {
				yield(client.File{}, errHuge)
				return
			}
			if len(all)%pageRows == 0 {
				progress()
			}
		}
		slices.SortStableFunc(all, func(a, b client.File) int { return strings.Compare(a.Name, b.Name) })
		for _, f := range all {
			if !yield(f, nil) {
				return
			}
		}
	}
}

// hides tells whether a stored name is not shown: the mount's own names in a
// workspace's root, and directories that no path can reach.
func (l *listing) hides(r row) bool {
	if l.dir == client.RootDir && (r.name == partialName || r.name == versionsName) {
		return true
	}
	return r.dir != nil && shownName(r.dir.Name, "") != r.dir.Name
}

// share lets the records of one listing share the strings they have in common, and
// takes empty maps away: a directory of 100,000 files repeats its own id as often.
func share(f *client.File, dir client.DirID, users map[string]string) {
	if len(f.Metadata) == 0 {
		f.Metadata = nil
	}
	if len(f.CustomTags) == 0 {
		f.CustomTags = nil
	}
	if f.Dir == dir {
		f.Dir = dir
	}
	for _, s := range []*string{&f.User, &f.UpdateUser, &f.MimeType} {
		if v, ok := users[*s]; ok {
			*s = v
		} else {
			users[*s] = *s
		}
	}
}

func (f *fetch) progress(rows []row) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = rows
	close(f.wake)
	f.wake = make(chan struct{})
}

func (f *fetch) finish(rows []row, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done, f.err = true, err
	if err == nil && len(rows) >= len(f.rows) && slices.Equal(f.rows, rows[:len(f.rows)]) {
		f.rows = rows // nothing changed meanwhile
	} else if err == nil {
		f.rows = appendMissing(f.rows, rows)
	}
	close(f.wake)
}

// appendMissing adds the rows of the finished listing that a reader by position
// has not been shown yet. What was shown stays where it was.
func appendMissing(shown, all []row) []row {
	seen := make(map[string]struct{}, len(shown))
	for _, r := range shown {
		seen[r.name] = struct{}{}
	}
	out := shown[:len(shown):len(shown)]
	for _, r := range all {
		if _, ok := seen[r.name]; !ok {
			out = append(out, r)
		}
	}
	return out
}

// peek returns row i if it is there already.
func (f *fetch) peek(i int) (row, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i >= len(f.rows) {
		return row{}, false
	}
	return f.rows[i], true
}

// row returns row i, waiting for it. ok is false behind the last one.
func (f *fetch) row(ctx context.Context, i int) (r row, ok bool, err error) {
	for {
		f.mu.Lock()
		rows, done, err, wake := f.rows, f.done, f.err, f.wake
		f.mu.Unlock()
		switch {
		case i < len(rows):
			return rows[i], true, nil
		case done:
			return row{}, false, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return row{}, false, ctx.Err()
		}
	}
}

// wait returns when the fetch is done.
func (f *fetch) wait(ctx context.Context) error {
	for {
		f.mu.Lock()
		done, err, wake := f.done, f.err, f.wake
		f.mu.Unlock()
		if done {
			return err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// result returns all rows of a finished fetch, sorted by name.
func (f *fetch) result() []row {
	f.mu.Lock()
	defer f.mu.Unlock()
	return sortRows(f.rows)
}

// passed answers a lookup out of a running fetch that is already behind the name.
func (f *fetch) passed(name string) (r row, ok, passed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.rows)
	if n == 0 || f.err != nil || f.rows[n-1].name <= name {
		return row{}, false, false
	}
	for i := n - 1; i >= 0; i-- {
		if f.rows[i].name == name {
			return f.rows[i], true, true
		}
		if f.rows[i].name < name {
			// Decorated names stand out of order; only a hit is certain for them.
			_, deco := decoratedID(name)
			return row{}, false, !deco
		}
	}
	return row{}, false, true
}

// source is one list of the store, read ahead by its own goroutine so that the
// first pages of files and directories are asked for at the same time.
type source[T any] struct {
	items  <-chan *T
	failed *error // valid when items is closed
}

func feed[T any](ctx context.Context, seq iter.Seq2[T, error]) source[T] {
	items := make(chan *T, pageRows)
	failed := new(error)
	go func() {
		defer close(items)
		for v, err := range seq {
			if err != nil {
				*failed = err
				return
			}
			select {
			case items <- &v:
			case <-ctx.Done():
				*failed = ctx.Err()
				return
			}
		}
	}()
	return source[T]{items: items, failed: failed}
}

func (s source[T]) all() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for v := range s.items {
			if !yield(v) {
				return
			}
		}
	}
}

// err is valid after all was read to its end.
func (s source[T]) err() error {
	return *s.failed
}
