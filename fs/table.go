package fs

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"weak"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

// table hands out one node object per id, for as long as go-fuse or the kernel
// holds it. A second object for a known id would keep attributes and drafts of
// its own, and go-fuse would drop one of the two.
//
// The references are weak: go-fuse's tree is what keeps a node alive, and when
// it lets go the entry disappears with the object. So there is no window in
// which a node that was just forgotten is replaced while a lookup revives it.
type table[K comparable, N any] struct {
	mu    sync.Mutex
	nodes map[K]weak.Pointer[N] // guarded by mu
}

// get returns the object for key, made by create when there is none. create runs
// under the table's lock and must only allocate.
func (t *table[K, N]) get(key K, create func() *N) *N {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.nodes[key].Value(); n != nil {
		return n
	}
	n := create()
	t.put(key, n)
	return n
}

// peek returns the object for key, nil when nobody holds one.
func (t *table[K, N]) peek(key K) *N {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nodes[key].Value()
}

// bind makes n the object of key, in place of any other.
func (t *table[K, N]) bind(key K, n *N) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(key, n)
}

// unbind forgets n if it is still the object of key: its id now means another
// object, or nothing.
func (t *table[K, N]) unbind(key K, n *N) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.nodes[key].Value() == n {
		delete(t.nodes, key)
	}
}

func (t *table[K, N]) put(key K, n *N) {
	if t.nodes == nil {
		t.nodes = make(map[K]weak.Pointer[N])
	}
	p := weak.Make(n)
	t.nodes[key] = p
	runtime.AddCleanup(n, func(p weak.Pointer[N]) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.nodes[key] == p {
			delete(t.nodes, key)
		}
	}, p)
}

// len counts the objects that are alive.
func (t *table[K, N]) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.nodes)
}

// generations makes go-fuse's identity of a node the same as ours: it compares
// number and generation, and numbers may repeat (a hash; a file whose content
// was replaced while the old one is still open).
type generations struct{ last atomic.Uint64 }

func (g *generations) next() uint64 { return g.last.Add(1) }

// inode returns the go-fuse inode of a node; the same object always gives the
// same inode. The lock makes the first two lookups of a new object agree.
func (fs *FS) inode(ctx context.Context, n fusefs.InodeEmbedder, mode uint32, ino, gen uint64) *fusefs.Inode {
	fs.inodeMu.Lock()
	defer fs.inodeMu.Unlock()
	return fs.top.EmbeddedInode().NewInode(ctx, n, fusefs.StableAttr{Mode: mode, Ino: ino, Gen: gen})
}
