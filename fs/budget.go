package fs

import "sync"

// rowBudget bounds the names that all listings hold together. The listing that
// was fetched longest ago goes first.
type rowBudget struct {
	max int

	mu    sync.Mutex
	total int              // guarded by mu
	rows  map[*listing]int // guarded by mu
	order []*listing       // oldest fetch first; guarded by mu
}

func newRowBudget(max int) *rowBudget {
	return &rowBudget{max: max, rows: make(map[*listing]int)}
}

// set records the size of a listing that was just fetched and returns those to
// give up. The newest is never among them.
func (b *rowBudget) set(l *listing, n int) []*listing {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removeLocked(l)
	b.rows[l] = n
	b.total += n
	b.order = append(b.order, l)
	var victims []*listing
	for b.total > b.max && len(b.order) > 1 {
		old := b.order[0]
		b.removeLocked(old)
		victims = append(victims, old)
	}
	return victims
}

func (b *rowBudget) remove(l *listing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removeLocked(l)
}

func (b *rowBudget) removeLocked(l *listing) {
	n, ok := b.rows[l]
	if !ok {
		return
	}
	delete(b.rows, l)
	b.total -= n
	for i, o := range b.order {
		if o == l {
			b.order = append(b.order[:i], b.order[i+1:]...)
			break
		}
	}
}
