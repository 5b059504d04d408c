package fs

import (
	"context"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

var _ fusefs.NodeGetxattrer = (*versionFile)(nil)

// Getxattr implements fusefs.NodeGetxattrer: what the store says about a version.
func (v *versionFile) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	value := ""
	switch strings.TrimPrefix(name, scmPrefix) {
	case "id":
		value = string(v.file.ID)
	case "version":
		value = v.file.Version.String()
	case "data_id":
		value = string(v.file.Data)
	case "md5":
		value = v.file.MD5
	case "user":
		value = v.file.UpdateUser
		if value == "" {
			value = v.file.User
		}
	}
	if value == "" || !strings.HasPrefix(name, scmPrefix) {
		return 0, syscall.ENODATA
	}
	return answer([]byte(value), dest)
}
