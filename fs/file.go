package fs

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/readcache"
	"github.com/sequoiacm/scmfs/writeback"
)

// fileNode is one file: its record, its attributes and, while it is written, its
// draft. Names and paths are not kept here; a name is the listing's business.
//
// A node's content changes by what is written through this mount. When another
// client publishes a version while the file is open here, the open handles keep
// this node and its content, and the next lookup makes a new node: the program
// sees what it would see if the file had been replaced by rename.
type fileNode struct {
	fusefs.Inode

	ws   *workspace
	ino  uint64
	gen  uint64
	kind uint32 // S_IFMT bits

	mu        sync.Mutex
	id        client.FileID    // changes once, when a draft becomes the next version of another file
	rec       *client.File     // nil until published; what it points to never changes; guarded by mu
	seen      time.Time        // when rec was true at the store; guarded by mu
	local     time.Time        // last change made through this mount; guarded by mu
	draft     *writeback.Draft // live; nil while the store's content counts; guarded by mu
	meta      map[string]string
	px        posix            // decoded from meta; guarded by mu
	mtimeAt   time.Time        // when px.MTime was set by a program, zero = it was not; guarded by mu
	mtimes    mtimeOf          // guarded by mu
	atime     time.Time        // in memory only; guarded by mu
	ctime     time.Time        // of a local change that the store has no time for; guarded by mu
	opens     int              // handles; guarded by mu
	writers   int              // handles that may write; guarded by mu
	detached  bool             // no name leads here any more; guarded by mu
	unlinked  bool             // removed or replaced through this mount; guarded by mu
	leaving   bool             // another file takes over name and id; guarded by mu
	asking    bool             // refresh waits for the store; guarded by mu
	cached    client.DataID    // content of the pages in the kernel; guarded by mu
	kept      *os.File         // content of a file that was unlinked while open; guarded by mu
	keptDraft *writeback.Draft // discarded while open; guarded by mu
}

// mtimeOf is a modification time that this mount showed for content while it was
// written, and goes on showing for it.
type mtimeOf struct {
	data client.DataID
	t    time.Time
}

var (
	_ fusefs.NodeGetattrer = (*fileNode)(nil)
	_ fusefs.NodeSetattrer = (*fileNode)(nil)
	_ fusefs.NodeOpener    = (*fileNode)(nil)
)

// kindOf returns the S_IFMT bits of a file with the given metadata.
func kindOf(px posix) uint32 {
	if px.Type != 0 {
		return px.Type
	}
	return syscall.S_IFREG
}

// file returns the node of a published file, brought up to date with rec, which is
// to be believed for left.
func (ws *workspace) file(rec *client.File, left time.Duration) *fileNode {
	for {
		n := ws.files.get(rec.ID, func() *fileNode {
			px := decodePosix(rec.Metadata)
			return &fileNode{ws: ws, ino: fileIno(ws.name, rec.ID), gen: ws.fs.gens.next(), kind: kindOf(px), id: rec.ID}
		})
		if n.take(rec, left) {
			return n
		}
		ws.files.unbind(rec.ID, n)
		n.detach()
	}
}

// draftNode returns the node of a draft: a new one of a new draft, of one that an
// earlier mount left, and when the kernel had forgotten the node.
func (ws *workspace) draftNode(d *writeback.Draft) *fileNode {
	if !d.Watched() {
		// Of an earlier mount: nobody here has made it. Unheard of, its publication
		// would leave a node without content to handles that are open by then.
		ws.watch(d)
	}
	id := d.FileID()
	return ws.files.get(id, func() *fileNode {
		meta := d.Meta()
		px := decodePosix(meta)
		n := &fileNode{ws: ws, ino: fileIno(ws.name, id), gen: ws.fs.gens.next(), kind: kindOf(px), id: id, draft: d, meta: meta, px: px}
		if f, ok := d.Base(); ok {
			n.rec = &f // whoever removes or renames it does so at the store as well
		}
		return n
	})
}

