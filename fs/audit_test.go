package fs

import (
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/require"
)

// idFS answers lookups with the ids it is told.
type idFS struct {
	fuse.RawFileSystem
	next   uint64
	status fuse.Status
}

func (f *idFS) Lookup(_ <-chan struct{}, _ *fuse.InHeader, _ string, out *fuse.EntryOut) fuse.Status {
	out.NodeId = f.next
	return f.status
}

func (f *idFS) Create(_ <-chan struct{}, _ *fuse.CreateIn, _ string, out *fuse.CreateOut) fuse.Status {
	out.NodeId, out.Fh = f.next, 100+f.next
	return f.status
}
func (f *idFS) Rename(<-chan struct{}, *fuse.RenameIn, string, string) fuse.Status { return f.status }
func (f *idFS) Unlink(<-chan struct{}, *fuse.InHeader, string) fuse.Status         { return f.status }
func (f *idFS) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status                   { return f.status }
func (f *idFS) Release(<-chan struct{}, *fuse.ReleaseIn)                           {}
func (f *idFS) Forget(uint64, uint64)                                              {}
func (f *idFS) Write(_ <-chan struct{}, _ *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	return uint32(len(data)), f.status
}

type auditRig struct {
	*audited
	f      *idFS
	events []AuditEvent
}

func newAuditRig() *auditRig {
	r := &auditRig{f: &idFS{RawFileSystem: fuse.NewDefaultRawFileSystem()}}
	r.audited = newAudited(r.f, func(e AuditEvent) { r.events = append(r.events, e) })
	return r
}

func (r *auditRig) lookup(parent uint64, name string, id uint64) {
	r.f.next = id
	r.Lookup(nil, &fuse.InHeader{NodeId: parent}, name, &fuse.EntryOut{})
}

func (r *auditRig) rename(from uint64, name string, to uint64, newName string, flags uint32) {
	r.Rename(nil, &fuse.RenameIn{InHeader: fuse.InHeader{NodeId: from}, Newdir: to, Flags: flags}, name, newName)
}

func TestAuditKnowsPaths(t *testing.T) {
	r := newAuditRig()
	r.lookup(1, "ws", 2)
	r.lookup(2, "a", 3)
	r.lookup(3, "f", 4)
	require.Equal(t, []string{"", "ws", "ws/a", "ws/a/f", "?"}, []string{r.path(1), r.path(2), r.path(3), r.path(4), r.path(99)})

	r.rename(2, "a", 1, "moved", 0)
	require.Equal(t, "moved/f", r.path(4), "what is below moves along")
	require.Equal(t, "ws/a", r.events[0].Path)
	require.Equal(t, "moved", r.events[0].To)

	r.lookup(3, "g", 5)
	r.rename(3, "f", 3, "g", renameExchange)
	require.Equal(t, []string{"moved/g", "moved/f"}, []string{r.path(4), r.path(5)})

	r.f.status = fuse.Status(syscall.EACCES)
	r.rename(3, "f", 1, "no", 0)
	require.Equal(t, "moved/f", r.path(5), "it was refused")
	require.Equal(t, syscall.EACCES, r.events[len(r.events)-1].Errno)
}

// The kernel counts lookups; what it forgets is forgotten, or it would grow for
// ever.
func TestAuditForgets(t *testing.T) {
	r := newAuditRig()
	for range 3 {
		r.lookup(1, "x", 2)
	}
	r.Forget(2, 2)
	require.Equal(t, "x", r.path(2))
	r.Forget(2, 1)
	require.Equal(t, "?", r.path(2))
	require.Empty(t, r.nodes)
	require.Empty(t, r.ids)
}

func TestAuditOfAHandle(t *testing.T) {
	r := newAuditRig()
	r.f.next = 7
	caller := fuse.InHeader{NodeId: 1, Caller: fuse.Caller{Owner: fuse.Owner{Uid: 10, Gid: 20}, Pid: 30}}
	r.Create(nil, &fuse.CreateIn{InHeader: caller}, "f", &fuse.CreateOut{})
	on := caller
	on.NodeId = 7
	r.Flush(nil, &fuse.FlushIn{InHeader: on, Fh: 107}) // of a child that inherited it
	_, _ = r.Write(nil, &fuse.WriteIn{InHeader: on, Fh: 107}, []byte("12345"))
	r.Flush(nil, &fuse.FlushIn{InHeader: on, Fh: 107})
	r.Flush(nil, &fuse.FlushIn{InHeader: on, Fh: 107})
	r.Release(nil, &fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: 7}, Fh: 107})
	require.Len(t, r.events, 2)
	require.Equal(t, []any{"create", "f", uint32(10), uint32(20), uint32(30)}, []any{r.events[0].Op, r.events[0].Path, r.events[0].UID, r.events[0].GID, r.events[0].PID})
	require.Equal(t, []any{"close", "f", int64(5)}, []any{r.events[1].Op, r.events[1].Path, r.events[1].Bytes})
	require.Empty(t, r.handles)

	r.Create(nil, &fuse.CreateIn{InHeader: caller}, "empty", &fuse.CreateOut{})
	r.Flush(nil, &fuse.FlushIn{InHeader: on, Fh: 107})
	r.Release(nil, &fuse.ReleaseIn{InHeader: fuse.InHeader{NodeId: 7}, Fh: 107})
	last := r.events[len(r.events)-1]
	require.Equal(t, []any{"close", "empty", int64(0), uint32(30)}, []any{last.Op, last.Path, last.Bytes, last.PID}, "an empty file is closed too")
}

var _ fuse.RawFileSystem = (*audited)(nil)
