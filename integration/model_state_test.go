package integration

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
)

// model is what docs/SEMANTICS.md says a workspace directory must look like after
// a sequence of operations. It is a value: clone it, go on with both.
type model struct {
	names   map[string]int // path -> inode
	inodes  map[int]*inode // values: never changed in place, see edit
	handles []handle
	async   bool             // the mount's --write-mode
	partial map[string]int64 // complete breakpoint files and their sizes
	parts   map[string][]byte
	next    int
}

// handle is an open descriptor of a worker.
type handle struct {
	who, slot, ino int
	flags          int
	pos            int64
}

func (h handle) writes() bool { return h.flags&(syscall.O_WRONLY|syscall.O_RDWR) != 0 }

type change int

const (
	clean   change = iota
	perhaps        // something was done that need not be a change of content
	changed
)

type inode struct {
	kind       string // file, dir, link
	data       []byte // what this mount shows; never changed in place
	link       string
	mode       uint32 // ^0: any
	mtime      int64  // 0: any
	xattrs     map[string]string
	anyXattrs  bool
	gone       bool // has no name any more
	change     change
	held       bool   // closed under a temporary name
	again      bool   // and written since
	kept       []kept // as it was closed each time: the last may not be recorded yet
	synced     []byte // what fsync promised, nil: nothing
	least      int    // the smallest size since then
	published  bool
	stored     []byte // the newest version
	history    []version
	historyOff bool // not known: made by a way that is not followed
	settled    int  // so many versions, the first, were seen at the store
}

// kept is a content that was closed under a temporary name, and the smallest size of
// the file since then.
type kept struct {
	data  []byte
	least int
}

// version is a content that became one, or that may have.
type version struct {
	sum  string
	must bool
}

const anyMode = ^uint32(0)

func newModel() *model {
	return &model{names: map[string]int{}, inodes: map[int]*inode{}, partial: map[string]int64{}, parts: map[string][]byte{}}
}

func (m *model) clone() *model {
	c := *m
	c.names, c.inodes = maps.Clone(m.names), make(map[int]*inode, len(m.inodes))
	for k, v := range m.inodes {
		n := *v
		n.xattrs, n.history = maps.Clone(v.xattrs), slices.Clip(v.history)
		c.inodes[k] = &n
	}
	c.handles, c.partial, c.parts = slices.Clone(m.handles), maps.Clone(m.partial), maps.Clone(m.parts)
	return &c
}

// heldName tells the temporary names among those that are used.
func heldName(p string) bool {
	return strings.HasSuffix(p, ".part") || strings.HasSuffix(p, ".AbC123")
}

func (m *model) at(p string) *inode {
	if i, ok := m.names[p]; ok {
		return m.inodes[i]
	}
	return nil
}

// parent is the errno of finding the directory of a path.
func (m *model) parent(p string) syscall.Errno {
	dir := path.Dir(p)
	if dir == "." {
		return 0
	}
	if e := m.parent(dir); e != 0 {
		return e
	}
	switch n := m.at(dir); {
	case n == nil || n.kind == "link":
		return syscall.ENOENT
	case n.kind != "dir":
		return syscall.ENOTDIR
	}
	return 0
}

func (m *model) add(p string, n *inode) int {
	m.next++
	m.inodes[m.next], m.names[p] = n, m.next
	return m.next
}

func (m *model) children(dir string) (out []string) {
	for p := range m.names {
		if strings.HasPrefix(p, dir+"/") {
			out = append(out, p)
		}
	}
	return out
}

// writers counts the handles that write to an inode.
func (m *model) writers(ino int) (n int) {
	for _, h := range m.handles {
		if h.ino == ino && h.writes() {
			n++
		}
	}
	return n
}

func (m *model) opens(ino int) (n int) {
	for _, h := range m.handles {
		if h.ino == ino {
			n++
		}
	}
	return n
}

// detach takes a name away.
func (m *model) detach(p string) {
	i := m.names[p]
	delete(m.names, p)
	m.inodes[i].gone = true
}

// touch notes new content of a file.
func (n *inode) touch(data []byte, c change) {
	n.least = min(n.least, len(data))
	n.kept = slices.Clone(n.kept)
	for i := range n.kept {
		n.kept[i].least = min(n.kept[i].least, len(data))
	}
	n.data, n.change = data, max(n.change, c)
	n.mtime = 0
	n.again = n.again || n.held && c == changed
}

func splice(data []byte, off int64, b []byte) []byte {
	out := make([]byte, max(int64(len(data)), off+int64(len(b))))
	copy(out, data)
	copy(out[off:], b)
	return out
}

func resized(data []byte, n int64) []byte {
	out := make([]byte, n)
	copy(out, data)
	return out
}

// closed is what happens when the last writer of a file closes it.
func (m *model) closed(ino int) {
	n := m.inodes[ino]
	if n.gone || n.change == clean || m.writers(ino) > 0 {
		return
	}
	if !n.published && heldName(m.pathOf(ino)) {
		n.held, n.again, n.kept = true, false, append(slices.Clip(n.kept), kept{n.data, len(n.data)})
		return
	}
	n.publish()
}

// sync is an fsync.
func (n *inode) sync() {
	if n.change == clean || n.gone {
		return
	}
	n.synced = slices.Clip(n.data)
	if n.synced == nil {
		n.synced = []byte{}
	}
	n.least = len(n.synced)
}

func (n *inode) publish() {
	n.history = append(slices.Clip(n.history), version{sumOf(n.data), n.change == changed || !n.published})
	n.stored, n.published = n.data, true
	n.change, n.held, n.again, n.kept, n.synced = clean, false, false, nil, nil
}