// take adopts a record that the store gave and that may be believed for left: an
// expiry when it came just now, less when a listing had it. It answers false when
// the node cannot become that file: it is open with other content, or of another
// type.
func (n *fileNode) take(rec *client.File, left time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.ws.fs.opt.Now()
	at := now.Add(min(left, n.ws.fs.opt.Expiry) - n.ws.fs.opt.Expiry)
	if n.rec == rec {
		if at.After(n.seen) {
			n.seen = at
		}
		return true
	}
	if n.rec != nil && at.Before(n.seen) {
		return true // the store was asked for this file after that listing
	}
	if n.rec != nil && rec.Version.Major < n.rec.Version.Major && now.Sub(n.local) < 2*n.ws.fs.opt.Expiry {
		return true // asked before our own change, answered after it
	}
	px := decodePosix(rec.Metadata)
	if kindOf(px) != n.kind {
		return false
	}
	if n.liveLocked() != nil {
		n.rec, n.seen = rec, at // the draft's attributes stay
		return true
	}
	if other := n.rec != nil && n.rec.Data != rec.Data; other && n.opens > 0 {
		return false
	} else if other && n.cached != "" {
		n.cached = ""
		n.ws.fs.contentChanged(n)
	}
	n.setLocked(rec, px, at)
	return true
}

// adopt takes over the record of a change made through this mount.
func (n *fileNode) adopt(rec client.File) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.ws.fs.opt.Now()
	if n.detached || n.leaving || n.rec != nil && rec.Version.Major < n.rec.Version.Major {
		return
	}
	n.local = now
	if d := n.liveLocked(); d != nil && d.Dirty() {
		n.rec, n.seen = &rec, now
		return
	}
	n.setLocked(&rec, decodePosix(rec.Metadata), now)
	n.letGoLocked()
}

func (n *fileNode) setLocked(rec *client.File, px posix, now time.Time) {
	n.rec, n.seen, n.meta, n.px = rec, now, rec.Metadata, px
	n.mtimeAt = time.Time{}
}

// detach says that no name leads to this node any more. Its handles go on.
func (n *fileNode) detach() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.detached = true
	n.ctime = n.ws.fs.opt.Now()
}

// unlink is detach for a file that was removed or replaced through this mount:
// what is written to it from now on is never published.
func (n *fileNode) unlink() {
	n.detach()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unlinked = true
}

// leave says that another file is about to take over name and id: the version that
// it makes is not the content of this node, which somebody may have open.
func (n *fileNode) leave(leaving bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaving = leaving
}

// knows tells whether the node has seen a version already: whoever waited for the
// publication heard of it first, and the file may have been renamed since.
func (n *fileNode) knows(f client.File) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.detached || n.rec != nil && n.rec.Version.Major >= f.Version.Major
}

// current tells whether a name still leads to this node, and did a moment ago.
func (n *fileNode) current() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.detached && (n.rec == nil || n.liveLocked() != nil || n.ws.fs.opt.Now().Sub(n.local) < 2*n.ws.fs.opt.Expiry)
}

// named tells whether a name is the one of the published file.
func (n *fileNode) named(dir client.DirID, name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.detached && (n.rec == nil || n.rec.Name == name && (n.rec.Dir == dir || !n.ws.directories))
}

// freshLocked tells for how long the record may still be believed.
func (n *fileNode) freshLocked() time.Duration {
	return n.ws.fs.opt.Expiry - n.ws.fs.opt.Now().Sub(n.seen)
}

// doubt makes the next look ask the store: the version known here may be gone.
func (n *fileNode) doubt() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen, n.local = time.Time{}, time.Time{}
}

// expire makes the next look ask the store: where the file was, it is no longer.
func (n *fileNode) expire() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = time.Time{}
}

