package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/readcache"
	"github.com/sequoiacm/scmfs/writeback"
)

// partialNode is one breakpoint file.
type partialNode struct {
	fusefs.Inode
	noXattr
	ws   *workspace
	name string // the breakpoint file's name; it never changes
	ino  uint64
	gen  uint64

	mu    sync.Mutex
	bp    client.BreakpointFile // as last seen; guarded by mu
	known bool                  // bp is valid; guarded by mu
	draft *writeback.Draft      // guarded by mu
	mtime time.Time             // set by a program, in memory only; guarded by mu
	px    posix                 // likewise, kept for the conversion; guarded by mu
	// made is mode and owner of the creation here: the bytes can be read as long as
	// they are spooled, and nobody may who may not read the file that it becomes.
	made     posix // guarded by mu
	opens    int   // guarded by mu
	writers  int   // guarded by mu
	detached bool  // guarded by mu
}

var (
	_ fusefs.NodeGetattrer     = (*partialNode)(nil)
	_ fusefs.NodeSetattrer     = (*partialNode)(nil)
	_ fusefs.NodeOpener        = (*partialNode)(nil)
	_ fusefs.NodeSetxattrer    = (*partialNode)(nil)
	_ fusefs.NodeRemovexattrer = (*partialNode)(nil)
)

func partialIno(workspace, name string) uint64 { return inoOf(workspace, "breakpoint", name) }

func (ws *workspace) partial(name string) *partialNode {
	return ws.partials.get(name, func() *partialNode {
		return &partialNode{ws: ws, name: name, ino: partialIno(ws.name, name), gen: ws.fs.gens.next()}
	})
}

func (n *partialNode) take(bp client.BreakpointFile) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bp, n.known = bp, true
}

// seenAs tells whether bp is what was seen here last, perhaps with more in it.
func (n *partialNode) seenAs(bp client.BreakpointFile) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known && bp.CreateTime.Equal(n.bp.CreateTime) && bp.CreateUser == n.bp.CreateUser
}

func (n *partialNode) join(d *writeback.Draft) {
	meta := d.Meta()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.draft = d
	if meta != nil {
		n.made = decodePosix(meta) // it was created here, perhaps in an earlier run
	}
}

// attrsLocked is what the breakpoint file has of mode and owner.
func (n *partialNode) attrsLocked() posix {
	px := n.px
	if px.Perm == nil {
		px.Perm = n.made.Perm
	}
	if px.UID == nil {
		px.UID = n.made.UID
	}
	if px.GID == nil {
		px.GID = n.made.GID
	}
	return px
}

func (n *partialNode) detach() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.detached = true
}

// gone tells whether no name leads here and nobody has it open.
func (n *partialNode) gone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.detached && n.opens == 0
}

func (n *partialNode) live() *writeback.Draft {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.liveLocked()
}

func (n *partialNode) liveLocked() *writeback.Draft {
	if n.draft == nil && !n.detached {
		d, ok := n.ws.fs.queue.Lookup(writeback.Target{Workspace: n.ws.name, Partial: true, Name: n.name})
		if ok && d.Dirty() {
			n.draft = d
		}
	}
	if n.draft != nil && n.opens == 0 && !n.draft.Dirty() {
		n.draft = nil
	}
	return n.draft
}

// Getattr implements fusefs.NodeGetattrer.
func (n *partialNode) Getattr(ctx context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if n.gone() {
		return syscall.ESTALE
	}
	octx, cancel := n.ws.fs.op(ctx)
	defer cancel()
	if errno := n.revalidate(octx); errno != 0 {
		return errno
	}
	n.fill(&out.Attr)
	out.SetTimeout(time.Millisecond)
	return 0
}

// revalidate asks for the uploaded size, unless the file is being written here.
func (n *partialNode) revalidate(ctx context.Context) syscall.Errno {
	n.mu.Lock()
	gone := n.detached && n.opens == 0
	memory := n.liveLocked() != nil || n.detached
	n.mu.Unlock()
	switch {
	case gone:
		// Converted or removed. The kernel looks the name up again, which now leads
		// to the file.
		return syscall.ESTALE
	case memory:
		return 0
	}
	bp, err := n.ws.store.BreakpointFile(ctx, n.name)
	if client.KindOf(err) == client.NotExist {
		return syscall.ESTALE
	}
	if err != nil {
		return errnoOf(ctx, err)
	}
	n.take(bp)
	return 0
}

func (n *partialNode) fill(out *fuse.Attr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	opt := &n.ws.fs.opt
	px := n.attrsLocked()
	out.Ino, out.Mode, out.Nlink = n.ino, syscall.S_IFREG|opt.FileMode, 1
	if px.Perm != nil {
		out.Mode = syscall.S_IFREG | *px.Perm
	}
	if n.detached {
		out.Nlink = 0
	}
	out.Owner = fuse.Owner{Uid: opt.UID, Gid: opt.GID}
	if px.UID != nil {
		out.Uid = *px.UID
	}
	if px.GID != nil {
		out.Gid = *px.GID
	}
	mtime := latest(n.bp.CreateTime, n.bp.UploadTime)
	if d := n.liveLocked(); d != nil {
		out.Size = uint64(d.Size())
		mtime = d.ModTime()
	} else {
		out.Size = uint64(n.bp.Size)
	}
	ctime := mtime
	if !n.mtime.IsZero() {
		mtime = n.mtime
	}
	out.SetTimes(&mtime, &mtime, &ctime)
}

