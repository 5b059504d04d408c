package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

const overwrite = `{"is_overwrite":true,"is_need_md5":false}`

// Part 2 section 9.5, files.
func TestConformanceFiles(t *testing.T) {
	shared := newGateway(t)
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) { fn(t, shared.with(t)) })
	}
	run("C69 odd file names are found by id and path", func(t *testing.T, g *gateway) {
		dir := g.mkdir("/odd names")
		for _, name := range []string{`a\b`, "*", "?", "<>|", `"`, "a:b", "100%", "a;b", "it's", "a&b=c+d", " leading", "文件 名", ".", "..", "a.txt", "~!@#$^()",
			strings.Repeat("n", 950)} {
			f := g.put(name, dir, "x")
			assert.Equal(t, name, g.file(f.str("id"))["name"])
			if name == "." || name == ".." {
				continue // no URL path can carry them
			}
			byPath := g.head("/files/path/odd%20names/" + wire.Escape(name) + "/?workspace_name=ws1").inHeader("file")
			assert.Equal(t, f["id"], byPath["id"], name)
			list := g.get("/directories/id/" + dir + "/listfiles" + query("workspace_name", "ws1", "filter",
				string(wire.AppendJSON(nil, wire.Doc{{Key: "name", Value: name}})))).list()
			assert.Equal(t, []string{f.str("id")}, names(list, "id"), name)
		}
	})
	run("C70 refused file names", func(t *testing.T, g *gateway) {
		g.head("/files/path/a%2Fb?workspace_name=ws1").fails(500, 500)
		for _, d := range []string{`{"name":"a/b"}`, `{"name":""}`, `{"name":null}`, `{}`} {
			g.stream("POST", "/files/?workspace_name=ws1", d, []byte("x")).fails(400, -101)
		}
		f := g.put("c70", "", "")
		g.change(f.str("id"), `{"name":"a/b"}`).fails(400, -101)
		g.stream("POST", "/files/?workspace_name=flat", `{"name":"a/b"}`, nil).ok()
	})
	run("C71 only a name: empty from the driver, null and octet-stream if absent", func(t *testing.T, g *gateway) {
		f := g.put("c71", "", "")
		for _, k := range []string{"author", "title", "mime_type"} {
			assert.Equal(t, "", f[k], k)
		}
		f = g.stream("POST", "/files?workspace_name=ws1", `{"name":"c71.bare"}`, nil).created()
		assert.Nil(t, f["author"])
		assert.Nil(t, f["title"])
		assert.Equal(t, "application/octet-stream", f["mime_type"])
	})
	run("C72 C73 missing versions, malformed ids", func(t *testing.T, g *gateway) {
		f := g.put("c72", "", "x")
		for _, v := range []string{"2.0", "1.1", "0.0", "-2.0"} {
			g.stat(f.str("id"), v).fails(404, -262)
			g.get("/files/"+f.str("id")+query(append([]string{"workspace_name", "ws1"}, ver(v)...)...)).fails(404, -262)
		}
		assert.EqualValues(t, 1, g.stat(f.str("id"), "-1.-1").inHeader("file").num("major_version"))
		for _, id := range []string{"1", "6553f100510003001a2b3c0", "6553f100510003001a2b3c0g", "6553f100510003001a2b3c011"} {
			g.stat(id, "").fails(400, -102)
			g.get("/files/"+id+"?workspace_name=ws1").fails(400, -102)
			g.remove(id).fails(400, -102)
			g.change(id, `{"title":"x"}`).fails(400, -102)
			g.update(id, "", "x").fails(400, -102)
			g.del("/files/"+id+"?workspace_name=ws1&action=delete_version").fails(400, -102)
		}
		g.head("/files/id/"+f.str("id")+"/?workspace_name=ws1").fails(400, -102)
		g.head("/files/other/x?workspace_name=ws1").fails(400, -101)
		g.stream("POST", "/files/?workspace_name=ws1", `{"name":"x","id":"12"}`, nil).fails(400, -102)
	})
	run("C74 C93 C94 ids and times", func(t *testing.T, g *gateway) {
		f := g.put("c74", "", "")
		assert.Regexp(t, "^[0-9a-f]{24}$", f["id"])
		assert.Equal(t, "6553f10051", f.str("id")[:10])
		assert.Equal(t, epoch, f.num("create_time"))
		assert.Equal(t, "202311", f["create_month"])
		f = g.stream("POST", "/files/?workspace_name=ws1", `{"name":"c93","create_time":1234567890123}`, nil).created()
		assert.EqualValues(t, 1234567890123, f.num("create_time"))
		assert.EqualValues(t, 1234567890123, f.num("update_time"))
		assert.EqualValues(t, 1234567890123, f.num("data_create_time"))
		assert.Equal(t, "200902", f["create_month"])
		assert.Equal(t, f["id"], f["data_id"])
		chosen := g.stream("POST", "/files/?workspace_name=ws1", `{"name":"chosen","id":"fc316a005100033a00000001"}`, nil).created()
		assert.Equal(t, "fc316a005100033a00000001", chosen["id"])
		assert.NotEqual(t, chosen["id"], chosen["data_id"])
		g.stream("POST", "/files/?workspace_name=ws1", `{"name":"x","id":"6553f100510003001a2b3c01","create_time":1}`, nil).fails(400, -101)
	})
	run("C34 C35 create_time of files", func(t *testing.T, g *gateway) {
		for _, ms := range []string{"0", "-1", "2147483648", "-2147483648", "253339200000000", "-62135798400000"} {
			f := g.stream("POST", "/files/?workspace_name=ws1", `{"name":"t`+ms+`","create_time":`+ms+`}`, nil).created()
			assert.Equal(t, ms, g.file(f.str("id"))["create_time"].(interface{ String() string }).String())
		}
		for _, ms := range []string{"253339200001000", "-62135798401000", "9223372036854775807", "-9223372036854775808", "9223372036854775808"} {
			g.stream("POST", "/files/?workspace_name=ws1", `{"name":"x","create_time":`+ms+`}`, nil).fails(500, 500)
		}
	})
	run("C75 C76 C77 md5", func(t *testing.T, g *gateway) {
		f := g.put("c75", "", "hello")
		assert.Nil(t, f["md5"])
		assert.Nil(t, f["etag"])
		assert.Contains(t, f, "md5", "null is printed")
		e := g.create("ws1", "c75.empty", "", `{"is_need_md5":true}`, "").created()
		assert.Equal(t, "1B2M2Y8AsgTpgAmY7PhCfg==", e["md5"])
		assert.Equal(t, "d41d8cd98f00b204e9800998ecf8427e", e["etag"])
		calc := func(version string) record {
			pairs := append([]string{"workspace_name", "ws1", "keep_alive", "true"}, ver(version)...)
			return g.form("POST", "/files/"+f.str("id")+"?action=calc_md5", nil, pairs...).json()
		}
		id := f.str("id")
		g.update(id, "", "a").ok()
		assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", calc("1.0")["md5"])
		assert.Equal(t, "5d41402abc4b2a76b9719d911017c592", g.stat(id, "1.0").inHeader("file")["etag"])
		assert.Nil(t, g.file(id)["md5"])
		assert.Equal(t, "DMF1ucDxtqgxw5niaXcmYQ==", calc("-1.-1")["md5"])
		assert.Equal(t, "DMF1ucDxtqgxw5niaXcmYQ==", g.file(id)["md5"])
		// A new version has none of the old one's; asked for, it has md5 without etag.
		n := g.update(id, "", "b").inHeader("file_info")
		assert.Nil(t, n["md5"])
		assert.Nil(t, n["etag"])
		n = g.stream("PUT", "/files/"+id+query("workspace_name", "ws1", "update_content_option", `{"is_need_md5":true}`), "", []byte("hello")).inHeader("file_info")
		assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", n["md5"])
		assert.Nil(t, n["etag"])
		assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", g.stat(id, "1.0").inHeader("file")["md5"])
		g.form("POST", "/files/6553f100510003001a2b3c01?action=calc_md5", nil, "workspace_name", "ws1").fails(404, -262)
	})
	run("C78 C79 C110 deleting", func(t *testing.T, g *gateway) {
		id := g.put("c78", "", "x").str("id")
		g.del("/files/"+id+"?workspace_name=ws1").fails(500, -107)
		g.del("/files/"+id+"?workspace_name=ws1&is_physical=false").fails(500, -107)
		g.del("/files/" + id + "?workspace_name=ws1&is_physical=true&majorVersion=-1&minorVersion=-1").ok()
		g.remove(id).fails(404, -262)
		g.get("/files/"+id+"?workspace_name=ws1").fails(404, -262)
		byPath := func(path, physical string) *answer {
			return g.del("/files" + query("action", "delete_file_by_path", "workspace_name", "ws1", "file_path", path, "is_physical", physical))
		}
		g.mkdir("/c78 dir")
		g.put("文 件", g.head("/directories/path/c78%20dir/?workspace_name=ws1").inHeader("directory").str("id"), "x")
		byPath("/c78 dir/文 件", "false").fails(500, -107)
		assert.Empty(t, byPath("/c78 dir/文 件", "true").ok().body)
		byPath("/c78 dir/文 件", "true").fails(404, -262)
	})
	run("C80 C81 C82 C83 conflicts and overwrite", func(t *testing.T, g *gateway) {
		dir := g.mkdir("/c80")
		first := g.put("x", dir, "1")
		g.update(first.str("id"), "", "2").ok()
		for _, config := range []string{"", `{"is_overwrite":false}`, "{}"} {
			g.create("ws1", "x", dir, config, "new").fails(500, -261)
		}
		second := g.create("ws1", "x", dir, overwrite, "new").created()
		assert.NotEqual(t, first["id"], second["id"])
		assert.EqualValues(t, 1, second.num("major_version"))
		for _, v := range []string{"", "1.0", "2.0"} {
			g.stat(first.str("id"), v).fails(404, -262)
		}
		third := g.create("ws1", "x", dir, overwrite, "again").created()
		assert.Equal(t, "again", g.read(third.str("id"), ""))
		assert.EqualValues(t, 1, g.create("ws1", "y", dir, overwrite, "plain").created().num("major_version"))
		g.bpUpload("c83", "NONE", []byte("hello"))
		g.convert("c83", "x", dir, "").fails(500, -261)
		assert.Equal(t, true, g.bp("c83")["completed"], "intact")
		fourth := g.convert("c83", "x", dir, overwrite).created()
		assert.Equal(t, "hello", g.read(fourth.str("id"), ""))
		g.bpUpload("c83", "NONE", []byte("hello"))
		g.convert("c83", "x", dir, "").fails(500, -261)
		g.convert("c83", "z", dir, "").ok()
		// An explicit id is replaced like a name; the refusal names the file in the way.
		const id = "6553f100510003001a2b3c77"
		chosen := func(ws, name, config string) *answer {
			return g.stream("POST", "/files/"+query("workspace_name", ws, "upload_config", config), `{"name":"`+name+`","id":"`+id+`"}`, nil)
		}
		for _, ws := range []string{"ws1", "flat"} {
			chosen(ws, "c81.id", "").ok()
			a := chosen(ws, "c81.other", "")
			a.fails(500, -261)
			assert.Equal(t, id, parseRecord(t, a.header.Get("X-SCM-EXTRA-ERROR-INFO")).str("id"))
			assert.Equal(t, "c81.other", chosen(ws, "c81.other", overwrite).created()["name"])
		}
		// A ws without directories allows equal names; overwrite then replaces nothing.
		for range 2 {
			g.create("flat", "x", "", overwrite, "1").ok()
		}
		assert.Equal(t, "2", g.head("/files"+query("workspace_name", "flat", "filter", `{name:'x'}`)).header.Get("X-SCM-Count"))
		g.stream("POST", "/files/?workspace_name=flat", `{"name":"x","directory_id":"`+dir+`"}`, nil).fails(500, -244)
	})
	run("C84 privileges of creating and overwriting", func(t *testing.T, g *gateway) {
		dir := g.mkdir("/c84")
		g.put("x", dir, "1")
		for i, lacks := range []string{"CREATE|DELETE", "CREATE|UPDATE", "DELETE|UPDATE"} {
			u := g.as("c84"+string(rune('a'+i)), [3]string{"directory", "ws1:/c84", lacks})
			u.create("ws1", "x", dir, overwrite, "2").fails(403, -109)
		}
		u := g.as("c84d", [3]string{"directory", "ws1:/c84", "CREATE|DELETE|UPDATE"})
		f := u.create("ws1", "x", dir, overwrite, "2").created()
		assert.Equal(t, "c84d", f["user"])
		g.as("c84b").create("ws1", "new", dir, "", "").ok()
		g.as("c84b").create("ws1", "new2", "", "", "").fails(403, -109)
		// READ, UPDATE, DELETE are each asked for.
		u.stat(f.str("id"), "").fails(403, -109)
		u.get("/files/"+f.str("id")+"?workspace_name=ws1").fails(403, -109)
		for _, path := range []string{"c84/x", "c84/none", "none/x"} { // whether it exists or not
			u.head("/files/path/"+path+"?workspace_name=ws1").fails(403, -109)
		}
		u.get("/files?workspace_name=ws1&scope=1").fails(403, -109)
		u.head("/files?workspace_name=ws1").fails(403, -109)
		u.get("/directories/id/"+dir+"/listfiles?workspace_name=ws1").fails(403, -109)
		u.form("POST", "/files/"+f.str("id")+"?action=calc_md5", nil, "workspace_name", "ws1").ok()
		// Where there are no directories the workspace's count, and a breakpoint
		// file needs UPDATE, too.
		flat := g.as("c84f", [3]string{"workspace", "flat", "CREATE"})
		flat.create("flat", "f", "", "", "").ok()
		flat.create("flat", "f", "", overwrite, "").fails(403, -109)
		h := streamHeader(`{"name":"f"}`)
		flat.form("POST", "/files", h, "workspace_name", "flat", "breakpoint_file", "none").fails(403, -109)
		g.as("c84f", [3]string{"workspace", "flat", "UPDATE"}).form("POST", "/files", h, "workspace_name", "flat", "breakpoint_file", "none").fails(400, -101)
		g.as("c84f", [3]string{"workspace", "flat", "DELETE"}).create("flat", "f", "", overwrite, "").ok()
		r := g.as("c84r", [3]string{"directory", "ws1:/c84", "READ"})
		r.stat(f.str("id"), "").ok()
		r.get("/directories/id/" + dir + "/listfiles?workspace_name=ws1").ok()
		r.change(f.str("id"), `{"title":"x"}`).fails(403, -109)
		r.update(f.str("id"), "", "x").fails(403, -109)
		r.form("POST", "/files/"+f.str("id")+"?action=calc_md5", nil, "workspace_name", "ws1").fails(403, -109)
		r.del("/files"+query("action", "delete_file_by_path", "workspace_name", "ws1", "file_path", "/c84/x", "is_physical", "true")).fails(403, -109)
		r.remove(f.str("id")).fails(403, -109)
	})
	run("C86 C87 attributes", func(t *testing.T, g *gateway) {
		f := g.put("c86", "", "x")
		id := f.str("id")
		u := g.as("updater", [3]string{"workspace", "ws1", "UPDATE|READ"})
		g.clock.Store(epoch + 1000)
		u.change(id, `{"title":"t"}`).ok()
		u.change(id, `{"author":"a"}`).ok()
		g.clock.Store(epoch)
		n := g.file(id)
		assert.Equal(t, "t", n["title"])
		assert.Equal(t, "a", n["author"])
		assert.Equal(t, "updater", n["update_user"])
		assert.Equal(t, epoch+1000, n.num("update_time"))
		for _, k := range []string{"title", "author", "update_user", "update_time"} {
			delete(f, k)
			delete(n, k)
		}
		assert.Equal(t, f, n, "the others are kept")
	})
	run("C98 read flags and positions", func(t *testing.T, g *gateway) {
		f := g.put("c98", "", "hello scm\n")
		at := func(q string) *answer { return g.get("/files/" + f.str("id") + "?workspace_name=ws1" + q) }
		// Everything is local here: NEEDSEEK, LOCALSITE and FORCE_NO_CACHE change nothing.
		for _, flag := range []string{"0", "1", "2", "4", "8", "10"} {
			assert.Equal(t, "hello scm\n", string(at("&read_flag="+flag).ok().body))
		}
		for off, want := range map[string]string{"3": "lo scm\n", "0": "hello scm\n", "9": "\n", "10": ""} {
			a := at("&offset=" + off).ok()
			assert.Equal(t, want, string(a.body))
			assert.EqualValues(t, len(want), a.num("data_length"))
		}
		a := at("&offset=10&length=5").ok()
		assert.EqualValues(t, -1, a.num("data_length"))
		at("&offset=11").fails(500, -405)
		at("&offset=-1").fails(400, -101)
		at("&length=-2").fails(400, -101)
		e := g.put("c98.empty", "", "")
		a = g.get("/files/" + e.str("id") + "?workspace_name=ws1&length=10").ok()
		assert.EqualValues(t, -1, a.num("data_length"))
		a = g.get("/files/" + e.str("id") + "?workspace_name=ws1").ok()
		assert.EqualValues(t, 0, a.num("data_length"))
		for _, no := range []string{"ETag", "Last-Modified", "Accept-Ranges"} {
			assert.Empty(t, a.header.Get(no))
		}
		h := streamHeader("")
		h.Set("Range", "bytes=0-1")
		assert.Equal(t, "hello scm\n", string(g.send("GET", api+"/files/"+f.str("id")+"?workspace_name=ws1", h, nil).ok().body))
	})
	run("C96 content that is lost or damaged", func(t *testing.T, g *gateway) {
		stored := func(dataID string) string {
			found, err := filepath.Glob(filepath.Join(g.dir, "data", "*", dataID))
			require.NoError(t, err)
			require.Len(t, found, 1)
			return found[0]
		}
		f := g.put("c96", "", string(pattern(100_000)))
		require.NoError(t, os.Truncate(stored(f.str("data_id")), 99_999))
		g.get("/files/"+f.str("id")+"?workspace_name=ws1").fails(500, -409)
		require.NoError(t, os.Remove(stored(f.str("data_id"))))
		g.get("/files/"+f.str("id")+"?workspace_name=ws1").fails(500, -401)
		g.stat(f.str("id"), "").ok()
		g.remove(f.str("id")).ok()
		g.bpCreate("c96", "CRC32").ok()
		g.bpPut("c96", 0, false, []byte("hello")).ok()
		require.NoError(t, os.Truncate(stored(g.bp("c96").str("data_id")), 4))
		g.bpHead("c96").fails(500, -409)
		g.bpPut("c96", 5, true, []byte("x")).fails(500, -409)
		g.bpDelete("c96").ok()
	})
	run("classes are taken as they are named", func(t *testing.T, g *gateway) {
		// There is no register of classes here, so every class exists: UNKNOWN to
		// the text which of -503 and -268 an unknown one gives.
		g.stream("POST", "/files/?workspace_name=ws1", `{"name":"x","class_properties":{"k":1}}`, nil).fails(500, -268)
		f := g.stream("POST", "/files/?workspace_name=ws1", `{"name":"class","class_id":"c","class_properties":{"k":"v"}}`, nil).created()
		assert.Equal(t, "c", f["class_id"])
		assert.Equal(t, map[string]any{"k": "v"}, f["class_properties"])
		n := g.change(f.str("id"), `{"class_properties.k":"w"}`).inHeader("file_info")
		assert.Equal(t, map[string]any{"k": "w"}, n["class_properties"])
		n = g.change(f.str("id"), `{"class_id":"d","class_properties":{}}`).inHeader("file_info")
		assert.Equal(t, "d", n["class_id"])
	})
	run("what no endpoint is", func(t *testing.T, g *gateway) {
		id := g.put("nowhere", "", "").str("id")
		g.send("PATCH", api+"/files?workspace_name=ws1", nil, nil).fails(405, 405)
		g.send("PATCH", api+"/files/"+id+"?workspace_name=ws1", nil, nil).fails(405, 405)
		g.form("POST", "/breakpointfiles", nil, "workspace_name", "ws1").fails(405, 405)
		g.send("PATCH", api+"/breakpointfiles/x?workspace_name=ws1", nil, nil).fails(405, 405)
		g.get("/files/"+id+"/other?workspace_name=ws1").fails(404, 404)
		g.form("POST", "/files/"+id, nil, "workspace_name", "ws1").fails(400, -101)
		g.del("/files?workspace_name=ws1&action=other").fails(400, -101)
		g.get("/files/"+id+"?workspace_name=ws1&action=get_content_location&major_version=9&minor_version=0").fails(404, -262)
		g.send("PUT", api+"/files/"+id+"?workspace_name=ws1&update_content_option=x", nil, nil).fails(400, 400)
	})
	run("C99 custom_tag limits", func(t *testing.T, g *gateway) {
		id := g.put("c99", "", "").str("id")
		long := func(n int) string { return strings.Repeat("键", n) }
		many := wire.Doc{}
		for i := range 11 {
			many.Set(string(rune('a'+i)), "v")
		}
		for _, c := range []struct {
			tags string
			code int
		}{{string(wire.AppendJSON(nil, many)), -612}, {`{"":"v"}`, -611}, {`{"` + long(129) + `":"v"}`, -611}, {`{"k":"` + long(257) + `"}`, -611}} {
			g.stream("POST", "/files/?workspace_name=ws1", `{"name":"c99.bad","custom_tag":`+c.tags+`}`, nil).fails(500, c.code)
			g.change(id, `{"custom_tag":`+c.tags+`}`).fails(500, c.code)
		}
		f := g.change(id, `{"custom_tag":{"b":"2","`+long(128)+`":"`+long(256)+`","a":"1","n":null}}`).inHeader("file_info")
		require.Len(t, f["custom_tag"], 3)
	})
}

// num is a header as a number.
func (a *answer) num(header string) int64 {
	a.t.Helper()
	return parseRecord(a.t, `{"n":`+a.header.Get(header)+`}`).num("n")
}
