package integration

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// replay carries out a recorded trace in a directory. What the program writes is
// not recorded: the n-th save is of the n-th letter. saved is called after each.
type replay struct {
	t     *testing.T
	dir   string
	fds   map[string]int // by their number in the trace
	saves int
	saved func(n int)
}

func (r *replay) run(trace string) {
	r.t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(trace), "\n") {
		if !strings.HasPrefix(line, "#") {
			r.step(line, strings.Fields(line))
		}
	}
	assert.Empty(r.t, r.fds, "the program closes all it opens")
}

func (r *replay) path(name string) string { return r.dir + "/" + name }

func (r *replay) number(s string, base int) int {
	n, err := strconv.ParseInt(s, base, 64)
	require.NoError(r.t, err)
	return int(n)
}

func (r *replay) step(line string, f []string) {
	r.t.Helper()
	var err error
	switch f[0] {
	case "open":
		r.open(line, f)
	case "read":
		_, err = unix.Pread(r.fds[f[1]], make([]byte, r.number(f[2], 10)), int64(r.number(f[3], 10)))
	case "write":
		var n int
		b := bytes.Repeat([]byte{byte('a' + r.saves)}, r.number(f[2], 10))
		n, err = unix.Pwrite(r.fds[f[1]], b, int64(r.number(f[3], 10)))
		assert.Equal(r.t, len(b), n, line)
	case "lock":
		err = unix.FcntlFlock(uintptr(r.fds[f[1]]), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	case "fsync":
		err = unix.Fsync(r.fds[f[1]])
	case "close":
		err = unix.Close(r.fds[f[1]])
		delete(r.fds, f[1])
	case "rename":
		err = unix.Rename(r.path(f[1]), r.path(f[2]))
	case "unlink":
		err = unix.Unlink(r.path(f[1]))
	case "chown":
		err = unix.Chown(r.path(f[1]), r.number(f[2], 10), r.number(f[3], 10))
	case "chmod":
		err = unix.Chmod(r.path(f[1]), uint32(r.number(f[2], 8)))
	case "saved":
		r.saves++
		r.saved(r.saves)
	default:
		require.Fail(r.t, "unknown step", line)
	}
	require.NoError(r.t, err, line)
}

func (r *replay) open(line string, f []string) {
	r.t.Helper()
	flags := 0
	for _, name := range strings.Split(f[3], "|") {
		flag, ok := map[string]int{
			"O_RDONLY": unix.O_RDONLY, "O_RDWR": unix.O_RDWR, "O_CREAT": unix.O_CREAT, "O_EXCL": unix.O_EXCL,
			"O_NONBLOCK": unix.O_NONBLOCK, "O_CLOEXEC": unix.O_CLOEXEC, "O_DIRECTORY": unix.O_DIRECTORY,
		}[name]
		require.True(r.t, ok, line)
		flags |= flag
	}
	fd, err := unix.Open(r.path(f[2]), flags, uint32(r.number(f[4], 8)))
	if want, fails := map[string]error{"ENOENT": unix.ENOENT, "EEXIST": unix.EEXIST}[f[1]]; fails {
		require.Equal(r.t, want, err, line)
		return
	}
	require.NoError(r.t, err, line)
	r.fds[f[1]] = fd
}

// 8.6 LibreOffice: a lock file, a temporary file renamed onto the document, and
// the new document opened again before it is given its mode. Each save is one
// version of the same file.
func TestLibreOfficeSaves(t *testing.T) {
	trace, err := os.ReadFile("testdata/libreoffice-7.4.trace")
	require.NoError(t, err)
	for _, mode := range []string{"sync", "async"} {
		t.Run(mode, func(t *testing.T) {
			m := newMount(t, newServer(t), "--write-mode", mode)
			s := beforeSave(t, m, "office")
			want := []string{"1.0"}
			s.wait(t)
			before := m.requests()
			r := &replay{t: t, dir: m.ws("office"), fds: map[string]int{}, saved: func(n int) {
				want = append(want, strconv.Itoa(n+1)+".0")
				require.Eventually(t, func() bool { // an asynchronous mount takes a moment
					return s.onServer(t)["doc"].Version.Major == n+1
				}, patience, 20*time.Millisecond)
				files := s.onServer(t)
				assert.Equal(t, s.id, files["doc"].ID, "the file has another id")
				assert.Len(t, files, 1, "a temporary is left at the server")
				assert.Equal(t, want, m.versions("office/doc"))
				d := m.since(before)
				t.Logf("save %d: %v", n, d)
				assert.Equal(t, 1, d["PUT /files/{id}"], "the content goes up once, as a version: %v", d)
				assert.Zero(t, d["POST /files"]+d["DELETE /files/{id}"], "no other file is made or goes: %v", d)
				before = m.requests()
			}}
			r.run(string(trace))
			require.Equal(t, 2, r.saves)
			s.wait(t)
			assert.Equal(t, want, m.versions("office/doc"))
			assert.Equal(t, "doc\n", sh(t, "ls -A %s", m.ws("office")))
			assert.Equal(t, strings.Repeat("a", 8778), read(t, m.ws(".versions/office/doc/2.0")))
			assert.Equal(t, strings.Repeat("b", 8852), read(t, m.ws("office/doc")))
			assert.Equal(t, "644\n", sh(t, "stat -c %%a %s", m.ws("office/doc")))
		})
	}
}
