package fs

import (
	"context"
	"fmt"
	"strings"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"github.com/sequoiacm/scmfs/client"
)

// Narrow makes one directory the root of the mount: path is WORKSPACE[/DIR...].
// The names that the mount adds (.scmfs, .partial, .versions) are found in it.
// It asks the store; call it before Mount. A path that does not exist is a
// [*client.Error] of kind NoWorkspace or NotExist.
//
// The directory is held by its id, so the mount stays when somebody renames it.
func (fs *FS) Narrow(ctx context.Context, path string) error {
	name, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	info, err := fs.stores.WorkspaceInfo(ctx, name)
	if err != nil {
		return fmt.Errorf("root %s: %w", path, err)
	}
	ws := fs.workspace(info)
	d := ws.root()
	if rest != "" && !ws.directories {
		return fmt.Errorf("root %s: workspace %s has no directories", path, name)
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" {
			continue
		}
		rec, err := ws.store.LookupDirectory(ctx, d.id, part)
		if err != nil {
			return fmt.Errorf("root %s: %q: %w", path, part, err)
		}
		d = ws.dir(rec)
	}
	fs.top = d
	return nil
}

// Top is the directory that [FS.Narrow] chose, and its workspace; "" when the mount
// shows workspaces. It is by id because the directory may be moved.
func (fs *FS) Top() (workspace string, dir client.DirID) {
	if d, ok := fs.top.(*dirNode); ok {
		return d.ws.info.Name, d.id
	}
	return "", ""
}

// topAttr is the identity of the mount's root.
func (fs *FS) topAttr() *fusefs.StableAttr {
	if d, ok := fs.top.(*dirNode); ok {
		return &fusefs.StableAttr{Ino: d.ino, Gen: d.gen}
	}
	return &fusefs.StableAttr{Ino: rootIno}
}

// isTop tells whether the directory is the mount's root, or a workspace's own
// directory: the places where the mount's names are.
func (d *dirNode) isTop() bool { return d.isRoot() || d.isMountRoot() }

func (d *dirNode) isMountRoot() bool {
	top, ok := d.ws.fs.top.(*dirNode)
	return ok && top == d
}
