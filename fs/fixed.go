package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

// fixedNames is embedded in directories whose entries cannot be moved. The answer
// is not EXDEV: mv would copy an entry and then delete it, which in .versions
// deletes the version.
type fixedNames struct{}

var _ fusefs.NodeRenamer = fixedNames{}

// Rename implements fusefs.NodeRenamer.
func (fixedNames) Rename(context.Context, string, fusefs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EPERM
}
