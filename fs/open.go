package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

func writes(flags uint32) bool { return flags&syscall.O_ACCMODE != syscall.O_RDONLY }

// writing is for the handle that made a file: it holds the draft, so it may write
// whatever its program asked for.
func writing(flags uint32) uint32 {
	if writes(flags) {
		return flags
	}
	return flags | syscall.O_RDWR
}

// Open implements fusefs.NodeOpener. The record is brought up to date first, so
// that what is read is never older than the expiry. Opening for writing costs
// nothing until something is written, except with O_TRUNC: that is a change.
func (n *fileNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) && n.ws.rules.ReadOnly {
		return nil, 0, syscall.EROFS
	}
	caller := callerOf(ctx)
	ctx, cancel := n.ws.fs.op(ctx)
	defer cancel()
	if errno := n.revalidate(ctx); errno != 0 {
		return nil, 0, errno
	}
	h := newHandle(n, flags, caller)
	// Counted before the truncation: the release of an older handle, which the
	// kernel sends at leisure, would take the emptied content for what it closed.
	n.opened(h)
	if flags&syscall.O_TRUNC != 0 && writes(flags) {
		if errno := h.begin(ctx, true); errno != 0 {
			n.closed(h, func() {})
			return nil, 0, errno
		}
	}
	return h, h.openFlags(), 0
}

// opened counts a handle.
func (n *fileNode) opened(h *handle) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opens++
	if h.writable {
		n.writers++
	}
	h.keep = n.keepLocked()
}

// keepLocked tells whether the kernel's pages of this file are still true: they
// are if they were read or written for the same content.
func (n *fileNode) keepLocked() bool {
	if n.liveLocked() != nil || n.rec == nil {
		n.cached = ""
		return false
	}
	same := n.cached == n.rec.Data && n.rec.Data != ""
	n.cached = n.rec.Data
	return same
}

func (h *handle) openFlags() uint32 {
	var flags uint32
	if !h.writable {
		flags |= fuse.FOPEN_NOFLUSH // close of a reader has nothing to say
	}
	if h.keep {
		flags |= fuse.FOPEN_KEEP_CACHE
	}
	if h.direct {
		// What a program writes is copied once on its way here, not twice, no page is
		// made for it, and the first write does not ask for security.capability. The
		// pages were of no use: what was just written came from the store all the same
		// when it was read again. Handles that read as well keep theirs, they may be mapped.
		// A GiB by pieces of 1 MiB, asynchronous: 0.55 of the local disk with pages, 0.77
		// without; synchronous: 1.1 times as fast.
		flags |= fuse.FOPEN_DIRECT_IO
	}
	return flags
}

// closed uncounts a handle and tells whether it was the last writer. If so seal is
// called first, under the lock: whoever opens the file from now on finds what was
// closed sealed.
func (n *fileNode) closed(h *handle, seal func()) (lastWriter bool) {
	var kept *writeback.Draft
	defer func() {
		if kept != nil {
			_ = kept.Release(context.Background()) // of what is discarded: there is nothing to fail
		}
	}()
	n.mu.Lock()
	defer n.mu.Unlock()
	if lastWriter = h.writable && n.writers == 1; lastWriter {
		seal()
	}
	n.opens--
	if h.writable {
		n.writers--
	}
	if n.opens == 0 {
		if n.kept != nil {
			_ = n.kept.Close()
		}
		n.kept, kept, n.keptDraft = nil, n.keptDraft, nil
		n.letGoLocked()
	}
	return lastWriter
}

// abandoned drops the draft of a killed writer. A file that was never published
// has no name any more, and the kernel is told; another one has its old content.
func (n *fileNode) abandoned() {
	n.mu.Lock()
	published := n.rec != nil
	n.mu.Unlock()
	if !published {
		n.detach()
		n.ws.fs.nameGone(n)
		return
	}
	n.mu.Lock()
	n.draft = nil
	n.setLocked(n.rec, decodePosix(n.rec.Metadata), time.Time{})
	n.mu.Unlock()
	n.ws.fs.contentChanged(n)
}

// open tells whether somebody has the file open.
func (n *fileNode) open() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.opens > 0
}

func (n *fileNode) shared() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.writers > 1
}

// edit returns the draft for new content of this file, with one handle held.
func (n *fileNode) edit(ctx context.Context, truncate bool) (*writeback.Draft, error) {
	n.mu.Lock()
	rec, d, unlinked := n.rec, n.liveLocked(), n.unlinked
	n.mu.Unlock()
	if unlinked {
		return n.editUnlinked(ctx, truncate)
	}
	if d != nil && (rec == nil || d.Dirty()) {
		if err := d.Retain(); err == nil {
			if truncate {
				if err := d.Truncate(ctx, 0); err != nil {
					_ = d.Release(ctx)
					return nil, err
				}
			}
			return d, nil
		} else if rec == nil {
			return nil, err
		}
	}
	if d != nil { // published this moment: the next version goes onto what that made
		if d.Retain() == nil {
			defer func(d *writeback.Draft) { _ = d.Release(ctx) }(d)
		}
		n.hear(d)
		n.mu.Lock()
		rec = n.rec
		n.mu.Unlock()
	}
	if rec == nil {
		return nil, syscall.ESTALE
	}
	d, err := n.ws.fs.queue.Edit(ctx, n.ws.target(rec.Dir, rec.Name), *rec, truncate)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	if n.draft != d {
		defer n.ws.watch(d)
	}
	n.draft = d
	n.mtimeAt = time.Time{} // whatever time was set is over with the first write, O_TRUNC included
	n.mu.Unlock()
	return d, nil
}

// target is where a draft of this workspace is to be published.
func (ws *workspace) target(dir client.DirID, name string) writeback.Target {
	if !ws.directories {
		dir = client.RootDir
	}
	return writeback.Target{Workspace: ws.name, Dir: dir, Name: name}
}

// content returns the published content, false when there is none.
func (n *fileNode) content() (client.Content, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rec == nil {
		return client.Content{}, false
	}
	return n.rec.Content(), true
}
