package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

var (
	_ fusefs.NodeCreater   = (*dirNode)(nil)
	_ fusefs.NodeMknoder   = (*dirNode)(nil)
	_ fusefs.NodeSymlinker = (*dirNode)(nil)
	_ fusefs.NodeMkdirer   = (*dirNode)(nil)
	_ fusefs.NodeLinker    = (*dirNode)(nil)
	_ fusefs.NodeTmpfiler  = (*dirNode)(nil)
)

// maySet tells whether a new entry of that name is possible here.
func (d *dirNode) maySet(name string, check func(string) syscall.Errno) syscall.Errno {
	if d.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	if d.reserved(name) {
		return syscall.EEXIST
	}
	return check(name)
}

// newMeta is the metadata of a new file that a caller makes.
func (ws *workspace) newMeta(px posix, mode uint32, caller fuse.Caller) map[string]string {
	opt := &ws.fs.opt
	if perm := mode & 0o7777; perm != opt.FileMode {
		px.Perm = &perm
	}
	if caller.Uid != opt.UID {
		px.UID = &caller.Uid
	}
	if caller.Gid != opt.GID {
		px.GID = &caller.Gid
	}
	return px.into(nil)
}

// create makes a draft for a new name and its node. One handle is held on it.
func (d *dirNode) create(ctx context.Context, name string, meta map[string]string) (*fileNode, *writeback.Draft, error) {
	draft, err := d.ws.fs.queue.Create(ctx, d.ws.target(d.id, name), meta)
	if err != nil {
		return nil, nil, err
	}
	d.ws.watch(draft)
	d.touched()
	return d.ws.draftNode(draft), draft, nil
}

// Create implements fusefs.NodeCreater. The file exists here at once and in the
// store when it is published.
func (d *dirNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	if errno := d.maySet(name, checkFileName); errno != 0 {
		return nil, nil, 0, errno
	}
	caller := callerOf(ctx)
	octx, cancel := d.ws.fs.deed(ctx)
	defer cancel()
	if e, ok := d.appeared(octx, name); ok {
		return d.openAppeared(ctx, e, flags, out)
	}
	meta := d.ws.newMeta(posix{}, mode, caller)
	if n := d.comeBack(octx, name, nil); n != nil {
		fh, open, errno := n.Open(ctx, writing(flags)|syscall.O_TRUNC)
		if errno != 0 {
			return nil, nil, 0, errno
		}
		if errno := n.likeNew(octx, decodePosix(meta)); errno != 0 {
			fh.(*handle).Release(ctx)
			return nil, nil, 0, errno
		}
		return d.enter(ctx, entry{file: n}, d.ws.fs.opt.Expiry, out), fh, open, 0
	}
	n, draft, err := d.create(octx, name, meta)
	if err != nil {
		return nil, nil, 0, errnoOf(octx, err)
	}
	if likeMkstemp(flags, mode) {
		draft.MadeByMkstemp()
	}
	h := newHandle(n, writing(flags), caller)
	h.draft = draft
	n.opened(h)
	in := d.enter(ctx, entry{file: n}, d.ws.fs.opt.Expiry, out)
	return in, h, h.openFlags(), 0
}

// likeMkstemp tells whether a file is created as mkstemp(3) does it, in glibc, rsync
// and sed. Hardly anybody else opens a new file for reading too and for its owner alone:
// cp makes it O_WRONLY, and a shell for everybody.
func likeMkstemp(flags, mode uint32) bool {
	return flags&(syscall.O_ACCMODE|syscall.O_EXCL) == syscall.O_RDWR|syscall.O_EXCL && mode&0o7777 == 0o600
}

// appeared tells whether a name that the kernel believes to be free is known to
// be taken. It asks nobody: the kernel's lookup came just before.
func (d *dirNode) appeared(ctx context.Context, name string) (entry, bool) {
	if draft, ok := d.ws.fs.queue.Lookup(d.ws.target(d.id, name)); !ok || !draft.Ahead() {
		if _, _, taken := d.list.known(name); !taken {
			return entry{}, false
		}
	}
	e, _, errno := d.find(ctx, name)
	return e, errno == 0
}

