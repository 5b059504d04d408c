package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// 5.4 Writing, truncating and a new owner take set-user-id and set-group-id away.
func TestSetIDBitsGo(t *testing.T) {
	m := newMount(t, newServer(t))
	f := m.ws("f")
	mode := func() string { return strings.TrimSpace(sh(t, "stat -c %%a %s", f)) }
	set := func() { sh(t, "touch %s && chown 0:0 %s && chmod 6777 %s", f, f, f) }
	other := func(script string) {
		sh(t, "cd %s && setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '%s'", m.ws(), script)
	}
	set()
	sh(t, "echo root >> %s", f)
	assert.Equal(t, "6777", mode(), "root may")
	other("echo other >> f")
	soon := func(want, how string) {
		// The kernel is told of the new mode right after the write.
		assert.Eventually(t, func() bool { return mode() == want }, 10*time.Second, 10*time.Millisecond, how)
	}
	soon("777", "write")
	set()
	other(": > f")
	soon("777", "open with O_TRUNC")
	set()
	other("truncate -s 3 f")
	assert.Equal(t, "777", mode(), "truncate")
	set()
	sh(t, "chown 1:1 %s", f)
	assert.Equal(t, "777", mode(), "chown")
	sh(t, "chmod 2767 %s && chown 2:2 %s", f, f)
	assert.Equal(t, "2767", mode(), "without group execute set-group-id means something else")
}

// 5.5 Link counts.
func TestDirectoryLinkCount(t *testing.T) {
	m := newMount(t, newServer(t))
	links := func(name string) string { return strings.TrimSpace(sh(t, "stat -c %%h %s", m.ws(name))) }
	sh(t, "cd %s && mkdir a && mkdir a/b a/c && touch a/f", m.ws())
	assert.Equal(t, "4", links("a"))
	assert.Equal(t, "2", links("a/b"))
	sh(t, "cd %s && rmdir a/b && mv a/c .", m.ws())
	assert.Equal(t, "2", links("a"))
	m.end()
	m.start()
	sh(t, "mkdir %s/c/d", m.ws())
	assert.Equal(t, "1", links("a"), "not listed yet, so not counted")
	require.Eventually(t, func() bool { return sh(t, "ls %s", m.ws()) == "a\nc\n" && links("") == "4" }, patience, 50*time.Millisecond)
}

