package fs

import (
	"context"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/sequoiacm/scmfs/client"
)

// workspace is one of the root's directories: the handle on its store and the
// tables of its nodes.
type workspace struct {
	fs          *FS
	name        string
	info        client.Workspace
	store       Store
	directories bool // false: flat, no sub-directories
	rules       Policy

	files    table[client.FileID, fileNode]
	dirs     table[client.DirID, dirNode]
	partials table[string, partialNode]

	versionDirs  table[client.DirID, versionsDir]
	versionLists table[client.FileID, versionList]
	versionFiles table[string, versionFile]

	partial0 *partialDir // .partial
	trash    trash
	asides   asides

	attrMu sync.Mutex
	// attrs are the attributes of directories, which SCM cannot keep: they live
	// as long as the mount. Guarded by attrMu.
	attrs map[client.DirID]dirAttrs

	flatOnce sync.Once // says once why mkdir is refused

	// news makes a change of a node and of the listing one step: a close that
	// returns because the node knows the new version must find its name listed.
	news sync.Mutex
}

// root returns the node of the workspace's own directory.
func (ws *workspace) root() *dirNode {
	return ws.dir(client.Directory{ID: client.RootDir, Name: "/", CreateTime: ws.info.CreateTime, UpdateTime: ws.info.UpdateTime})
}

// dir returns the node of a directory and brings its record up to date.
func (ws *workspace) dir(rec client.Directory) *dirNode {
	n := ws.dirs.get(rec.ID, func() *dirNode { return newDirNode(ws, rec) })
	n.update(rec)
	return n
}

// dirInode returns the inode of a directory.
func (ws *workspace) dirInode(ctx context.Context, n *dirNode) *fusefs.Inode {
	return ws.fs.inode(ctx, n, syscall.S_IFDIR, n.ino, n.gen)
}

func (ws *workspace) fileInode(ctx context.Context, n *fileNode) *fusefs.Inode {
	return ws.fs.inode(ctx, n, n.kind, n.ino, n.gen)
}

// listingOf returns the listing of a directory that the kernel knows; nil else.
func (ws *workspace) listingOf(id client.DirID) *listing {
	if !ws.directories {
		id = client.RootDir
	}
	if d := ws.dirs.peek(id); d != nil {
		return d.list
	}
	return nil
}

// published takes a file that this mount just changed or created into the node
// and the listing, so that the change needs no request to be seen.
func (ws *workspace) published(f client.File) {
	ws.news.Lock()
	defer ws.news.Unlock()
	ws.publishedLocked(f)
}

func (ws *workspace) publishedLocked(f client.File) {
	n := ws.files.peek(f.ID)
	if n != nil {
		n.adopt(f)
	}
	ws.place(n, f)
}

// place puts a file with node n, nil for none, into its directory's listing. The
// caller holds news.
func (ws *workspace) place(n *fileNode, f client.File) {
	l := ws.listingOf(f.Dir)
	if l == nil {
		return
	}
	if n == nil || n.named(f.Dir, f.Name) {
		l.publish(&f)
		return
	}
	// Renamed or removed between the two steps: the name must not come back. Not
	// so when another node has become that file, by a rename onto it: the name is
	// in use.
	if now := ws.files.peek(f.ID); now != nil && now != n {
		l.publish(&f)
	}
}

// announced is published for the record of a publication. It may come late, when
// the file has been renamed already; the first to bring a version counts, and
// whoever comes second finds it in the listing.
func (ws *workspace) announced(f client.File) {
	ws.news.Lock()
	defer ws.news.Unlock()
	if n := ws.files.peek(f.ID); n != nil && n.knows(f) {
		return
	}
	ws.publishedLocked(f)
}
