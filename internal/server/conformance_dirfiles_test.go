package server

import (
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// fileOf decodes the record in a header.
func fileOf(t *testing.T, r reply) string {
	t.Helper()
	for _, h := range []string{"file", "file_info"} {
		if v := r.header.Get(h); v != "" {
			plain, err := url.QueryUnescape(v)
			require.NoError(t, err)
			return plain
		}
	}
	return ""
}

// Part 1 section 5.5: files in directories, and who checks which names.
func TestConformanceFilesInDirectories(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/a", "/b", "/a/dir", "/b/dir", "/b/moved")
	s.mkfile(t, "a", "f.txt", "")
	s.mkfile(t, "b", "taken.txt", "")
	s.mkfile(t, "a", "moved", "")
	s.vars["clash"] = s.vars["moved"]
	s.clock.Add(5000)
	create := func(name, desc string, status, code int) call {
		return call{name: name, req: "POST /zuul/rootsite/api/v1/files/?workspace_name=docs", form: "x", status: status, code: code,
			lines: []string{"Content-Type: binary/octet-stream", "description: " + wire.Escape(s.fill(desc))}}
	}
	put := func(name, info string, status, code int) call {
		return call{name: name, req: "PUT P/files/{f}?workspace_name=docs&major_version=-1&minor_version=-1", form: "file_info=" + js(s.fill(info)), status: status, code: code}
	}
	shows := func(c call, part string) call {
		c.then = func(t *testing.T, r reply) {
			assert.Empty(t, r.body)
			assert.Contains(t, fileOf(t, r), s.fill(part))
		}
		return c
	}
	s.run(t, []call{
		create("missing directory", `{"name":"x","directory_id":"65a4f1e2510001000000a012"}`, 404, -241),
		create("name used by a file", `{"name":"taken.txt","directory_id":"{b}"}`, 500, -261),
		create("a directory's name is not checked", `{"name":"dir","directory_id":"{a}"}`, 200, 0),
		create("5.3 no slash", `{"name":"a/b","directory_id":"{a}"}`, 400, -101),
		create("5.3 not empty", `{"name":"","directory_id":"{a}"}`, 400, -101),
		create("[T:ScmFile_param_setFileName173] everything else", `{"name":" \\:*?\"<>|%;. 中","directory_id":"{a}"}`, 200, 0),
		create("[T:ScmFile_param_setFileName173] dots", `{"name":"..","directory_id":"{a}"}`, 200, 0),
		create("[T:ScmFile_param_setFileName173] 950 characters and a title as long", `{"name":"`+strings.Repeat("n", 950)+`","title":"`+strings.Repeat("t", 950)+`","directory_id":"{a}"}`, 200, 0),
		{name: "[T:ScmFile_param_setFileName173] by path", req: "HEAD P/files/path/a/" + strings.Repeat("n", 950) + "/?workspace_name=docs"},
		shows(put("move by id", `{"directory_id":"{b}"}`, 200, 0), `"directory_id" : "{b}"`),
		shows(put("move by path", `{"parent_directory_path":"/a/"}`, 200, 0), `"directory_id" : "{a}"`),
		shows(put("rename", `{"name":"g.txt"}`, 200, 0), `"name" : "g.txt"`),
		shows(put("sets update_time and user", `{"name":"f.txt"}`, 200, 0), `"update_user" : "admin"`),
		{name: "as lists show it, too", req: "GET P/directories/id/{a}/listfiles?workspace_name=docs&filter=" + js(`{"name":"f.txt"}`) + "&selector=" + js(`{"update_time":null,"create_time":null}`),
			body: `[{ "create_time" : 1705307400000 , "update_time" : 1705307405000 }]`},
		put("two keys", `{"name":"x","directory_id":"{b}"}`, 400, -101),
		put("no key", `{}`, 400, -101),
		put("unknown key", `{"colour":"x"}`, 500, -107),
		put("not a string", `{"name":5}`, 500, -130),
		put("empty", `{"name":""}`, 500, -130),
		put("target missing", `{"directory_id":"65a4f1e2510001000000a012"}`, 404, -241),
		put("target path missing", `{"parent_directory_path":"/nope/"}`, 404, -241),
		put("rename onto a directory's name is not checked", `{"name":"dir2"}`, 200, 0),
		put("and back", `{"name":"f.txt"}`, 200, 0),
		{name: "[T:MoveFileToNewPa1152] a directory of its name there", req: "PUT P/files/{clash}?workspace_name=docs", form: "file_info=" + js(s.fill(`{"directory_id":"{b}"}`)), status: 500, code: -240},
		{name: "a file of its name there", req: "PUT P/files/{f}?workspace_name=docs", form: "file_info=" + js(`{"name":"taken.txt"}`)},
		put("[T:MoveSameFileToSameDir1184] moved onto it", `{"directory_id":"{b}"}`, 500, -261),
		{name: "file missing", req: "PUT P/files/65a4f1e2510001000000a012?workspace_name=docs", form: "file_info=" + js(`{"name":"x"}`), status: 404, code: -262},
		{name: "directory onto a file's name", req: "PUT P/directories/path/b/dir/rename", form: "workspace_name=docs&name=taken.txt", status: 500, code: -261},
		{name: "5.6 path of a directory is no file", req: "HEAD P/files/path/b/moved/?workspace_name=docs", lines: []string{"X-SCM-ERROR-CHARSET: utf-8"}, status: 404, code: -262},
		{name: "5.6 missing parent is no file", req: "HEAD P/files/path/nope/x?workspace_name=docs", lines: []string{"X-SCM-ERROR-CHARSET: utf-8"}, status: 404, code: -262},
		{name: "5.8 is_physical is false by default", req: "DELETE P/files/{f}?workspace_name=docs", status: 500, code: -107},
		{name: "5.8 by path, too", req: "DELETE P/files?action=delete_file_by_path&file_path=/b/taken.txt&workspace_name=docs", status: 500, code: -107},
		{name: "5.8 by path", req: "DELETE P/files?action=delete_file_by_path&file_path=/b/taken.txt&workspace_name=docs&is_physical=true"},
		{name: "5.8 by id", req: "DELETE P/files/{f}?workspace_name=docs&is_physical=true"},
		{name: "5.8 gone", req: "DELETE P/files/{f}?workspace_name=docs&is_physical=true", status: 404, code: -262},
		{name: "[T:AsyncCache1209] a JSON string instead of nothing", req: "POST P/files/{clash}/async-cache", form: "workspace_name=docs", body: `""`},
	})
}

// Part 1 section 5.7, races of files and directories.
func TestConformanceFileRaces(t *testing.T) {
	s := newSite(t)
	post := func(desc string) reply {
		return s.send(t, "POST /zuul/rootsite/api/v1/files/?workspace_name=docs", "x", "Content-Type: binary/octet-stream", "description: "+wire.Escape(desc))
	}
	info := func(id, text string) reply {
		return s.send(t, "PUT P/files/"+id+"?workspace_name=docs", "file_info="+js(text), formType)
	}
	both := func(a, b func() reply) (x, y int) {
		var wg sync.WaitGroup
		wg.Go(func() { x = a().code(t) })
		wg.Go(func() { y = b().code(t) })
		wg.Wait()
		return x, y
	}
	for n := range 10 {
		d := "d" + string(rune('0'+n))
		s.mkdir(t, "/"+d, "/"+d+"/in", "/"+d+"/gone")
		s.mkfile(t, d, "f"+d, "")
		s.mkfile(t, d, "g"+d, "")
		id, other, in, gone := s.vars["f"+d], s.vars["g"+d], s.vars["in"], s.vars["gone"]
		remove := func(dir string) func() reply {
			return func() reply { return s.send(t, "DELETE P/directories/id/"+dir+"?workspace_name=docs", "") }
		}

		x, y := both(func() reply { return info(id, `{"directory_id":"`+gone+`"}`) }, remove(gone))
		assert.Contains(t, [][2]int{{0, -242}, {-241, 0}}, [2]int{x, y}, "[T:MoveFileAndDeleteNewPa1183]")

		x, y = both(func() reply { return info(id, `{"directory_id":"`+in+`"}`) }, func() reply {
			return s.send(t, "POST P/directories", "workspace_name=docs&parent_directory_id="+in+"&name=f"+d, formType)
		})
		assert.Contains(t, [][2]int{{0, -261}, {-240, 0}, {0, 0}}, [2]int{x, y}, "[T:MoveFileAndCreateDir1181]")

		x, y = both(func() reply { return info(other, `{"name":"new"}`) }, func() reply {
			return s.send(t, "POST P/directories", "workspace_name=docs&path=/"+d+"/new", formType)
		})
		assert.Contains(t, [][2]int{{0, -261}, {0, 0}}, [2]int{x, y}, "[T:ReNameFileAndCreateSameNameDir1180]")

		s.mkdir(t, "/"+d+"/last")
		last := s.vars["last"]
		x, y = both(func() reply { return post(`{"name":"x","directory_id":"` + last + `"}`) }, remove(last))
		assert.Contains(t, [][2]int{{0, -242}, {-241, 0}}, [2]int{x, y}, "[T:CreateFileAndDeletePaDir1179]")

		x, y = both(func() reply { return post(`{"name":"twin","directory_id":"` + in + `"}`) }, func() reply { return post(`{"name":"twin","directory_id":"` + in + `"}`) })
		assert.ElementsMatch(t, []int{0, -261}, []int{x, y}, "two files of one name")
	}
}
