package readcache

import "context"

// takePage returns a page with undefined content: of a block that is spent, new
// memory, or of the oldest block. It waits while every block is pinned.
func (c *Cache) takePage(ctx context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.closed {
			return nil, ErrClosed
		}
		if len(c.arena.free) == 0 {
			c.evict(true)
		}
		if p, err := c.arena.take(); p != nil || err != nil {
			return p, err
		}
		if c.evict(false) {
			continue
		}
		if c.starving.Add(1) == 1 {
			// An unpin between evict and here did not see that somebody waits.
			if c.evict(false) {
				c.starving.Add(-1)
				continue
			}
		}
		if c.freed == nil {
			c.freed = make(chan struct{})
		}
		freed := c.freed
		c.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
		}
		c.mu.Lock()
		c.starving.Add(-1)
	}
}

// putPage gives a page back. Called with c.mu.
func (c *Cache) putPage(p []byte) {
	c.arena.put(p)
	c.pagesFreed()
}

// pagesFreed lets those who wait for memory look again. Called with c.mu.
func (c *Cache) pagesFreed() {
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
}

// unpin ends the use of a block. Called without c.mu.
func (c *Cache) unpin(b *block) {
	if b.pins.Add(-1) == 0 && c.starving.Load() > 0 {
		c.mu.Lock()
		c.pagesFreed()
		c.mu.Unlock()
	}
}

// evict drops the oldest block that is not pinned and tells whether there was
// one; with spent only one that is. Blocks that reads wait for go last: they would
// have to be fetched again at once. Called with c.mu.
func (c *Cache) evict(spent bool) bool {
	var b, awaited *block
	for b = c.blocks.oldest; b != nil; b = b.newer {
		if spent && !b.spent {
			b = nil
			break
		}
		if b.pins.Load() > 0 {
			continue
		}
		if lo, hi := b.object.bounds(b.index); !b.object.awaited(lo, hi) {
			break
		}
		if awaited == nil {
			awaited = b
		}
	}
	if b == nil {
		b = awaited
	}
	if b == nil {
		return false
	}
	c.blocks.remove(b)
	o := b.object
	delete(o.blocks, b.index)
	for i := range b.pages {
		if b.pages[i].data != nil {
			c.arena.put(b.pages[i].data)
			b.pages[i].data = nil
		}
	}
	c.stats.evictions.Add(1)
	lo, hi := o.bounds(b.index)
	o.rob(lo, hi)
	o.drop()
	c.pagesFreed()
	return true
}
