package fs

import (
	"context"
	"slices"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

var (
	_ fusefs.NodeUnlinker = (*dirNode)(nil)
	_ fusefs.NodeRmdirer  = (*dirNode)(nil)
)

// Unlink implements fusefs.NodeUnlinker. Open handles keep the content; the
// store deletes every version, as SCM's delete does.
func (d *dirNode) Unlink(ctx context.Context, name string) syscall.Errno {
	if d.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	octx, cancel := d.ws.fs.deed(ctx)
	defer cancel()
	e, _, errno := d.find(octx, name)
	switch {
	case errno != 0:
		return errno
	case e.dir != nil:
		return syscall.EISDIR
	}
	if errno := e.file.remove(octx); errno != 0 {
		return errno
	}
	d.ws.news.Lock()
	d.list.drop(name)
	d.ws.news.Unlock()
	d.touched()
	return 0
}

// remove deletes a file in the store and its draft here.
func (n *fileNode) remove(ctx context.Context) syscall.Errno {
	n.mu.Lock()
	id, published, d := n.id, n.rec != nil, n.liveLocked()
	n.mu.Unlock()
	// Also one that was published this moment, of which the node has not heard: with
	// no record there is nothing else that would delete the file.
	if d != nil && (d.Dirty() || !published) {
		n.keepDraft(d)
		end := d.Remove
		if published {
			end = d.Discard // the file itself goes below
		}
		if err := end(); err != nil {
			return errnoOf(ctx, err)
		}
		if !published {
			d.Ended(ctx) // that it goes is certain; when, matters to who takes the name next
		}
	}
	if published {
		if errno := n.removePublished(ctx, id); errno != 0 {
			return errno
		}
		if d, ok := n.ws.fs.queue.ForFile(n.ws.name, id); ok && !d.Dirty() {
			d.Unname() // published a moment ago: it would still have the name
		}
	}
	n.ws.files.unbind(id, n)
	n.unlink()
	return 0
}

// removePublished deletes all versions, or moves them into the trash.
func (n *fileNode) removePublished(ctx context.Context, id client.FileID) syscall.Errno {
	n.mu.Lock()
	rec := *n.rec
	n.mu.Unlock()
	// A link that was renamed onto a file has that file's history.
	if t := &n.ws.trash; t.enabled() && (n.kind == syscall.S_IFREG || rec.Size > 0) {
		if put, err := t.put(ctx, rec); put || err != nil {
			return errnoOf(ctx, err)
		}
	}
	if err := n.ws.fs.queue.Free(ctx, n.ws.name, id); err != nil {
		return errnoOf(ctx, err)
	}
	n.keepReadable(ctx)
	err := n.ws.store.DeleteFile(ctx, id)
	if client.KindOf(err) == client.Uncertain {
		// The answer was lost: ask whether the file is still there.
		if _, err = n.ws.store.File(ctx, id); err == nil {
			return syscall.EIO
		}
	}
	if err != nil && client.KindOf(err) != client.NotExist {
		return errnoOf(ctx, err)
	}
	return 0
}

// Rmdir implements fusefs.NodeRmdirer. The store refuses a directory that is not
// empty; drafts it does not know are refused here.
func (d *dirNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	if d.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	if d.reserved(name) {
		return syscall.EBUSY
	}
	octx, cancel := d.ws.fs.deed(ctx)
	defer cancel()
	e, _, errno := d.find(octx, name)
	switch {
	case errno != 0:
		return errno
	case e.dir == nil:
		return syscall.ENOTDIR
	}
	if errno := e.dir.remove(octx); errno != 0 {
		return errno
	}
	d.list.drop(name)
	d.touched()
	return 0
}

// remove deletes an empty directory.
func (d *dirNode) remove(ctx context.Context) syscall.Errno {
	if slices.ContainsFunc(d.ws.fs.queue.InDir(d.ws.name, d.id), (*writeback.Draft).Dirty) {
		return syscall.ENOTEMPTY
	}
	err := d.ws.store.DeleteDirectory(ctx, d.id)
	if client.KindOf(err) == client.Uncertain {
		if _, err = d.ws.store.Directory(ctx, d.id); err == nil {
			return syscall.EIO
		}
	}
	if err != nil && client.KindOf(err) != client.NotExist {
		return errnoOf(ctx, err)
	}
	last := d.ws.attrsOf(d.id) // for whoever has it open
	d.ws.dropAttrs(d.id)
	d.ws.dirs.unbind(d.id, d)
	d.mu.Lock()
	d.gone = &last
	d.mu.Unlock()
	return 0
}