func (m *model) pathOf(ino int) string {
	for p, i := range m.names {
		if i == ino {
			return p
		}
	}
	return ""
}

// rename follows 4.1 and 4.2.
func (m *model) rename(from, to string, flags int) syscall.Errno {
	if e := m.parent(from); e != 0 {
		return e
	}
	if e := m.parent(to); e != 0 {
		return e
	}
	a, b := m.at(from), m.at(to)
	switch {
	case a == nil:
		return syscall.ENOENT
	case b != nil && flags != 0:
		return syscall.EEXIST
	case strings.HasPrefix(to, from+"/"):
		return syscall.EINVAL
	case strings.HasPrefix(from, to+"/"):
		return syscall.ENOTEMPTY
	case a == b:
		return 0
	case b == nil:
	case a.kind == "dir" && b.kind != "dir":
		return syscall.ENOTDIR
	case a.kind != "dir" && b.kind == "dir":
		return syscall.EISDIR
	case b.kind == "dir" && len(m.children(to)) > 0:
		return syscall.ENOTEMPTY
	}
	if a.kind == "dir" {
		if b != nil {
			m.detach(to)
		}
		for _, p := range m.children(from) {
			m.names[to+strings.TrimPrefix(p, from)] = m.names[p]
			delete(m.names, p)
		}
		m.names[to] = m.names[from]
		delete(m.names, from)
		return 0
	}
	ino := m.names[from]
	onto := b != nil && a.kind == "file" && b.kind == "file" && b.published
	if onto {
		m.onto(ino, a, b)
	}
	if b != nil {
		m.detach(to)
	}
	m.names[to] = ino
	delete(m.names, from)
	if a.held && !heldName(to) {
		a.publish() // as it is now, whoever has it open again (2.12)
	}
	m.closed(ino)
	return 0
}

// onto makes a the next version of b.
func (m *model) onto(ino int, a, b *inode) {
	if a.published && a.change == clean {
		v := version{sumOf(a.data), true}
		if k := len(b.history); k > 0 && len(a.data) > 0 && b.history[k-1].sum == v.sum {
			v.must = false // taken for the same rename, asked for again (4.2)
		}
		a.history = append(slices.Clip(b.history), v)
		a.stored = a.data
	} else {
		if a.published {
			// What is being written to a published file is published first.
			a.history = append(slices.Clip(b.history), version{sumOf(a.data), false})
			a.stored = b.stored
		} else {
			a.history, a.stored = slices.Clip(b.history), b.stored
		}
		a.change = changed
	}
	a.published = true
	a.historyOff, a.settled = b.historyOff, b.settled
	x := maps.Clone(b.xattrs)
	if x == nil {
		x = map[string]string{}
	}
	maps.Copy(x, a.xattrs)
	// What was set while the target was being written goes with that, or came before.
	a.xattrs, a.anyXattrs = x, a.anyXattrs || b.anyXattrs || b.change != clean
}

// survivors are the contents one of which is there after a crash: what fsync
// promised, or, as on a local disk, that with what was written over it or cut off
// since (2.8).
func (n *inode) survivors() [][]byte { return mixtures(n.synced, n.data, n.least) }

// mixtures are what a content that was recorded may be after data was written over
// it, and it was least bytes long in between.
func mixtures(recorded, data []byte, least int) (out [][]byte) {
	over := slices.Clone(recorded)
	copy(over, data)
	for _, b := range [][]byte{recorded, over, recorded[:least], over[:least]} {
		if !slices.ContainsFunc(out, func(o []byte) bool { return bytes.Equal(o, b) }) {
			out = append(out, b)
		}
	}
	return out
}

// crashed returns what may be there after kill -9 of the mount (2.7, 2.8, 2.12, 6.3).
func (m *model) crashed() []*model {
	base := m.clone()
	base.handles = nil
	out := []*model{base}
	for _, ino := range slices.Sorted(maps.Keys(m.inodes)) {
		n := m.inodes[ino]
		if n.gone {
			for _, c := range out {
				delete(c.inodes, ino)
			}
			continue
		}
		if n.kind == "dir" {
			for _, c := range out {
				c.inodes[ino].mode = anyMode
			}
		}
		if n.change == clean {
			continue
		}
		name := m.pathOf(ino)
		var next []*model
		fork := func(f func(c *model, n *inode)) {
			for _, c := range out {
				c = c.clone()
				x := c.inodes[ino]
				x.again = false
				x.mode, x.mtime, x.anyXattrs = anyMode, 0, true
				f(c, x)
				next = append(next, c)
			}
		}
		revert := func(c *model, n *inode) {
			if n.change, n.held, n.synced, n.data = clean, false, nil, n.stored; !n.published {
				c.detach(name)
				delete(c.inodes, ino)
			}
		}
		switch {
		case n.held || n.synced != nil && !n.published && heldName(name):
			if n.held { // recorded within a second of the close
				fork(func(_ *model, n *inode) { n.held = true })
			}
			for _, k := range n.kept {
				for _, data := range mixtures(k.data, n.data, k.least) {
					if !bytes.Equal(data, n.data) {
						fork(func(_ *model, n *inode) { n.data, n.held = data, true })
					}
				}
			}
			if n.synced == nil {
				fork(revert)
			} else if !n.held || !bytes.Equal(n.synced, n.data) {
				for _, data := range n.survivors() {
					fork(func(_ *model, n *inode) { n.data, n.held = data, true })
				}
			}
		case n.synced != nil:
			for _, data := range n.survivors() {
				fork(func(_ *model, n *inode) {
					n.data, n.change = data, max(n.change, perhaps)
					n.publish()
				})
			}
		default:
			fork(revert)
		}
		out = next
	}
	return out
}
