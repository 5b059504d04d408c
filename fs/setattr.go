package fs

import (
	"context"
	"maps"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

// Setattr implements fusefs.NodeSetattrer: chmod, chown, utimens and truncate.
// Attributes of a draft travel with its publication; those of a published file
// are one PUT of its custom_metadata.
func (n *fileNode) Setattr(ctx context.Context, fh fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	fs := n.ws.fs
	if n.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	tid := in.Caller.Pid
	octx, cancel := fs.op(ctx)
	defer cancel()
	if size, ok := in.GetSize(); ok {
		if errno := n.resize(octx, ctx, fh, int64(size), tid); errno != 0 {
			return errno
		}
	}
	if errno := n.change(octx, n.wanted(in)); errno != 0 {
		return errno
	}
	out.SetTimeout(n.fill(&out.Attr))
	return 0
}

// resize truncates or extends. Without a handle it is truncate(2), which ends
// with the call: what it made is published at once, unless somebody is writing.
func (n *fileNode) resize(octx, ctx context.Context, fh fusefs.FileHandle, size int64, tid uint32) syscall.Errno {
	if h, ok := fh.(*handle); ok && h.writable {
		return h.truncate(octx, size)
	}
	if errno := n.revalidate(octx); errno != 0 {
		return errno
	}
	n.mu.Lock()
	writing := n.writers > 0
	same := n.liveLocked() == nil && n.rec != nil && n.rec.Size == size
	n.mu.Unlock()
	if same {
		return 0
	}
	h := &handle{on: n, writable: true}
	n.opened(h)
	defer h.Release(ctx)
	if errno := h.truncate(octx, size); errno != 0 {
		return errno
	}
	h.mu.Lock()
	d := h.draft
	h.mu.Unlock()
	if writing || d == nil || !d.Dirty() {
		return 0
	}
	return h.publish(ctx, d, tid)
}

// wish is what a SETATTR asks for besides the size.
type wish struct {
	perm, uid, gid *uint32
	mtime, atime   time.Time
	kill           bool // set-user-id and set-group-id go
}

func (w wish) stored() bool {
	return w.perm != nil || w.uid != nil || w.gid != nil || !w.mtime.IsZero() || w.kill
}

// onlyKills tells whether nothing is asked for but [wish.kill].
func (w wish) onlyKills() bool {
	return w.perm == nil && w.uid == nil && w.gid == nil && w.mtime.IsZero()
}

// killed tells whether set-user-id and set-group-id go: a new owner, or a
// truncation by somebody without privilege.
func (w wish) killed() bool { return w.kill || w.uid != nil || w.gid != nil }

func (n *fileNode) wanted(in *fuse.SetAttrIn) wish {
	now := n.ws.fs.opt.Now()
	return wishOf(in, now)
}

func wishOf(in *fuse.SetAttrIn, now time.Time) (w wish) {
	if m, ok := in.GetMode(); ok {
		m &= 0o7777
		w.perm = &m
	}
	if u, ok := in.GetUID(); ok {
		w.uid = &u
	}
	if g, ok := in.GetGID(); ok {
		w.gid = &g
	}
	w.kill = in.Valid&fuse.FATTR_KILL_SUIDGID != 0
	// SETATTR carries explicit times, or flags that say "now".
	if in.Valid&fuse.FATTR_MTIME != 0 {
		if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
			w.mtime = now
		} else {
			w.mtime = time.Unix(int64(in.Mtime), int64(in.Mtimensec))
		}
	}
	if in.Valid&fuse.FATTR_ATIME != 0 {
		if in.Valid&fuse.FATTR_ATIME_NOW != 0 {
			w.atime = now
		} else {
			w.atime = time.Unix(int64(in.Atime), int64(in.Atimensec))
		}
	}
	return w
}

// change applies a wish to the attributes.
func (n *fileNode) change(ctx context.Context, w wish) syscall.Errno {
	n.mu.Lock()
	if !w.atime.IsZero() {
		n.atime = w.atime
	}
	if !w.stored() {
		n.mu.Unlock()
		return 0
	}
	px := n.px
	if w.perm != nil {
		px.Perm = w.perm
	}
	if w.uid != nil {
		px.UID = w.uid
	}
	if w.gid != nil {
		px.GID = w.gid
	}
	perm := n.permLocked(px)
	killed := w.killed() && w.perm == nil && withoutPriv(perm) != perm
	if killed {
		perm = withoutPriv(perm)
		px.Perm = &perm
	} else if w.onlyKills() {
		n.mu.Unlock()
		return 0
	}
	if !w.mtime.IsZero() {
		px.MTime, px.Major = w.mtime, n.nextMajorLocked()
	}
	n.mu.Unlock()
	errno := n.store(ctx, px, nil, !w.mtime.IsZero())
	if killed && errno == 0 {
		n.ws.fs.attributesChanged(n) // a write tells the kernel nothing about the mode
	}
	return errno
}