func (d *dirNode) openAppeared(ctx context.Context, e entry, flags uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	switch {
	case flags&syscall.O_EXCL != 0:
		return nil, nil, 0, syscall.EEXIST
	case e.dir != nil:
		return nil, nil, 0, syscall.EISDIR
	}
	h, open, errno := e.file.Open(ctx, flags)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	return d.enter(ctx, e, d.ws.fs.opt.Expiry, out), h, open, 0
}

// publishNew makes a file that is complete when it is created.
func (d *dirNode) publishNew(ctx context.Context, name string, meta map[string]string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	octx, cancel := d.ws.fs.deed(ctx)
	defer cancel()
	if _, taken := d.appeared(octx, name); taken {
		return nil, syscall.EEXIST
	}
	n, draft, err := d.create(octx, name, meta)
	if err != nil {
		return nil, errnoOf(octx, err)
	}
	h := &handle{on: n, writable: true, draft: draft}
	n.opened(h)
	defer h.Release(ctx)
	if errno := h.publish(ctx, draft, callerOf(ctx).Pid); errno != 0 {
		return nil, errno
	}
	return d.enter(ctx, entry{file: n}, d.ws.fs.opt.Expiry, out), 0
}

// Mknod implements fusefs.NodeMknoder. Fifos, sockets and devices are empty
// files with the type in their attributes; the kernel does the rest.
func (d *dirNode) Mknod(ctx context.Context, name string, mode, dev uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if errno := d.maySet(name, checkFileName); errno != 0 {
		return nil, errno
	}
	px := posix{Rdev: dev}
	if kind := mode & syscall.S_IFMT; kind != syscall.S_IFREG && kind != 0 {
		px.Type = kind
	}
	return d.publishNew(ctx, name, d.ws.newMeta(px, mode, callerOf(ctx)), out)
}

// Symlink implements fusefs.NodeSymlinker. The target is kept in the attributes,
// so that a listing has it.
func (d *dirNode) Symlink(ctx context.Context, target, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if errno := d.maySet(name, checkFileName); errno != 0 {
		return nil, errno
	}
	if len(target) >= maxSymlink {
		return nil, syscall.ENAMETOOLONG
	}
	px := posix{Type: syscall.S_IFLNK, Link: target}
	return d.publishNew(ctx, name, d.ws.newMeta(px, d.ws.fs.opt.FileMode, callerOf(ctx)), out)
}

// Mkdir implements fusefs.NodeMkdirer.
func (d *dirNode) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if errno := d.maySet(name, checkDirectoryName); errno != 0 {
		return nil, errno
	}
	if !d.ws.directories {
		d.ws.flatOnce.Do(func() {
			d.ws.fs.log.WithField("workspace", d.ws.name).Warn("mkdir refused: the workspace has no directory support")
		})
		return nil, syscall.EPERM
	}
	caller := callerOf(ctx)
	octx, cancel := d.ws.fs.deed(ctx)
	defer cancel()
	if _, taken := d.appeared(octx, name); taken {
		return nil, syscall.EEXIST
	}
	rec, err := d.ws.store.CreateDirectory(octx, d.id, name)
	if client.KindOf(err) == client.Uncertain {
		// The answer was lost; whether the directory is there can be asked.
		rec, err = d.ws.store.LookupDirectory(octx, d.id, name)
	}
	if err != nil {
		return nil, errnoOf(octx, err)
	}
	d.list.set(row{name: name, dir: &rec})
	d.touched()
	opt := &d.ws.fs.opt
	d.ws.setAttrs(rec.ID, func(a *dirAttrs) {
		if perm := mode & 0o7777; perm != opt.DirMode {
			a.perm = &perm
		}
		if caller.Uid != opt.UID {
			a.uid = &caller.Uid
		}
		if caller.Gid != opt.GID {
			a.gid = &caller.Gid
		}
	})
	made := d.ws.dir(rec)
	made.list.isEmpty() // a copy into it needs not ask whether each name is free
	return d.enter(ctx, entry{dir: made}, opt.Expiry, out), 0
}

// Link implements fusefs.NodeLinker: SCM has no hard links.
func (d *dirNode) Link(context.Context, fusefs.InodeEmbedder, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}
