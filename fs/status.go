package fs

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// statusDir is .scmfs: what the mount says about itself, one file per report.
type statusDir struct {
	fusefs.Inode
	noXattr
	fixedNames
	fs    *FS
	files map[string]*statusFile
	ino   uint64
	gen   uint64
	born  time.Time
}

var (
	_ fusefs.NodeGetattrer = (*statusDir)(nil)
	_ fusefs.NodeLookuper  = (*statusDir)(nil)
	_ fusefs.NodeReaddirer = (*statusDir)(nil)
	_ fusefs.NodeUnlinker  = (*statusDir)(nil)
	_ fusefs.NodeRmdirer   = (*statusDir)(nil)
)

func newStatusDir(fs *FS) *statusDir {
	s := &statusDir{fs: fs, ino: inoOf("", "status", ""), gen: fs.gens.next(), born: fs.opt.Now(), files: map[string]*statusFile{}}
	for name, report := range fs.opt.Reports {
		s.files[name] = &statusFile{fs: fs, report: report, ino: inoOf("", "status", name), gen: fs.gens.next()}
	}
	return s
}

func (s *statusDir) fill(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink, out.Size = s.ino, syscall.S_IFDIR|0o500, 2, 4096
	out.Owner = fuse.Owner{Uid: s.fs.opt.UID, Gid: s.fs.opt.GID}
	out.SetTimes(&s.born, &s.born, &s.born)
}

// Getattr implements fusefs.NodeGetattrer.
func (s *statusDir) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	s.fill(&out.Attr)
	return 0
}

// Lookup implements fusefs.NodeLookuper.
func (s *statusDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	f, ok := s.files[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	f.fill(&out.Attr)
	return s.fs.inode(ctx, f, syscall.S_IFREG, f.ino, f.gen), 0
}

// Readdir implements fusefs.NodeReaddirer.
func (s *statusDir) Readdir(context.Context) (fusefs.DirStream, syscall.Errno) {
	var entries []fuse.DirEntry
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		entries = append(entries, fuse.DirEntry{Name: name, Mode: syscall.S_IFREG, Ino: s.files[name].ino})
	}
	return fusefs.NewListDirStream(entries), 0
}

// Unlink implements fusefs.NodeUnlinker.
func (s *statusDir) Unlink(context.Context, string) syscall.Errno { return syscall.EPERM }

// Rmdir implements fusefs.NodeRmdirer.
func (s *statusDir) Rmdir(context.Context, string) syscall.Errno { return syscall.EPERM }

// statusFile is one report: the state at the time of the open.
type statusFile struct {
	fusefs.Inode
	noXattr
	fs     *FS
	report func() any
	ino    uint64
	gen    uint64
}

var (
	_ fusefs.NodeGetattrer = (*statusFile)(nil)
	_ fusefs.NodeOpener    = (*statusFile)(nil)
)

func (s *statusFile) text() []byte {
	v := s.report()
	if text, ok := v.(string); ok {
		return []byte(text)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		b, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	return append(b, '\n')
}

func (s *statusFile) fill(out *fuse.Attr) {
	now := s.fs.opt.Now()
	out.Ino, out.Mode, out.Nlink, out.Size = s.ino, syscall.S_IFREG|0o400, 1, uint64(len(s.text()))
	out.Owner = fuse.Owner{Uid: s.fs.opt.UID, Gid: s.fs.opt.GID}
	out.SetTimes(&now, &now, &now)
}

// Getattr implements fusefs.NodeGetattrer.
func (s *statusFile) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	s.fill(&out.Attr)
	return 0
}

// Open implements fusefs.NodeOpener. Direct I/O, because the length of what is
// read need not be the length that was shown.
func (s *statusFile) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if writes(flags) {
		return nil, 0, syscall.EACCES
	}
	return &textHandle{text: s.text()}, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, 0
}

// textHandle reads bytes that were made at open.
type textHandle struct{ text []byte }

var _ fusefs.FileReader = (*textHandle)(nil)

// Read implements fusefs.FileReader.
func (h *textHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= int64(len(h.text)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, h.text[off:])]), 0
}