// nextMajorLocked is the version that a time set now belongs to.
func (n *fileNode) nextMajorLocked() int {
	d := n.liveLocked()
	switch {
	case n.rec == nil:
		return 1
	case d != nil && d.Dirty():
		return n.rec.Version.Major + 1
	}
	return n.rec.Version.Major
}

// store keeps attributes, and metadata when it is not nil: in the draft, or with
// one request in the published file.
func (n *fileNode) store(ctx context.Context, px posix, metadata map[string]string, timed bool) syscall.Errno {
	n.mu.Lock()
	now := n.ws.fs.opt.Now()
	if metadata == nil {
		metadata = n.meta
	}
	meta := px.into(metadata)
	d := n.liveLocked()
	if d != nil && (d.Dirty() || n.rec == nil) || n.detached {
		n.meta, n.px, n.ctime = meta, px, now
		if timed {
			n.mtimeAt = now
		}
		detached := n.detached
		n.mu.Unlock()
		if d == nil || d.SetMeta(meta) || detached {
			return 0
		}
		if !n.hear(d) {
			return 0 // its writer was killed
		}
		n.mu.Lock()
	}
	if n.rec == nil {
		n.mu.Unlock()
		return syscall.ESTALE
	}
	id, same := n.id, maps.Equal(meta, n.rec.Metadata)
	n.mu.Unlock()
	if same {
		return 0
	}
	f, err := n.ws.store.SetMetadata(ctx, id, meta)
	if err != nil {
		return errnoOf(ctx, err)
	}
	if f.Metadata == nil {
		f.Metadata = meta
	}
	n.mu.Lock()
	n.ctime = now
	n.mu.Unlock()
	n.ws.published(f)
	return 0
}

// stamp gives a draft the attributes to be published with. A new file carries
// its modification time in the same request; the next version of a file only
// when a program set one, because there it costs a request of its own.
func (n *fileNode) stamp(d *writeback.Draft) {
	n.mu.Lock()
	if n.draft != d {
		n.mu.Unlock()
		return
	}
	written := n.mtimeLocked(d)
	n.mtimes = mtimeOf{t: written} // the data id follows when it is known
	px := n.px
	px.MTime, px.Major = written, 1
	if n.rec != nil {
		px.Major = n.rec.Version.Major + 1
	}
	// A time that a program set counts until the next write.
	set := !n.px.MTime.IsZero() && !n.mtimeAt.IsZero() && !d.ModTime().After(n.mtimeAt)
	if n.rec != nil && !set {
		n.mu.Unlock()
		return
	}
	meta := px.into(n.meta)
	same := maps.Equal(meta, n.meta)
	n.px, n.meta = px, meta
	n.mu.Unlock()
	if !same {
		d.SetMeta(meta)
	}
}

// hear lets the node know at once what its draft published last: the news of an
// asynchronous publication come a moment after its end, and an operation in between
// would work on the version before. It answers false when there was none, or the
// draft is nil.
func (n *fileNode) hear(d *writeback.Draft) bool {
	if d == nil {
		return false
	}
	f, ok := d.Published()
	switch {
	case !ok:
	case n.knows(f):
		d.Heard(f)
	default:
		n.finished(d, f)
	}
	return ok
}

// finished takes over what a publication made. A held name yields no file yet.
func (n *fileNode) finished(d *writeback.Draft, f client.File) {
	if f.ID == "" {
		return
	}
	n.mu.Lock()
	if n.id == f.ID && !n.mtimes.t.IsZero() && n.mtimes.data == "" {
		n.mtimes.data = f.Data
	}
	if n.opens > 0 || n.rec == nil || n.rec.Data != f.Data {
		n.cached = f.Data // the pages in the kernel are what was just written
	}
	n.mu.Unlock()
	n.ws.announced(f)
	d.Heard(f) // who removes or renames the file now must not meet it under its old name
}
