package readcache

// slabPages is how many pages are taken from the system at a time (1 MiB).
const slabPages = 16

// arena hands out pages of pageSize bytes, at most max of them. It keeps what it
// got from the system until close. Guarded by Cache.mu.
type arena struct {
	max   int      // pages that may exist
	made  int      // pages that exist
	free  [][]byte // pages nobody has
	slabs [][]byte
}

// take returns a page with undefined content, nil when all are in use.
func (a *arena) take() ([]byte, error) {
	if len(a.free) == 0 {
		n := min(slabPages, a.max-a.made)
		if n == 0 {
			return nil, nil
		}
		slab, err := makeSlab(n * pageSize)
		if err != nil {
			return nil, err
		}
		a.slabs = append(a.slabs, slab)
		a.made += n
		for i := range n {
			a.free = append(a.free, slab[i*pageSize:(i+1)*pageSize:(i+1)*pageSize])
		}
	}
	p := a.free[len(a.free)-1]
	a.free = a.free[:len(a.free)-1]
	return p, nil
}

// put gives a page back. The caller must not touch it again.
func (a *arena) put(p []byte) { a.free = append(a.free, p) }

// used is the number of pages somebody has.
func (a *arena) used() int { return a.made - len(a.free) }

// close returns the memory to the system if nobody has a page any more. A page
// that is still lent keeps all of them: an unmapped one would crash its reader.
func (a *arena) close() error {
	if a.used() > 0 {
		return nil
	}
	var first error
	for _, s := range a.slabs {
		if err := freeSlab(s); err != nil && first == nil {
			first = err
		}
	}
	a.slabs, a.free, a.made, a.max = nil, nil, 0, 0
	return first
}
