package repo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestMain(m *testing.M) {
	if crashChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// admin has every privilege in the fixture's workspaces.
var admin = Caller{User: "admin"}

// startTime is 2023-11-14 22:13:20 UTC, second 1700000000 of part 2 section 2.1.
const startTime = int64(1700000000) * 1000

// fixture is a store with a clock that only tests move, and two workspaces: "ws"
// with directories and "flat" without.
type fixture struct {
	*Repo
	t     testing.TB
	dir   string
	opts  Options
	clock *atomic.Int64
}

func newFixture(t testing.TB, o Options) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), clock: &atomic.Int64{}}
	f.clock.Store(startTime)
	o.Now = func() time.Time { return time.UnixMilli(f.clock.Load()) }
	o.HashCost = 4
	f.opts = o
	f.open()
	t.Cleanup(func() { f.close() })
	_, err := f.CreateWorkspace(admin, "ws", parse(t, `{enable_directory: true}`))
	require.NoError(t, err)
	_, err = f.CreateWorkspace(admin, "flat", nil)
	require.NoError(t, err)
	_, err = f.PutRole(admin, "all", "")
	require.NoError(t, err)
	require.NoError(t, f.Grant(admin, "all", "workspace_all", "", Everything, false))
	_, err = f.ChangeUser(admin, "admin", UserChange{AddRoles: []string{"all"}})
	require.NoError(t, err)
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	r, err := Open(f.dir, f.opts)
	require.NoError(f.t, err)
	f.Repo = r
}

func (f *fixture) close() {
	f.t.Helper()
	if f.Repo != nil {
		f.verify()
		require.NoError(f.t, f.Repo.Close())
		f.Repo = nil
	}
}

func (f *fixture) reopen() {
	f.t.Helper()
	f.close()
	f.open()
}

func (f *fixture) tick(ms int64) int64 { return f.clock.Add(ms) }

// user makes a user with one role of the same name and the given grants, each
// "type resource privilege".
func (f *fixture) user(name string, grants ...[3]string) Caller {
	f.t.Helper()
	_, err := f.PutUser(admin, name, "", "pw")
	require.NoError(f.t, err)
	_, err = f.PutRole(admin, name, "")
	require.NoError(f.t, err)
	_, err = f.ChangeUser(admin, name, UserChange{AddRoles: []string{name}})
	require.NoError(f.t, err)
	for _, g := range grants {
		p, err := ParsePrivilege(g[2])
		require.NoError(f.t, err)
		require.NoError(f.t, f.Grant(admin, name, g[0], g[1], p, false))
	}
	return Caller{User: name}
}

func parse(t testing.TB, s string) wire.Doc {
	t.Helper()
	d, err := wire.ParseDoc(s)
	require.NoError(t, err, s)
	return d
}

// named is a description with a name and a directory.
func named(name, dir string) wire.Doc {
	return wire.Doc{{Key: "name", Value: name}, {Key: "directory_id", Value: dir}}
}

func (f *fixture) mkdir(path string) string {
	f.t.Helper()
	d, err := f.CreateDirectory(admin, "ws", "", "", path)
	require.NoError(f.t, err)
	return str(d, "id")
}

func (f *fixture) put(ws string, desc wire.Doc, content string) wire.Doc {
	f.t.Helper()
	d, err := f.CreateFile(admin, ws, desc, UploadConfig{}, bytes.NewReader([]byte(content)))
	require.NoError(f.t, err)
	return d
}

func (f *fixture) content(ws, id string, v Version) string {
	f.t.Helper()
	rd, _, err := f.OpenFile(admin, ws, id, v)
	require.NoError(f.t, err)
	defer rd.Close()
	b, err := io.ReadAll(rd.ReadSeeker)
	require.NoError(f.t, err)
	assert.Len(f.t, b, int(rd.Size))
	return string(b)
}

func (f *fixture) update(ws, id string, v Version, content string) wire.Doc {
	f.t.Helper()
	d, err := f.UpdateContent(admin, ws, id, v, false, bytes.NewReader([]byte(content)))
	require.NoError(f.t, err)
	return d
}

// bp makes a completed breakpoint file.
func (f *fixture) bp(name, content string, n NewBreakpoint) wire.Doc {
	f.t.Helper()
	n.Last, n.Body = true, bytes.NewReader([]byte(content))
	d, err := f.CreateBreakpoint(context.Background(), admin, "ws", name, n)
	require.NoError(f.t, err)
	return d
}

func (f *fixture) convert(name string, desc wire.Doc, cfg UploadConfig) (wire.Doc, error) {
	f.t.Helper()
	unlock, err := f.LockBreakpoint(context.Background(), "ws", name)
	require.NoError(f.t, err)
	return f.CreateFileFromBreakpoint(admin, "ws", desc, cfg, name, unlock)
}

func (f *fixture) convertOnto(name, id string, v Version, needMD5 bool) (wire.Doc, error) {
	f.t.Helper()
	unlock, err := f.LockBreakpoint(context.Background(), "ws", name)
	require.NoError(f.t, err)
	return f.UpdateContentFromBreakpoint(admin, "ws", id, v, needMD5, name, unlock)
}

func (f *fixture) append(name string, offset int64, content string, last bool) (wire.Doc, error) {
	return f.AppendBreakpoint(context.Background(), admin, "ws", name, offset, last, bytes.NewReader([]byte(content)))
}

func str(d wire.Doc, key string) string {
	s, _ := docString(d, key)
	return s
}

func num(t testing.TB, d wire.Doc, key string) int64 {
	t.Helper()
	v, _ := d.Get(key)
	n, ok := integer(v)
	require.True(t, ok, "%s is %T", key, v)
	return n
}

func requireCode(t testing.TB, want wire.Code, err error) {
	t.Helper()
	if want == 0 {
		require.NoError(t, err)
		return
	}
	require.Error(t, err)
	require.Equal(t, want, CodeOf(err), "%v", err)
}

func collect(t testing.TB, seq iter.Seq2[wire.Doc, error]) []wire.Doc {
	t.Helper()
	var out []wire.Doc
	for d, err := range seq {
		require.NoError(t, err)
		out = append(out, d)
	}
	return out
}

// values lists one field of every row.
func values(t testing.TB, key string, seq iter.Seq2[wire.Doc, error]) []any {
	t.Helper()
	out := []any{}
	for _, d := range collect(t, seq) {
		v, _ := d.Get(key)
		out = append(out, v)
	}
	return out
}

func listError(seq iter.Seq2[wire.Doc, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// broken is a body that ends with an error after some bytes.
type broken struct {
	r   io.Reader
	err error
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

// pattern is the test vector of part 2 section 10.1.
func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return string(b)
}

// verify checks every invariant of the database, at the end of every test.
func (f *fixture) verify() {
	f.t.Helper()
	for _, p := range f.problems() {
		assert.Fail(f.t, "store is inconsistent", p)
	}
}

func problemf(out *[]string, format string, args ...any) {
	*out = append(*out, fmt.Sprintf(format, args...))
}
