package fs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

// partialDir is a workspace's .partial: its breakpoint files, each with the
// bytes that the server has. A name here is a breakpoint file's name.
type partialDir struct {
	fusefs.Inode
	noXattr
	ws  *workspace
	ino uint64
	gen uint64

	mu      sync.Mutex
	changed time.Time
}

var (
	_ fusefs.NodeGetattrer = (*partialDir)(nil)
	_ fusefs.NodeLookuper  = (*partialDir)(nil)
	_ fusefs.NodeReaddirer = (*partialDir)(nil)
	_ fusefs.NodeCreater   = (*partialDir)(nil)
	_ fusefs.NodeUnlinker  = (*partialDir)(nil)
	_ fusefs.NodeRenamer   = (*partialDir)(nil)
	_ fusefs.NodeMkdirer   = (*partialDir)(nil)
	_ fusefs.NodeRmdirer   = (*partialDir)(nil)
	_ fusefs.NodeSetattrer = (*partialDir)(nil)
)

func newPartialDir(ws *workspace) *partialDir {
	return &partialDir{ws: ws, ino: inoOf(ws.name, "partial", ""), gen: ws.fs.gens.next(), changed: ws.fs.opt.Now()}
}

func (p *partialDir) target(name string) writeback.Target {
	return writeback.Target{Workspace: p.ws.name, Partial: true, Name: name}
}

func (p *partialDir) touched() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = p.ws.fs.opt.Now()
}

func (p *partialDir) fill(out *fuse.Attr) {
	p.mu.Lock()
	changed := p.changed
	p.mu.Unlock()
	opt := &p.ws.fs.opt
	out.Ino, out.Mode, out.Nlink, out.Size = p.ino, syscall.S_IFDIR|opt.DirMode, 2, 4096
	out.Owner = fuse.Owner{Uid: opt.UID, Gid: opt.GID}
	out.SetTimes(&changed, &changed, &changed)
}

// Getattr implements fusefs.NodeGetattrer.
func (p *partialDir) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	p.fill(&out.Attr)
	return 0
}

// Setattr implements fusefs.NodeSetattrer: programs that copy into a directory
// set its time afterwards; there is nothing to keep here.
func (p *partialDir) Setattr(_ context.Context, _ fusefs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	p.fill(&out.Attr)
	return 0
}

// Lookup implements fusefs.NodeLookuper. Every lookup asks: how much the server
// has is what a program that resumes must know.
func (p *partialDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	octx, cancel := p.ws.fs.op(ctx)
	defer cancel()
	n, errno := p.find(octx, name)
	if errno != 0 {
		return nil, errno
	}
	return p.enter(ctx, n, out), 0
}

func (p *partialDir) find(ctx context.Context, name string) (*partialNode, syscall.Errno) {
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	if checkBreakpointName(name) != 0 {
		return nil, syscall.ENOENT
	}
	if d, ok := p.ws.fs.queue.Lookup(p.target(name)); ok && d.Dirty() {
		n := p.ws.partial(name)
		n.join(d)
		return n, 0
	}
	bp, err := p.ws.store.BreakpointFile(ctx, name)
	if err != nil {
		return nil, errnoOf(ctx, err)
	}
	n := p.ws.partial(name)
	n.take(bp)
	return n, 0
}

func (p *partialDir) enter(ctx context.Context, n *partialNode, out *fuse.EntryOut) *fusefs.Inode {
	n.fill(&out.Attr)
	out.SetEntryTimeout(time.Millisecond) // nothing here is believed: others append
	out.SetAttrTimeout(time.Millisecond)
	return p.ws.fs.inode(ctx, n, syscall.S_IFREG, n.ino, n.gen)
}

// Readdir implements fusefs.NodeReaddirer: one request.
func (p *partialDir) Readdir(ctx context.Context) (fusefs.DirStream, syscall.Errno) {
	octx, cancel := p.ws.fs.op(ctx)
	defer cancel()
	var entries []fuse.DirEntry
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			entries = append(entries, fuse.DirEntry{Name: name, Mode: syscall.S_IFREG, Ino: partialIno(p.ws.name, name)})
		}
	}
	for _, d := range p.ws.fs.queue.Partials(p.ws.name) {
		add(d.Target().Name)
	}
	// How a file of the tree is on its way to the store is not shown.
	inner := map[string]bool{}
	for _, info := range p.ws.fs.queue.Pending() {
		if info.Target.Workspace == p.ws.name && !info.Target.Partial {
			inner[info.Breakpoint] = true
		}
	}
	for bp, err := range p.ws.store.BreakpointFiles(octx, "") {
		if err != nil {
			return nil, errnoOf(octx, err)
		}
		if checkBreakpointName(bp.Name) != 0 || inner[bp.Name] {
			continue
		}
		p.ws.partial(bp.Name).take(bp)
		add(bp.Name)
	}
	slices.SortFunc(entries, func(a, b fuse.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	return fusefs.NewListDirStream(entries), 0
}

// Create implements fusefs.NodeCreater.
func (p *partialDir) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	if p.ws.rules.ReadOnly {
		return nil, nil, 0, syscall.EROFS
	}
	if errno := checkBreakpointName(name); errno != 0 {
		return nil, nil, 0, errno
	}
	caller := callerOf(ctx)
	octx, cancel := p.ws.fs.deed(ctx)
	defer cancel()
	if n, errno := p.find(octx, name); errno == 0 {
		if flags&syscall.O_EXCL != 0 {
			return nil, nil, 0, syscall.EEXIST
		}
		h, open, errno := n.Open(ctx, flags)
		if errno != 0 {
			return nil, nil, 0, errno
		}
		return p.enter(ctx, n, out), h, open, 0
	}
	d, err := p.ws.fs.queue.Create(octx, p.target(name), p.ws.newMeta(posix{}, mode, caller))
	if err != nil {
		return nil, nil, 0, errnoOf(octx, err)
	}
	p.touched()
	n := p.ws.partial(name)
	n.join(d)
	h := newHandle(n, writing(flags), caller)
	h.draft = d
	n.opened(h)
	return p.enter(ctx, n, out), h, h.openFlags(), 0
}

