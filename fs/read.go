package fs

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/readcache"
)

// lendMin is the smallest read that is answered from the cache's own memory. A
// smaller one is cheaper to copy than to lend: the pieces are 64 KiB.
const lendMin = 64 << 10

// Read implements fusefs.FileReader.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	ctx, cancel := h.on.tree().op(ctx)
	defer cancel()
	if h.unread.CompareAndSwap(true, false) {
		h.on.accessed()
	}
	n, err := 0, error(nil)
	if d := h.reading(ctx); d != nil {
		n, err = d.ReadAt(ctx, dest, off)
	} else if m, ok, kerr := h.on.readKept(dest, off); ok {
		n, err = m, kerr
	} else if c, ok := h.on.content(); !ok {
		err = syscall.ESTALE
	} else if len(dest) > lendMin {
		v, verr := h.readerFor(c).View(ctx, len(dest), off)
		if verr != nil {
			return nil, errnoOf(ctx, verr)
		}
		return lent{v}, 0
	} else {
		n, err = h.readerFor(c).ReadAt(ctx, dest, off)
	}
	if err != nil && !isEOF(err) {
		return nil, errnoOf(ctx, err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// lent is an answer in the memory of the read cache: the kernel copies from
// there, nobody else does. go-fuse takes the pieces through Slices and gives them
// back through Done.
type lent struct{ *readcache.View }

var _ fuse.ReadResult = lent{}

// Size implements fuse.ReadResult.
func (l lent) Size() int { return l.Len() }

// Done implements fuse.ReadResult.
func (l lent) Done() { l.Release() }

// Slices is how go-fuse asks for the pieces of an answer.
func (l lent) Slices() ([][]byte, fuse.Status) { return l.View.Slices(), fuse.OK }

// Bytes implements fuse.ReadResult.
func (l lent) Bytes(buf []byte) ([]byte, fuse.Status) {
	buf = buf[:0]
	for _, s := range l.View.Slices() {
		buf = append(buf, s...)
	}
	return buf, fuse.OK
}

// readerFor returns the handle's reader of a content; it carries the prefetch
// window from one read to the next.
func (h *handle) readerFor(c client.Content) *readcache.Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reader == nil || h.reads != c.Data {
		if h.reader != nil {
			h.reader.Close()
		}
		h.reader, h.reads = h.on.tree().cache.Reader(h.on.source(), c), c.Data
	}
	return h.reader
}
