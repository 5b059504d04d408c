package readcache

import "time"

// save has a complete block written to disk. Called with c.mu.
func (c *Cache) save(b *block) {
	d := c.disk
	key := diskKey{b.object.content.Data, b.index}
	if c.closed || key.name() == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := max(1, min(diskQueue, int(c.o.Memory/c.o.BlockSize/4)))
	if d.entries[key] != nil || len(d.queue) >= limit || time.Now().Before(d.rest) {
		return
	}
	b.pins.Add(1)
	d.queue = append(d.queue, b)
	if !d.saving {
		d.saving = true
		c.wg.Add(1)
		go c.saveQueued()
	}
}

// saveQueued writes what is queued and ends.
func (c *Cache) saveQueued() {
	defer c.wg.Done()
	d := c.disk
	for {
		d.mu.Lock()
		if len(d.queue) == 0 {
			d.queue = nil
			d.saving = false
			d.mu.Unlock()
			return
		}
		b := d.queue[0]
		d.queue = d.queue[1:]
		d.mu.Unlock()
		c.saveBlock(b)
		c.unpin(b)
	}
}

func (c *Cache) saveBlock(b *block) {
	d := c.disk
	key := diskKey{b.object.content.Data, b.index}
	lo, hi := b.object.bounds(b.index)
	size := diskHeaderSize(hi-lo) + hi - lo
	if !d.makeRoom(size) {
		return
	}
	if err := writeDiskFile(d.create, d.path(key), key, c.o.BlockSize, hi-lo, b.pages); err != nil {
		d.log.WithError(err).Warnf("Disk cache not written, next attempt in %s", diskRest)
		d.mu.Lock()
		d.rest = time.Now().Add(diskRest)
		d.mu.Unlock()
		return
	}
	c.stats.saved.Add(hi - lo)
	d.mu.Lock()
	d.add(&diskEntry{key, size, time.Now()})
	d.mu.Unlock()
}