// Unlink implements fusefs.NodeUnlinker: the breakpoint file is deleted.
func (p *partialDir) Unlink(ctx context.Context, name string) syscall.Errno {
	if p.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	octx, cancel := p.ws.fs.deed(ctx)
	defer cancel()
	n, errno := p.find(octx, name)
	if errno != 0 {
		return errno
	}
	if d := n.live(); d != nil {
		if err := d.Discard(); err != nil {
			return errnoOf(octx, err)
		}
	}
	if err := p.remove(octx, n); err != nil && client.KindOf(err) != client.NotExist {
		return errnoOf(octx, err)
	}
	p.ws.partials.unbind(name, n)
	n.detach()
	p.touched()
	return 0
}

// maxRemovals is how often a removal is asked for that was in doubt each time.
const maxRemovals = 3

// remove deletes the breakpoint file that n was seen as. After a doubtful answer
// the client does not ask again, because what has the name then may be a new one;
// the time of its creation tells that here.
func (p *partialDir) remove(ctx context.Context, n *partialNode) error {
	for tries := 1; ; tries++ {
		err := p.ws.store.DeleteBreakpointFile(ctx, n.name)
		if client.KindOf(err) != client.Uncertain || tries == maxRemovals {
			return err
		}
		now, lookErr := p.ws.store.BreakpointFile(ctx, n.name)
		if lookErr != nil {
			return lookErr
		}
		if !n.seenAs(now) {
			return err
		}
	}
}

// Rename implements fusefs.NodeRenamer. Out of .partial is the conversion into a
// regular file: one request, no copy. Within .partial there is no such request.
func (p *partialDir) Rename(ctx context.Context, name string, newParent fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if p.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	to, ok := newParent.(*dirNode)
	if !ok {
		if newParent == fusefs.InodeEmbedder(p) {
			return p.renameWithin(ctx, name, newName)
		}
		if _, ok := newParent.(*partialDir); ok {
			return syscall.EXDEV
		}
		return syscall.EPERM
	}
	if to.ws != p.ws {
		return syscall.EXDEV
	}
	if flags&^renameNoReplace != 0 {
		return syscall.EINVAL
	}
	if errno := to.maySet(newName, checkFileName); errno != 0 {
		return errno
	}
	octx, cancel := p.ws.fs.deed(ctx)
	defer cancel()
	n, errno := p.find(octx, name)
	if errno != 0 {
		return errno
	}
	return p.convert(octx, n, to, newName, flags)
}

func (p *partialDir) convert(ctx context.Context, n *partialNode, to *dirNode, newName string, flags uint32) syscall.Errno {
	var onto *client.File
	var target *fileNode
	switch e, _, errno := to.find(ctx, newName); {
	case errno == syscall.ENOENT:
	case errno != 0:
		return errno
	case flags&renameNoReplace != 0:
		return syscall.EEXIST
	case e.dir != nil:
		return syscall.EISDIR
	default:
		target = e.file
		target.mu.Lock()
		if rec := target.rec; rec != nil {
			c := *rec
			onto = &c
		}
		target.mu.Unlock()
	}
	f, err := p.ws.fs.queue.Convert(ctx, p.ws.name, n.name, p.ws.target(to.id, newName), n.metaFor(onto), onto)
	if err != nil {
		p.ws.fs.log.WithError(err).WithField("file", p.ws.name+"/.partial/"+n.name).Warn("not converted into a file; the breakpoint file is as it was")
		return errnoOf(ctx, err)
	}
	if target != nil { // not before: a conversion that is refused leaves the target alone
		if _, errno := target.loseDraft(ctx, target.live()); errno != 0 {
			return errno
		}
	}
	if onto != nil && (n.attributed() || target.kind != syscall.S_IFREG) {
		// The version has the metadata of the one before; what a program set on the
		// breakpoint file costs a request.
		if g, err := p.ws.store.SetMetadata(ctx, f.ID, n.metaFor(onto)); err == nil {
			f = g
		} else {
			p.ws.fs.log.WithError(err).WithField("file", p.ws.name+"/…/"+newName).Warn("converted, but its mode, owner and time were not stored; set them again")
		}
	}
	p.ws.partials.unbind(n.name, n)
	n.detach()
	// The kernel now has the breakpoint file's node under the new name; it does not
	// believe that for long, and the next lookup tells it the file's own.
	to.list.publish(&f)
	if target != nil {
		target.mu.Lock()
		id := target.id // a draft has its own
		target.mu.Unlock()
		p.ws.files.unbind(id, target)
		target.unlink()
	}
	p.touched()
	to.touched()
	return 0
}

// renameWithin renames a breakpoint file that has not left this machine yet; the
// store has no such request.
func (p *partialDir) renameWithin(ctx context.Context, name, newName string) syscall.Errno {
	if errno := checkBreakpointName(newName); errno != 0 {
		return errno
	}
	p.ws.fs.log.WithField("name", name).Info("rename within .partial refused: SCM cannot rename a breakpoint file")
	return syscall.EXDEV
}

// Mkdir implements fusefs.NodeMkdirer.
func (p *partialDir) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Rmdir implements fusefs.NodeRmdirer.
func (p *partialDir) Rmdir(context.Context, string) syscall.Errno { return syscall.ENOTDIR }
