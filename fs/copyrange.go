package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

var _ fusefs.NodeCopyFileRanger = (*fileNode)(nil)

// CopyFileRange implements fusefs.NodeCopyFileRanger. SCM copies nothing on its
// side, so ENOSYS is meant: the kernel copies by itself and does not ask again.
func (n *fileNode) CopyFileRange(context.Context, fusefs.FileHandle, uint64, *fusefs.Inode, fusefs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.ENOSYS
}
