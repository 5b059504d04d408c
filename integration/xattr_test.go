package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// 5.6 Where extended attributes end: each limit has its errno.
func TestExtendedAttributeLimits(t *testing.T) {
	m := newMount(t, newServer(t))
	f := m.ws("f")
	sh(t, "echo x > %s", f)
	long := "user." + strings.Repeat("n", 250)
	require.NoError(t, unix.Setxattr(f, long, []byte("v"), 0), "a name of 255 bytes")
	assert.Equal(t, unix.ERANGE, unix.Setxattr(f, long+"n", []byte("v"), 0), "256")
	assert.Equal(t, unix.E2BIG, unix.Setxattr(f, "user.a", make([]byte, 65537), 0), "over 64 KiB")
	assert.Equal(t, unix.E2BIG, unix.Setxattr(f, "user.a", make([]byte, 65536), 0), "over 2 KiB")
	assert.Equal(t, unix.ENOSPC, unix.Setxattr(f, "user.a", make([]byte, 1800), 0), "as text for the store it is too much")
	require.NoError(t, unix.Setxattr(f, "user.a", []byte(strings.Repeat("v", 1000)), 0))
	assert.Equal(t, unix.ENOSPC, unix.Setxattr(f, "user.b", []byte(strings.Repeat("v", 1000)), 0), "together")

	n, err := unix.Getxattr(f, "user.a", nil)
	require.NoError(t, err)
	assert.Equal(t, 1000, n, "the size of a value")
	_, err = unix.Getxattr(f, "user.a", make([]byte, 999))
	assert.Equal(t, unix.ERANGE, err)
	n, err = unix.Getxattr(f, "user.a", make([]byte, 1000))
	require.NoError(t, err)
	assert.Equal(t, 1000, n)
	all := len(long) + 1 + len("user.a") + 1
	n, err = unix.Listxattr(f, nil)
	require.NoError(t, err)
	assert.Equal(t, all, n, "the size of the list")
	_, err = unix.Listxattr(f, make([]byte, all-1))
	assert.Equal(t, unix.ERANGE, err)
	require.NoError(t, unix.Setxattr(f, "user.empty", nil, 0))
	n, err = unix.Getxattr(f, "user.empty", make([]byte, 1))
	require.NoError(t, err)
	assert.Zero(t, n, "a value without bytes is one")

	assert.Equal(t, unix.EEXIST, unix.Setxattr(f, "user.empty", []byte("x"), unix.XATTR_CREATE))
	require.NoError(t, unix.Setxattr(f, "user.new", []byte("x"), unix.XATTR_CREATE))
	require.NoError(t, unix.Setxattr(f, "user.new", []byte("y"), unix.XATTR_REPLACE))
	assert.Equal(t, unix.ENODATA, unix.Setxattr(f, "user.none", []byte("x"), unix.XATTR_REPLACE))
	assert.Equal(t, []string{"1.0"}, m.versions("f"), "none of this is a version")
}

// 5.6 Directories have no place for attributes, and nothing pretends they have.
func TestDirectoryXattrs(t *testing.T) {
	m := newMount(t, newServer(t))
	src := filepath.Join(t.TempDir(), "src")
	sh(t, "mkdir -p %s/sub %s && echo x > %s/sub/f && setfattr -n user.note -v file %s/sub/f", src, m.ws("d"), src, src)
	for _, dir := range []string{m.ws("d"), m.ws(), m.dir, m.ws(".partial"), m.ws(".versions"), m.dir + "/.scmfs"} {
		assert.Equal(t, unix.EOPNOTSUPP, unix.Setxattr(dir, "user.note", []byte("x"), 0), dir)
		assert.Equal(t, unix.EOPNOTSUPP, unix.Removexattr(dir, "user.note"), dir)
		_, err := unix.Getxattr(dir, "user.note", nil)
		assert.Equal(t, unix.ENODATA, err, dir)
		_, err = unix.Getxattr(dir, "system.posix_acl_access", nil)
		assert.Equal(t, unix.EOPNOTSUPP, err, dir)
		n, err := unix.Listxattr(dir, nil)
		require.NoError(t, err, dir)
		assert.Zero(t, n, dir)
	}
	// Trees whose files alone have attributes are copied without a word.
	quiet := func(script string) { assert.Empty(t, sh(t, "cd %s && %s", m.ws(), script), script) }
	quiet("cp -a " + src + " cp && getfattr -n user.note cp/sub/f > /dev/null")
	quiet("rsync -aX " + src + "/ rsync && getfattr -n user.note rsync/sub/f > /dev/null")
	quiet("mkdir tar && tar --xattrs -C " + src + " -cf - . | tar --xattrs -C tar -xf - && getfattr -n user.note tar/sub/f > /dev/null")
	// An attribute of a directory is not lost silently by a tool that promises it.
	sh(t, "setfattr -n user.note -v directory %s/sub", src)
	quiet("cp -a " + src + " cp2 && test -e cp2/sub/f") // it takes what it can get
	assert.Contains(t, fails(t, "rsync -aX %s/ %s", src, m.ws("rsync2")), "Operation not supported")
	assert.Contains(t, sh(t, "mkdir %s && cd %s && tar --xattrs -C %s -cf - . | tar --xattrs -xf - 2>&1", m.ws("tar2"), m.ws("tar2"), src), "Operation not supported")
	sh(t, "diff -r %s %s && diff -r %s %s", src, m.ws("rsync2"), src, m.ws("tar2"))
}
