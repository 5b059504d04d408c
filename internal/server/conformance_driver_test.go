package server

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// What the driver refuses itself, after it has asked the server for the record.
var (
	errPrefix = errors.New("-101: the uploaded part differs")
	errShort  = errors.New("-103: the source is shorter than what is uploaded")
)

// driverUpload is upload() of part 2 section 6.1: the source begins at byte 0,
// what the record says is uploaded is compared and skipped, the rest is sent in
// increments and completed by an empty one.
func (g *gateway) driverUpload(name string, source []byte) error {
	g.t.Helper()
	const increment = 1 << 20
	rec := g.bp(name)
	size := rec.num("upload_size")
	if int64(len(source)) < size {
		return errShort
	}
	kind := wire.ChecksumType(rec.str("checksum_type"))
	if size > 0 && int64(kind.Extend(0, 0, source[:size])) != rec.num("checksum") {
		return errPrefix
	}
	if rec["completed"] == true {
		return nil
	}
	rest := bytes.NewReader(source[size:])
	for {
		piece := make([]byte, increment)
		n, err := io.ReadFull(rest, piece)
		size = g.bpPut(name, size, false, piece[:n]).json().num("upload_size")
		if err != nil {
			break
		}
	}
	g.bpPut(name, size, true, nil).ok()
	return nil
}

// Rows whose error the driver raises by comparing its source with the record:
// the record must tell it enough, and must be as before afterwards.
func TestConformanceDriverUpload(t *testing.T) {
	shared := newGateway(t)
	data := pattern(1572864)
	kinds := []string{"CRC32", "ADLER32", "NONE"}
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) { fn(t, shared.with(t)) })
	}
	run("C2 C14 upload again when completed", func(t *testing.T, g *gateway) {
		for _, kind := range kinds {
			name := "c2." + kind
			g.bpUpload(name, kind, data)
			before := g.bp(name)
			other := append([]byte{9}, data[1:]...)
			if kind == "NONE" {
				assert.NoError(t, g.driverUpload(name, other), "not detected")
			} else {
				assert.ErrorIs(t, g.driverUpload(name, other), errPrefix)
			}
			assert.NoError(t, g.driverUpload(name, data))
			assert.Equal(t, before, g.bp(name))
		}
	})
	run("C6 C7 C8 C9 resume with the same, a changed, a shorter and a longer source", func(t *testing.T, g *gateway) {
		for _, kind := range kinds {
			name := "c7." + kind
			g.bpCreate(name, kind).ok()
			g.bpPut(name, 0, false, data[:1<<20]).ok()
			before := g.bp(name)
			changed := append([]byte{9}, data[1:]...)
			assert.ErrorIs(t, g.driverUpload(name, data[:1000]), errShort)
			if kind != "NONE" {
				assert.ErrorIs(t, g.driverUpload(name, changed), errPrefix)
				assert.Equal(t, before, g.bp(name))
			}
			longer := append(bytes.Clone(data), "appended"...)
			want := longer
			if kind == "NONE" {
				longer = append(changed, "appended"...) // nobody notices
			}
			require.NoError(t, g.driverUpload(name, longer))
			f := g.convert(name, name, "", "").created()
			assert.EqualValues(t, len(want), f.num("size"))
			assert.True(t, string(want) == g.read(f.str("id"), ""))
		}
	})
}

func s3(o *gatewayOptions) { o.repo.S3Parts = true }

// Part 2 section 5.12: what a Ceph S3 storage asks of increments.
func TestConformanceS3Parts(t *testing.T) {
	const part = 5 << 20
	shared := newGateway(t, s3)
	data := pattern(2*part + 100)
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) { fn(t, shared.with(t)) })
	}
	run("C16 C19 increments of 5 MiB and an arbitrary last one", func(t *testing.T, g *gateway) {
		g.bpCreate("c19", "CRC32").ok()
		g.bpPut("c19", 0, false, data[:part]).ok()
		g.bpPut("c19", part, false, data[part:2*part]).ok()
		g.bpPut("c19", 2*part, false, data[2*part:]).ok()
		assert.EqualValues(t, len(data), g.bpPut("c19", int64(len(data)), true, nil).json().num("upload_size"))
		f := g.convert("c19", "c19", "", "").created()
		assert.True(t, string(data) == g.read(f.str("id"), ""))
	})
	run("C18 an increment behind one that was no multiple of 5 MiB", func(t *testing.T, g *gateway) {
		g.bpCreate("c18", "CRC32").ok()
		g.bpPut("c18", 0, false, data[:100]).ok()
		before := g.bp("c18")
		g.bpPut("c18", 100, false, data[100:200]).fails(500, -410)
		g.bpPut("c18", 100, true, data[100:]).fails(500, -410)
		assert.Equal(t, before, g.bp("c18"), "nothing recorded")
		assert.Equal(t, true, g.bpPut("c18", 100, true, nil).json()["completed"], "an empty last one is always fine")
	})
	run("C20 C21 the driver's buffer sends whole parts", func(t *testing.T, g *gateway) {
		// Arbitrary writes; the driver keeps the remainder and reports it as uploaded.
		g.bpCreate("c20", "ADLER32").ok()
		size := g.bpPut("c20", 0, false, nil).json().num("upload_size")
		var buffer []byte
		for _, n := range []int{3, part, 1 << 20, part - 5 - 1<<20} {
			done := int(size) + len(buffer)
			buffer = append(buffer, data[done:done+n]...)
			for len(buffer) >= part {
				size = g.bpPut("c20", size, false, buffer[:part]).json().num("upload_size")
				buffer = buffer[part:]
			}
		}
		total := int(size) + len(buffer)
		done := g.bpPut("c20", size, true, buffer).json()
		assert.EqualValues(t, total, done.num("upload_size"))
		assert.EqualValues(t, wire.ChecksumAdler32.Extend(0, 0, data[:total]), done.num("checksum"))
	})
}