// 5.6 Extended attributes.
func TestExtendedAttributes(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	f := m.ws("f")
	sh(t, "echo 1 > %s && echo 22 > %s", f, f)
	get := func(m *mount, name string) string {
		b := make([]byte, 4096)
		n, err := unix.Getxattr(m.ws("f"), name, b)
		if err != nil {
			return err.Error()
		}
		return string(b[:n])
	}
	set := func(name, value string) error { return unix.Setxattr(f, name, []byte(value), 0) }

	require.NoError(t, set("user.note", "plain"))
	require.NoError(t, set("user.odd.name", "\x00\xff"))
	assert.Equal(t, "user.note user.odd.name", strings.Join(strings.Fields(sh(t, "getfattr --absolute-names %s | grep user", f)), " "))
	assert.Equal(t, unix.EEXIST, unix.Setxattr(f, "user.note", []byte("x"), unix.XATTR_CREATE))
	assert.Equal(t, unix.ENODATA, unix.Setxattr(f, "user.none", []byte("x"), unix.XATTR_REPLACE))
	assert.Equal(t, unix.E2BIG, set("user.big", strings.Repeat("x", 5000)))
	assert.Equal(t, unix.ENOSPC, set("user.big", strings.Repeat("x", 2040)), "together with the others")
	assert.Equal(t, unix.EOPNOTSUPP, set("trusted.x", "1"))
	b := make([]byte, 2)
	_, err := unix.Getxattr(f, "user.note", b)
	assert.Equal(t, unix.ERANGE, err)
	require.NoError(t, unix.Removexattr(f, "user.odd.name"))
	assert.Equal(t, unix.ENODATA, unix.Removexattr(f, "user.odd.name"))

	for name, value := range map[string]string{"title": "A title", "author": "ü", "tags": "a, b", "mime_type": "text/x"} {
		require.NoError(t, set("user.scm."+name, value), name)
	}
	for _, name := range []string{"id", "version", "data_id", "md5", "state", "acknowledged", "user"} {
		assert.Equal(t, unix.EPERM, set("user.scm."+name, "x"), name)
	}
	assert.Equal(t, unix.EINVAL, unix.Removexattr(f, "user.scm.title"), "the store cannot clear it")
	o := newMount(t, s)
	for _, at := range []*mount{m, o} {
		assert.Equal(t, "plain", get(at, "user.note"))
		assert.Equal(t, "A title", get(at, "user.scm.title"))
		assert.Equal(t, "ü", get(at, "user.scm.author"))
		assert.Equal(t, "text/x", get(at, "user.scm.mime_type"))
		assert.ElementsMatch(t, []string{"a", "b"}, strings.Split(get(at, "user.scm.tags"), ","))
		assert.Equal(t, "2.0", get(at, "user.scm.version"))
		assert.Equal(t, "published", get(at, "user.scm.state"))
		assert.Equal(t, "3", get(at, "user.scm.acknowledged"))
		assert.Len(t, get(at, "user.scm.id"), 24)
		assert.Len(t, get(at, "user.scm.data_id"), 24)
	}
	w, err := os.OpenFile(f, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = w.WriteString("more")
	require.NoError(t, err)
	assert.Equal(t, "open", get(m, "user.scm.state"))
	require.NoError(t, w.Close())
	assert.Equal(t, "A title", get(m, "user.scm.title"), "the next version keeps it")
	assert.Equal(t, "plain", get(m, "user.note"))
}

// 7.1 and 7.2 Old versions.
func TestVersionsTree(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "mkdir -p %s && cd %s && for v in one two three; do echo $v > f; done", m.ws("d"), m.ws("d"))
	assert.Equal(t, []string{"1.0", "2.0", "3.0"}, m.versions("d/f"))
	assert.NotContains(t, sh(t, "ls -A %s", m.ws()), ".versions")
	assert.Equal(t, "f\n", sh(t, "ls %s", m.ws(".versions/d")))
	assert.Equal(t, "two\n", read(t, m.ws(".versions/d/f/2.0")))
	assert.Contains(t, fails(t, "echo x >> %s", m.ws(".versions/d/f/2.0")), "Read-only")
	assert.Contains(t, fails(t, "cat %s", m.ws(".versions/d/f/9.0")), "No such file")

	sh(t, "cp %s %s", m.ws(".versions/d/f/1.0"), m.ws("d/f"))
	assert.Equal(t, "one\n", read(t, m.ws("d/f")))
	assert.Equal(t, []string{"1.0", "2.0", "3.0", "4.0"}, m.versions("d/f"), "restoring is a new version")

	sh(t, "rm %s", m.ws(".versions/d/f/2.0"))
	assert.Equal(t, []string{"1.0", "3.0", "4.0"}, m.versions("d/f"))
	sh(t, "rm %s", m.ws(".versions/d/f/4.0"))
	require.Eventually(t, func() bool { return read(t, m.ws("d/f")) == "three\n" }, patience, 50*time.Millisecond,
		"the newest of the rest is the file")
}

