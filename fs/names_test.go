package fs

import (
	"strings"
	"syscall"
	"testing"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
)

func TestCheckName(t *testing.T) {
	for name, c := range map[string]struct {
		name                        string
		file, directory, breakpoint syscall.Errno
	}{
		"plain":         {"report.pdf", 0, 0, 0},
		"CJK":           {"断点文件 中文", 0, 0, 0},
		"blank":         {" ", 0, 0, 0},
		"colon":         {"a:b", 0, syscall.EINVAL, 0},
		"percent":       {"50%", 0, syscall.EINVAL, syscall.EINVAL},
		"backslash":     {`a\b`, 0, syscall.EINVAL, syscall.EINVAL},
		"quote":         {`a"b`, 0, syscall.EINVAL, 0},
		"semicolon":     {"a;b", 0, syscall.EINVAL, syscall.EINVAL},
		"dot":           {".", syscall.EINVAL, syscall.EINVAL, syscall.EINVAL},
		"dot dot":       {"..", syscall.EINVAL, syscall.EINVAL, syscall.EINVAL},
		"three dots":    {"...", 0, 0, 0},
		"control":       {"a\nb", syscall.EINVAL, syscall.EINVAL, syscall.EINVAL},
		"not UTF-8":     {"a\xff", syscall.EINVAL, syscall.EINVAL, syscall.EINVAL},
		"255 bytes":     {strings.Repeat("x", 255), 0, 0, 0},
		"256 bytes":     {strings.Repeat("x", 256), syscall.ENAMETOOLONG, syscall.ENAMETOOLONG, syscall.ENAMETOOLONG},
		"85 characters": {strings.Repeat("文", 85), 0, 0, 0},
		"86 characters": {strings.Repeat("文", 86), syscall.ENAMETOOLONG, syscall.ENAMETOOLONG, syscall.ENAMETOOLONG},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.file, checkFileName(c.name), "file")
			assert.Equal(t, c.directory, checkDirectoryName(c.name), "directory")
			assert.Equal(t, c.breakpoint, checkBreakpointName(c.name), "breakpoint file")
		})
	}
}

func TestDecoratedNames(t *testing.T) {
	const id = client.FileID("6553f100510003001a2b3c01")
	for name, c := range map[string]struct{ stored, shown string }{
		"plain":   {"a", "a"},
		"slash":   {"a/b", "a_b~" + string(id)},
		"dot dot": {"..", "..~" + string(id)},
		"NUL":     {"a\x00", "a_~" + string(id)},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.shown, shownName(c.stored, id)) })
	}
	long := decorated(strings.Repeat("文", 100), id)
	assert.LessOrEqual(t, len(long), maxName)
	for _, shown := range []string{decorated("a", id), long} {
		got, ok := decoratedID(shown)
		assert.True(t, ok)
		assert.Equal(t, id, got)
	}
	_, ok := decoratedID("a~123")
	assert.False(t, ok)
}

func TestInodeNumbers(t *testing.T) {
	seen := map[uint64]string{}
	for _, ws := range []string{"a", "b"} {
		for _, kind := range []string{"file", "dir"} {
			n := inoOf(ws, kind, "6553f100510003001a2b3c01")
			assert.Equal(t, n, inoOf(ws, kind, "6553f100510003001a2b3c01"))
			assert.Empty(t, seen[n])
			assert.Greater(t, n, uint64(rootIno))
			assert.Zero(t, n>>63)
			seen[n] = ws + kind
		}
	}
}
