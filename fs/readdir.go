package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
)

var _ fusefs.NodeOpendirHandler = (*dirNode)(nil)

// OpendirHandle implements fusefs.NodeOpendirHandler. Nothing is asked before
// the first entry is wanted.
func (d *dirNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return &dirHandle{dir: d}, 0, 0
}

// dirHandle is one reading of a directory: "." and "..", the drafts, then the
// rows in the order in which they arrived. A position is an index into that, so
// it stays valid for the life of the handle. go-fuse serialises the calls.
type dirHandle struct {
	dir    *dirNode
	pos    int
	locals []row
	skip   map[string]bool // names that locals have taken
	rows   *fetch
	last   row // what Readdirent returned, for Lookup
}

var (
	_ fusefs.FileReaddirenter = (*dirHandle)(nil)
	_ fusefs.FileLookuper     = (*dirHandle)(nil)
	_ fusefs.FileSeekdirer    = (*dirHandle)(nil)
	_ fusefs.FileFsyncdirer   = (*dirHandle)(nil)
)

const dots = 2

func (h *dirHandle) start() {
	if h.rows != nil {
		return
	}
	ws := h.dir.ws
	h.skip = make(map[string]bool)
	// The drafts before the rows: what is published in between is found twice, in
	// the other order it would be missed.
	drafts := ws.fs.queue.InDir(ws.name, h.dir.id)
	h.rows = h.dir.list.list(false)
	for _, d := range drafts {
		if n := ws.files.peek(d.FileID()); n == nil && !d.Ahead() || n != nil && !n.current() {
			continue // removed since it was published, or its writer was killed
		}
		t := d.Target()
		h.locals = append(h.locals, row{name: t.Name, file: &client.File{ID: d.FileID(), Name: t.Name}})
		h.skip[t.Name] = true
	}
	slices.SortFunc(h.locals, func(a, b row) int { return strings.Compare(a.name, b.name) })
	h.locals = slices.CompactFunc(h.locals, func(a, b row) bool { return a.name == b.name })
}

// Readdirent implements fusefs.FileReaddirenter.
func (h *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	h.start()
	for {
		i := h.pos
		switch {
		case i == 0:
			h.pos++
			return &fuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Ino: h.dir.ino, Off: 1}, 0
		case i == 1:
			h.pos++
			return &fuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR, Ino: h.dir.parentIno(), Off: 2}, 0
		case i < dots+len(h.locals):
			h.pos++
			return h.entry(h.locals[i-dots]), 0
		}
		r, ok, errno := h.row(ctx, i-dots-len(h.locals))
		if errno != 0 {
			return nil, errno
		}
		if !ok {
			return nil, 0
		}
		h.pos++
		if now, ok := h.dir.list.changed(h.rows, r.name); ok {
			if r = now; !r.present() {
				continue
			}
		}
		if h.skip[r.name] || h.dir.ws.movedAway(r, h.dir.id) {
			continue
		}
		return h.entry(r), 0
	}
}

// row returns row i. A deadline is set only for one that has to be waited for:
// its timers took longer than all else an entry needs.
func (h *dirHandle) row(ctx context.Context, i int) (row, bool, syscall.Errno) {
	if r, ok := h.rows.peek(i); ok {
		return r, true, 0
	}
	ctx, cancel := h.dir.ws.fs.op(ctx)
	defer cancel()
	r, ok, err := h.rows.row(ctx, i)
	if err != nil {
		h.rows = h.dir.list.list(false) // the next read may succeed
		return row{}, false, errnoOf(ctx, err)
	}
	return r, ok, 0
}

func (h *dirHandle) entry(r row) *fuse.DirEntry {
	h.last = r
	de := &fuse.DirEntry{Name: r.name, Off: uint64(h.pos)}
	ws := h.dir.ws
	if r.dir != nil {
		de.Mode, de.Ino = syscall.S_IFDIR, dirIno(ws.name, r.dir.ID)
		return de
	}
	if n := ws.files.peek(r.file.ID); n != nil {
		de.Mode, de.Ino = n.kind, n.ino
		return de
	}
	de.Mode, de.Ino = kindOf(decodePosix(r.file.Metadata)), fileIno(ws.name, r.file.ID)
	return de
}

// Lookup implements fusefs.FileLookuper: READDIRPLUS takes the attributes of the
// entry just read from its row, without a request.
func (h *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	d := h.dir
	if h.last.name != name {
		return d.Lookup(ctx, name, out)
	}
	if draft, ok := d.ws.fs.queue.Lookup(d.ws.target(d.id, name)); ok && draft.Ahead() {
		return d.enter(ctx, entry{file: d.ws.draftNode(draft)}, d.ws.fs.opt.Expiry, out), 0
	}
	switch {
	case h.last.dir != nil:
		return d.enter(ctx, entry{dir: d.ws.dir(*h.last.dir)}, h.believed(), out), 0
	case h.skip[name]: // was a draft when the directory was opened
		return d.Lookup(ctx, name, out)
	}
	return d.enter(ctx, entry{file: d.ws.file(h.last.file, h.believed())}, h.believed(), out), 0
}

// believed tells for how long the kernel may believe a name of this reading: an
// expiry from now for rows that arrive, what is left of it for rows that an
// earlier reading fetched. Another expiry for those would show a name for two.
func (h *dirHandle) believed() time.Duration {
	o := &h.dir.ws.fs.opt
	if h.rows.until.IsZero() {
		return o.Expiry
	}
	return max(0, h.rows.until.Sub(o.Now()))
}

// Seekdir implements fusefs.FileSeekdirer. Going back to the start reads anew.
func (h *dirHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		*h = dirHandle{dir: h.dir}
		return 0
	}
	h.start()
	h.pos = int(off)
	return 0
}

// Fsyncdir implements fusefs.FileFsyncdirer: names are durable when the call that
// made them returned.
func (h *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }

func (d *dirNode) parentIno() uint64 {
	if d.isRoot() {
		return rootIno
	}
	return dirIno(d.ws.name, d.record().Parent)
}
