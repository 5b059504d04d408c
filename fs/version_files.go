package fs

import (
	"context"
	"slices"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/readcache"
)

// versionList is one file below .versions: a directory with one entry for each
// of its versions, named by the version.
type versionList struct {
	fusefs.Inode
	noXattr
	fixedNames
	ws  *workspace
	id  client.FileID
	ino uint64
	gen uint64

	mu   sync.Mutex
	file client.File // the current version, for times; guarded by mu
	of   *fileNode   // the file, for owner and permissions; guarded by mu
}

var (
	_ fusefs.NodeGetattrer = (*versionList)(nil)
	_ fusefs.NodeLookuper  = (*versionList)(nil)
	_ fusefs.NodeReaddirer = (*versionList)(nil)
	_ fusefs.NodeUnlinker  = (*versionList)(nil)
)

func (ws *workspace) versionListOf(n *fileNode) (*versionList, syscall.Errno) {
	n.mu.Lock()
	rec := n.rec
	n.mu.Unlock()
	if rec == nil {
		return nil, syscall.ENOENT // a draft has no version yet
	}
	l := ws.versionLists.get(rec.ID, func() *versionList {
		return &versionList{ws: ws, id: rec.ID, ino: inoOf(ws.name, "history", string(rec.ID)), gen: ws.fs.gens.next()}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file, l.of = *rec, n
	return l, 0
}

func (l *versionList) fill(out *fuse.Attr) {
	l.mu.Lock()
	f, of := l.file, l.of
	l.mu.Unlock()
	t := f.ModTime()
	perm, owner := of.guard()
	out.Ino, out.Mode, out.Nlink, out.Size = l.ino, syscall.S_IFDIR|listPerm(perm), 2, 4096
	out.Owner = owner
	out.SetTimes(&t, &t, &t)
}

// listPerm is who may use the directory of a file's versions: whoever may read the
// file finds and reads them, whoever may write it removes them. What a version
// itself says is from its time: a file that was closed to others later must not be
// open to them through its history.
func listPerm(file uint32) uint32 { return file&0o666 | file&0o444>>2 }

// guard is who may do what with the file now.
func (n *fileNode) guard() (perm uint32, owner fuse.Owner) {
	n.mu.Lock()
	defer n.mu.Unlock()
	opt := &n.ws.fs.opt
	owner = fuse.Owner{Uid: opt.UID, Gid: opt.GID}
	if n.px.UID != nil {
		owner.Uid = *n.px.UID
	}
	if n.px.GID != nil {
		owner.Gid = *n.px.GID
	}
	return n.permLocked(n.px), owner
}

// Getattr implements fusefs.NodeGetattrer.
func (l *versionList) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	l.fill(&out.Attr)
	out.SetTimeout(guardTimeout)
	return 0
}

// versions asks for all versions, newest first.
func (l *versionList) versions(ctx context.Context) ([]client.File, syscall.Errno) {
	octx, cancel := l.ws.fs.op(ctx)
	defer cancel()
	files, err := l.ws.store.Versions(octx, l.id)
	if err != nil {
		return nil, errnoOf(octx, err)
	}
	return files, 0
}

func (l *versionList) find(ctx context.Context, name string) (client.File, syscall.Errno) {
	files, errno := l.versions(ctx)
	if errno != 0 {
		return client.File{}, errno
	}
	i := slices.IndexFunc(files, func(f client.File) bool { return f.Version.String() == name })
	if i < 0 {
		return client.File{}, syscall.ENOENT
	}
	return files[i], 0
}

// Lookup implements fusefs.NodeLookuper.
func (l *versionList) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	f, errno := l.find(ctx, name)
	if errno != 0 {
		return nil, errno
	}
	n := l.ws.versionFiles.get(string(l.id)+" "+string(f.Data), func() *versionFile {
		return &versionFile{ws: l.ws, file: f, ino: inoOf(l.ws.name, "version", string(f.Data)), gen: l.ws.fs.gens.next()}
	})
	n.fill(&out.Attr)
	return l.ws.fs.inode(ctx, n, syscall.S_IFREG, n.ino, n.gen), 0
}

// Readdir implements fusefs.NodeReaddirer.
func (l *versionList) Readdir(ctx context.Context) (fusefs.DirStream, syscall.Errno) {
	files, errno := l.versions(ctx)
	if errno != 0 {
		return nil, errno
	}
	entries := make([]fuse.DirEntry, len(files))
	for i, f := range files {
		entries[i] = fuse.DirEntry{Name: f.Version.String(), Mode: syscall.S_IFREG, Ino: inoOf(l.ws.name, "version", string(f.Data))}
	}
	return fusefs.NewListDirStream(entries), 0
}

// Unlink implements fusefs.NodeUnlinker: that version is deleted at the store.
func (l *versionList) Unlink(ctx context.Context, name string) syscall.Errno {
	if l.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	f, errno := l.find(ctx, name)
	if errno != 0 {
		return errno
	}
	octx, cancel := l.ws.fs.deed(ctx)
	defer cancel()
	if err := l.ws.store.DeleteVersion(octx, l.id, f.Version); err != nil {
		return errnoOf(octx, err)
	}
	if n := l.ws.files.peek(l.id); n != nil {
		n.doubt()
		l.ws.fs.attributesChanged(n)
	}
	if of := l.ws.listingOf(f.Dir); of != nil {
		of.forget()
	}
	return 0
}

// versionFile is one version, read-only.
type versionFile struct {
	fusefs.Inode
	ws   *workspace
	file client.File
	ino  uint64
	gen  uint64
}

var (
	_ fusefs.NodeGetattrer = (*versionFile)(nil)
	_ fusefs.NodeOpener    = (*versionFile)(nil)
)

func (v *versionFile) fill(out *fuse.Attr) {
	opt := &v.ws.fs.opt
	px := decodePosix(v.file.Metadata)
	perm := opt.FileMode
	if px.Perm != nil {
		perm = *px.Perm
	}
	out.Ino, out.Mode, out.Nlink, out.Size = v.ino, syscall.S_IFREG|perm&^0o222, 1, uint64(v.file.Size)
	out.Owner = fuse.Owner{Uid: opt.UID, Gid: opt.GID}
	if px.UID != nil {
		out.Uid = *px.UID
	}
	if px.GID != nil {
		out.Gid = *px.GID
	}
	t := v.file.ModTime()
	if !px.MTime.IsZero() && px.Major == v.file.Version.Major {
		t = px.MTime
	}
	out.SetTimes(&t, &t, &t)
}

// Getattr implements fusefs.NodeGetattrer.
func (v *versionFile) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	v.fill(&out.Attr)
	return 0
}

// Open implements fusefs.NodeOpener. The content of a version never changes, so
// the kernel may keep its pages.
func (v *versionFile) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EROFS
	}
	return &versionHandle{v: v, r: v.ws.fs.cache.Reader(v.ws.store, v.file.Content())}, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH, 0
}

type versionHandle struct {
	v *versionFile
	r *readcache.Reader
}

var (
	_ fusefs.FileReader   = (*versionHandle)(nil)
	_ fusefs.FileReleaser = (*versionHandle)(nil)
)

// Read implements fusefs.FileReader.
func (h *versionHandle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	octx, cancel := h.v.ws.fs.op(ctx)
	defer cancel()
	n, err := h.r.ReadAt(octx, dest, off)
	if err != nil && !isEOF(err) {
		return nil, errnoOf(octx, err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// Release implements fusefs.FileReleaser.
func (h *versionHandle) Release(context.Context) syscall.Errno {
	h.r.Close()
	return 0
}
