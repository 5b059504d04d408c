package readcache

import (
	"math/bits"
	"sync/atomic"
)

const (
	// sectorSize is the unit of validity: the kernel's page size, so that a
	// random read of one page fetches exactly that.
	sectorSize = 4 << 10
	// pageSize is the unit of memory and the most one ranged request returns.
	pageSize       = 64 << 10
	sectorsPerPage = pageSize / sectorSize
)

// page is the memory of one 64 KiB piece of a block. data is set once, before
// the first sector becomes valid, and stays until the block is evicted; valid
// sectors never change.
type page struct {
	data  []byte // nil: no memory yet
	valid uint16 // one bit per sector
}

// block is a piece of content of Options.BlockSize bytes, the last one shorter.
// Fields are guarded by Cache.mu, except that whoever has a pin may read valid
// sectors without it.
type block struct {
	object  *object
	index   int64
	pages   []page
	missing int          // INVARIANT: sectors whose bit is not set
	pins    atomic.Int32 // raised under Cache.mu only; a pinned block is not evicted

	older, newer *block // recency
	spent        bool   // nobody is expected to read it again; these are the oldest
}

// newBlock describes a block of length bytes, nothing of which is there.
func newBlock(o *object, index int64, length int64) *block {
	return &block{
		object:  o,
		index:   index,
		pages:   make([]page, (length+pageSize-1)/pageSize),
		missing: int((length + sectorSize - 1) / sectorSize),
	}
}

// sectorMask has the bits of the sectors that [lo, hi) of a page touches.
func sectorMask(lo, hi int64) uint16 {
	first, last := lo/sectorSize, (hi+sectorSize-1)/sectorSize
	return uint16(uint32(1)<<last - uint32(1)<<first)
}

// has tells whether all of [lo, hi) is valid (offsets in the block).
func (b *block) has(lo, hi int64) bool {
	if b.missing == 0 {
		return true
	}
	for lo < hi {
		i := lo / pageSize
		start := i * pageSize
		end := min(hi, start+pageSize)
		if m := sectorMask(lo-start, end-start); b.pages[i].valid&m != m {
			return false
		}
		lo = end
	}
	return true
}

// firstMissing returns the offset of the first sector at or behind lo that is
// not valid, hi when there is none before it. Offsets in the block.
func (b *block) firstMissing(lo, hi int64) int64 {
	if b.missing == 0 {
		return hi
	}
	for lo < hi {
		i := lo / pageSize
		start := i * pageSize
		// Sectors before lo count as valid, those behind the page do not exist.
		valid := b.pages[i].valid | sectorMask(0, lo-start+1)>>1
		if s := bits.TrailingZeros16(^valid); s < sectorsPerPage {
			return min(hi, max(lo/sectorSize*sectorSize, start+int64(s)*sectorSize))
		}
		lo = start + pageSize
	}
	return hi
}

// copyOut copies valid bytes from lo on. The caller has a pin.
func (b *block) copyOut(p []byte, lo int64) {
	for len(p) > 0 {
		i := lo / pageSize
		n := copy(p, b.pages[i].data[lo-i*pageSize:])
		p = p[n:]
		lo += int64(n)
	}
}

// install makes [lo, hi) of page i valid with the bytes at the same place in
// data. It keeps data as the page's memory (kept) or copies what was missing.
// hi is a sector boundary or the end of the content. Called under Cache.mu.
func (b *block) install(i int64, data []byte, lo, hi int64) (kept bool) {
	pg := &b.pages[i]
	added := sectorMask(lo, hi) &^ pg.valid
	if pg.data == nil {
		pg.data, kept = data, true
	} else {
		// Only missing sectors: valid ones are being read without the lock.
		for m := added; m != 0; m &= m - 1 {
			s := bits.TrailingZeros16(m) * sectorSize
			copy(pg.data[s:s+sectorSize], data[s:s+sectorSize])
		}
	}
	pg.valid |= added
	b.missing -= bits.OnesCount16(added)
	return kept
}