// 7.3 What the mount says about itself.
func TestStatusDirectory(t *testing.T) {
	m := newMount(t, newServer(t))
	at := filepath.Join(m.dir, ".scmfs")
	assert.NotContains(t, sh(t, "ls -A %s", m.dir), ".scmfs")
	assert.Equal(t, "conflicts\nerrors\nqueue\nstatus\n", sh(t, "ls %s", at))
	assert.Empty(t, read(t, at+"/queue"))
	f, err := os.Create(m.ws("writing"))
	require.NoError(t, err)
	_, err = f.WriteString("12345")
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^\S+ [0-9a-f]{16} open 0 of 5 bytes acknowledged\tdefault/writing$`, read(t, at+"/queue"))
	require.NoError(t, f.Close())
	assert.Empty(t, read(t, at+"/queue"))
	assert.Contains(t, read(t, at+"/status"), `"write_mode": "sync"`)
	assert.Empty(t, read(t, at+"/errors")+read(t, at+"/conflicts"))
	assert.Contains(t, fails(t, "echo x > %s/queue", at), "Permission denied")
	assert.Contains(t, fails(t, "rm %s/queue", at), "not permitted")
}

// 2.14 Holes and preallocation.
func TestFallocateAndHoles(t *testing.T) {
	m := newMount(t, newServer(t))
	f, err := os.Create(m.ws("f"))
	require.NoError(t, err)
	defer f.Close()
	fd := int(f.Fd())
	size := func() int64 {
		st, err := f.Stat()
		require.NoError(t, err)
		return st.Size()
	}
	_, err = f.WriteString(strings.Repeat("x", 10000))
	require.NoError(t, err)
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 0, 50000))
	assert.EqualValues(t, 10000, size())
	require.NoError(t, unix.Fallocate(fd, 0, 0, 20000))
	assert.EqualValues(t, 20000, size())
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1000, 3000))
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE, 19000, 2000))
	assert.EqualValues(t, 21000, size())
	assert.Equal(t, unix.EOPNOTSUPP, unix.Fallocate(fd, unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096))
	hole, err := unix.Seek(fd, 5, unix.SEEK_HOLE)
	require.NoError(t, err)
	assert.EqualValues(t, 21000, hole, "all data, and a hole at the end")
	data, err := unix.Seek(fd, 5, unix.SEEK_DATA)
	require.NoError(t, err)
	assert.EqualValues(t, 5, data)
	_, err = unix.Seek(fd, 21000, unix.SEEK_DATA)
	assert.Equal(t, unix.ENXIO, err)
	require.NoError(t, f.Close())
	want := strings.Repeat("x", 1000) + strings.Repeat("\x00", 3000) + strings.Repeat("x", 6000) + strings.Repeat("\x00", 11000)
	assert.Equal(t, want, read(t, m.ws("f")))

	in, err := os.Open(m.ws("f"))
	require.NoError(t, err)
	defer in.Close()
	out, err := os.Create(m.ws("copy"))
	require.NoError(t, err)
	n, err := unix.CopyFileRange(int(in.Fd()), nil, int(out.Fd()), nil, 21000, 0)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	assert.Equal(t, want[:n], read(t, m.ws("copy")))
}

// 2.15 Files without a name.
func TestUnnamedTemporaryFile(t *testing.T) {
	m := newMount(t, newServer(t))
	before := m.requests()
	_, err := unix.Open(m.ws(), unix.O_TMPFILE|unix.O_RDWR, 0o600)
	assert.Equal(t, unix.EOPNOTSUPP, err, "linkat may follow, and there are no links")
	fd, err := unix.Open(m.ws(), unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL, 0o600)
	require.NoError(t, err)
	_, err = unix.Pwrite(fd, []byte("temporary"), 3)
	require.NoError(t, err)
	b := make([]byte, 20)
	n, err := unix.Pread(fd, b, 0)
	require.NoError(t, err)
	assert.Equal(t, "\x00\x00\x00temporary", string(b[:n]))
	var st syscall.Stat_t
	require.NoError(t, syscall.Fstat(fd, &st))
	assert.EqualValues(t, 0, st.Nlink)
	assert.EqualValues(t, syscall.S_IFREG|0o600, st.Mode)
	require.NoError(t, unix.Close(fd))
	assert.Empty(t, sh(t, "find %s %s -mindepth 1", m.ws(".partial"), m.ws()))
	d := m.since(before)
	assert.Zero(t, d["POST /files"], "%v", d)
}