// Setattr implements fusefs.NodeSetattrer. A breakpoint file has no attributes:
// they live as long as the node, and the file it is converted into gets them.
func (n *partialNode) Setattr(ctx context.Context, fh fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if n.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	octx, cancel := n.ws.fs.op(ctx)
	defer cancel()
	if size, ok := in.GetSize(); ok {
		if errno := n.resize(octx, ctx, fh, int64(size)); errno != 0 {
			return errno
		}
	}
	w := wishOf(in, n.ws.fs.opt.Now())
	n.mu.Lock()
	if w.perm != nil {
		n.px.Perm = w.perm
	}
	if w.uid != nil {
		n.px.UID = w.uid
	}
	if w.gid != nil {
		n.px.GID = w.gid
	}
	if !w.mtime.IsZero() {
		n.mtime = w.mtime
	}
	n.mu.Unlock()
	n.fill(&out.Attr)
	return 0
}

func (n *partialNode) resize(octx, ctx context.Context, fh fusefs.FileHandle, size int64) syscall.Errno {
	if h, ok := fh.(*handle); ok && h.writable {
		return h.truncate(octx, size)
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
	if n.shared() || d == nil || !d.Dirty() {
		return 0
	}
	return h.publish(ctx, d, callerOf(ctx).Pid)
}

// Open implements fusefs.NodeOpener. What this mount has not spooled cannot be
// read: SCM gives no way to read a breakpoint file.
func (n *partialNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) && n.ws.rules.ReadOnly {
		return nil, 0, syscall.EROFS
	}
	if n.gone() {
		// Converted: the kernel still has this node under the file's name. ESTALE
		// makes it look the name up again, and then it finds the file.
		return nil, 0, syscall.ESTALE
	}
	caller := callerOf(ctx)
	octx, cancel := n.ws.fs.op(ctx)
	defer cancel()
	if errno := n.revalidate(octx); errno != 0 {
		return nil, 0, errno
	}
	h := newHandle(n, flags, caller)
	n.opened(h) // before the truncation, as in fileNode.Open
	if writes(flags) && flags&syscall.O_TRUNC != 0 {
		if errno := h.begin(octx, true); errno != 0 {
			n.closed(h, func() {})
			return nil, 0, errno
		}
	}
	return h, h.openFlags(), 0
}

func (n *partialNode) opened(h *handle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opens++
	if h.writable {
		n.writers++
	}
}

func (n *partialNode) closed(h *handle, seal func()) (lastWriter bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if lastWriter = h.writable && n.writers == 1; lastWriter {
		seal()
	}
	n.opens--
	if h.writable {
		n.writers--
	}
	return lastWriter
}

func (n *partialNode) accessed() {} // the store keeps no times of it, nor does this

func (n *partialNode) shared() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.writers > 1
}

func (n *partialNode) edit(ctx context.Context, truncate bool) (*writeback.Draft, error) {
	n.mu.Lock()
	bp, known := n.bp, n.known
	n.mu.Unlock()
	if !known {
		var err error
		if bp, err = n.ws.store.BreakpointFile(ctx, n.name); err != nil {
			return nil, err
		}
	}
	if bp.Completed && !truncate && n.live() == nil {
		n.ws.fs.log.WithField("name", n.name).Info("append refused: the breakpoint file has its last increment")
		return nil, syscall.EPERM
	}
	d, err := n.ws.fs.queue.EditPartial(ctx, writeback.Target{Workspace: n.ws.name, Partial: true, Name: n.name}, bp, truncate)
	if err != nil {
		return nil, err
	}
	n.join(d)
	return d, nil
}

// attributed tells whether a program set something that the file should keep.
func (n *partialNode) attributed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.px.Perm != nil || n.px.UID != nil || n.px.GID != nil || !n.mtime.IsZero()
}

// metaFor is the metadata of the file that this becomes.
func (n *partialNode) metaFor(onto *client.File) map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	px, major := n.attrsLocked(), 1
	var base map[string]string
	if onto != nil {
		// A version keeps the mode and owner of its file unless a program set others.
		px, base, major = n.px, onto.Metadata, onto.Version.Major+1
	}
	if !n.mtime.IsZero() {
		px.MTime, px.Major = n.mtime, major
	}
	return px.into(base)
}

func (n *partialNode) tree() *FS                { return n.ws.fs }
func (n *partialNode) number() uint64           { return n.ino }
func (n *partialNode) source() readcache.Source { return n.ws.store }
func (n *partialNode) stamp(*writeback.Draft)   {}

func (n *partialNode) abandoned() {}

func (n *partialNode) lost(*writeback.Draft) bool { return false }

func (n *partialNode) finished(*writeback.Draft, client.File) {}

// readKept says that there is nothing to read: SCM gives no way to read a
// breakpoint file, and this mount has not spooled it.
func (n *partialNode) readKept([]byte, int64) (int, bool, error) { return 0, true, syscall.ENODATA }

func (n *partialNode) content() (client.Content, bool) { return client.Content{}, false }
