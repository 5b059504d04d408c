package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// guardTimeout is how long the kernel believes who may use a directory below
// .versions: that follows the real file or directory, of whose changes nobody
// tells it here. Asking costs no request.
const guardTimeout = time.Millisecond

// versionsDir is a directory below .versions: the names of a real directory,
// where every file is a directory of its versions.
type versionsDir struct {
	fusefs.Inode
	noXattr
	fixedNames
	of  *dirNode
	ino uint64
	gen uint64
}

var (
	_ fusefs.NodeGetattrer = (*versionsDir)(nil)
	_ fusefs.NodeLookuper  = (*versionsDir)(nil)
	_ fusefs.NodeReaddirer = (*versionsDir)(nil)
	_ fusefs.NodeUnlinker  = (*versionsDir)(nil)
	_ fusefs.NodeRmdirer   = (*versionsDir)(nil)
)

// versionsOf returns the node that shows the versions of a directory's files.
func (ws *workspace) versionsOf(d *dirNode) *versionsDir {
	return ws.versionDirs.get(d.id, func() *versionsDir {
		return &versionsDir{of: d, ino: inoOf(ws.name, "versions", string(d.id)), gen: ws.fs.gens.next()}
	})
}

func (v *versionsDir) fill(out *fuse.Attr) {
	v.of.fill(out)
	out.Ino = v.ino
	out.Mode &^= 0o222
	out.Nlink = 1 // not counted: every file is a directory here
}

// Getattr implements fusefs.NodeGetattrer.
func (v *versionsDir) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	v.fill(&out.Attr)
	out.SetTimeout(guardTimeout)
	return 0
}

// Lookup implements fusefs.NodeLookuper.
func (v *versionsDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	ws := v.of.ws
	octx, cancel := ws.fs.op(ctx)
	defer cancel()
	e, ttl, errno := v.of.find(octx, name)
	if errno != 0 {
		return nil, errno
	}
	out.SetEntryTimeout(ttl)
	if e.dir != nil {
		sub := ws.versionsOf(e.dir)
		sub.fill(&out.Attr)
		out.SetAttrTimeout(guardTimeout)
		return ws.fs.inode(ctx, sub, syscall.S_IFDIR, sub.ino, sub.gen), 0
	}
	list, errno := ws.versionListOf(e.file)
	if errno != 0 {
		return nil, errno
	}
	list.fill(&out.Attr)
	out.SetAttrTimeout(guardTimeout)
	return ws.fs.inode(ctx, list, syscall.S_IFDIR, list.ino, list.gen), 0
}

// Readdir implements fusefs.NodeReaddirer.
func (v *versionsDir) Readdir(ctx context.Context) (fusefs.DirStream, syscall.Errno) {
	octx, cancel := v.of.ws.fs.op(ctx)
	defer cancel()
	f := v.of.list.list(false)
	if err := f.wait(octx); err != nil {
		return nil, errnoOf(octx, err)
	}
	var entries []fuse.DirEntry
	for _, r := range f.result() {
		entries = append(entries, fuse.DirEntry{Name: r.name, Mode: syscall.S_IFDIR})
	}
	return fusefs.NewListDirStream(entries), 0
}

// Unlink implements fusefs.NodeUnlinker.
func (v *versionsDir) Unlink(context.Context, string) syscall.Errno { return syscall.EPERM }

// Rmdir implements fusefs.NodeRmdirer.
func (v *versionsDir) Rmdir(context.Context, string) syscall.Errno { return syscall.EPERM }
