package integration

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// 2.16 Locks of one process are seen by another, range by range, and go with it.
func TestLocks(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	path := m.ws("f")
	require.NoError(t, os.WriteFile(path, make([]byte, 100), 0o644))
	// Another process holds fcntl locks on bytes 10 to 19 and a flock.
	holder := exec.Command("python3", "-c", `
import fcntl, os, sys
f = open(sys.argv[1], "r+b"); g = open(sys.argv[1], "r+b")
fcntl.lockf(f, fcntl.LOCK_EX, 10, 10)
fcntl.flock(g, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()`, path)
	in, err := holder.StdinPipe()
	require.NoError(t, err)
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	defer func() { _ = holder.Process.Kill() }()
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	lock := func(cmd int, start, n int64) (unix.Flock_t, error) {
		l := unix.Flock_t{Type: unix.F_WRLCK, Start: start, Len: n}
		err := unix.FcntlFlock(f.Fd(), cmd, &l)
		return l, err
	}
	_, err = lock(unix.F_SETLK, 15, 1)
	assert.Equal(t, unix.EAGAIN, err)
	l, err := lock(unix.F_GETLK, 0, 0)
	require.NoError(t, err)
	assert.EqualValues(t, holder.Process.Pid, l.Pid, "who holds it")
	assert.EqualValues(t, 10, l.Start)
	_, err = lock(unix.F_SETLK, 20, 5)
	assert.NoError(t, err, "beside it")
	assert.Equal(t, unix.EWOULDBLOCK, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))

	// Another mount of the store knows nothing of it: the locks are local.
	o := newMount(t, s)
	g, err := os.OpenFile(o.ws("f"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer g.Close()
	assert.NoError(t, unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB))

	require.NoError(t, in.Close())
	require.NoError(t, holder.Wait())
	_, err = lock(unix.F_SETLK, 15, 1)
	assert.NoError(t, err, "a process that ends has no locks")
	assert.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
}

// 5.9 to 5.11 Times of access and change, and what setting attributes costs.
func TestTimesAndTheirCost(t *testing.T) {
	m := newMount(t, newServer(t), "--expiry", "60s")
	path := m.ws("f")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o644))
	stat := func() unix.Stat_t {
		var st unix.Stat_t
		require.NoError(t, unix.Stat(path, &st))
		return st
	}
	ctime := func() int64 { st := stat(); return st.Ctim.Nano() }
	// atime can be set, costs nothing, and ends with the mount.
	before := m.requests()
	sh(t, "touch -a -d @1000000000 %s", path)
	assert.EqualValues(t, 1000000000, stat().Atim.Sec)
	assert.NotEqualValues(t, 1000000000, stat().Mtim.Sec)
	assert.Empty(t, m.since(before), "the time of access is kept in memory")

	// ctime follows every change, and cannot be set.
	for _, change := range []string{"chmod 600 f", "chown 5 f", "touch -d @1 f", "mv f g; mv g f", "echo more >> f", "setfattr -n user.a -v b f"} {
		old := ctime()
		sh(t, "cd %s && %s", m.ws(), change)
		assert.Greater(t, ctime(), old, change)
	}
	assert.EqualValues(t, 1, stat().Nlink)

	// Of a file that is not published yet no change costs a request.
	d, err := os.Create(m.ws("draft"))
	require.NoError(t, err)
	before = m.requests()
	sh(t, "cd %s && chmod 600 draft && chown 5:6 draft && touch -d @1000000000 draft && setfattr -n user.a -v b draft && setfattr -x user.a draft", m.ws())
	assert.Empty(t, m.since(before))
	require.NoError(t, d.Close())
	assert.Equal(t, map[string]int{"POST /files": 1}, m.since(before), "they go with the content")

	// Of a published one a change is one request, and one that changes nothing none.
	before = m.requests()
	sh(t, "chmod 640 %s", m.ws("draft"))
	assert.Equal(t, map[string]int{"PUT /files/{id} info": 1}, m.since(before))
	sh(t, "cd %s && chmod 640 draft && chown 5:6 draft && chmod 640 draft", m.ws())
	assert.Equal(t, map[string]int{"PUT /files/{id} info": 1}, m.since(before))
	// One call that sets two things is one.
	before = m.requests()
	sh(t, "chown 7:8 %s", m.ws("draft"))
	assert.Equal(t, map[string]int{"PUT /files/{id} info": 1}, m.since(before))
}

// 2.5, 2.14 More of what programs do with files: each as on a disk.
func TestFilesAsOnADisk(t *testing.T) {
	m := newMount(t, newServer(t))
	// A range copied between two open files, to the middle of the target.
	sh(t, "cd %s && printf 0123456789 > a && printf abcdefghij > b", m.ws())
	in, err := os.Open(m.ws("a"))
	require.NoError(t, err)
	defer in.Close()
	out, err := os.OpenFile(m.ws("b"), os.O_RDWR, 0)
	require.NoError(t, err)
	from, to := int64(2), int64(4)
	n, err := unix.CopyFileRange(int(in.Fd()), &from, int(out.Fd()), &to, 3, 0)
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	from = 100
	n, err = unix.CopyFileRange(int(in.Fd()), &from, int(out.Fd()), &to, 3, 0)
	require.NoError(t, err)
	assert.Zero(t, n, "behind the end")
	require.NoError(t, out.Close())
	assert.Equal(t, "abcd234hij", read(t, m.ws("b")))
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions("b"))

	// O_APPEND ignores where the descriptor is; pwrite with it appends too.
	f, err := os.OpenFile(m.ws("a"), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = unix.Pwrite(int(f.Fd()), []byte("x"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	assert.Equal(t, "0123456789x", read(t, m.ws("a")))

	// A file that is unlinked while it is written to goes on for who has it open.
	f, err = os.OpenFile(m.ws("a"), os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, os.Remove(m.ws("a")))
	_, err = f.WriteAt([]byte("Y"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(20))
	b := make([]byte, 30)
	got, _ := f.ReadAt(b, 0)
	assert.Equal(t, "Y123456789x"+strings.Repeat("\x00", 9), string(b[:got]))
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(int(f.Fd()), &st))
	assert.Zero(t, st.Nlink)
	require.NoError(t, f.Close())
	assert.NoFileExists(t, m.ws("a"))

	// Deep paths of long names.
	deep := m.ws(strings.Repeat(strings.Repeat("d", 250)+"/", 15))
	require.NoError(t, os.MkdirAll(deep, 0o755))
	require.NoError(t, os.WriteFile(deep+"/f", []byte("deep"), 0o644))
	assert.Equal(t, "deep", read(t, deep+"/f"))
	assert.Equal(t, "15\n", sh(t, "cd %s && find . -name 'ddd*' | wc -l", m.ws()))
	sh(t, "rm -r %s/d*", m.ws())

	assert.ErrorIs(t, os.WriteFile(m.ws(strings.Repeat("n", 256)), nil, 0o644), unix.ENAMETOOLONG)
	assert.NoError(t, os.WriteFile(m.ws(fmt.Sprintf("%0255d", 1)), nil, 0o644))
}
