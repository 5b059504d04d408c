package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryKindHasAnErrno(t *testing.T) {
	for _, k := range client.Kinds() {
		t.Run(k.String(), func(t *testing.T) {
			errno, ok := kindErrno[k]
			require.True(t, ok, "kind %d is not in the table", k)
			// The kernel remembers these two for the whole mount.
			assert.NotContains(t, []syscall.Errno{0, syscall.ENOSYS, syscall.EOPNOTSUPP}, errno)
			assert.Equal(t, errno, toErrno(fmt.Errorf("wrapped: %w", &client.Error{Op: "x", Kind: k})))
		})
	}
	assert.Len(t, kindErrno, len(client.Kinds()))
}

func TestToErrno(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want syscall.Errno
	}{
		"nil":                {nil, 0},
		"canceled":           {fmt.Errorf("x: %w", context.Canceled), syscall.EINTR},
		"deadline":           {context.DeadlineExceeded, syscall.ETIMEDOUT},
		"not exist":          {os.ErrNotExist, syscall.ENOENT},
		"full disk":          {&os.PathError{Op: "write", Err: syscall.ENOSPC}, syscall.ENOSPC},
		"connection refused": {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, syscall.EIO},
		"ENOSYS":             {syscall.ENOSYS, syscall.EIO},
		"short":              {io.ErrUnexpectedEOF, syscall.EIO},
		"unknown":            {errors.New("?"), syscall.EIO},
		"kind before cause":  {&client.Error{Kind: client.Unavailable, Err: syscall.ENOENT}, syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, toErrno(c.err)) })
	}
}

func TestErrnoOfAnEndedContext(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, stop := context.WithTimeout(t.Context(), -1)
	defer stop()
	down := &client.Error{Kind: client.Unavailable}
	assert.Equal(t, syscall.EINTR, errnoOf(canceled, down))
	assert.Equal(t, syscall.ETIMEDOUT, errnoOf(expired, down))
	assert.Equal(t, syscall.EIO, errnoOf(t.Context(), down))
	assert.Equal(t, syscall.ENOENT, errnoOf(expired, &client.Error{Kind: client.NotExist}), "an answer stays an answer")
	assert.Zero(t, errnoOf(expired, nil))
}