// A storage without breakpoint files, part 2 section 5.
func TestNoBreakpoints(t *testing.T) {
	g := newGateway(t, func(o *gatewayOptions) { o.repo.NoBreakpoints = true })
	g.bpCreate("x", "NONE").fails(500, -107)
	g.bpPut("x", 0, false, []byte("x")).fails(500, -107)
	g.bpDelete("x").fails(500, -107)
	g.bpHead("x").fails(404, -262)
	assert.Empty(t, g.get("/breakpointfiles?workspace_name=ws1").list())
	g.convert("x", "x", "", "").fails(400, -101)
}

// Part 2 sections 5.4 and 5.6: what is left of a body that breaks.
func TestBrokenIncrements(t *testing.T) {
	const flush = 1 << 20
	g := newGateway(t, func(o *gatewayOptions) { o.repo.FlushInterval = flush })
	put := func(name, offset string) string {
		return zuul + "/breakpointfiles/" + name + "?workspace_name=ws1&is_last_content=false&offset=" + offset
	}
	t.Run("nothing of a short one is kept, and the lock is free at once", func(t *testing.T) {
		g := g.with(t)
		g.bpCreate("short", "CRC32").ok()
		g.bpPut("short", 0, false, []byte("hello")).ok()
		before := g.bp("short")
		g.broken("PUT", put("short", "5"), streamHeader(""), pattern(flush-1))
		assert.Equal(t, before, g.bp("short"))
		assert.EqualValues(t, 3353505544, g.bpPut("short", 5, true, []byte(" scm\n")).json().num("checksum"))
		f := g.convert("short", "short", "", "").created()
		assert.Equal(t, "hello scm\n", g.read(f.str("id"), ""), "unrecorded bytes are cut off")
	})
	t.Run("whole steps of the flush interval are kept", func(t *testing.T) {
		g := g.with(t)
		data := pattern(3*flush + 5)
		g.bpCreate("steps", "CRC32").ok()
		g.broken("PUT", put("steps", "0"), streamHeader(""), data[:2*flush+flush/2])
		r := g.bp("steps")
		size := r.num("upload_size")
		assert.GreaterOrEqual(t, size, int64(2*flush))
		assert.LessOrEqual(t, size, int64(2*flush+flush/2))
		assert.EqualValues(t, wire.ChecksumCRC32.Extend(0, 0, data[:size]), r.num("checksum"))
		g.bpPut("steps", size, true, data[size:]).ok()
		f := g.convert("steps", "steps", "", "").created()
		assert.True(t, string(data) == g.read(f.str("id"), ""))
	})
	t.Run("a broken POST leaves the record without data", func(t *testing.T) {
		g := g.with(t)
		kept, err := filepath.Glob(filepath.Join(g.dir, "data", "*", "*"))
		require.NoError(t, err)
		contents := len(kept)
		for name, n := range map[string]int{"post.small": 100, "post.large": 900_000} {
			g.broken("POST", zuul+"/breakpointfiles/"+name+"?workspace_name=ws1&is_last_content=true&checksum_type=CRC32", streamHeader(""), pattern(n))
			r := g.bp(name)
			assert.EqualValues(t, 0, r.num("upload_size"))
			assert.Nil(t, r["data_id"])
			left, err := filepath.Glob(filepath.Join(g.dir, "data", "*", "*"))
			require.NoError(t, err)
			assert.Len(t, left, contents, "nothing refers to what was written")
			for d, err := range g.repo.Breakpoints(repo.Caller{User: "admin"}, "ws1", wire.Doc{{Key: "file_name", Value: name}}) {
				require.NoError(t, err)
				assert.NotContains(t, string(breakpointBody(d)), "data_id", "the body form leaves null out")
			}
			g.bpCreate(name, "NONE").fails(500, -261)
			assert.Equal(t, true, g.bpPut(name, 0, true, []byte("hello")).json()["completed"])
			assert.NotNil(t, g.bp(name)["data_id"])
			g.bpDelete(name).ok()
		}
		g.broken("POST", zuul+"/breakpointfiles/post.gone?workspace_name=ws1&is_last_content=true", streamHeader(""), pattern(100))
		g.bpDelete("post.gone").ok()
		g.bpHead("post.gone").fails(404, -262)
	})
	t.Run("C88 a broken create or update leaves nothing", func(t *testing.T) {
		g := g.with(t)
		f := g.put("stays", "", "v1")
		files := g.head("/files?workspace_name=ws1").ok().header.Get("X-SCM-Count")
		for _, n := range []int{0, 100, 100_000} {
			g.broken("POST", zuul+"/files/?workspace_name=ws1", streamHeader(`{"name":"cancelled"}`), pattern(n))
			g.broken("PUT", zuul+"/files/"+f.str("id")+"?workspace_name=ws1", streamHeader(""), pattern(n))
		}
		assert.EqualValues(t, 1, g.file(f.str("id")).num("major_version"))
		assert.Equal(t, "v1", g.read(f.str("id"), ""))
		assert.Equal(t, files, g.head("/files?workspace_name=ws1").header.Get("X-SCM-Count"))
		assert.Empty(t, g.get("/files?workspace_name=ws1&scope=2").list())
		g.put("cancelled", "", "the name is free")
	})
}
