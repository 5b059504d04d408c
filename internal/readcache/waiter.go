package readcache

import "slices"

// waiter is one read that waits for [lo, hi), which lies in one block.
type waiter struct {
	lo, hi int64
	done   chan struct{} // closed when one of the fields below is set, or to look again

	// Set before done is closed, read after.
	block  *block // has the range; pinned for the waiter
	err    error
	robbed bool // part of the range arrived and was evicted again
}

// await registers a read that found [lo, hi) missing.
func (o *object) await(lo, hi int64) *waiter {
	w := &waiter{lo: lo, hi: hi, done: make(chan struct{})}
	o.waiters = append(o.waiters, w)
	o.c.waiting++
	return w
}

// satisfy hands a block to a waiter. The pin is taken here and not by the
// waiter: the block could be evicted before the waiter runs.
func (o *object) satisfy(w *waiter, b *block) {
	b.pins.Add(1)
	w.block = b
	o.release(w)
}

func (o *object) release(w *waiter) {
	o.forget(w)
	close(w.done)
}

func (o *object) forget(w *waiter) {
	o.waiters = without(o.waiters, w)
	o.c.waiting--
}

// wake ends the waiting of reads that touch [lo, hi): with err, or to make them
// look again when err is nil.
func (o *object) wake(lo, hi int64, err error) {
	for i := 0; i < len(o.waiters); {
		w := o.waiters[i]
		if w.lo < hi && lo < w.hi {
			w.err = err
			o.release(w)
			continue
		}
		i++
	}
}

// rob tells the reads that touch [lo, hi) that what arrived of it was evicted.
// Without it they would wait for bytes that nobody fetches a second time.
func (o *object) rob(lo, hi int64) {
	for i := 0; i < len(o.waiters); {
		w := o.waiters[i]
		if w.lo < hi && lo < w.hi {
			w.robbed = true
			o.release(w)
			continue
		}
		i++
	}
}

// abandon takes back a waiter whose read gave up, and cancels ranged fetches
// that no other read waits for.
func (o *object) abandon(w *waiter) {
	if w.block != nil {
		// It was satisfied at the same moment.
		if w.block.pins.Add(-1) == 0 {
			o.c.pagesFreed()
		}
		return
	}
	if !slices.Contains(o.waiters, w) {
		return // released at the same moment
	}
	o.forget(w)
	for _, f := range o.ranged {
		if f.hi > w.lo && f.lo < w.hi && !o.awaited(f.lo, f.hi) {
			f.cancel()
		}
	}
}

func (o *object) awaited(lo, hi int64) bool {
	for _, w := range o.waiters {
		if w.lo < hi && lo < w.hi {
			return true
		}
	}
	return false
}
