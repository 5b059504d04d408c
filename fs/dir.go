package fs

import (
	"context"
	"runtime"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
)

// dirNode is one directory of a workspace; the workspace's own directory is the
// one with [client.RootDir].
type dirNode struct {
	fusefs.Inode
	noXattr

	ws   *workspace
	id   client.DirID
	ino  uint64
	gen  uint64
	list *listing

	mu      sync.Mutex
	rec     client.Directory // guarded by mu
	changed time.Time        // last change of its names through this mount; guarded by mu
	gone    *dirAttrs        // set when removed through this mount: what it had; guarded by mu
}

var (
	_ fusefs.NodeGetattrer = (*dirNode)(nil)
	_ fusefs.NodeSetattrer = (*dirNode)(nil)
	_ fusefs.NodeLookuper  = (*dirNode)(nil)
)

// dirAttrs are a directory's attributes in memory.
type dirAttrs struct {
	perm, uid, gid *uint32
	mtime, atime   time.Time
	ctime          time.Time
}

func newDirNode(ws *workspace, rec client.Directory) *dirNode {
	ino := dirIno(ws.name, rec.ID)
	d := &dirNode{ws: ws, id: rec.ID, ino: ino, gen: ws.fs.gens.next(), rec: rec, list: &listing{ws: ws, dir: rec.ID}}
	runtime.AddCleanup(d, ws.fs.budget.remove, d.list)
	return d
}

func (d *dirNode) update(rec client.Directory) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rec = rec
}

func (d *dirNode) record() client.Directory {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rec
}

// touched notes that a name was added or taken away: SCM keeps no such time.
func (d *dirNode) touched() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed = d.ws.fs.opt.Now()
}

// Getattr implements fusefs.NodeGetattrer, from memory: the record of a directory
// says nothing that a lookup did not.
func (d *dirNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.fill(&out.Attr)
	out.SetTimeout(d.ws.fs.opt.Expiry)
	return 0
}

func (d *dirNode) fill(out *fuse.Attr) {
	opt := &d.ws.fs.opt
	d.mu.Lock()
	rec, changed, gone := d.rec, d.changed, d.gone
	d.mu.Unlock()
	a := d.ws.attrsOf(d.id)
	if gone != nil {
		a = *gone
	}
	out.Ino = d.ino
	out.Mode = syscall.S_IFDIR | opt.DirMode
	if a.perm != nil {
		out.Mode = syscall.S_IFDIR | *a.perm
	}
	out.Owner = fuse.Owner{Uid: opt.UID, Gid: opt.GID}
	if a.uid != nil {
		out.Uid = *a.uid
	}
	if a.gid != nil {
		out.Gid = *a.gid
	}
	out.Nlink = d.list.nlink()
	if gone != nil {
		out.Nlink = 0
	}
	out.Size = 4096
	mtime := latest(rec.CreateTime, rec.UpdateTime, changed)
	ctime := latest(mtime, a.ctime)
	if !a.mtime.IsZero() && !changed.After(a.ctime) {
		mtime = a.mtime
	}
	atime := a.atime
	if atime.IsZero() {
		atime = mtime
	}
	out.SetTimes(&atime, &mtime, &ctime)
}

func latest(times ...time.Time) (out time.Time) {
	for _, t := range times {
		if t.After(out) {
			out = t
		}
	}
	return out
}

func (ws *workspace) attrsOf(id client.DirID) dirAttrs {
	ws.attrMu.Lock()
	defer ws.attrMu.Unlock()
	return ws.attrs[id]
}

func (ws *workspace) setAttrs(id client.DirID, set func(*dirAttrs)) {
	ws.attrMu.Lock()
	defer ws.attrMu.Unlock()
	a := ws.attrs[id]
	set(&a)
	if ws.attrs == nil {
		ws.attrs = make(map[client.DirID]dirAttrs)
	}
	ws.attrs[id] = a
}

func (ws *workspace) dropAttrs(id client.DirID) {
	ws.attrMu.Lock()
	defer ws.attrMu.Unlock()
	delete(ws.attrs, id)
}

// Setattr implements fusefs.NodeSetattrer in memory.
func (d *dirNode) Setattr(_ context.Context, _ fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if d.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	if _, ok := in.GetSize(); ok {
		return syscall.EISDIR
	}
	now := d.ws.fs.opt.Now()
	w := wishOf(in, now)
	d.ws.setAttrs(d.id, func(a *dirAttrs) {
		if w.perm != nil {
			a.perm = w.perm
		}
		if w.uid != nil {
			a.uid = w.uid
		}
		if w.gid != nil {
			a.gid = w.gid
		}
		if !w.mtime.IsZero() {
			a.mtime = w.mtime
		}
		if !w.atime.IsZero() {
			a.atime = w.atime
		}
		a.ctime = now
	})
	d.fill(&out.Attr)
	out.SetTimeout(d.ws.fs.opt.Expiry)
	return 0
}

