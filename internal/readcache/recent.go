package readcache

import (
	"sync"

	"github.com/sequoiacm/scmfs/client"
)

// RecentMax is the largest content in bytes that [Cache.Keep] takes.
const RecentMax = pageSize

// recentShare is the part of Options.Memory that is set aside for what was written
// here, and recentMin the memory from which on it is.
const (
	recentShare = 32
	recentMin   = 64 << 20
)

// recent are small contents that were written here a short time ago. Programs read
// back what they wrote, and the kernel keeps only whole pages of it, so the end of
// every file would be fetched from the store that has just been sent it.
//
// Not in blocks: a block takes a page of 64 KiB for 100 bytes, and a copy of a
// tree would evict all that somebody reads. Who was first goes first.
type recent struct {
	max int64 // bytes; 0 keeps nothing

	mu    sync.Mutex
	by    map[client.DataID][]byte
	order []client.DataID // oldest first; each id once
	bytes int64
}

func newRecent(memory int64) *recent {
	r := &recent{by: map[client.DataID][]byte{}}
	if memory >= recentMin {
		r.max = memory / recentShare
	}
	return r
}

func (r *recent) put(id client.DataID, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.by[id]; ok || int64(len(data)) > r.max {
		return
	}
	r.by[id] = data
	r.order = append(r.order, id)
	for r.bytes += int64(len(data)); r.bytes > r.max; r.order = r.order[1:] {
		r.bytes -= int64(len(r.by[r.order[0]]))
		delete(r.by, r.order[0])
	}
}

// get returns all of a content, nil when it is not here.
func (r *recent) get(content client.Content) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if data := r.by[content.Data]; int64(len(data)) == content.Size {
		return data
	}
	return nil
}

func (r *recent) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by, r.order, r.bytes, r.max = nil, nil, 0, 0
}

// Keep takes the bytes of a content that this process has just brought to the
// store, so that reading it back needs no request. They are the cache's from now
// on. It does nothing for what is empty or larger than [RecentMax], and with less than
// 64 MiB of Options.Memory. Any goroutine may call it.
func (c *Cache) Keep(content client.Content, data []byte) {
	if content.Data == "" || len(data) == 0 || len(data) > RecentMax || int64(len(data)) != content.Size {
		return
	}
	c.recent.put(content.Data, data)
}
