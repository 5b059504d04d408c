package server

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/server/repo"
)

// Part 2 section 9.1, breakpoint files with a single client.
func TestConformanceBreakpoints(t *testing.T) {
	shared := newGateway(t)
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) { fn(t, shared.with(t)) })
	}
	run("C1 an empty stream completes and becomes an empty file", func(t *testing.T, g *gateway) {
		for _, sum := range []string{"NONE", "CRC32", "ADLER32"} {
			r := g.bpUpload("c1."+sum, sum, nil)
			assert.Equal(t, true, r["completed"])
			assert.EqualValues(t, 0, r.num("upload_size"))
			assert.EqualValues(t, 0, r.num("checksum"), "ADLER32 of nothing is 1, but the record says 0")
			assert.Equal(t, epoch, r.num("upload_time"))
			f := g.convert("c1."+sum, "c1."+sum, "", "").created()
			assert.EqualValues(t, 0, f.num("size"))
			assert.Empty(t, g.read(f.str("id"), ""))
		}
	})
	run("C4 any size and checksum type comes out as it went in", func(t *testing.T, g *gateway) {
		for _, sum := range []string{"NONE", "CRC32", "ADLER32"} {
			for _, size := range []int{1, 16383, 16384, 16385, 1 << 20, 3<<20 + 7} {
				name := "c4." + sum + strconv.Itoa(size)
				data := pattern(size)
				assert.EqualValues(t, size, g.bpUpload(name, sum, data).num("upload_size"))
				f := g.convert(name, name, "", "").created()
				assert.True(t, string(data) == g.read(f.str("id"), ""), name)
			}
		}
	})
	run("C4 the shortest way: POST with everything, then convert", func(t *testing.T, g *gateway) {
		r := g.stream("POST", "/breakpointfiles/c4.one?workspace_name=ws1&is_last_content=true&checksum_type=CRC32&is_need_md5=true", "", []byte("hello")).json()
		assert.Equal(t, true, r["completed"])
		assert.EqualValues(t, 907060870, r.num("checksum"))
		assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", r["md5"])
		f := g.convert("c4.one", "c4.one", "", "").created()
		assert.Equal(t, r["data_id"], f["data_id"])
		assert.Equal(t, "hello", g.read(f.str("id"), ""))
		g.stream("POST", "/breakpointfiles/c4.part?workspace_name=ws1&is_last_content=false", "", []byte("hel")).ok()
		assert.EqualValues(t, 5, g.bpPut("c4.part", 3, true, []byte("lo")).json().num("upload_size"))
		g.bpCreate("c4.part", "NONE").fails(500, -261)
	})
	run("C5 a converted file with only a name set", func(t *testing.T, g *gateway) {
		g.bpUpload("c5", "NONE", []byte("hello"))
		f := g.convert("c5", "c5", "", "").created()
		assert.Equal(t, "", f["author"])
		assert.Equal(t, "", f["title"])
		assert.EqualValues(t, 1, f.num("major_version"))
		assert.EqualValues(t, 0, f.num("minor_version"))
		assert.EqualValues(t, 5, f.num("size"))
	})
	run("C6 a part, then the rest; the checksum is the standard one", func(t *testing.T, g *gateway) {
		want := map[string][2]int64{"CRC32": {4010696788, 1054227012}, "ADLER32": {4207499138, 512397952}, "NONE": {0, 0}}
		data := pattern(1572864)
		for sum, w := range want {
			g.bpCreate("c6."+sum, sum).ok()
			assert.Equal(t, w[0], g.bpPut("c6."+sum, 0, false, data[:1<<20]).json().num("checksum"))
			again := g.bp("c6." + sum)
			assert.EqualValues(t, 1<<20, again.num("upload_size"))
			assert.Equal(t, w[0], again.num("checksum"))
			assert.Equal(t, w[1], g.bpPut("c6."+sum, 1<<20, false, data[1<<20:]).json().num("checksum"))
			done := g.bpPut("c6."+sum, 1572864, true, nil).json()
			assert.Equal(t, w[1], done.num("checksum"))
			assert.Equal(t, true, done["completed"])
			f := g.convert("c6."+sum, "c6."+sum, "", "").created()
			assert.True(t, string(data) == g.read(f.str("id"), ""))
		}
	})
	run("C10 C11 another user resumes; one without privilege may not", func(t *testing.T, g *gateway) {
		g.bpCreate("c10", "CRC32").ok()
		g.bpPut("c10", 0, false, []byte("hel")).ok()
		none := g.as("nobody")
		none.bpPut("c10", 3, true, []byte("lo")).fails(403, -109)
		none.bpHead("c10").fails(403, -109)
		none.bpCreate("c10b", "NONE").fails(403, -109)
		none.bpDelete("c10").fails(403, -109)
		none.get("/breakpointfiles?workspace_name=ws1").fails(403, -109)
		// Privileges on a directory do not help: a mount must then stream.
		g.as("dironly", [3]string{"directory", "ws1:/", "ALL"}).bpCreate("c10b", "NONE").fails(403, -109)
		r := g.as("second", [3]string{"workspace", "ws1", "CREATE"}).bpPut("c10", 3, true, []byte("lo")).json()
		assert.Equal(t, "second", r["upload_user"])
		assert.Equal(t, "admin", r["create_user"])
		assert.EqualValues(t, 907060870, r.num("checksum"))
	})
	run("C13 an empty first increment changes nothing", func(t *testing.T, g *gateway) {
		g.bpCreate("c13", "ADLER32").ok()
		r := g.as("second").bpPut("c13", 0, false, nil).json()
		assert.Equal(t, "second", r["upload_user"], "shown")
		assert.Equal(t, "admin", g.bp("c13")["upload_user"], "but not stored")
		assert.EqualValues(t, 0, g.bp("c13").num("upload_time"))
		assert.EqualValues(t, 103547413, g.bpPut("c13", 0, true, []byte("hello")).json().num("checksum"))
	})
	run("C15 an increment for a completed one", func(t *testing.T, g *gateway) {
		g.bpUpload("c15", "NONE", []byte("hello"))
		g.bpPut("c15", 5, false, []byte("x")).fails(400, -101)
		g.bpPut("c15", 5, true, nil).fails(400, -101)
		// A blocking client gets the answer although it sends much more than the
		// server had to read.
		g.bpPut("c15", 5, false, pattern(8<<20)).fails(400, -101)
	})
	run("C17 increments of 5, 6 and 7 MiB", func(t *testing.T, g *gateway) {
		data := pattern(18 << 20)
		g.bpCreate("c17", "CRC32").ok()
		g.bpPut("c17", 0, false, data[:5<<20]).ok()
		g.bpPut("c17", 5<<20, false, data[5<<20:11<<20]).ok()
		g.bpPut("c17", 11<<20, false, data[11<<20:]).ok()
		assert.EqualValues(t, 18<<20, g.bpPut("c17", 18<<20, true, nil).json().num("upload_size"))
		f := g.convert("c17", "c17", "", "").created()
		assert.True(t, string(data) == g.read(f.str("id"), ""))
	})
	run("C22 C23 attributes after creation and after upload", func(t *testing.T, g *gateway) {
		g.bpCreate("c22", "CRC32").ok()
		r := g.bp("c22")
		assert.Equal(t, "c22", r["file_name"])
		assert.Equal(t, "admin", r["create_user"])
		assert.Equal(t, epoch, r.num("create_time"))
		assert.Equal(t, "rootSite", r["site_name"])
		assert.Equal(t, false, r["completed"])
		assert.Equal(t, false, r["is_need_md5"])
		for _, zero := range []string{"upload_size", "checksum", "upload_time"} {
			assert.EqualValues(t, 0, r.num(zero), zero)
		}
		assert.Nil(t, r["md5"])
		assert.Contains(t, r, "md5", "the header form prints null")
		assert.Regexp(t, "^[0-9a-f]{24}$", r["data_id"])
		g.bpPut("c22", 0, false, []byte("hello scm\n")).ok()
		up := g.bp("c22")
		assert.Equal(t, "admin", up["upload_user"])
		assert.Equal(t, epoch, up.num("upload_time"))
		assert.EqualValues(t, 10, up.num("upload_size"))
		assert.EqualValues(t, 3353505544, up.num("checksum"))
		assert.Equal(t, r["data_id"], up["data_id"])
	})
	run("C25 odd names", func(t *testing.T, g *gateway) {
		for _, name := range []string{"a b", "文件", ".!@#$*()_+::<>\"", "?|&`", "x" + strings.Repeat("y", 199), "it's=<&>"} {
			g.bpUpload(name, "CRC32", []byte("hello"))
			assert.Equal(t, name, g.bp(name)["file_name"])
			assert.Contains(t, names(g.get("/breakpointfiles?workspace_name=ws1").list(), "file_name"), name)
			g.bpDelete(name).ok()
		}
	})
	run("C26 names that the HTTP layer refuses", func(t *testing.T, g *gateway) {
		// The driver refuses '/', '\', '%' and ';' itself.
		for _, name := range []string{"a/b", `a\b`} {
			g.bpCreate(name, "NONE").fails(500, 500)
		}
	})
	run("C27 C29 C31 C58 a missing one", func(t *testing.T, g *gateway) {
		assert.Contains(t, g.bpHead("c27.none").fails(404, -262)["message"], "c27.none")
		g.bpDelete("c27.none").fails(404, -262)
		g.bpPut("c27.none", 0, false, []byte("x")).fails(404, -262)
		g.form("POST", "/breakpointfiles/c27.none?action=calc_md5", nil, "workspace_name", "ws1").fails(404, -262)
		g.bpUpload("c31", "NONE", []byte("x"))
		g.convert("c31", "c31", "", "").ok()
		g.bpHead("c31").fails(404, -262)
		g.bpDelete("c31").fails(404, -262)
	})
	run("C28 a list lives through a deletion", func(t *testing.T, g *gateway) {
		for i := range 3 {
			g.bpCreate("c28."+strconv.Itoa(i), "NONE").ok()
		}
		next := 0
		for d, err := range g.repo.Breakpoints(repo.Caller{User: "admin"}, "ws1", nil) {
			require.NoError(t, err)
			if name, _ := d.Get("file_name"); strings.HasPrefix(name.(string), "c28.") {
				g.bpDelete("c28." + strconv.Itoa(next)).ok()
				next++
			}
		}
		assert.Equal(t, 3, next)
	})
	run("C30 delete in every state", func(t *testing.T, g *gateway) {
		g.bpCreate("c30.empty", "NONE").ok()
		g.bpCreate("c30.part", "NONE").ok()
		g.bpPut("c30.part", 0, false, []byte("x")).ok()
		g.bpUpload("c30.full", "NONE", []byte("x"))
		for _, name := range []string{"c30.empty", "c30.part", "c30.full"} {
			assert.Empty(t, g.bpDelete(name).ok().body)
			g.bpHead(name).fails(404, -262)
		}
	})
	run("C37 C38 C39 the REST exchange with a raw description", func(t *testing.T, g *gateway) {
		r := g.form("POST", "/breakpointfiles/c37", nil, "workspace_name", "ws1", "checksum_type", "ADLER32", "is_last_content", "false").json()
		assert.Equal(t, "ADLER32", r["checksum_type"])
		g.bpPut("c37", 1, false, []byte("hello")).fails(400, -101)
		g.bpPut("c37", 0, true, []byte("hello")).ok()
		h := map[string][]string{"description": {`{"name":"c39","directory_id":"000000000000000000000000"}`}}
		f := g.form("POST", "/files", h, "workspace_name", "ws1", "breakpoint_file", "c37").created()
		assert.Equal(t, "hello", g.read(f.str("id"), ""))
	})
	run("C40 C41 C42 md5", func(t *testing.T, g *gateway) {
		const hello = "XUFAKrxLKna5cZ2REBfFkg=="
		needed := `{"is_overwrite":false,"is_need_md5":true}`
		assert.Nil(t, g.bpUpload("c40", "NONE", []byte("hello"))["md5"])
		g.convert("c40", "c40", "", needed).fails(400, -101)
		assert.Equal(t, true, g.bp("c40")["completed"], "kept")
		calc := func(name string) *answer {
			return g.form("POST", "/breakpointfiles/"+name+"?action=calc_md5", nil, "workspace_name", "ws1")
		}
		assert.Equal(t, hello, calc("c40").json()["md5"])
		assert.Equal(t, hello, g.bp("c40")["md5"])
		assert.Equal(t, true, g.bp("c40")["is_need_md5"])
		f := g.convert("c40", "c40", "", needed).created()
		assert.Equal(t, hello, f["md5"])
		g.bpCreate("c41", "NONE", "is_need_md5", "true").ok()
		calc("c41").fails(400, -101)
		assert.Nil(t, g.bpPut("c41", 0, false, []byte("hello")).json()["md5"])
		done := g.bpPut("c41", 5, true, nil)
		assert.Equal(t, hello, done.json()["md5"])
		assert.Contains(t, string(done.body), `"md5":"XUFAKrxLKna5cZ2REBfFkg\u003d\u003d"`)
		f = g.convert("c41", "c41", "", "").created()
		assert.Equal(t, hello, f["md5"], "copied although not asked for")
		assert.Equal(t, "5d41402abc4b2a76b9719d911017c592", f["etag"])
	})
	run("C32 C36 C43 the converted file's ids and times", func(t *testing.T, g *gateway) {
		g.bpUpload("c43", "NONE", []byte("hello"), "create_time", "1234567890123", "has_set_time", "true")
		b := g.bp("c43")
		assert.EqualValues(t, 1234567890123, b.num("create_time"))
		g.clock.Store(epoch + 5000)
		f := g.convert("c43", "c43", "", "").created()
		g.clock.Store(epoch)
		assert.Equal(t, b["data_id"], f["data_id"])
		assert.NotEqual(t, f["id"], f["data_id"])
		assert.EqualValues(t, 1234567890123, f.num("data_create_time"))
		assert.Equal(t, epoch+5000, f.num("create_time"))
		assert.Equal(t, epoch+5000, f.num("update_time"))
	})
}

