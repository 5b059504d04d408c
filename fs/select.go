package fs

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/sequoiacm/scmfs/client"
)

// Only returns stores with no other workspaces than the named ones. The rest is
// as if it did not exist.
func Only(stores Stores, names []string) Stores { return only{stores, names} }

type only struct {
	Stores
	names []string
}

// Workspaces implements [Stores].
func (o only) Workspaces(ctx context.Context) iter.Seq2[client.Workspace, error] {
	return func(yield func(client.Workspace, error) bool) {
		for ws, err := range o.Stores.Workspaces(ctx) {
			if err == nil && !slices.Contains(o.names, ws.Name) {
				continue
			}
			if !yield(ws, err) {
				return
			}
		}
	}
}

// WorkspaceInfo implements [Stores].
func (o only) WorkspaceInfo(ctx context.Context, name string) (client.Workspace, error) {
	if !slices.Contains(o.names, name) {
		return client.Workspace{}, &client.Error{Op: "look up workspace", Name: name, Kind: client.NoWorkspace,
			Err: fmt.Errorf("not one of those to show")}
	}
	return o.Stores.WorkspaceInfo(ctx, name)
}
