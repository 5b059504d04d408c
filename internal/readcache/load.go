package readcache

import (
	"errors"
	"os"
)

// load fetches [lo, hi), whole pages of one block, from disk.
type load struct {
	o      *object
	lo, hi int64
}

// onDisk returns the end of x's block when the disk has it, x otherwise. Called
// with Cache.mu.
func (o *object) onDisk(x int64) int64 {
	if o.c.disk == nil {
		return x
	}
	index := x / o.c.o.BlockSize
	if !o.c.disk.has(diskKey{o.content.Data, index}) {
		return x
	}
	_, end := o.bounds(index)
	return end
}

// startLoad fetches the pages of [x, hi) in x's block. Called with Cache.mu.
func (o *object) startLoad(x, hi int64) {
	_, end := o.bounds(x / o.c.o.BlockSize)
	l := &load{o: o, lo: x / pageSize * pageSize, hi: min((hi+pageSize-1)/pageSize*pageSize, end)}
	o.loads = append(o.loads, l)
	o.c.wg.Add(1)
	go l.run()
}

// run loads. Whatever fails, the block is forgotten and those who wait go to the
// source.
func (l *load) run() {
	c, o := l.o.c, l.o
	defer c.wg.Done()
	key := diskKey{o.content.Data, l.lo / c.o.BlockSize}
	err := l.fetch(key)
	if err == nil {
		c.disk.touch(key)
	} else if c.ctx.Err() == nil {
		c.disk.discard(key)
		if !errors.Is(err, os.ErrNotExist) {
			c.stats.corrupt.Add(1)
			c.log.WithError(err).Warn("Block of the disk cache dropped")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o.loads = without(o.loads, l)
	o.wake(l.lo, l.hi, nil)
	o.drop()
}

func (l *load) fetch(key diskKey) error {
	c, o := l.o.c, l.o
	start, end := o.bounds(key.index)
	f, err := openDiskFile(c.disk.path(key), key, c.o.BlockSize, end-start)
	if err != nil {
		return err
	}
	defer f.Close()
	for at := l.lo; at < l.hi; at += pageSize {
		page, err := c.takePage(c.ctx)
		if err != nil {
			return err
		}
		n, err := f.readPage(page, (at-start)/pageSize)
		c.mu.Lock()
		if err != nil {
			c.putPage(page)
			c.mu.Unlock()
			return err
		}
		c.stats.loaded.Add(n)
		o.install(page, at, at+n)
		c.mu.Unlock()
	}
	return nil
}
