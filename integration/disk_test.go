package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/client"
)

// 9.12 statfs says the same of whatever it is asked about.
func TestStatfs(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "cd %s && mkdir d && echo x > d/f && ln -s f d/link && echo x > .partial/p", m.ws())
	f, err := os.Create(m.ws("writing"))
	require.NoError(t, err)
	defer f.Close()
	before := m.requests()
	var whole unix.Statfs_t
	require.NoError(t, unix.Statfs(m.dir, &whole))
	assert.EqualValues(t, 255, whole.Namelen)
	assert.EqualValues(t, 4096, whole.Bsize)
	assert.Greater(t, whole.Bavail, uint64(1<<30))
	assert.Greater(t, whole.Ffree, uint64(1<<20))
	for _, name := range []string{"", "d", "d/f", "writing", ".partial", ".partial/p", ".versions/d/f", ".versions/d/f/1.0", "../.scmfs", "../.scmfs/status"} {
		var st unix.Statfs_t
		require.NoError(t, unix.Statfs(m.ws(name), &st), name)
		assert.Equal(t, whole, st, name)
	}
	d := m.since(before)
	assert.Zero(t, d["GET /workspaces/{name}"], "%v", d)
	assert.Regexp(t, ` 1099511627776 +0 +1099511627776 +0% `, sh(t, "df %s | tail -1", m.ws("d/f")), "df of a file: 1 PiB")
}

// 5.10 FIFOs, sockets and device nodes are attributes only, and are the same on
// every mount.
func TestSpecialFiles(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	require.NoError(t, unix.Mkfifo(m.ws("fifo"), 0o640))
	require.NoError(t, unix.Mknod(m.ws("socket"), unix.S_IFSOCK|0o600, 0))
	require.NoError(t, unix.Mknod(m.ws("char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
	require.NoError(t, unix.Mknod(m.ws("block"), unix.S_IFBLK|0o640, int(unix.Mkdev(7, 9))))
	sh(t, "chown 5:6 %s", m.ws("fifo"))
	o := newMount(t, s)
	want := "block block special file 640 7:9 0 0 0\nchar character special file 600 1:3 0 0 0\n" +
		"fifo fifo 640 0:0 0 5 6\nsocket socket 600 0:0 0 0 0\n"
	for _, at := range []*mount{m, o} {
		assert.Equal(t, want, sh(t, "cd %s && stat -c '%%n %%F %%a %%Hr:%%Lr %%s %%u %%g' block char fifo socket", at.ws()))
	}
	assert.ErrorIs(t, os.WriteFile(m.ws("char"), nil, 0), unix.EACCES, "no device is opened")
	assert.Equal(t, "through\n", sh(t, "cd %s && (echo through > fifo & cat fifo; wait)", m.ws()), "the kernel carries a FIFO")
	for _, at := range []*mount{m, o} {
		assert.Equal(t, []string{"1.0"}, at.versions("fifo"), "what goes through it is not kept")
	}
}

// 2.17 One of many programs that create a file with O_EXCL wins; what it writes
// through a shared mapping, with O_DIRECT and by another handle is one file.
func TestHandlesOfOneFile(t *testing.T) {
	m := newMount(t, newServer(t))
	out := sh(t, "cd %s && for i in $(seq 20); do (set -C; echo $i > one) 2>/dev/null && echo won & done; wait", m.ws())
	assert.Equal(t, 1, strings.Count(out, "won"), out)
	assert.Equal(t, []string{"1.0"}, m.versions("one"))

	path := m.ws("f")
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("a"), 3*4096), 0o644))
	mapped, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	plain, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	direct, err := os.OpenFile(path, os.O_RDWR|syscall.O_DIRECT, 0)
	require.NoError(t, err)
	page, err := unix.Mmap(int(mapped.Fd()), 0, 3*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	copy(page[10:], "mapped")
	require.NoError(t, unix.Msync(page, unix.MS_SYNC))
	_, err = plain.WriteAt([]byte("plain"), 4096)
	require.NoError(t, err)
	aligned, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	copy(aligned, "direct")
	_, err = direct.WriteAt(aligned, 8192)
	require.NoError(t, err)

	want := bytes.Repeat([]byte("a"), 3*4096)
	copy(want[10:], "mapped")
	copy(want[4096:], "plain")
	copy(want[8192:], aligned)
	b := make([]byte, len(want))
	for name, h := range map[string]*os.File{"mapped": mapped, "plain": plain} {
		_, err := h.ReadAt(b, 0)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, b), name)
	}
	assert.True(t, bytes.Equal(want, page), "the mapping")
	_, err = direct.ReadAt(aligned, 4096)
	require.NoError(t, err)
	assert.Equal(t, "plainaaa", string(aligned[:8]), "O_DIRECT")
	copy(page[100:], "by the mapping, last")
	copy(want[100:], "by the mapping, last")
	require.NoError(t, unix.Munmap(page))
	for _, f := range []*os.File{plain, direct} {
		require.NoError(t, f.Close())
		assert.Equal(t, []string{"1.0"}, m.versions("f"), "published by the last close")
	}
	require.NoError(t, mapped.Close())
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions("f"))
	assert.Equal(t, string(want), read(t, m.ws(".versions/f/2.0")))
}