// revalidate makes sure that the record is not older than the expiry. A fresh
// listing of the directory answers without a request.
func (n *fileNode) revalidate(ctx context.Context) syscall.Errno {
	n.mu.Lock()
	if n.detached || n.liveLocked() != nil || n.rec == nil || n.freshLocked() > 0 {
		// A node that no name leads to is left to its handles; the kernel looks the
		// name up again.
		gone := n.rec == nil && n.draft == nil && !n.detached || n.detached && n.opens == 0
		n.mu.Unlock()
		if gone {
			return syscall.ESTALE
		}
		return 0
	}
	id, rec, open := n.id, n.rec, n.opens > 0
	n.mu.Unlock()

	if l := n.ws.listingOf(rec.Dir); l != nil {
		if r, left, ok := l.known(rec.Name); ok && r.file != nil && r.file.ID == id {
			return n.refreshed(r.file, left, open)
		}
	}
	f, err := n.ws.store.File(ctx, id)
	if client.KindOf(err) == client.NotExist {
		if open {
			n.ws.files.unbind(id, n)
			n.detach()
			return 0
		}
		return syscall.ESTALE
	}
	if err != nil {
		return errnoOf(ctx, err)
	}
	return n.refreshed(&f, n.ws.fs.opt.Expiry, open)
}

func (n *fileNode) refreshed(rec *client.File, left time.Duration, open bool) syscall.Errno {
	if n.take(rec, left) || open {
		return 0
	}
	return syscall.ESTALE // the kernel looks the name up again and finds the new node
}

// Getattr implements fusefs.NodeGetattrer. It answers from memory while the file
// is written here, and for an expiry after the store was asked.
func (n *fileNode) Getattr(ctx context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	ctx, cancel := n.ws.fs.op(ctx)
	defer cancel()
	if errno := n.refresh(ctx); errno != 0 {
		return errno
	}
	out.SetTimeout(n.fill(&out.Attr))
	return 0
}

// fill writes the attributes and returns how long they may be believed.
func (n *fileNode) fill(out *fuse.Attr) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	opt := &n.ws.fs.opt
	d := n.liveLocked()
	out.Ino = n.ino
	out.Mode = n.kind | n.permLocked(n.px)
	out.Owner = fuse.Owner{Uid: opt.UID, Gid: opt.GID}
	if n.px.UID != nil {
		out.Uid = *n.px.UID
	}
	if n.px.GID != nil {
		out.Gid = *n.px.GID
	}
	out.Rdev = n.px.Rdev
	out.Nlink = 1
	if n.detached {
		out.Nlink = 0
	}
	switch {
	case n.kind == syscall.S_IFLNK:
		out.Mode = n.kind | 0o777
		out.Size = uint64(len(n.px.Link))
	case n.kind != syscall.S_IFREG:
	case d != nil:
		out.Size = uint64(d.Size())
	case n.rec != nil:
		out.Size = uint64(n.rec.Size)
	}
	mtime := n.mtimeLocked(d)
	atime, ctime := n.atimeLocked(mtime), n.ctimeLocked(mtime)
	out.SetTimes(&atime, &mtime, &ctime)
	if d != nil || n.detached {
		return opt.Expiry
	}
	return max(n.freshLocked(), time.Millisecond)
}

// permLocked is the permissions that attributes stand for.
func (n *fileNode) permLocked(px posix) uint32 {
	if px.Perm != nil {
		return *px.Perm
	}
	return n.ws.fs.opt.FileMode
}

// mtimeLocked prefers what a program set, then what was shown while the content
// was written here, then the store's times.
func (n *fileNode) mtimeLocked(d *writeback.Draft) time.Time {
	if d != nil && (n.rec == nil || n.behindLocked(d)) {
		written := d.ModTime()
		if !n.px.MTime.IsZero() && !n.mtimeAt.IsZero() && !written.After(n.mtimeAt) {
			return n.px.MTime
		}
		if n.rec == nil && n.mtimeAt.IsZero() && !n.px.MTime.IsZero() {
			return n.px.MTime // a draft of an earlier run, or one that was stamped
		}
		return written
	}
	switch {
	case n.rec == nil:
		return n.ctime
	case !n.px.MTime.IsZero() && n.px.Major == n.rec.Version.Major:
		return n.px.MTime
	case n.mtimes.data != "" && n.mtimes.data == n.rec.Data:
		return n.mtimes.t
	}
	return n.rec.ModTime()
}

func (n *fileNode) tree() *FS                { return n.ws.fs }
func (n *fileNode) number() uint64           { return n.ino }
func (n *fileNode) source() readcache.Source { return n.ws.store }
