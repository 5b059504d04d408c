package fs

import (
	"context"
	"iter"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/readcache"
)

// Store is what the tree asks of one workspace. [*client.Store] has it. The
// meaning of each method and its errors are those documented there.
type Store interface {
	readcache.Source

	Directory(ctx context.Context, id client.DirID) (client.Directory, error)
	LookupDirectory(ctx context.Context, parent client.DirID, name string) (client.Directory, error)
	Directories(ctx context.Context, parent client.DirID, after string) iter.Seq2[client.Directory, error]
	CreateDirectory(ctx context.Context, parent client.DirID, name string) (client.Directory, error)
	DeleteDirectory(ctx context.Context, id client.DirID) error
	RenameDirectory(ctx context.Context, id client.DirID, name string) (client.Directory, error)
	MoveDirectory(ctx context.Context, id, parent client.DirID) (client.Directory, error)

	File(ctx context.Context, id client.FileID) (client.File, error)
	LookupFile(ctx context.Context, dir client.DirID, name string) (client.File, error)
	Files(ctx context.Context, dir client.DirID, after string) iter.Seq2[client.File, error]
	FlatFiles(ctx context.Context, after string) iter.Seq2[client.File, error]
	Versions(ctx context.Context, id client.FileID) ([]client.File, error)
	CountFiles(ctx context.Context) (int64, error)
	CountDirectories(ctx context.Context) (int64, error)
	RenameFile(ctx context.Context, id client.FileID, name string) (client.File, error)
	MoveFile(ctx context.Context, id client.FileID, dir client.DirID) (client.File, error)
	SetMetadata(ctx context.Context, id client.FileID, m map[string]string) (client.File, error)
	SetProperty(ctx context.Context, id client.FileID, key string, value any) (client.File, error)
	DeleteFile(ctx context.Context, id client.FileID) error
	DeleteVersion(ctx context.Context, id client.FileID, v client.Version) error

	BreakpointFile(ctx context.Context, name string) (client.BreakpointFile, error)
	BreakpointFiles(ctx context.Context, prefix string) iter.Seq2[client.BreakpointFile, error]
	DeleteBreakpointFile(ctx context.Context, name string) error
}

// Stores is the set of workspaces that a user may read.
type Stores interface {
	// Workspaces lists them.
	Workspaces(ctx context.Context) iter.Seq2[client.Workspace, error]
	// WorkspaceInfo describes one; client.NoWorkspace when there is none.
	WorkspaceInfo(ctx context.Context, name string) (client.Workspace, error)
	// Store returns the handle on one workspace. It makes no request.
	Store(workspace string) Store
}

// Remote is the [Stores] of a client.
func Remote(c *client.Client) Stores { return remote{c} }

type remote struct{ *client.Client }

func (r remote) Store(workspace string) Store { return r.Client.Workspace(workspace) }
