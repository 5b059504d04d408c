package fs

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/readcache"
	"github.com/sequoiacm/scmfs/writeback"
)

// subject is what a handle is open on: a file or an entry of .partial.
type subject interface {
	fusefs.InodeEmbedder
	// tree and number identify it.
	tree() *FS
	number() uint64
	// live is the draft that is its content at present, nil for the store's.
	live() *writeback.Draft
	// edit returns a draft to write into, with one handle held.
	edit(ctx context.Context, truncate bool) (*writeback.Draft, error)
	// content is what the store has, source where to read it.
	content() (client.Content, bool)
	source() readcache.Source
	// readKept reads what is left of a file that no longer exists.
	readKept(p []byte, off int64) (n int, ok bool, err error)
	// stamp gives a draft the attributes to be published with.
	stamp(d *writeback.Draft)
	// finished takes over what a publication made.
	finished(d *writeback.Draft, f client.File)
	// abandoned takes the name away of a file that was never published.
	abandoned()
	// lost tells whether the file was removed, and a draft is what was published of
	// it before: it must not be written again, and what it has not spooled is gone.
	lost(d *writeback.Draft) bool
	// accessed notes that a program read of it.
	accessed()
	// shared tells whether other handles may write as well.
	shared() bool
	// closed uncounts the handle.
	closed(h *handle, seal func()) (lastWriter bool)
}

// handle is one open of a file. All methods may be called concurrently.
type handle struct {
	on       subject
	writable bool
	keep     bool
	direct   bool // what is written comes here without a page of the kernel's
	who      opener
	unread   atomic.Bool // the first read moves the time of access

	mu     sync.Mutex
	draft  *writeback.Draft  // held by this handle; guarded by mu
	reader *readcache.Reader // guarded by mu
	reads  client.DataID     // content of reader; guarded by mu
	over   bool              // the writer was killed: nothing is published; guarded by mu
}

var (
	_ fusefs.FileReader    = (*handle)(nil)
	_ fusefs.FileWriter    = (*handle)(nil)
	_ fusefs.FileFlusher   = (*handle)(nil)
	_ fusefs.FileFsyncer   = (*handle)(nil)
	_ fusefs.FileReleaser  = (*handle)(nil)
	_ fusefs.FileAllocater = (*handle)(nil)
	_ fusefs.FileLseeker   = (*handle)(nil)
)

func newHandle(on subject, flags uint32, caller fuse.Caller) *handle {
	h := &handle{on: on, writable: writes(flags), direct: flags&syscall.O_ACCMODE == syscall.O_WRONLY}
	h.unread.Store(on.tree().marksAccess(flags))
	if h.writable {
		h.who = on.tree().proc.opener(caller.Pid)
	}
	return h
}

// begin makes sure that the handle holds a draft to write into.
func (h *handle) begin(ctx context.Context, truncate bool) syscall.Errno {
	_, errno := h.writing(ctx, truncate)
	return errno
}

// writing returns the draft to write into. The first write of a handle makes or
// joins it; a handle that outlived its draft gets the next one.
func (h *handle) writing(ctx context.Context, truncate bool) (*writeback.Draft, syscall.Errno) {
	live := h.on.live()
	h.mu.Lock()
	d := h.draft
	h.mu.Unlock()
	if d != nil && (live == nil || live == d) && !d.State().Final() && !h.on.lost(d) {
		if truncate {
			if err := d.Truncate(ctx, 0); err != nil {
				return nil, errnoOf(ctx, err)
			}
		}
		return d, 0
	}
	next, err := h.on.edit(ctx, truncate)
	if err != nil {
		return nil, errnoOf(ctx, err)
	}
	h.swap(ctx, next)
	return next, 0
}

// swap lets the handle hold next instead of what it holds.
func (h *handle) swap(ctx context.Context, next *writeback.Draft) {
	h.mu.Lock()
	old := h.draft
	h.draft = next
	h.mu.Unlock()
	if old != nil {
		_ = old.Release(ctx)
	}
}

// reading returns the draft that holds the content, nil when the store has it.
func (h *handle) reading(ctx context.Context) *writeback.Draft {
	live := h.on.live()
	h.mu.Lock()
	d := h.draft
	h.mu.Unlock()
	if live != nil && h.on.lost(live) {
		live = nil
	}
	if d != nil && h.on.lost(d) {
		d = nil
	}
	if live == nil || live == d {
		return d
	}
	if live.Retain() != nil {
		return d
	}
	h.swap(ctx, live)
	return live
}

// Write implements fusefs.FileWriter. O_APPEND needs nothing here: the kernel
// sends the offset.
func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if !h.writable {
		return 0, syscall.EBADF
	}
	ctx, cancel := h.on.tree().op(ctx)
	defer cancel()
	d, errno := h.writing(ctx, false)
	if errno != 0 {
		return 0, errno
	}
	n, err := d.WriteAt(ctx, data, off)
	if err != nil && n == 0 {
		return 0, errnoOf(ctx, err)
	}
	return uint32(n), 0
}

const (
	fallocKeepSize  = 0x1
	fallocPunchHole = 0x2
	fallocZeroRange = 0x10
)

// Allocate implements fusefs.FileAllocater on the spool.
func (h *handle) Allocate(ctx context.Context, off, size uint64, mode uint32) syscall.Errno {
	if !h.writable {
		return syscall.EBADF
	}
	if mode&^(fallocKeepSize|fallocPunchHole|fallocZeroRange) != 0 {
		return syscall.EOPNOTSUPP // collapse, insert: no spool does them everywhere
	}
	ctx, cancel := h.on.tree().op(ctx)
	defer cancel()
	d, errno := h.writing(ctx, false)
	if errno != 0 {
		return errno
	}
	return errnoOf(ctx, d.Allocate(ctx, mode, int64(off), int64(size)))
}

// truncate sets the length through this handle.
func (h *handle) truncate(ctx context.Context, size int64) syscall.Errno {
	d, errno := h.writing(ctx, size == 0)
	if errno != 0 || size == 0 {
		return errno
	}
	return errnoOf(ctx, d.Truncate(ctx, size))
}

// Lseek implements fusefs.FileLseeker: SEEK_DATA and SEEK_HOLE of a file that is
// all data with a hole at its end, which is always a true answer.
func (h *handle) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	var size uint64
	if d := h.on.live(); d != nil {
		size = uint64(d.Size())
	} else if c, ok := h.on.content(); ok {
		size = uint64(c.Size)
	}
	if off >= size {
		return 0, syscall.ENXIO
	}
	switch whence {
	case seekData:
		return off, 0
	case seekHole:
		return size, 0
	}
	return 0, syscall.EINVAL
}

const (
	seekData = 3
	seekHole = 4
)

// Fsync implements fusefs.FileFsyncer: the content survives the loss of this
// machine's power. It is not published by it.
func (h *handle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	ctx, cancel := h.on.tree().op(ctx)
	defer cancel()
	d := h.reading(ctx)
	if d == nil || !d.Dirty() {
		return 0
	}
	h.on.stamp(d)
	return errnoOf(ctx, d.Fsync(ctx))
}
