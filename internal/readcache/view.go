package readcache

import "context"

// View is content lent by the cache. Its bytes do not change and stay in memory
// until Release.
type View struct {
	c      *Cache
	slices [][]byte
	blocks []*block
	n      int
}

// Slices are the bytes in order, in pieces of at most 64 KiB. They must not be
// written to nor used after Release.
func (v *View) Slices() [][]byte { return v.slices }

// Len is the number of bytes.
func (v *View) Len() int { return v.n }

// Release gives the bytes back. It is called once, by one goroutine.
func (v *View) Release() {
	for _, b := range v.blocks {
		v.c.unpin(b)
	}
	v.slices, v.blocks = nil, nil
}

// View is [Reader.ReadAt] without the copy: up to n bytes from off, fewer only
// at the end of the content, none behind it. The caller releases the view.
//
// A view pins memory, so it must not be kept; and no block is waited for while
// one is pinned. When memory is so short that the blocks cannot be had at the
// same time, the view is a private copy.
func (r *Reader) View(ctx context.Context, n int, off int64) (*View, error) {
	if err := r.check(off); err != nil {
		return nil, err
	}
	end := min(off+int64(n), r.content.Size)
	if r.kept != nil && off < end {
		r.c.stats.hits.Add(1)
		r.c.stats.served.Add(end - off)
		return &View{c: r.c, slices: [][]byte{r.kept[off:end]}, n: int(end - off)}, nil
	}
	// Have it all fetched, holding nothing.
	var plan plan
	for at := off; at < end; {
		b, hi, err := r.pin(ctx, at, end, at == off, &plan)
		if err != nil {
			return nil, err
		}
		r.c.unpin(b)
		at = hi
	}
	if v := r.lend(off, end); v != nil {
		r.c.stats.served.Add(int64(v.n))
		return v, nil
	}
	p := make([]byte, end-off)
	if _, err := r.ReadAt(ctx, p, off); err != nil {
		return nil, err
	}
	return &View{c: r.c, slices: [][]byte{p}, n: len(p)}, nil
}

// lend pins all blocks of [off, end), or none and returns nil.
func (r *Reader) lend(off, end int64) *View {
	c := r.c
	v := &View{c: c, n: int(max(end-off, 0))}
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := off; at < end; {
		hi := min(end, (at/c.o.BlockSize+1)*c.o.BlockSize)
		b := r.object.find(at, hi)
		if b == nil || c.closed {
			for _, b := range v.blocks {
				if b.pins.Add(-1) == 0 {
					c.pagesFreed()
				}
			}
			return nil
		}
		b.pins.Add(1)
		v.blocks = append(v.blocks, b)
		for ; at < hi; at = min(hi, (at/pageSize+1)*pageSize) {
			start := at % c.o.BlockSize
			i := start / pageSize
			v.slices = append(v.slices, b.pages[i].data[start%pageSize:min(pageSize, start%pageSize+hi-at)])
		}
	}
	return v
}
