package fs

import (
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// AuditEvent is one operation that changed something, or tried to.
type AuditEvent struct {
	Op    string        // create, mkdir, symlink, link, mknod, unlink, rmdir, rename, open, close, setattr, setxattr, removexattr
	Path  string        // below the mount point; "?/name" when the way to it is not known
	To    string        // rename and link: the new path; symlink: what it points to; setxattr: the attribute
	Bytes int64         // close: written through this handle
	Errno syscall.Errno // 0 when it was done
	UID   uint32
	GID   uint32
	PID   uint32
	Took  time.Duration
}

// audited is a decorator over [observed] that tells of every operation that
// changes something, with its path. The kernel speaks of node ids; the names are
// those under which it looked the ids up, forgotten when it forgets them.
type audited struct {
	fuse.RawFileSystem
	tell func(AuditEvent)

	mu      sync.Mutex
	nodes   map[uint64]*auditName
	ids     map[auditKey]uint64
	handles map[uint64]*auditHandle
}

type auditName struct {
	auditKey
	lookups uint64
}

type auditKey struct {
	parent uint64
	name   string
}

type auditHandle struct {
	node          uint64
	bytes, closed int64 // written, and written when it was last closed
	told          bool
	last          fuse.InHeader // of the last close: the end of a handle has no caller
}

func newAudited(raw fuse.RawFileSystem, tell func(AuditEvent)) *audited {
	return &audited{RawFileSystem: raw, tell: tell, nodes: map[uint64]*auditName{}, ids: map[auditKey]uint64{}, handles: map[uint64]*auditHandle{}}
}

// learn notes what the kernel calls a node from now on.
func (a *audited) learn(parent uint64, name string, out *fuse.EntryOut, st fuse.Status) {
	if !st.Ok() || out.NodeId == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	k := auditKey{parent, name}
	n := a.nodes[out.NodeId]
	if n == nil {
		n = &auditName{}
		a.nodes[out.NodeId] = n
	} else if n.auditKey != k {
		a.dropLocked(n.auditKey, out.NodeId)
	}
	n.auditKey = k
	n.lookups++
	a.ids[k] = out.NodeId
}

func (a *audited) dropLocked(k auditKey, id uint64) {
	if a.ids[k] == id {
		delete(a.ids, k)
	}
}

// Forget implements fuse.RawFileSystem.
func (a *audited) Forget(id, n uint64) {
	a.mu.Lock()
	if e := a.nodes[id]; e != nil {
		if e.lookups <= n {
			delete(a.nodes, id)
			a.dropLocked(e.auditKey, id)
		} else {
			e.lookups -= n
		}
	}
	a.mu.Unlock()
	a.RawFileSystem.Forget(id, n)
}

// renamed moves a name; exchanged ones change places.
func (a *audited) renamed(from, to auditKey, exchange bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id, other := a.ids[from], a.ids[to]
	delete(a.ids, from)
	delete(a.ids, to)
	if n := a.nodes[id]; n != nil {
		n.auditKey = to
		a.ids[to] = id
	}
	if n := a.nodes[other]; n != nil && exchange {
		n.auditKey = from
		a.ids[from] = other
	}
}

// path is where a node was last seen.
func (a *audited) path(id uint64) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var parts []string
	for range 256 { // deeper than PATH_MAX allows: a loop
		if id == fuse.FUSE_ROOT_ID {
			break
		}
		n := a.nodes[id]
		if n == nil {
			parts = append(parts, "?")
			break
		}
		parts = append(parts, n.name)
		id = n.parent
	}
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

func (a *audited) child(parent uint64, name string) string {
	if dir := a.path(parent); dir != "" {
		return dir + "/" + name
	}
	return name
}

// event reports an operation that began at start.
func (a *audited) event(h *fuse.InHeader, start time.Time, st fuse.Status, e AuditEvent) fuse.Status {
	if st == fuse.ENOSYS {
		return st // not for us: the kernel does it in another way
	}
	e.UID, e.GID, e.PID, e.Errno, e.Took = h.Uid, h.Gid, h.Pid, syscall.Errno(st), time.Since(start)
	a.tell(e)
	return st
}
