package fs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
)

// rootNode is the mount's root: one directory per workspace, and .scmfs, which
// is found but not listed.
type rootNode struct {
	fusefs.Inode
	noXattr
	fs     *FS
	status *statusDir
	born   time.Time

	mu    sync.Mutex
	names map[string]client.Workspace // guarded by mu
	at    time.Time                   // of names; guarded by mu
}

var (
	_ fusefs.NodeGetattrer = (*rootNode)(nil)
	_ fusefs.NodeLookuper  = (*rootNode)(nil)
	_ fusefs.NodeReaddirer = (*rootNode)(nil)
	_ fusefs.NodeMkdirer   = (*rootNode)(nil)
	_ fusefs.NodeCreater   = (*rootNode)(nil)
	_ fusefs.NodeUnlinker  = (*rootNode)(nil)
	_ fusefs.NodeRmdirer   = (*rootNode)(nil)
	_ fusefs.NodeRenamer   = (*rootNode)(nil)
)

func newRootNode(fs *FS) *rootNode {
	return &rootNode{fs: fs, status: newStatusDir(fs), born: fs.opt.Now()}
}

// Getattr implements fusefs.NodeGetattrer.
func (r *rootNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	opt := &r.fs.opt
	out.Mode, out.Nlink, out.Size = syscall.S_IFDIR|opt.DirMode, 1, 4096 // 1: not counted
	out.Owner = fuse.Owner{Uid: opt.UID, Gid: opt.GID}
	out.SetTimes(&r.born, &r.born, &r.born)
	return 0
}

// Lookup implements fusefs.NodeLookuper.
func (r *rootNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	if name == statusDirName {
		return r.statusInode(ctx, out), 0
	}
	octx, cancel := r.fs.op(ctx)
	defer cancel()
	info, ok, err := r.find(octx, name)
	if err != nil {
		return nil, errnoOf(octx, err)
	}
	if !ok {
		return nil, syscall.ENOENT
	}
	ws := r.fs.workspace(info)
	d := ws.root()
	return d.enter(ctx, entry{dir: d}, r.fs.opt.Expiry, out), 0
}

func (r *rootNode) statusInode(ctx context.Context, out *fuse.EntryOut) *fusefs.Inode {
	r.status.fill(&out.Attr)
	return r.fs.inode(ctx, r.status, syscall.S_IFDIR, r.status.ino, r.status.gen)
}

// find returns a workspace by name. The list of all answers while it is fresh.
func (r *rootNode) find(ctx context.Context, name string) (client.Workspace, bool, error) {
	r.mu.Lock()
	if r.names != nil && r.fs.opt.Now().Sub(r.at) < r.fs.opt.Expiry {
		info, ok := r.names[name]
		r.mu.Unlock()
		return info, ok, nil
	}
	r.mu.Unlock()
	if checkName(name, "/") != 0 {
		return client.Workspace{}, false, nil
	}
	info, err := r.fs.stores.WorkspaceInfo(ctx, name)
	switch client.KindOf(err) {
	case client.NoWorkspace, client.NotExist:
		return client.Workspace{}, false, nil
	}
	if err != nil {
		return client.Workspace{}, false, err
	}
	return info, true, nil
}

// Readdir implements fusefs.NodeReaddirer.
func (r *rootNode) Readdir(ctx context.Context) (fusefs.DirStream, syscall.Errno) {
	octx, cancel := r.fs.op(ctx)
	defer cancel()
	at := r.fs.opt.Now()
	names := make(map[string]client.Workspace)
	var entries []fuse.DirEntry
	for info, err := range r.fs.stores.Workspaces(octx) {
		if err != nil {
			return nil, errnoOf(octx, err)
		}
		if checkName(info.Name, "/") != 0 || info.Name == statusDirName {
			continue
		}
		names[info.Name] = info
		entries = append(entries, fuse.DirEntry{Name: info.Name, Mode: syscall.S_IFDIR, Ino: dirIno(info.Name, client.RootDir)})
	}
	r.mu.Lock()
	r.names, r.at = names, at
	r.mu.Unlock()
	slices.SortFunc(entries, func(a, b fuse.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	return fusefs.NewListDirStream(entries), 0
}

// Workspaces are made by an administrator, not by programs on the mount.

// Mkdir implements fusefs.NodeMkdirer.
func (r *rootNode) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Create implements fusefs.NodeCreater.
func (r *rootNode) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EPERM
}

// Unlink implements fusefs.NodeUnlinker.
func (r *rootNode) Unlink(context.Context, string) syscall.Errno { return syscall.EPERM }

// Rmdir implements fusefs.NodeRmdirer.
func (r *rootNode) Rmdir(context.Context, string) syscall.Errno { return syscall.EPERM }

// Rename implements fusefs.NodeRenamer.
func (r *rootNode) Rename(context.Context, string, fusefs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EPERM
}
