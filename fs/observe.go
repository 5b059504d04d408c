package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// observed is the one decorator of the whole tree: it reports every operation,
// so that no node has to count or log.
type observed struct {
	fuse.RawFileSystem
	report func(op string, errno syscall.Errno, d time.Duration)
	moved  func(op string, n int)
}

func observe(raw fuse.RawFileSystem, o *Options) fuse.RawFileSystem {
	ob := &observed{RawFileSystem: raw, report: o.Observe, moved: o.Moved}
	if ob.report == nil {
		ob.report = func(string, syscall.Errno, time.Duration) {}
	}
	if ob.moved == nil {
		ob.moved = func(string, int) {}
	}
	if o.Audit != nil {
		return newAudited(ob, o.Audit)
	}
	return ob
}

func (o *observed) done(op string, start time.Time, st fuse.Status) fuse.Status {
	o.report(op, syscall.Errno(st), time.Since(start))
	return st
}

func (o *observed) Lookup(c <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	return o.done("lookup", t, o.RawFileSystem.Lookup(c, in, name, out))
}

func (o *observed) GetAttr(c <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	t := time.Now()
	return o.done("getattr", t, o.RawFileSystem.GetAttr(c, in, out))
}

func (o *observed) SetAttr(c <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	t := time.Now()
	return o.done("setattr", t, o.RawFileSystem.SetAttr(c, in, out))
}

func (o *observed) Mknod(c <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	return o.done("mknod", t, o.RawFileSystem.Mknod(c, in, name, out))
}

func (o *observed) Mkdir(c <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	return o.done("mkdir", t, o.RawFileSystem.Mkdir(c, in, name, out))
}

func (o *observed) Unlink(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	t := time.Now()
	return o.done("unlink", t, o.RawFileSystem.Unlink(c, in, name))
}

func (o *observed) Rmdir(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	t := time.Now()
	return o.done("rmdir", t, o.RawFileSystem.Rmdir(c, in, name))
}

func (o *observed) Rename(c <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	t := time.Now()
	return o.done("rename", t, o.RawFileSystem.Rename(c, in, from, to))
}

func (o *observed) Link(c <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	return o.done("link", t, o.RawFileSystem.Link(c, in, name, out))
}

func (o *observed) Symlink(c <-chan struct{}, in *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	t := time.Now()
	return o.done("symlink", t, o.RawFileSystem.Symlink(c, in, to, name, out))
}

func (o *observed) Readlink(c <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	t := time.Now()
	b, st := o.RawFileSystem.Readlink(c, in)
	return b, o.done("readlink", t, st)
}

func (o *observed) Access(c <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	t := time.Now()
	return o.done("access", t, o.RawFileSystem.Access(c, in))
}

func (o *observed) GetXAttr(c <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	t := time.Now()
	n, st := o.RawFileSystem.GetXAttr(c, in, name, dest)
	return n, o.done("getxattr", t, st)
}

func (o *observed) ListXAttr(c <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	t := time.Now()
	n, st := o.RawFileSystem.ListXAttr(c, in, dest)
	return n, o.done("listxattr", t, st)
}

func (o *observed) SetXAttr(c <-chan struct{}, in *fuse.SetXAttrIn, name string, data []byte) fuse.Status {
	t := time.Now()
	return o.done("setxattr", t, o.RawFileSystem.SetXAttr(c, in, name, data))
}

func (o *observed) RemoveXAttr(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	t := time.Now()
	return o.done("removexattr", t, o.RawFileSystem.RemoveXAttr(c, in, name))
}

func (o *observed) Create(c <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	t := time.Now()
	return o.done("create", t, o.RawFileSystem.Create(c, in, name, out))
}

func (o *observed) Open(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	t := time.Now()
	return o.done("open", t, o.RawFileSystem.Open(c, in, out))
}

func (o *observed) Read(c <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	t := time.Now()
	r, st := o.RawFileSystem.Read(c, in, buf)
	if r != nil && st.Ok() {
		o.moved("read", r.Size())
	}
	return r, o.done("read", t, st)
}

func (o *observed) Lseek(c <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	t := time.Now()
	return o.done("lseek", t, o.RawFileSystem.Lseek(c, in, out))
}

func (o *observed) Release(c <-chan struct{}, in *fuse.ReleaseIn) {
	t := time.Now()
	o.RawFileSystem.Release(c, in)
	o.done("release", t, fuse.OK)
}

func (o *observed) Write(c <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	t := time.Now()
	n, st := o.RawFileSystem.Write(c, in, data)
	o.moved("write", int(n))
	return n, o.done("write", t, st)
}

func (o *observed) Writev(c <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	t := time.Now()
	n, st := o.RawFileSystem.Writev(c, in, data)
	if st == fuse.ENOSYS {
		return n, st // not carried out: it comes again as Write
	}
	o.moved("write", int(n))
	return n, o.done("write", t, st)
}

func (o *observed) Flush(c <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	t := time.Now()
	return o.done("flush", t, o.RawFileSystem.Flush(c, in))
}

func (o *observed) Fsync(c <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	t := time.Now()
	return o.done("fsync", t, o.RawFileSystem.Fsync(c, in))
}

func (o *observed) Fallocate(c <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	t := time.Now()
	return o.done("fallocate", t, o.RawFileSystem.Fallocate(c, in))
}

func (o *observed) OpenDir(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	t := time.Now()
	return o.done("opendir", t, o.RawFileSystem.OpenDir(c, in, out))
}

func (o *observed) ReadDir(c <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	t := time.Now()
	return o.done("readdir", t, o.RawFileSystem.ReadDir(c, in, out))
}

func (o *observed) ReadDirPlus(c <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	t := time.Now()
	return o.done("readdirplus", t, o.RawFileSystem.ReadDirPlus(c, in, out))
}

func (o *observed) StatFs(c <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	t := time.Now()
	return o.done("statfs", t, o.RawFileSystem.StatFs(c, in, out))
}