// 2.18 A file with a hole in it is as long as it says, with zeros in the hole.
func TestSparseFile(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--increment-size", "5MiB")
	sh(t, "cd %s && truncate -s 12M f && printf end | dd of=f bs=1 seek=12582912 conv=notrunc 2>/dev/null && printf mid | dd of=f bs=1 seek=7000000 conv=notrunc 2>/dev/null", m.ws())
	want := content(t, 0)
	sh(t, "truncate -s 12M %s && printf end >> %s && printf mid | dd of=%s bs=1 seek=7000000 conv=notrunc 2>/dev/null", want, want, want)
	o := newMount(t, s)
	for _, at := range []*mount{m, o} {
		sh(t, "cmp %s %s", want, at.ws("f"))
	}
	sh(t, "cd %s && cp --sparse=always %s g && cmp g %s && tar -S -cf t.tar g && tar -xOf t.tar | cmp - %s", m.ws(), want, want, want)
}

// 1.3 What is in the kernel's page cache goes when another client makes a version,
// and a program that has the file open keeps what it opened.
func TestRemoteChangeReachesThePageCache(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	ws := s.api().Workspace("default")
	old, changed := strings.Repeat("old", 5000), strings.Repeat("new", 5000)
	require.NoError(t, os.WriteFile(m.ws("f"), []byte(old), 0o644))
	held, err := os.Open(m.ws("f"))
	require.NoError(t, err)
	defer held.Close()
	assert.Equal(t, old, read(t, m.ws("f")))
	rec, err := ws.LookupFile(t.Context(), client.RootDir, "f")
	require.NoError(t, err)
	_, err = ws.UpdateContent(t.Context(), rec.ID, rec.Version, client.BytesBody([]byte(changed)))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		got := read(t, m.ws("f"))
		require.Contains(t, []string{old, changed}, got, "a mixture of two versions of the same size")
		return got == changed
	}, patience, 50*time.Millisecond)
	b := make([]byte, len(old))
	_, err = held.ReadAt(b, 0)
	require.NoError(t, err)
	assert.Equal(t, old, string(b))
}

