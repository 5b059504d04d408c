package readcache

import (
	"slices"

	"github.com/sequoiacm/scmfs/client"
)

// object is what the cache has and is getting of one content. It exists while
// there is a block, a fetch or a reader. All fields are guarded by Cache.mu.
type object struct {
	c       *Cache
	content client.Content
	blocks  map[int64]*block

	streams []*stream
	ranged  []*ranged
	loads   []*load
	waiters []*waiter
	readers int
}

// bounds returns where a block begins and ends in the content.
func (o *object) bounds(index int64) (lo, hi int64) {
	lo = index * o.c.o.BlockSize
	return lo, min(lo+o.c.o.BlockSize, o.content.Size)
}

// find returns the block that has all of [lo, hi), which lies in one block.
func (o *object) find(lo, hi int64) *block {
	index := lo / o.c.o.BlockSize
	b := o.blocks[index]
	start := index * o.c.o.BlockSize
	if b == nil || !b.has(lo-start, hi-start) {
		return nil
	}
	return b
}

// valid returns the end of the valid run that starts at x, at most hi; x when
// there is none.
func (o *object) valid(x, hi int64) int64 {
	for x < hi {
		index := x / o.c.o.BlockSize
		b := o.blocks[index]
		if b == nil {
			return x
		}
		start, end := o.bounds(index)
		end = min(end, hi)
		m := b.firstMissing(x-start, end-start)
		if m += start; m < end {
			return max(x, m)
		}
		x = end
	}
	return x
}

// install puts the bytes [lo, hi) of the content, which lie in one page and have
// their place in data, into the cache and lets those who wait for them go on.
func (o *object) install(data []byte, lo, hi int64) {
	c := o.c
	index := lo / c.o.BlockSize
	start, end := o.bounds(index)
	b := o.blocks[index]
	if b == nil {
		b = newBlock(o, index, end-start)
		o.blocks[index] = b
		c.blocks.push(b)
	}
	before := b.missing
	i := (lo - start) / pageSize
	at := start + i*pageSize
	if !b.install(i, data, lo-at, hi-at) {
		c.putPage(data)
	}
	if before > 0 && b.missing == 0 && c.disk != nil {
		c.save(b)
	}
	for j := 0; j < len(o.waiters); {
		w := o.waiters[j]
		if w.lo/c.o.BlockSize == index && b.has(w.lo-start, w.hi-start) {
			o.satisfy(w, b)
			continue
		}
		j++
	}
	c.pagesFreed() // the block can be evicted now
}

// drop forgets the object when nothing refers to it any more.
func (o *object) drop() {
	if o.readers == 0 && len(o.blocks) == 0 && len(o.streams) == 0 && len(o.ranged) == 0 && len(o.loads) == 0 {
		delete(o.c.objects, o.content.Data)
	}
}

// without removes x from a small list.
func without[T comparable](list []T, x T) []T {
	if i := slices.Index(list, x); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
