package readcache

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counters are the cache's figures since it was made.
type counters struct {
	hits, misses, served        atomic.Int64
	fetched, loaded, saved      atomic.Int64
	retries, evictions, corrupt atomic.Int64
	registered                  []prometheus.Collector
}

// Stats is a snapshot of a [Cache].
type Stats struct {
	Hits, Misses int64 // reads of a block that did not wait, and that did
	Served       int64 // bytes given to readers
	Fetched      int64 // bytes received from the source
	Loaded       int64 // bytes read from the disk cache
	Saved        int64 // bytes written to the disk cache
	Retries      int64 // bodies and requests repeated where they broke
	Evictions    int64 // blocks dropped from memory
	Corrupt      int64 // damaged files found in the disk cache

	Memory    int64 // bytes of pages in use, in-flight ones and what was written here included
	Allocated int64 // bytes taken from the system
	Blocks    int   // blocks in memory
	Objects   int   // contents known
	Fetches   int   // streams, ranged requests and loads under way
	Disk      int64 // bytes in the disk cache
}

// Stats returns the present figures.
func (c *Cache) Stats() Stats {
	s := Stats{
		Hits: c.stats.hits.Load(), Misses: c.stats.misses.Load(), Served: c.stats.served.Load(),
		Fetched: c.stats.fetched.Load(), Loaded: c.stats.loaded.Load(), Saved: c.stats.saved.Load(),
		Retries: c.stats.retries.Load(), Evictions: c.stats.evictions.Load(), Corrupt: c.stats.corrupt.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recent.mu.Lock()
	kept := c.recent.bytes
	c.recent.mu.Unlock()
	s.Memory = int64(c.arena.used())*pageSize + kept
	s.Allocated = int64(c.arena.made) * pageSize
	s.Blocks = c.blocks.n
	s.Objects = len(c.objects)
	for _, o := range c.objects {
		s.Fetches += len(o.streams) + len(o.ranged) + len(o.loads)
	}
	if c.disk != nil {
		s.Disk = c.disk.size()
	}
	return s
}

// register makes the counters known. They are read when scraped, so that a hit
// costs one atomic addition.
func (s *counters) register(reg prometheus.Registerer, c *Cache) error {
	counter := func(name, help string, v *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "scmfs", Subsystem: "readcache", Name: name, Help: help},
			func() float64 { return float64(v.Load()) })
	}
	gauge := func(name, help string, f func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "scmfs", Subsystem: "readcache", Name: name, Help: help},
			func() float64 { return f(c.Stats()) })
	}
	for _, m := range []prometheus.Collector{
		counter("hits_total", "Reads of a block that did not wait.", &s.hits),
		counter("misses_total", "Reads of a block that waited for a fetch.", &s.misses),
		counter("served_bytes_total", "Bytes given to readers.", &s.served),
		counter("fetched_bytes_total", "Bytes received from the store.", &s.fetched),
		counter("disk_read_bytes_total", "Bytes read from the disk cache.", &s.loaded),
		counter("disk_written_bytes_total", "Bytes written to the disk cache.", &s.saved),
		counter("disk_corrupt_total", "Damaged files found in the disk cache.", &s.corrupt),
		counter("retries_total", "Requests repeated where they broke.", &s.retries),
		counter("evictions_total", "Blocks dropped from memory.", &s.evictions),
		gauge("memory_bytes", "Memory in use, content being received included.", func(s Stats) float64 { return float64(s.Memory) }),
		gauge("fetches", "Fetches under way.", func(s Stats) float64 { return float64(s.Fetches) }),
		gauge("disk_bytes", "Bytes in the disk cache.", func(s Stats) float64 { return float64(s.Disk) }),
	} {
		if err := reg.Register(m); err != nil {
			s.unregister(reg)
			return err
		}
		s.registered = append(s.registered, m)
	}
	return nil
}

func (s *counters) unregister(reg prometheus.Registerer) {
	for _, m := range s.registered {
		reg.Unregister(m)
	}
	s.registered = nil
}
