package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The operations that [audited] looks at. A handle that writes makes two events:
// open, and close with the bytes and what became of them.

func (a *audited) Lookup(c <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	st := a.RawFileSystem.Lookup(c, in, name, out)
	a.learn(in.NodeId, name, out, st)
	return st
}

func (a *audited) Mknod(c <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	st := a.RawFileSystem.Mknod(c, in, name, out)
	a.learn(in.NodeId, name, out, st)
	return a.event(&in.InHeader, t, st, AuditEvent{Op: "mknod", Path: a.child(in.NodeId, name)})
}

func (a *audited) Mkdir(c <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	st := a.RawFileSystem.Mkdir(c, in, name, out)
	a.learn(in.NodeId, name, out, st)
	return a.event(&in.InHeader, t, st, AuditEvent{Op: "mkdir", Path: a.child(in.NodeId, name)})
}

func (a *audited) Symlink(c <-chan struct{}, in *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	st := a.RawFileSystem.Symlink(c, in, to, name, out)
	a.learn(in.NodeId, name, out, st)
	return a.event(in, t, st, AuditEvent{Op: "symlink", Path: a.child(in.NodeId, name), To: to})
}

func (a *audited) Link(c <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	from := a.path(in.Oldnodeid)
	st := a.RawFileSystem.Link(c, in, name, out)
	a.learn(in.NodeId, name, out, st)
	return a.event(&in.InHeader, t, st, AuditEvent{Op: "link", Path: from, To: a.child(in.NodeId, name)})
}

func (a *audited) Unlink(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	t := time.Now()
	return a.event(in, t, a.RawFileSystem.Unlink(c, in, name), AuditEvent{Op: "unlink", Path: a.child(in.NodeId, name)})
}

func (a *audited) Rmdir(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	t := time.Now()
	return a.event(in, t, a.RawFileSystem.Rmdir(c, in, name), AuditEvent{Op: "rmdir", Path: a.child(in.NodeId, name)})
}

func (a *audited) Rename(c <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	t := time.Now()
	e := AuditEvent{Op: "rename", Path: a.child(in.NodeId, from), To: a.child(in.Newdir, to)}
	st := a.RawFileSystem.Rename(c, in, from, to)
	if st.Ok() {
		a.renamed(auditKey{in.NodeId, from}, auditKey{in.Newdir, to}, in.Flags&renameExchange != 0)
	}
	return a.event(&in.InHeader, t, st, e)
}

func (a *audited) SetAttr(c <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	t := time.Now()
	what := ""
	for _, f := range []struct {
		bit  uint32
		name string
	}{{fuse.FATTR_MODE, "mode "}, {fuse.FATTR_UID, "uid "}, {fuse.FATTR_GID, "gid "}, {fuse.FATTR_SIZE, "size "}, {fuse.FATTR_ATIME, "atime "}, {fuse.FATTR_MTIME, "mtime "}} {
		if in.Valid&f.bit != 0 {
			what += f.name
		}
	}
	st := a.RawFileSystem.SetAttr(c, in, out)
	if what == "" {
		return st
	}
	return a.event(&in.InHeader, t, st, AuditEvent{Op: "setattr", Path: a.path(in.NodeId), To: what[:len(what)-1]})
}

func (a *audited) SetXAttr(c <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	t := time.Now()
	return a.event(&in.InHeader, t, a.RawFileSystem.SetXAttr(c, in, name, data), AuditEvent{Op: "setxattr", Path: a.path(in.NodeId), To: name})
}

func (a *audited) RemoveXAttr(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	t := time.Now()
	return a.event(in, t, a.RawFileSystem.RemoveXAttr(c, in, name), AuditEvent{Op: "removexattr", Path: a.path(in.NodeId), To: name})
}

func (a *audited) opened(fh, node uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handles[fh] = &auditHandle{node: node}
}

func (a *audited) Create(c <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	t := time.Now()
	st := a.RawFileSystem.Create(c, in, name, out)
	a.learn(in.NodeId, name, &out.EntryOut, st)
	if st.Ok() {
		a.opened(out.Fh, out.NodeId)
	}
	return a.event(&in.InHeader, t, st, AuditEvent{Op: "create", Path: a.child(in.NodeId, name)})
}

func (a *audited) Open(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	t := time.Now()
	st := a.RawFileSystem.Open(c, in, out)
	if in.Flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		return st
	}
	if st.Ok() {
		a.opened(out.Fh, in.NodeId)
	}
	return a.event(&in.InHeader, t, st, AuditEvent{Op: "open", Path: a.path(in.NodeId)})
}

func (a *audited) wrote(fh uint64, n uint32, st fuse.Status) {
	if !st.Ok() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.handles[fh]; h != nil {
		h.bytes += int64(n)
	}
}

func (a *audited) Write(c <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	n, st := a.RawFileSystem.Write(c, in, data)
	a.wrote(in.Fh, n, st)
	return n, st
}

func (a *audited) Writev(c <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	n, st := a.RawFileSystem.Writev(c, in, data)
	a.wrote(in.Fh, n, st)
	return n, st
}

// Flush is a close, one of several: a shell's children inherit what it opened.
// It is told when there is something new to it; what was never told at the end.
func (a *audited) Flush(c <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	t := time.Now()
	st := a.RawFileSystem.Flush(c, in)
	a.mu.Lock()
	h := a.handles[in.Fh]
	due := h != nil && (h.bytes != h.closed || !st.Ok())
	bytes := int64(0)
	if h != nil {
		h.last = in.InHeader
	}
	if due {
		h.closed, h.told = h.bytes, true
		bytes = h.bytes
	}
	a.mu.Unlock()
	if !due {
		return st
	}
	return a.event(&in.InHeader, t, st, AuditEvent{Op: "close", Path: a.path(in.NodeId), Bytes: bytes})
}

func (a *audited) Release(c <-chan struct{}, in *fuse.ReleaseIn) {
	t := time.Now()
	a.mu.Lock()
	h := a.handles[in.Fh]
	delete(a.handles, in.Fh) // before: the number is given to another one afterwards
	a.mu.Unlock()
	a.RawFileSystem.Release(c, in)
	if h != nil && (!h.told || h.bytes != h.closed) {
		a.event(&h.last, t, fuse.OK, AuditEvent{Op: "close", Path: a.path(in.NodeId), Bytes: h.bytes})
	}
}
