package integration

import (
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// apply does a step in the model and returns the errno that it must have.
func (m *model) apply(s step) syscall.Errno {
	if s.handle >= 0 && s.Op != "open" {
		if s.handle >= len(m.handles) {
			return syscall.EINVAL
		}
		return m.onHandle(s)
	}
	if rest, ok := strings.CutPrefix(s.Path, partialPrefix); ok {
		return m.onPartial(s, rest)
	}
	if s.Op == "rename" {
		return m.rename(s.Path, s.To, s.Flags)
	}
	if e := m.parent(s.Path); e != 0 {
		return e
	}
	n := m.at(s.Path)
	switch s.Op {
	case "open":
		return m.open(s, n)
	case "mkdir", "symlink":
		if n != nil {
			return syscall.EEXIST
		}
		if s.Op == "mkdir" {
			m.add(s.Path, &inode{kind: "dir", mode: uint32(s.Size)})
		} else {
			m.closed(m.add(s.Path, &inode{kind: "link", link: s.Value, change: changed, historyOff: true}))
		}
		return 0
	}
	if n == nil {
		return syscall.ENOENT
	}
	switch s.Op {
	case "unlink":
		if n.kind == "dir" {
			return syscall.EISDIR
		}
		m.detach(s.Path)
		return 0
	case "rmdir":
		if n.kind != "dir" {
			return syscall.ENOTDIR
		}
		if len(m.children(s.Path)) > 0 {
			return syscall.ENOTEMPTY
		}
		m.detach(s.Path)
		return 0
	}
	if n.kind == "link" {
		return syscall.ENOENT // where it leads to
	}
	return m.attribute(s, n)
}

// attribute is for operations that follow a path to what they change.
func (m *model) attribute(s step, n *inode) syscall.Errno {
	switch s.Op {
	case "truncate":
		if n.kind == "dir" {
			return syscall.EISDIR
		}
		c := changed
		if int(s.Size) == len(n.data) {
			c = perhaps
		}
		n.touch(resized(n.data, s.Size), c)
		m.closed(m.names[s.Path])
	case "chmod":
		n.mode = uint32(s.Size)
	case "utimens":
		n.mtime = s.Size
	case "setxattr", "removexattr":
		if n.kind == "dir" {
			return syscall.EOPNOTSUPP
		}
		if n.anyXattrs {
			return anyErrno
		}
		_, there := n.xattrs[s.Key]
		if s.Op == "removexattr" {
			if !there {
				return syscall.ENODATA
			}
			delete(n.xattrs, s.Key)
			return 0
		}
		if s.Flags == unix.XATTR_CREATE && there {
			return syscall.EEXIST
		}
		if s.Flags == unix.XATTR_REPLACE && !there {
			return syscall.ENODATA
		}
		if n.xattrs == nil {
			n.xattrs = map[string]string{}
		}
		n.xattrs[s.Key] = s.Value
	}
	return 0
}

// anyErrno is for what the model does not know.
const anyErrno = syscall.Errno(0xffff)

func (m *model) open(s step, n *inode) syscall.Errno {
	create, write := s.Flags&syscall.O_CREAT != 0, s.Flags&(syscall.O_WRONLY|syscall.O_RDWR) != 0
	ino := m.names[s.Path]
	switch {
	case n == nil && !create:
		return syscall.ENOENT
	case n == nil:
		ino = m.add(s.Path, &inode{kind: "file", mode: uint32(s.Size), change: changed})
	case create && s.Flags&syscall.O_EXCL != 0:
		return syscall.EEXIST
	case n.kind == "link":
		return syscall.ENOENT
	case n.kind == "dir":
		if create || write {
			return syscall.EISDIR
		}
	case s.Flags&syscall.O_TRUNC != 0:
		c := changed
		if len(n.data) == 0 {
			c = perhaps
		}
		n.touch(nil, c)
	}
	m.handles = append(m.handles, handle{who: s.who, slot: s.Slot, ino: ino, flags: s.Flags})
	return 0
}

func (m *model) onHandle(s step) syscall.Errno {
	h := &m.handles[s.handle]
	n := m.inodes[h.ino]
	switch s.Op {
	case "close":
		ino, writes := h.ino, h.writes()
		m.handles = slices.Delete(slices.Clone(m.handles), s.handle, s.handle+1)
		if writes {
			m.closed(ino)
		}
	case "write":
		if h.flags&syscall.O_APPEND != 0 {
			h.pos = int64(len(n.data))
		}
		n.touch(splice(n.data, h.pos, bytesOf(s.Seed, s.Size)), changed)
		h.pos += s.Size
	case "pwrite":
		if h.flags&syscall.O_APPEND != 0 {
			s.Off = int64(len(n.data)) // Linux appends whatever the offset
		}
		n.touch(splice(n.data, s.Off, bytesOf(s.Seed, s.Size)), changed)
	case "mmap":
		n.touch(splice(n.data, s.Off, bytesOf(s.Seed, s.Size)), changed)
		n.sync() // msync with MS_SYNC is an fsync
	case "ftruncate":
		c := changed
		if int(s.Size) == len(n.data) {
			c = perhaps
		}
		n.touch(resized(n.data, s.Size), c)
	case "fallocate":
		end := s.Off + s.Size
		switch {
		case s.Flags&unix.FALLOC_FL_KEEP_SIZE == 0 && end > int64(len(n.data)):
			n.touch(resized(n.data, end), changed)
		default:
			n.touch(n.data, perhaps)
		}
		if s.Flags&(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_ZERO_RANGE) != 0 && s.Off < int64(len(n.data)) {
			b := slices.Clone(n.data)
			for i := s.Off; i < min(end, int64(len(b))); i++ {
				b[i] = 0
			}
			n.touch(b, changed)
		}
	case "fsync":
		n.sync()
	case "copyrange":
		for i := range m.handles {
			if o := &m.handles[i]; o.who == h.who && o.slot == int(s.Off) {
				d := m.inodes[o.ino]
				b := n.data[h.pos:]
				c := changed
				if len(b) == 0 {
					c = perhaps
				}
				d.touch(splice(d.data, o.pos, b), max(d.change, c))
				o.pos, h.pos = o.pos+int64(len(b)), h.pos+int64(len(b))
				return 0
			}
		}
		return syscall.EBADF
	}
	return 0
}

func (m *model) onPartial(s step, name string) syscall.Errno {
	if _, there := m.partial[name]; !there && s.Op != "put" {
		return syscall.ENOENT
	}
	switch s.Op {
	case "put":
		b := bytesOf(s.Seed, s.Size)
		m.partial[name], m.parts[name] = s.Size, b
	case "unlink":
		delete(m.partial, name)
	case "rename":
		if e := m.parent(s.To); e != 0 {
			return e
		}
		to, b := m.at(s.To), m.parts[name]
		if to != nil && to.kind == "dir" {
			return syscall.EISDIR
		}
		n := &inode{kind: "file", mode: anyMode, data: b, stored: b, published: true, history: []version{{sumOf(b), true}}}
		if to != nil {
			n.anyXattrs = true
			if to.published { // of a link as well: its history is off
				n.history, n.historyOff = append(slices.Clip(to.history), n.history...), to.historyOff
			}
			m.detach(s.To)
		}
		m.add(s.To, n)
		delete(m.partial, name)
	}
	return 0
}
