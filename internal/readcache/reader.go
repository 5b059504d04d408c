package readcache

import (
	"context"
	"fmt"
	"io"

	"github.com/sequoiacm/scmfs/client"
)

// Reader reads one content through the cache and carries the prefetch window:
// one per open handle. Its methods are safe for concurrent use.
type Reader struct {
	c       *Cache
	src     Source
	content client.Content
	kept    []byte // all of the content, when it was written here; see recent

	// Guarded by c.mu.
	object  *object
	window  window
	ahead   int64 // up to here prefetching found everything there or on its way
	spent   int64 // blocks before it were given up, see spend
	noAhead bool  // reads alone: no window
	closed  bool
}

// Reader returns a reader of content from src. It does no I/O; Close it.
// content.Data must not be empty unless content.Size is 0.
func (c *Cache) Reader(src Source, content client.Content) *Reader {
	kept := c.recent.get(content)
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.object(content)
	o.readers++
	return &Reader{c: c, src: src, content: content, kept: kept, object: o}
}

// ReadAt reads without a handle: no sequence is recognised and nothing is
// fetched ahead. Whoever reads on uses a [Reader].
func (c *Cache) ReadAt(ctx context.Context, src Source, content client.Content, p []byte, off int64) (int, error) {
	r := c.Reader(src, content)
	r.noAhead = true // nobody else knows r yet
	defer r.Close()
	return r.ReadAt(ctx, p, off)
}

// Close ends the reader's prefetching. Reads still under way may get [ErrClosed].
func (r *Reader) Close() error {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.object.detach(r)
	r.object.readers--
	r.object.drop()
	return nil
}

// ReadAt fills p with the content from off, by the rules of [io.ReaderAt]:
// io.EOF when the content ends before p does. ctx bounds the waiting, not the
// fetching. Errors are those of the [Source], ctx's, or [ErrClosed].
func (r *Reader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := r.check(off); err != nil {
		return 0, err
	}
	var eof error
	if left := max(r.content.Size-off, 0); int64(len(p)) > left {
		p, eof = p[:left], io.EOF
	}
	if len(p) == 0 {
		return 0, eof
	}
	if r.kept != nil {
		r.c.stats.hits.Add(1)
		r.c.stats.served.Add(int64(len(p)))
		return copy(p, r.kept[off:]), eof
	}
	n := 0
	var plan plan
	for n < len(p) {
		at := off + int64(n)
		b, hi, err := r.pin(ctx, at, off+int64(len(p)), n == 0, &plan)
		if err != nil {
			return n, err
		}
		b.copyOut(p[n:n+int(hi-at)], at%r.c.o.BlockSize)
		r.c.unpin(b)
		n += int(hi - at)
	}
	r.c.stats.served.Add(int64(n))
	return n, eof
}

// check refuses what cannot be read.
func (r *Reader) check(off int64) error {
	if off < 0 {
		return fmt.Errorf("read %s: negative offset %d", r.content.File, off)
	}
	if r.content.Data == "" && r.content.Size > 0 {
		return fmt.Errorf("read %s: content without data id", r.content.File)
	}
	return nil
}

// pin returns off's block with all of [off, hi) valid, pinned. It returns a
// smaller hi when memory is so short that a block does not stay until it is
// complete. The read it belongs to ends at end; first is set for its first
// block: the window sees a read once, and the plan is for all of it.
func (r *Reader) pin(ctx context.Context, off, end int64, first bool, plan *plan) (b *block, hi int64, err error) {
	c := r.c
	hi = min(end, (off/c.o.BlockSize+1)*c.o.BlockSize)
	c.mu.Lock()
	if first {
		*plan = r.advance(off, end)
	}
	if b = r.object.find(off, hi); b == nil || c.closed || r.closed {
		c.stats.misses.Add(1)
		return r.wait(ctx, off, hi, *plan)
	}
	c.stats.hits.Add(1)
	b.pins.Add(1)
	c.blocks.touch(b)
	if plan.stream {
		r.prefetch(hi, *plan)
	}
	c.mu.Unlock()
	return b, hi, nil
}

// wait is the part of pin that has [off, hi) fetched. Called with c.mu, returns
// without it.
func (r *Reader) wait(ctx context.Context, off, hi int64, plan plan) (*block, int64, error) {
	c, o := r.c, r.object
	for {
		if c.closed || r.closed {
			c.mu.Unlock()
			return nil, 0, ErrClosed
		}
		if b := o.find(off, hi); b != nil {
			b.pins.Add(1)
			c.blocks.touch(b)
			c.mu.Unlock()
			return b, hi, nil
		}
		own := r.demand(ctx, off, plan)
		if int64(c.waiting+1)*c.o.BlockSize > c.o.Memory/2 {
			// Too many blocks at a time: take what comes page by page.
			hi = min(hi, (off/pageSize+1)*pageSize)
		}
		w := o.await(off, hi)
		if plan.stream {
			r.prefetch(hi, plan)
		}
		c.mu.Unlock()
		if own != nil {
			own.run()
		}
		select {
		case <-w.done:
		case <-ctx.Done():
			c.mu.Lock()
			o.abandon(w)
			c.mu.Unlock()
			return nil, 0, fmt.Errorf("read %s at %d: %w", r.content.File, off, context.Cause(ctx))
		}
		if w.block != nil {
			return w.block, hi, nil
		}
		if w.err == nil && ctx.Err() != nil {
			w.err = context.Cause(ctx) // it ended our own fetch first
		}
		if w.err != nil {
			return nil, 0, fmt.Errorf("read %s at %d: %w", r.content.File, off, w.err)
		}
		if w.robbed {
			hi = min(hi, (off/pageSize+1)*pageSize)
		}
		c.mu.Lock()
	}
}
