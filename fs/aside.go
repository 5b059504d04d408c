package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

// Many programs save a file in three steps: rename it to a temporary name, write
// the new content under the old one, remove the temporary. Taken literally that
// throws the history away, since the file that is removed is the one that has it.
// So what is put aside under a temporary name is remembered for a moment. When
// its old name is taken again, the file gets it back, the new content becomes its
// next version, and what the temporary name shows from then on is a local copy of
// the content that was put aside.
//
// Only names that programs do this with count, see [writeback.Queue.PutsAside]:
// with any other temporary name, a file that rename(2) had put at the store would
// be taken from there by somebody who makes a new file of the old name.

// asideWindow is how long after a rename the old name may be taken again. The
// programs need milliseconds; a person who renames a file and makes another one
// later means two files.
const asideWindow = 10 * time.Second

// nameIn is a name in a directory.
type nameIn struct {
	dir  client.DirID
	name string
}

// aside is a published file that was renamed to a temporary name.
type aside struct {
	n    *fileNode
	dir  *dirNode // where it is now, and as what
	name string
	at   time.Time
}

// asides are those of a workspace, by the name they had before. Safe for
// concurrent use.
type asides struct {
	mu sync.Mutex
	by map[nameIn]aside // guarded by mu
}

func (a *asides) put(was nameIn, s aside) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, old := range a.by {
		if s.at.Sub(old.at) > asideWindow {
			delete(a.by, k)
		}
	}
	if a.by == nil {
		a.by = make(map[nameIn]aside)
	}
	a.by[was] = s
}

// take returns what was put aside and forgets it.
func (a *asides) take(was nameIn, now time.Time) (aside, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.by[was]
	delete(a.by, was)
	return s, ok && now.Sub(s.at) <= asideWindow
}

// putAside remembers a file that a rename gave a temporary name.
func (m move) putAside(n *fileNode) {
	fs := m.from.ws.fs
	if n.kind == syscall.S_IFREG && fs.queue.PutsAside(m.target()) && !fs.queue.Temporary(m.from.ws.target(m.from.id, m.name)) {
		m.from.ws.asides.put(nameIn{m.from.id, m.name}, aside{n: n, dir: m.to, name: m.newName, at: fs.opt.Now()})
	}
}

// comeBack gives a name that is about to be taken back to the file that was put
// aside under a temporary name, and returns a node of that file. nil when there
// is none, or when it cannot be done: then the name gets a new file. by is the
// file that is to have the name, nil for one that is created.
func (d *dirNode) comeBack(ctx context.Context, name string, by *fileNode) *fileNode {
	fs := d.ws.fs
	a, ok := d.ws.asides.take(nameIn{d.id, name}, fs.opt.Now())
	if !ok || a.n == by || by != nil && by.kind != syscall.S_IFREG {
		return nil
	}
	n, err := d.exchange(ctx, name, a)
	if err != nil {
		fs.log.WithError(err).WithField("file", d.ws.target(d.id, name).String()).
			Warnf("saved as a new file: the one with the history was put aside as %q and could not be brought back; it is there with its versions until that name is removed", a.name)
	}
	return n
}

func (d *dirNode) exchange(ctx context.Context, name string, a aside) (*fileNode, error) {
	ws := d.ws
	if err := a.n.settle(ctx); err != nil {
		return nil, err
	}
	a.n.mu.Lock()
	rec, writing, gone := a.n.rec, a.n.writers > 0, a.n.detached
	meta := a.n.meta
	if rec != nil {
		px := a.n.px
		px.MTime, px.Major = a.n.mtimeLocked(nil), 1
		meta = px.into(meta)
	}
	a.n.mu.Unlock()
	if rec == nil || writing || gone || rec.Name != a.name || ws.directories && rec.Dir != a.dir.id {
		return nil, nil // not what was put aside any more
	}
	old, err := ws.fs.queue.Keep(ws.target(a.dir.id, a.name), *rec, meta)
	if err != nil {
		return nil, err
	}
	defer func() { _ = old.Release(ctx) }()
	f, err := move{from: a.dir, to: d, name: a.name, newName: name}.published(ctx, *rec)
	if err != nil {
		_ = old.Discard()
		return nil, err
	}
	return d.part(f, a, old, meta), nil
}

// settle waits until nothing of a closed file is to be published any more.
func (n *fileNode) settle(ctx context.Context) error {
	d := n.live()
	if d == nil || !d.Dirty() {
		n.hear(d)
		return nil
	}
	f, err := d.PublishNow(ctx)
	if err == nil {
		n.finished(d, f)
	}
	return err
}

// settleClosed waits for the publication of content that was closed: what follows
// goes onto it, and must not meet it half-way. What is open, or held back under a
// temporary name, or stuck is left as it is.
func (n *fileNode) settleClosed(ctx context.Context) error {
	n.mu.Lock()
	d, writing := n.liveLocked(), n.writers > 0
	n.mu.Unlock()
	// The kernel says late that a handle is gone, so a writer may be one that closed.
	if d != nil && d.Dirty() && (writing && !d.Closed() || d.Temporary() || d.State() == writeback.Stuck) {
		return nil
	}
	return n.settle(ctx)
}

// part makes two nodes of one: the one that was put aside goes on with the copy,
// since programs and the kernel know it by that name; a new one is the file.
func (d *dirNode) part(f client.File, a aside, old *writeback.Draft, meta map[string]string) *fileNode {
	ws, now := d.ws, d.ws.fs.opt.Now()
	ws.news.Lock()
	defer ws.news.Unlock()
	px := decodePosix(f.Metadata)
	n := &fileNode{
		ws: ws, ino: fileIno(ws.name, client.NewFileID(now)), gen: ws.fs.gens.next(), kind: kindOf(px),
		id: f.ID, rec: &f, seen: now, local: now, meta: f.Metadata, px: px,
	}
	a.n.mu.Lock()
	a.n.id, a.n.rec, a.n.draft, a.n.cached = old.FileID(), nil, old, ""
	a.n.meta, a.n.px, a.n.mtimeAt = meta, decodePosix(meta), time.Time{}
	a.n.mu.Unlock()
	ws.files.unbind(f.ID, a.n)
	ws.files.bind(old.FileID(), a.n)
	ws.files.bind(f.ID, n)
	ws.watch(old)
	a.dir.list.drop(a.name)
	d.list.set(row{name: f.Name, file: &f})
	return n
}

// likeNew gives a file whose name was taken again the attributes that a new file
// of that name has.
func (n *fileNode) likeNew(ctx context.Context, fresh posix) syscall.Errno {
	n.mu.Lock()
	px := n.px
	px.Perm, px.UID, px.GID = fresh.Perm, fresh.UID, fresh.GID
	n.mu.Unlock()
	return n.store(ctx, px, nil, false)
}