// 5.9 Reading moves the time of access in memory, as relatime does, and nothing else.
func TestReadingMovesTheTimeOfAccess(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--expiry", "60s")
	require.NoError(t, os.WriteFile(m.ws("f"), []byte("content"), 0o644))
	sh(t, "touch -d '2001-02-03 04:05:06.123456789' %s && touch -a -d @1 %s", m.ws("f"), m.ws("f"))
	before := m.requests()
	atime := func(m *mount) int64 {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(m.ws("f"), &st))
		return st.Atim.Nano()
	}
	times := func() string { return sh(t, "TZ=UTC stat -c '%%y %%z' %s", m.ws("f")) }
	was := times()
	assert.Contains(t, was, "2001-02-03 04:05:06.123456789", "to the nanosecond")
	fd, err := unix.Open(m.ws("f"), unix.O_RDONLY|unix.O_NOATIME|unix.O_DIRECT, 0)
	require.NoError(t, err)
	_, err = unix.Pread(fd, make([]byte, 10), 0)
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	assert.EqualValues(t, time.Second, atime(m), "O_NOATIME")
	now := time.Now().Add(-time.Second).UnixNano()
	assert.Equal(t, "content", read(t, m.ws("f")))
	moved := atime(m)
	assert.Greater(t, moved, now)
	sh(t, "dd if=%s iflag=direct bs=4096 status=none", m.ws("f"))
	assert.Equal(t, moved, atime(m), "once after a change")
	assert.Equal(t, was, times(), "neither mtime nor ctime")
	for kind := range m.since(before) {
		assert.True(t, strings.HasPrefix(kind, "GET "), "reading changes something at the store: %s", kind)
	}
	o := newMount(t, s, "-o", "noatime")
	set := atime(o)
	assert.Equal(t, "content", read(t, o.ws("f")))
	assert.Equal(t, set, atime(o), "noatime")
}

// 7.1 What a version says of itself.
func TestVersionsSayWhatTheyAre(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	for i, at := range []string{"@1000000000", "@1100000000"} {
		sh(t, "cd %s && exec 3> f && head -c %d /dev/zero >&3 && touch -d %s f && exec 3>&-", m.ws(), 100*(i+1), at)
	}
	assert.Equal(t, "1.0 100 1000000000\n2.0 200 1100000000\n", sh(t, "cd %s && stat -c '%%n %%s %%Y' 1.0 2.0", m.ws(".versions/f")))
	rec, err := s.api().Workspace("default").LookupFile(t.Context(), client.RootDir, "f")
	require.NoError(t, err)
	for _, v := range []string{"1.0", "2.0"} {
		for name, want := range map[string]string{"user": s.user, "version": v, "id": string(rec.ID)} {
			assert.Equal(t, want, sh(t, "getfattr --absolute-names --only-values -n user.scm.%s %s", name, m.ws(".versions/f", v)))
		}
	}
	sh(t, "cp -p %s %s", m.ws(".versions/f/1.0"), m.ws("f"))
	assert.Equal(t, "100 1000000000\n", sh(t, "stat -c '%%s %%Y' %s", m.ws("f")), "restored with its time")
	assert.Equal(t, []string{"1.0", "2.0", "3.0"}, m.versions("f"))
}

// 6.2 umount while programs read and write is refused and harms nothing.
func TestUmountDuringIO(t *testing.T) {
	m := newMount(t, newServer(t), "--increment-size", "5MiB")
	src := content(t, 30*mib)
	cmd := exec.Command("sh", "-c", fmt.Sprintf("cd %s && exec 3> f && head -c 10000000 %s >&3 && echo begun && read go && tail -c +10000001 %s >&3", m.ws(), src, src))
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	_, err = out.Read(make([]byte, 10))
	require.NoError(t, err)
	code, msg := exitCode(t, binary+" umount --timeout 500ms "+m.dir)
	assert.Equal(t, 4, code, "it waits for the file: %s", msg)
	code, msg = exitCode(t, binary+" umount --keep "+m.dir)
	assert.Equal(t, 5, code, "it is in use: %s", msg)
	_, err = in.Write([]byte("go\n"))
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
	sh(t, "cmp %s %s", src, m.ws("f"))
	assert.Equal(t, []string{"1.0"}, m.versions("f"))
}
