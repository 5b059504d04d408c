package client

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// errnos is part 1 section 3.4 read as kinds: the errno that the text proposes
// and the kinds that may stand for it.
var errnos = map[string][]Kind{
	"EIO":        {Other, Corrupt, Unavailable, Uncertain, Protocol},
	"EINVAL":     {Invalid, MoveIntoSelf},
	"EBUSY":      {Busy},
	"EOPNOTSUPP": {Unsupported, DirectoriesDisabled},
	"EPERM":      {Permission},
	"EACCES":     {Permission, Auth},
	"ETIMEDOUT":  {Timeout},
	"ENOENT":     {NotExist, NoWorkspace},
	"ENOTEMPTY":  {NotEmpty},
	"EEXIST":     {Exist},
	"ESTALE":     {VersionMismatch},
	"EFBIG":      {TooLarge},
	"ENOSPC":     {TooLarge},
	"EDQUOT":     {Quota},
	"EAGAIN":     {Unavailable},
	"none":       {Other},
}

// Every code of the table, in its order.
var table = map[wire.Code]string{
	-1: "EIO", -101: "EINVAL", -102: "EINVAL", -103: "EIO", -104: "EBUSY", -105: "EINVAL", -106: "EINVAL", -107: "EOPNOTSUPP", -108: "EPERM",
	-109: "EACCES", -110: "ETIMEDOUT", -111: "EBUSY", -130: "EINVAL", -131: "EINVAL", -132: "EACCES", -133: "EIO", -134: "EIO", -135: "EACCES", -136: "none",
	-201: "EIO", -202: "ENOENT", -203: "EIO", -204: "ENOENT", -205: "ENOENT", -206: "EIO", -207: "ENOTEMPTY", -208: "EEXIST", -209: "EEXIST", -210: "EIO",
	-220: "EIO", -221: "EIO", -222: "EIO", -240: "EEXIST", -241: "ENOENT", -242: "ENOTEMPTY", -243: "EINVAL", -244: "EOPNOTSUPP",
	-250: "EIO", -251: "EEXIST", -252: "EEXIST", -261: "EEXIST", -262: "ENOENT", -263: "EIO", -264: "ESTALE", -265: "EINVAL", -266: "EINVAL", -267: "EINVAL",
	-268: "EINVAL", -269: "EINVAL", -270: "EINVAL", -280: "EACCES", -281: "EACCES",
	-401: "EIO", -402: "EIO", -403: "EIO", -404: "EIO", -405: "EIO", -406: "EIO", -407: "EIO", -408: "EEXIST", -409: "EIO", -410: "EIO", -411: "EBUSY", -412: "EIO",
	-413: "EFBIG", -414: "EDQUOT", -501: "EINVAL", -502: "EINVAL", -503: "EINVAL", -504: "EINVAL", -505: "EINVAL", -506: "EINVAL", -507: "EINVAL", -508: "EINVAL",
	-601: "EIO", -602: "ENOENT", -603: "EIO", -604: "EIO", -605: "EIO", -606: "EIO", -607: "EIO", -608: "EIO", -609: "EIO", -610: "EIO", -611: "EINVAL", -612: "ENOSPC",
	-700: "EIO", -701: "EAGAIN", -850: "none", -851: "none", -852: "none", -853: "none", -854: "none", -855: "none", -856: "EDQUOT",
}

func TestEveryCodeHasTheKindOfTheTable(t *testing.T) {
	for _, c := range wire.Codes() {
		errno, ok := table[c]
		if assert.True(t, ok, "%s is not in the table", c) {
			assert.Contains(t, errnos[errno], kindOfCode(c), "%s should become %s", c, errno)
		}
	}
	assert.Len(t, table, len(wire.Codes()))
	for code, kind := range map[wire.Code]Kind{400: Invalid, 401: Auth, 402: Other, 403: Auth, 404: Protocol, 405: Protocol, 406: Protocol,
		408: Unavailable, 413: TooLarge, 414: TooLarge, 429: Unavailable, 431: TooLarge, 500: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable, 0: Other, -99999: Other} {
		assert.Equal(t, kind, kindOfCode(code), "%d", code)
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		assert.NotEmpty(t, k.String())
		assert.NotContains(t, k.String(), "Kind(")
		assert.False(t, seen[k.String()], "%s twice", k)
		seen[k.String()] = true
	}
	assert.Len(t, kindNames, int(kindCount))
	assert.Equal(t, "Kind(-1)", Kind(-1).String())
}

func TestErrorsAreReadable(t *testing.T) {
	err := fmt.Errorf("saving: %w", &Error{Op: "create file", Name: "a b", Kind: Exist, Code: wire.CodeFileExist, Err: io.EOF})
	assert.Equal(t, `saving: create file "a b": already exists, FILE_EXIST(-261): EOF`, err.Error())
	assert.Equal(t, Exist, KindOf(err))
	assert.Equal(t, wire.CodeFileExist, CodeOf(err))
	assert.ErrorIs(t, err, io.EOF)
	assert.Equal(t, Other, KindOf(nil))
	assert.Equal(t, Other, KindOf(io.EOF))
	assert.Equal(t, Canceled, KindOf(context.Canceled))
	assert.Equal(t, Timeout, KindOf(context.DeadlineExceeded))
	assert.Zero(t, CodeOf(io.EOF))
	for _, k := range Kinds() {
		want := k == Unavailable || k == Timeout || k == Uncertain || k == Busy
		assert.Equal(t, want, IsTransient(&Error{Kind: k}), k)
	}
}
