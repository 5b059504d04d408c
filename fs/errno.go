package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/sequoiacm/scmfs/client"
)

// kindErrno is the one place where a store's refusal becomes an errno. It never
// yields ENOSYS or EOPNOTSUPP for anything that depends on the network: the
// kernel and programs remember those for ever.
var kindErrno = map[client.Kind]syscall.Errno{
	client.Other:               syscall.EIO,
	client.NotExist:            syscall.ENOENT,
	client.Exist:               syscall.EEXIST,
	client.NotEmpty:            syscall.ENOTEMPTY,
	client.Permission:          syscall.EACCES,
	client.Auth:                syscall.EACCES,
	client.Invalid:             syscall.EINVAL,
	client.Unsupported:         syscall.EPERM,
	client.Busy:                syscall.EBUSY,
	client.VersionMismatch:     syscall.ESTALE,
	client.MoveIntoSelf:        syscall.EINVAL,
	client.Quota:               syscall.EDQUOT,
	client.TooLarge:            syscall.EFBIG,
	client.Corrupt:             syscall.EIO,
	client.Timeout:             syscall.ETIMEDOUT,
	client.Unavailable:         syscall.EIO,
	client.Uncertain:           syscall.EIO,
	client.Canceled:            syscall.EINTR,
	client.DirectoriesDisabled: syscall.EPERM,
	client.NoWorkspace:         syscall.ENOENT,
	client.Protocol:            syscall.EIO,
}

// toErrno maps an error of the layers below. nil is 0, and an error that is not
// known is EIO.
func toErrno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if ce, ok := errors.AsType[*client.Error](err); ok {
		if e, ok := kindErrno[ce.Kind]; ok {
			return e
		}
		return syscall.EIO
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return plainErrno(errno)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return syscall.EINTR
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return syscall.ETIMEDOUT
	case errors.Is(err, os.ErrNotExist):
		return syscall.ENOENT
	case errors.Is(err, os.ErrExist):
		return syscall.EEXIST
	case errors.Is(err, os.ErrPermission):
		return syscall.EACCES
	case errors.Is(err, os.ErrInvalid):
		return syscall.EINVAL
	case errors.Is(err, io.ErrUnexpectedEOF):
		return syscall.EIO
	}
	return syscall.EIO
}

// plainErrno keeps the errnos that tell a program something true about its file
// and turns the rest, mostly of sockets, into EIO.
func plainErrno(errno syscall.Errno) syscall.Errno {
	switch errno {
	case 0, syscall.EINTR, syscall.ETIMEDOUT, syscall.ENOENT, syscall.EEXIST, syscall.EACCES, syscall.EPERM,
		syscall.EINVAL, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EROFS, syscall.EBUSY, syscall.ENOTDIR,
		syscall.EISDIR, syscall.ENOTEMPTY, syscall.ENAMETOOLONG, syscall.EXDEV, syscall.ESTALE, syscall.EBADF,
		syscall.ENODATA, syscall.ERANGE, syscall.E2BIG, syscall.ENXIO, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE,
		syscall.EAGAIN, syscall.EIO:
		return errno
	case syscall.EOPNOTSUPP:
		// Only fallocate modes get here: the spool's file system refused them.
		return errno
	}
	return syscall.EIO
}