// isRoot tells whether this is the workspace's own directory, which has the
// mount's names in it.
func (d *dirNode) isRoot() bool { return d.id == client.RootDir }

// reserved tells whether a name belongs to the mount.
func (d *dirNode) reserved(name string) bool {
	return d.isTop() && (name == partialName || name == versionsName) || d.isMountRoot() && name == statusDirName
}

// Lookup implements fusefs.NodeLookuper.
func (d *dirNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	if d.reserved(name) {
		return d.virtual(ctx, name, out), 0
	}
	octx, cancel := d.ws.fs.op(ctx)
	defer cancel()
	found, ttl, errno := d.find(octx, name)
	if errno == syscall.ENOENT {
		out.SetEntryTimeout(ttl)
	}
	if errno != 0 {
		return nil, errno
	}
	return d.enter(ctx, found, ttl, out), 0
}

// virtual returns the node of one of the mount's own names.
func (d *dirNode) virtual(ctx context.Context, name string, out *fuse.EntryOut) *fusefs.Inode {
	switch name {
	case statusDirName:
		return d.ws.fs.root.statusInode(ctx, out)
	case partialName:
		p := d.ws.partial0
		p.fill(&out.Attr)
		return d.ws.fs.inode(ctx, p, syscall.S_IFDIR, p.ino, p.gen)
	}
	v := d.ws.versionsOf(d)
	v.fill(&out.Attr)
	return d.ws.fs.inode(ctx, v, syscall.S_IFDIR, v.ino, v.gen)
}

// entry is what a name leads to: a file or a directory.
type entry struct {
	file *fileNode
	dir  *dirNode
}

// find returns what a name leads to. The drafts of this mount come first, then
// the listing. ENOENT comes with the time it may be believed.
func (d *dirNode) find(ctx context.Context, name string) (entry, time.Duration, syscall.Errno) {
	expiry := d.ws.fs.opt.Expiry
	if !canExist(name) {
		return entry{}, expiry, syscall.ENOENT
	}
	draft, written := d.ws.fs.queue.Lookup(d.ws.target(d.id, name))
	if written && draft.Ahead() {
		if n := d.ws.draftNode(draft); n.current() {
			if !draft.Dirty() {
				n.hear(draft)
			}
			return entry{file: n}, expiry, 0
		}
		written = false // its writer was killed; it is on its way to .partial
	}
	r, ok, ttl, err := d.list.lookup(ctx, name)
	if err != nil {
		if client.KindOf(err) == client.NotExist {
			return entry{}, 0, syscall.ENOENT
		}
		return entry{}, 0, errnoOf(ctx, err)
	}
	ttl = max(ttl, time.Millisecond)
	if !ok && written {
		// Published a moment ago: the listing may not know yet.
		if n := d.ws.files.peek(draft.FileID()); n != nil && n.current() && n.named(d.id, name) {
			return entry{file: n}, ttl, 0
		}
	}
	switch {
	case !ok, d.ws.movedAway(r, d.id):
		return entry{}, ttl, syscall.ENOENT
	case r.dir != nil:
		return entry{dir: d.ws.dir(*r.dir)}, ttl, 0
	}
	return entry{file: d.ws.file(r.file, ttl)}, ttl, 0
}

// movedAway tells whether a listed file has a draft that lives under another
// name: the store will follow when the draft is published.
func (ws *workspace) movedAway(r row, dir client.DirID) bool {
	if r.file == nil {
		return false
	}
	draft, ok := ws.fs.queue.ForFile(ws.name, r.file.ID)
	if !ok || !draft.Dirty() {
		return false
	}
	t := draft.Target()
	return t.Name != r.file.Name || ws.directories && t.Dir != dir
}

// enter fills an answer with what a name leads to.
func (d *dirNode) enter(ctx context.Context, e entry, ttl time.Duration, out *fuse.EntryOut) *fusefs.Inode {
	out.SetEntryTimeout(ttl)
	if e.dir != nil {
		e.dir.fill(&out.Attr)
		out.SetAttrTimeout(ttl)
		return d.ws.dirInode(ctx, e.dir)
	}
	out.SetAttrTimeout(max(e.file.fill(&out.Attr), time.Millisecond))
	return d.ws.fileInode(ctx, e.file)
}
