package server

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Part 2 section 9.6, versions, and section 3.6 to 3.9.
func TestConformanceVersions(t *testing.T) {
	shared := newGateway(t)
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) { fn(t, shared.with(t)) })
	}
	run("C100 C102 C105 updates by stream, empty content and breakpoint file", func(t *testing.T, g *gateway) {
		id := g.put("c100", "", "one").str("id")
		assert.EqualValues(t, 2, g.update(id, "", "version two").inHeader("file_info").num("major_version"))
		empty := g.send("PUT", zuul+"/files/"+id+"?workspace_name=ws1", nil, nil).inHeader("file_info")
		assert.EqualValues(t, 3, empty.num("major_version"))
		assert.EqualValues(t, 0, empty.num("minor_version"))
		b := g.bpUpload("c102", "NONE", []byte("hello"), "create_time", "1234567890123", "has_set_time", "true")
		n := g.updateFrom(id, "c102").inHeader("file_info")
		assert.EqualValues(t, 4, n.num("major_version"))
		assert.Equal(t, b["data_id"], n["data_id"])
		assert.EqualValues(t, 1234567890123, n.num("data_create_time"))
		g.bpHead("c102").fails(404, -262)
		for v, want := range map[string]string{"1.0": "one", "2.0": "version two", "3.0": "", "4.0": "hello", "": "hello"} {
			assert.Equal(t, want, g.read(id, v), v)
			assert.EqualValues(t, len(want), g.stat(id, v).inHeader("file").num("size"), v)
		}
	})
	run("C101 another user's update, and what is copied", func(t *testing.T, g *gateway) {
		f := g.stream("POST", "/files/?workspace_name=ws1", `{"name":"c101","title":"t","author":"a","mime_type":"m/m","tags":["x","x",""],
			"custom_tag":{"k":"v"},"custom_metadata":{"p":"q"}}`, []byte("1")).created()
		assert.Equal(t, []any{"x"}, f["tags"])
		u := g.as("second", [3]string{"workspace", "ws1", "UPDATE|READ"})
		g.clock.Store(epoch + 7000)
		n := u.update(f.str("id"), "", "22").inHeader("file_info")
		g.clock.Store(epoch)
		assert.Equal(t, "second", n["update_user"])
		assert.Equal(t, "admin", n["user"])
		assert.Equal(t, epoch+7000, n.num("data_create_time"))
		assert.Equal(t, epoch, n.num("update_time"), "goes back to the file's create_time")
		assert.NotEqual(t, f["data_id"], n["data_id"])
		for _, k := range []string{"id", "name", "directory_id", "create_time", "create_month", "title", "author", "mime_type", "tags", "custom_tag", "custom_metadata"} {
			assert.Equal(t, f[k], n[k], k)
		}
	})
	run("C103 an incomplete or missing breakpoint file", func(t *testing.T, g *gateway) {
		id := g.put("c103", "", "1").str("id")
		g.bpCreate("c103", "NONE").ok()
		g.bpPut("c103", 0, false, []byte("x")).ok()
		g.updateFrom(id, "c103").fails(400, -101)
		g.updateFrom(id, "none").fails(400, -101)
		g.convert("c103", "c103.new", "", "").fails(400, -101)
		g.convert("none", "c103.new", "", "").fails(400, -101)
		assert.EqualValues(t, 1, g.bp("c103").num("upload_size"))
		g.bpPut("c103", 1, true, nil).ok()
		g.form("PUT", "/files/"+id, nil, "workspace_name", "ws1", "breakpoint_file", "c103", "update_content_option", `{is_need_md5:true}`).fails(400, -101)
		g.form("PUT", "/files/"+id, nil, "workspace_name", "ws1", "breakpoint_file", "c103", "major_version", "9", "minor_version", "0").fails(500, -264)
		assert.EqualValues(t, 1, g.file(id).num("major_version"))
		g.updateFrom("6553f100510003001a2b3c01", "c103").fails(404, -262)
		assert.EqualValues(t, 2, g.updateFrom(id, "c103").inHeader("file_info").num("major_version"))
	})
	run("the expected version", func(t *testing.T, g *gateway) {
		id := g.put("expect", "", "1").str("id")
		g.update(id, "1.0", "2").ok()
		g.update(id, "1.0", "3").fails(500, -264)
		g.update(id, "7.0", "3").fails(500, -264)
		g.update(id, "-1.-1", "3").ok()
		g.update("6553f100510003001a2b3c01", "", "x").fails(404, -262)
		// With a privilege on the directory only, a version that never existed is -262.
		u := g.as("dirupdater", [3]string{"directory", "ws1:/", "UPDATE"})
		u.update(id, "7.0", "x").fails(404, -262)
		u.update(id, "1.0", "x").fails(500, -264)
		u.update(id, "3.0", "4").ok()
	})
	run("C111 deleting removes all versions", func(t *testing.T, g *gateway) {
		id := g.put("c111", "", "1").str("id")
		g.update(id, "", "2").ok()
		g.remove(id).ok()
		for _, v := range []string{"", "1.0", "2.0"} {
			g.stat(id, v).fails(404, -262)
			g.get("/files/"+id+query(append([]string{"workspace_name", "ws1"}, ver(v)...)...)).fails(404, -262)
		}
	})
	run("deleting one version", func(t *testing.T, g *gateway) {
		id := g.put("one version", "", "1").str("id")
		for _, content := range []string{"2", "3", "4"} {
			g.update(id, "", content).ok()
		}
		del := func(v string) *answer {
			return g.del("/files/" + id + query(append([]string{"action", "delete_version", "workspace_name", "ws1"}, ver(v)...)...))
		}
		del("2.0").ok()
		g.stat(id, "2.0").fails(404, -262)
		del("2.0").ok() // what is not there is no error
		third := g.stat(id, "3.0").inHeader("file")["data_id"]
		old := g.file(id)["data_id"]
		del("").ok()
		assert.EqualValues(t, 3, g.file(id).num("major_version"))
		assert.Equal(t, third, g.file(id)["data_id"])
		again := g.update(id, "3.0", "4 again").inHeader("file_info")
		assert.EqualValues(t, 4, again.num("major_version"), "numbers are used again")
		assert.NotEqual(t, old, again["data_id"])
		for range 3 {
			del("").ok()
		}
		g.stat(id, "").fails(404, -262)
		del("").ok()
		del("1.0").ok()
		g.put("one version", "", "the name is free")
	})
	run("C113 get by path and version", func(t *testing.T, g *gateway) {
		g.mkdir("/c113")
		dir := g.mkdir("/c113/sub")
		id := g.put("a b.txt", dir, "1").str("id")
		g.update(id, "", "22").ok()
		at := func(path, v string) *answer {
			return g.head("/files/path/" + path + query(append([]string{"workspace_name", "ws1"}, ver(v)...)...))
		}
		assert.EqualValues(t, 1, at("c113/sub/a%20b.txt/", "1.0").inHeader("file").num("size"))
		assert.EqualValues(t, 2, at("c113//sub/a%20b.txt", "").inHeader("file").num("size"))
		at("c113/sub/a%20b.txt", "3.0").fails(404, -262)
		for _, missing := range []string{"c113/sub/none", "c113/none/x", "c113/sub/", "c113/sub/a+b.txt", ""} {
			at(missing, "").fails(404, -262)
		}
		g.head("/files/path/x?workspace_name=flat").fails(500, -244)
	})
	run("rename and move", func(t *testing.T, g *gateway) {
		from, to := g.mkdir("/from"), g.mkdir("/to")
		g.mkdir("/to/taken by a directory")
		f := g.put("x", from, "1")
		id := f.str("id")
		g.update(id, "", "2").ok()
		g.clock.Store(epoch + 9000)
		n := g.change(id, `{"name":"新 name"}`).inHeader("file_info")
		assert.Equal(t, "新 name", n["name"])
		g.clock.Store(epoch)
		for _, v := range []string{"1.0", "2.0"} {
			old := g.stat(id, v).inHeader("file")
			assert.Equal(t, "新 name", old["name"])
			assert.Equal(t, epoch+9000, old.num("update_time"))
		}
		g.change(id, `{"name":"新 name"}`).ok() // its own name
		g.put("other", from, "")
		g.change(id, `{"name":"other"}`).fails(500, -261)
		g.change(id, `{"directory_id":"6553f064510003001a2b3b99"}`).fails(404, -241)
		g.change(id, `{"parent_directory_path":"/nowhere"}`).fails(404, -241)
		n = g.change(id, `{"directory_id":"`+to+`"}`).inHeader("file_info")
		assert.Equal(t, to, n["directory_id"])
		n = g.change(id, `{"parent_directory_path":"/from/"}`).inHeader("file_info")
		assert.Equal(t, from, n["directory_id"])
		g.change(id, `{"directory_id":"`+from+`"}`).fails(500, -261) // where it is: of two movers the loser's answer
		g.put("新 name", to, "")
		g.change(id, `{"directory_id":"`+to+`"}`).fails(500, -261)
		g.change(id, `{"name":"taken by a directory"}`).ok() // renaming does not look at directories
		g.change(id, `{"directory_id":"`+to+`"}`).fails(500, -240)
		// A file may have a directory's name by creation, too.
		g.put("taken by a directory", to, "")
		flat := g.create("flat", "f", "", "", "").created().str("id")
		g.form("PUT", "/files/"+flat, nil, "workspace_name", "flat", "file_info", `{"directory_id":"`+to+`"}`).fails(500, -244)
	})
	run("properties", func(t *testing.T, g *gateway) {
		id := g.put("props", "", "1").str("id")
		g.update(id, "", "2").ok()
		for _, bad := range []string{`{}`, `{"title":"a","author":"b"}`} {
			g.change(id, bad).fails(400, -101)
		}
		for _, key := range []string{"create_time", "update_time", "size", "user", "md5", "id", "nonsense"} {
			g.change(id, `{"`+key+`":1}`).fails(500, -107)
		}
		for _, key := range []string{"name", "author", "title", "mime_type", "directory_id", "parent_directory_path", "class_id", "add_tag", "remove_tag"} {
			for _, bad := range []string{`null`, `1`, `""`, `{}`} {
				g.change(id, `{"`+key+`":`+bad+`}`).fails(500, -130)
			}
		}
		g.change(id, `{"tags":"x"}`).fails(500, -130)
		g.change(id, `not json`).fails(400, 400)
		g.change("6553f100510003001a2b3c01", `{"title":"x"}`).fails(404, -262)
		assert.Equal(t, []any{"a", "b"}, g.change(id, `{"tags":["a","b","a",""]}`).inHeader("file_info")["tags"])
		assert.Equal(t, []any{"a", "b", "c"}, g.change(id, `{'add_tag':'c'}`).inHeader("file_info")["tags"])
		assert.Equal(t, []any{"b", "c"}, g.change(id, `{remove_tag:"a"}`).inHeader("file_info")["tags"])
		assert.Equal(t, map[string]any{"k": "v"}, g.change(id, `{"add_custom_tag":{"k":"v"}}`).inHeader("file_info")["custom_tag"])
		assert.Equal(t, map[string]any{}, g.change(id, `{"remove_custom_tag":{"k":"v"}}`).inHeader("file_info")["custom_tag"])
		assert.Equal(t, map[string]any{"m": "1"}, g.change(id, `{"custom_metadata":{"m":"1"}}`).inHeader("file_info")["custom_metadata"])
		// One version only, the addressed one.
		old := g.form("PUT", "/files/"+id, nil, "workspace_name", "ws1", "major_version", "1", "minor_version", "0", "file_info", `{"title":"old"}`)
		assert.Equal(t, "old", old.inHeader("file_info")["title"])
		assert.Equal(t, "", g.file(id)["title"])
		// file_info goes before breakpoint_file and before a body; parameters may be in the query.
		n := g.send("PUT", zuul+"/files/"+id+query("workspace_name", "ws1", "breakpoint_file", "none", "file_info", `{"author":"x"}`), streamHeader(""), nil).inHeader("file_info")
		assert.Equal(t, "x", n["author"])
		assert.EqualValues(t, 2, n.num("major_version"))
	})
	run("C114 asynchronous calls are accepted, the location is told", func(t *testing.T, g *gateway) {
		id := g.put("c114", "", "1").str("id")
		for _, call := range []string{"async-cache", "async-transfer"} {
			g.form("POST", "/files/"+id+"/"+call, nil, "workspace_name", "ws1", "target_site", "rootSite", "major_version", "1", "minor_version", "0").ok()
			g.form("POST", "/files/"+id+"/"+call, nil, "workspace_name", "ws1", "major_version", "2", "minor_version", "0").fails(404, -262)
			g.form("POST", "/files/1/"+call, nil, "workspace_name", "ws1").fails(400, -102)
		}
		where := g.get("/files/" + id + "?workspace_name=ws1&action=get_content_location").list()
		assert.Equal(t, []string{"rootSite"}, names(where, "site"))
	})
}