// Part 2 section 5.4, times: C34 and C35 for breakpoint files.
func TestConformanceBreakpointTimes(t *testing.T) {
	g := newGateway(t)
	at := func(name, ms, set string) *answer {
		return g.bpCreate(name, "NONE", "create_time", ms, "has_set_time", set)
	}
	t.Run("C34 any time in range is kept", func(t *testing.T) {
		g := g.with(t)
		for _, ms := range []string{"0", "-1", "2147483648", "-2147483648", "253339200000000", "-62135798400000"} {
			at("t"+ms, ms, "true").ok()
			assert.Equal(t, ms, g.bp("t" + ms)["create_time"].(interface{ String() string }).String())
		}
		assert.Equal(t, epoch, at("now", "0", "false").json().num("create_time"), "0 means now unless it was set")
		assert.EqualValues(t, -1, at("literal", "-1", "false").json().num("create_time"))
	})
	t.Run("C35 beyond is HTTP 500 with status 500", func(t *testing.T) {
		for _, ms := range []string{"253339200001000", "-62135798401000", "9223372036854775807", "-9223372036854775808"} {
			a := at("out", ms, "true")
			a.t = t
			a.fails(500, 500)
		}
	})
	t.Run("has_set_time without a time, is_last_content missing", func(t *testing.T) {
		g := g.with(t)
		g.form("POST", "/breakpointfiles/x", nil, "workspace_name", "ws1", "is_last_content", "false", "has_set_time", "true").fails(400, -105)
		g.form("POST", "/breakpointfiles/x", nil, "workspace_name", "ws1").fails(400, -105)
		g.bpCreate("x", "MD5").fails(400, 400)
		g.bpCreate("x", "crc32").fails(400, 400)
		g.bpHead("x").fails(404, -262)
	})
}
