package fs

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func ptr[T any](v T) *T { return &v }

func TestPosixRoundTrip(t *testing.T) {
	types := []uint32{0, syscall.S_IFLNK, syscall.S_IFIFO, syscall.S_IFSOCK, syscall.S_IFCHR, syscall.S_IFBLK}
	rapid.Check(t, func(t *rapid.T) {
		p := posix{Type: rapid.SampledFrom(types).Draw(t, "type"), Rdev: rapid.Uint32().Draw(t, "rdev")}
		if p.Type == syscall.S_IFLNK {
			p.Link = rapid.StringN(1, 50, 200).Draw(t, "link")
		}
		if rapid.Bool().Draw(t, "perm?") {
			p.Perm = ptr(rapid.Uint32Range(0, 0o7777).Draw(t, "perm"))
		}
		if rapid.Bool().Draw(t, "owner?") {
			p.UID = ptr(rapid.Uint32Range(0, 0xfffffffe).Draw(t, "uid"))
			p.GID = ptr(rapid.Uint32Range(0, 0xfffffffe).Draw(t, "gid"))
		}
		if rapid.Bool().Draw(t, "mtime?") {
			p.MTime = time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
			p.Major = rapid.IntRange(1, 1000).Draw(t, "major")
		}
		got := decodePosix(p.into(map[string]string{"other": "stays"}))
		if !p.MTime.Equal(got.MTime) {
			t.Fatalf("mtime %v became %v", p.MTime, got.MTime)
		}
		got.MTime = p.MTime
		assert.Equal(t, p, got)
	})
}

func TestDecodePosixIsLenient(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want posix
	}{
		"not JSON":         {`mode=644`, posix{}},
		"array":            {`[1]`, posix{}},
		"one bad field":    {`{"mode":"0600","uid":"root"}`, posix{Perm: ptr(uint32(0o600))}},
		"mode not octal":   {`{"mode":"rw-"}`, posix{}},
		"type bits":        {`{"mode":"100644"}`, posix{Perm: ptr(uint32(0o644))}},
		"negative uid":     {`{"uid":-1,"gid":7}`, posix{GID: ptr(uint32(7))}},
		"link, no target":  {`{"type":"symlink"}`, posix{}},
		"unknown type":     {`{"type":"door"}`, posix{}},
		"unknown field":    {`{"acl":"x","mode":"0640"}`, posix{Perm: ptr(uint32(0o640))}},
		"time, no version": {`{"mtime":"1.5"}`, posix{}},
		"bad time":         {`{"mtime":"yesterday","major":1}`, posix{}},
		"short fraction":   {`{"mtime":"1.5","major":2}`, posix{MTime: time.Unix(1, 5e8), Major: 2}},
		"before 1970":      {`{"mtime":"-1.250000000","major":1}`, posix{MTime: time.Unix(-1, 25e7), Major: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, decodePosix(map[string]string{posixKey: c.text}))
		})
	}
	assert.Equal(t, posix{}, decodePosix(nil))
}

func TestPosixIntoKeepsOtherKeys(t *testing.T) {
	in := map[string]string{"a": "1", posixKey: `{"mode":"0600"}`}
	out := posix{}.into(in)
	assert.Equal(t, map[string]string{"a": "1"}, out, "nothing set: no key")
	assert.Contains(t, in, posixKey, "the argument stays as it was")
}

// FuzzPosixText: whatever is scanned is what the thorough way makes of it.
func FuzzPosixText(f *testing.F) {
	perm, id := uint32(0o640), uint32(1000)
	p := posix{Type: syscall.S_IFLNK, Perm: &perm, UID: &id, GID: &id, MTime: time.Unix(-3, 5), Major: 2, Link: "../a \"b\"\n", Rdev: 7}
	f.Add(p.encode())
	f.Add(`{"mode":"0640","major":1.5,"rdev":4294967296,"uid":null,"mode":"0600"}`)
	_, _, _, ok := scanPosix(p.encode())
	require.True(f, ok)
	f.Fuzz(func(t *testing.T, text string) {
		j, uid, gid, ok := scanPosix(text)
		if !ok {
			return
		}
		j2, uid2, gid2, ok := parsePosix(text)
		require.True(t, ok)
		assert.Equal(t, j2, j)
		assert.Equal(t, []int64{uid2, gid2}, []int64{uid, gid})
	})
}

func BenchmarkDecodePosix(b *testing.B) {
	m := posix{MTime: time.Unix(1795599043, 649923611), Major: 1}.into(nil)
	b.ReportAllocs()
	for b.Loop() {
		if p := decodePosix(m); p.Major != 1 {
			b.Fatal(p)
		}
	}
}
