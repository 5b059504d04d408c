package fs

import (
	"context"
	"fmt"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Tmpfile implements fusefs.NodeTmpfiler: a file that never has a name is a draft
// that was discarded at once. It costs no request. Only with O_EXCL, which says
// that no linkat will follow: a program must hear now, not at the end of its
// work, that there are no links here. (Not ENOSYS: the kernel would remember it.)
func (d *dirNode) Tmpfile(ctx context.Context, flags, mode uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	fs := d.ws.fs
	switch {
	case d.ws.rules.ReadOnly:
		return nil, nil, 0, syscall.EROFS
	case flags&syscall.O_EXCL == 0:
		return nil, nil, 0, syscall.EOPNOTSUPP
	}
	caller := callerOf(ctx)
	octx, cancel := fs.deed(ctx)
	defer cancel()
	name := fs.unnamed()
	draft, err := fs.queue.Create(octx, d.ws.target(d.id, name), d.ws.newMeta(posix{}, mode, caller))
	if err != nil {
		return nil, nil, 0, errnoOf(octx, err)
	}
	n := d.ws.draftNode(draft)
	h := newHandle(n, writing(flags), caller)
	h.draft = draft
	n.opened(h)
	if errno := n.remove(octx); errno != 0 {
		h.Release(ctx)
		return nil, nil, 0, errno
	}
	n.fill(&out.Attr)
	return d.ws.fileInode(ctx, n), h, h.openFlags(), 0
}

// unnamed is the name of a draft that nobody sees and nothing is published of.
func (fs *FS) unnamed() string { return fmt.Sprintf(".unnamed-%d", fs.gens.next()) }
