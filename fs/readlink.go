package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

var _ fusefs.NodeReadlinker = (*fileNode)(nil)

// Readlink implements fusefs.NodeReadlinker.
func (n *fileNode) Readlink(context.Context) ([]byte, syscall.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.kind != syscall.S_IFLNK {
		return nil, syscall.EINVAL
	}
	return []byte(n.px.Link), 0
}
