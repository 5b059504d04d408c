package fs

import (
	"context"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

// noXattr is embedded in every node that has no place for extended attributes.
// Without it go-fuse answers "no such attribute" to setting one, and programs
// take that for a reason to try again.
type noXattr struct{}

var (
	_ fusefs.NodeGetxattrer    = noXattr{}
	_ fusefs.NodeSetxattrer    = noXattr{}
	_ fusefs.NodeRemovexattrer = noXattr{}
)

// Getxattr implements fusefs.NodeGetxattrer.
func (noXattr) Getxattr(_ context.Context, name string, _ []byte) (uint32, syscall.Errno) {
	if !strings.HasPrefix(name, userPrefix) {
		return 0, errForeign
	}
	return 0, syscall.ENODATA
}

// Setxattr implements fusefs.NodeSetxattrer.
func (noXattr) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}

// Removexattr implements fusefs.NodeRemovexattrer.
func (noXattr) Removexattr(context.Context, string) syscall.Errno { return syscall.EOPNOTSUPP }
