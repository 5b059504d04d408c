package readcache

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sirupsen/logrus"
)

// Cache holds content of one cluster. All methods are safe for concurrent use.
type Cache struct {
	o     Options
	log   logrus.FieldLogger
	disk  *disk // nil without Options.Dir
	stats counters

	recent *recent

	ctx    context.Context // of all fetches
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine

	// starving is the number of fetches that wait for a page. It is raised under
	// mu and read without it by unpin.
	starving atomic.Int32

	mu      sync.Mutex
	closed  bool
	objects map[client.DataID]*object
	arena   arena
	blocks  recency
	streams int           // live streams; they share the memory for prefetching
	waiting int           // reads that wait: the waiters of all objects
	freed   chan struct{} // closed when a page may have become free; nil when nobody waits
}

// New makes a cache. It starts nothing, but with Options.Dir it takes the
// directory's lock (an error if another process has it) and reads the names in it.
func New(o Options) (*Cache, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache{o: o, log: o.Logger, objects: map[client.DataID]*object{}, recent: newRecent(o.Memory)}
	c.arena.max = int((o.Memory - c.recent.max) / pageSize)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if o.Dir != "" {
		if c.disk, err = openDisk(o); err != nil {
			return nil, fmt.Errorf("read cache: %w", err)
		}
	}
	if o.Registerer != nil {
		if err := c.stats.register(o.Registerer, c); err != nil {
			if c.disk != nil {
				_ = c.disk.close()
			}
			return nil, fmt.Errorf("read cache: %w", err)
		}
	}
	return c, nil
}

// Close ends all fetches and waits for them; reads that wait get [ErrClosed].
// Views that are still held stay readable.
func (c *Cache) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	for _, o := range c.objects {
		o.wake(0, o.content.Size, ErrClosed)
		for _, f := range o.ranged {
			f.cancel() // those that a read carries out do not end with c.ctx
		}
	}
	c.cancel()
	c.mu.Unlock()
	c.recent.drop()
	c.wg.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	for c.evict(false) {
	}
	err := c.arena.close()
	if c.disk != nil {
		if derr := c.disk.close(); err == nil {
			err = derr
		}
	}
	if c.o.Registerer != nil {
		c.stats.unregister(c.o.Registerer)
	}
	return err
}

// object returns the state of a content. Called with c.mu.
func (c *Cache) object(content client.Content) *object {
	o := c.objects[content.Data]
	if o == nil {
		o = &object{c: c, content: content, blocks: map[int64]*block{}}
		c.objects[content.Data] = o
	}
	return o
}

// maxWindow is what one reader may prefetch now: all streams together half of
// the memory, so that they do not evict what others are about to read. Called
// with c.mu.
func (c *Cache) maxWindow() int64 {
	share := c.o.Memory / 2 / int64(max(c.streams, 1))
	return max(min(c.o.MaxWindow, share), pageSize)
}
