package server

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Part 1 sections 5.1 and 5.2: the record and the calls D1 to D3.
func TestConformanceDirectoryGet(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/reports")
	s.clock.Store(1705308642123)
	s.mkdir(t, "/reports/q1", "/reports/中 a")
	const q1 = "directory: %7B%20%22name%22%20%3A%20%22q1%22%20%2C%20%22parent_directory_id%22%20%3A%20%22{reports}%22%20%2C%20%22id%22%20%3A%20%22{q1}%22%20%2C%20%22user%22%20%3A%20%22admin%22%20%2C%20%22update_user%22%20%3A%20%22admin%22%20%2C%20%22create_time%22%20%3A%201705308642123%20%2C%20%22update_time%22%20%3A%201705308642123%20%7D"
	const root = "directory: %7B%20%22name%22%20%3A%20%22%2F%22%20%2C%20%22parent_directory_id%22%20%3A%20%22-1%22%20%2C%20%22id%22%20%3A%20%22000000000000000000000000%22%20%2C%20%22user%22%20%3A%20%22admin%22%20%2C%20%22update_user%22%20%3A%20%22admin%22%20%2C%20%22create_time%22%20%3A%201705307400000%20%2C%20%22update_time%22%20%3A%201705307400000%20%2C%20%22version%22%20%3A%201%20%7D"
	enc := []string{"X-SCM-ERROR-CHARSET: utf-8"}
	const missing = "65a4f1e2510001000000a012"
	s.run(t, []call{
		{name: "D1", req: "HEAD P/directories/path/reports/q1/?workspace_name=docs", lines: enc, header: q1},
		{name: "D2", req: "HEAD P/directories/id/{q1}?workspace_name=docs", lines: enc, header: q1},
		{name: "D1 root", req: "HEAD P/directories/path/?workspace_name=docs", header: root},
		{name: "D2 root", req: "HEAD P/directories/id/000000000000000000000000?workspace_name=docs", header: root},
		{name: "D1 CJK", req: "HEAD P/directories/path/reports/%E4%B8%AD%20a/?workspace_name=docs", then: func(t *testing.T, r reply) {
			assert.Contains(t, r.header.Get("directory"), "%22name%22%20%3A%20%22%E4%B8%AD%20a%22")
		}},
		{name: "D1 missing", req: "HEAD P/directories/path/reports/q2/?workspace_name=docs", lines: enc, status: 404, code: -241},
		{name: "D1 case-sensitive", req: "HEAD P/directories/path/Reports/?workspace_name=docs", lines: enc, status: 404, code: -241},
		{name: "D2 missing", req: "HEAD P/directories/id/" + missing + "?workspace_name=docs", lines: enc, status: 404, code: -241},
		{name: "D2 no id at all", req: "HEAD P/directories/id/?workspace_name=docs", lines: enc, status: 400, code: -101},
		{name: "D1 no workspace_name", req: "HEAD P/directories/path/reports/", lines: enc, status: 400, code: -101},
		{name: "D1 empty workspace_name", req: "HEAD P/directories/path/reports/?workspace_name=", lines: enc, status: 400, code: -101},
		{name: "D1 unknown workspace", req: "HEAD P/directories/path/reports/?workspace_name=nope", lines: enc, status: 500, code: -205},
		{name: "unknown type", req: "HEAD P/directories/name/reports?workspace_name=docs", lines: enc, status: 400, code: -101},
		{name: "unknown type, DELETE", req: "DELETE P/directories/name/reports?workspace_name=docs", status: 400, code: -101, has: "unknown type"},
		{name: "no GET of a single one by path", req: "GET P/directories/path/reports/?workspace_name=docs", status: 405, code: 405},
		{name: "no GET of a single one by id", req: "GET P/directories/id/{q1}?workspace_name=docs", status: 405, code: 405},
		{name: "D3", req: "GET P/directories/id/{q1}/path?workspace_name=docs", body: `{"path":"/reports/q1/"}`},
		{name: "D3 root", req: "GET P/directories/id/{root}/path?workspace_name=docs", body: `{"path":"/"}`},
		{name: "D3 trailing slash", req: "GET P/directories/id/{q1}/path/?workspace_name=docs", body: `{"path":"/reports/q1/"}`},
		{name: "D3 missing", req: "GET P/directories/id/" + missing + "/path?workspace_name=docs", status: 404, code: -241},
		{name: "D3 no workspace_name", req: "GET P/directories/id/{q1}/path", status: 400, code: -101},
		{name: "7.5 a file is no directory", req: "HEAD P/directories/path/reports/f/?workspace_name=docs", lines: enc, status: 404, code: -241},
	})
	t.Run("5.1 id layout", func(t *testing.T) {
		id := s.vars["q1"]
		assert.Equal(t, fmt.Sprintf("%08x", 1705308642), id[:8], "seconds")
		assert.Equal(t, "51", id[8:10], "version, zone, cluster")
		assert.Equal(t, "00", id[14:16], "seconds, bits 32 to 39")
		assert.Greater(t, s.vars["中 a"][16:], id[16:], "the serial increases")
	})
}

// Part 1 section 5.2 D4 and sections 5.3, 5.4.
func TestConformanceDirectoryCreate(t *testing.T) {
	s := newSite(t)
	s.clock.Store(1705308642123)
	s.mkdir(t, "/reports")
	s.mkfile(t, "root", "taken.txt", "")
	const full = `,"parent_directory_id":"{reports}","id":"{made}","user":"admin","update_user":"admin","create_time":1705308642123,"update_time":1705308642123}`
	made := func(name string) func(*testing.T, reply) {
		return func(t *testing.T, r reply) { assert.Equal(t, s.fill(`{"name":"`+name+`"`+full), r.body) }
	}
	post := func(name, form string, status, code int) call {
		return call{name: name, req: "POST P/directories", form: form, status: status, code: code}
	}
	s.run(t, []call{
		{name: "D4 by parent", req: "POST P/directories", form: "workspace_name=docs&name=q1&parent_directory_id={reports}", save: "made", then: made("q1")},
		{name: "D4 by path", req: "POST P/directories", form: "workspace_name=docs&path=%2Freports%2Fq2", save: "made", then: made("q2"), header: "Content-Type: application/json;charset=UTF-8"},
		{name: "D4 by path, slashes collapse", req: "POST P/directories/", form: "workspace_name=docs&path=//reports///q3//", save: "made", then: made("q3")},
		{name: "D4 name and parent win over path", req: "POST P/directories", form: "workspace_name=docs&name=q4&parent_directory_id={reports}&path=/elsewhere/x", save: "made", then: made("q4")},
		{name: "[T:CrudDirectory2198] name without parent is ignored", req: "POST P/directories", form: "workspace_name=docs&name=other&path=/reports/q5", save: "made", then: made("q5")},
		{name: "[T:CreateInstance_Param1198]", req: "POST P/directories", form: "workspace_name=docs&parent_directory_id={reports}&name=" + url.QueryEscape(` dir1198 中文 .!_ test@#$()+`), save: "made", then: made(` dir1198 中文 .!_ test@#$()+`)},
		{name: "5.3 dots pass", req: "POST P/directories", form: "workspace_name=docs&parent_directory_id={reports}&name=..", save: "made", then: made("..")},
		{name: "5.3 control characters pass", req: "POST P/directories", form: "workspace_name=docs&parent_directory_id={reports}&name=a%01b", save: "made"},
		{name: "1.7 but are dropped in lists", req: "GET P/directories?workspace_name=docs&filter=" + js(`{"id":"`) + "{made}" + js(`"}`), has: `{ "name" : "ab" ,`},
		post("5.4 exists", "workspace_name=docs&path=/reports/q1", 500, -240),
		post("5.4 exists, by parent", "workspace_name=docs&name=q1&parent_directory_id={reports}", 500, -240),
		post("5.4 a file has the name", "workspace_name=docs&path=/taken.txt", 500, -261),
		post("5.4 parent missing", "workspace_name=docs&path=/nope/x", 404, -241),
		post("5.4 parent id missing", "workspace_name=docs&name=x&parent_directory_id=65a4f1e2510001000000a012", 404, -241),
		post("5.2 no mkdir -p", "workspace_name=docs&path=/new/x", 404, -241),
		post("5.3 the root", "workspace_name=docs&path=/", 400, -101),
		post("5.3 not absolute", "workspace_name=docs&path=x/y", 400, -101),
		post("5.2 neither", "workspace_name=docs", 400, -101),
		post("5.2 parent only", "workspace_name=docs&parent_directory_id={reports}", 400, -101),
		post("5.2 name only", "workspace_name=docs&name=x", 400, -101),
		post("5.2 empty name", "workspace_name=docs&name=&parent_directory_id={reports}", 400, -101),
		post("5.2 no workspace_name", "path=/x", 400, -105),
		post("5.2 unknown workspace", "workspace_name=nope&path=/x", 500, -205),
		post("5.3 dot", "workspace_name=docs&name=.&parent_directory_id={reports}", 400, -101),
		post("5.3 dot by path", "workspace_name=docs&path=/reports/.", 400, -101),
	})
	for _, c := range `/\%;:*?"<>|` {
		s.run(t, []call{post("5.3 "+url.QueryEscape(string(c)), "workspace_name=docs&parent_directory_id={reports}&name=a"+url.QueryEscape(string(c))+"b", 400, -101)})
		if c != '/' {
			s.run(t, []call{post("5.3 by path "+url.QueryEscape(string(c)), "workspace_name=docs&path=/reports/a"+url.QueryEscape(string(c)), 400, -101)})
		}
	}
	for _, c := range `+$#()@!&',~-_=^[]{}` + "`" {
		s.run(t, []call{post("5.3 allowed "+url.QueryEscape(string(c)), "workspace_name=docs&parent_directory_id={reports}&name="+url.QueryEscape(string(c)), 200, 0)})
	}
}

// Part 1 sections 5.2 D5 and 5.4.
func TestConformanceDirectoryDelete(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/a", "/a/sub", "/f", "/x", "/y z")
	s.mkfile(t, "f", "file.txt", "")
	s.run(t, []call{
		{name: "5.4 has a directory", req: "DELETE P/directories/path/a/?workspace_name=docs", status: 500, code: -242},
		{name: "5.4 has a file", req: "DELETE P/directories/id/{f}?workspace_name=docs", status: 500, code: -242},
		{name: "5.4 root", req: "DELETE P/directories/path/?workspace_name=docs", status: 500, code: -107},
		{name: "5.4 root by id", req: "DELETE P/directories/id/{root}?workspace_name=docs", status: 500, code: -107},
		{name: "5.4 missing", req: "DELETE P/directories/path/nope/?workspace_name=docs", status: 404, code: -241},
		{name: "5.4 missing id", req: "DELETE P/directories/id/65a4f1e2510001000000a012?workspace_name=docs", status: 404, code: -241},
		{name: "5.2 no workspace_name", req: "DELETE P/directories/path/x/", status: 400, code: -101},
		{name: "5.2 unknown workspace", req: "DELETE P/directories/path/x/?workspace_name=nope", status: 500, code: -205},
		{name: "1.5 path without its last slash", req: "DELETE P/directories/path?workspace_name=docs", status: 400, code: -101},
		{name: "D5 by path", req: "DELETE P/directories/path/y%20z/?workspace_name=docs", header: "Content-Length: 0"},
		{name: "D5 again", req: "DELETE P/directories/path/y%20z/?workspace_name=docs", status: 404, code: -241},
		{name: "D5 by id", req: "DELETE P/directories/id/{x}?workspace_name=docs"},
		{name: "D5 by id, gone", req: "HEAD P/directories/id/{x}?workspace_name=docs", status: 404, code: -241},
		{name: "5.4 empty again", req: "DELETE P/files/{file}?workspace_name=docs&is_physical=true"},
		{name: "5.4 then it goes", req: "DELETE P/directories/id/{f}?workspace_name=docs"},
		{name: "the name is free", req: "POST P/directories", form: "workspace_name=docs&path=/f"},
	})
}

// Part 1 sections 5.2 D6, D7 and 5.4.
func TestConformanceDirectoryRenameMove(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/a", "/a/b", "/a/b/c", "/d", "/d/e", "/rename", "/rename/move", "/same", "/d/same")
	s.mkfile(t, "root", "file.txt", "")
	s.mkfile(t, "d", "b", "")
	s.vars["file"] = s.vars["b"]
	r := s.send(t, "HEAD P/directories/path/a/b/?workspace_name=docs", "")
	s.vars["b"] = r.id(t)
	s.clock.Store(1705308999123)
	put := func(name, target, form string, status, code int) call {
		c := call{name: name, req: "PUT P/directories/" + target, form: "workspace_name=docs&" + form, status: status, code: code}
		if code == 0 {
			c.body = `{"update_time":1705308999123}`
		}
		return c
	}
	const gone = "id/65a4f1e2510001000000a012"
	s.run(t, []call{
		put("D6 by id", "id/{a}/rename", "name=a2", 200, 0),
		{name: "5.4 keeps id, parent and create_time", req: "HEAD P/directories/id/{a}?workspace_name=docs", then: func(t *testing.T, r reply) {
			plain, err := url.QueryUnescape(r.header.Get("directory"))
			require.NoError(t, err)
			assert.Equal(t, s.fill(`{ "name" : "a2" , "parent_directory_id" : "{root}" , "id" : "{a}" , "user" : "admin" , "update_user" : "admin" , "create_time" : 1705307400000 , "update_time" : 1705308999123 }`), plain)
		}},
		{name: "5.4 children follow", req: "GET P/directories/id/{c}/path?workspace_name=docs", body: `{"path":"/a2/b/c/"}`},
		{name: "5.4 the old path is gone", req: "HEAD P/directories/path/a/?workspace_name=docs", status: 404, code: -241},
		put("D6 by path", "path/a2/rename", "name=a", 200, 0),
		put("D6 by path, trailing slash", "path/a/rename/", "name=a", 200, 0),
		put("D6 a directory called rename", "path/rename/rename", "name=rename2", 200, 0),
		put("D6 a directory called move in it", "path/rename2/move/rename", "name=rename", 200, 0),
		{name: "D6 so it was", req: "HEAD P/directories/path/rename2/rename/?workspace_name=docs"},
		put("D7 of it", "path/rename2/rename/move", "parent_directory_path=/", 200, 0),
		put("5.4 [T:RenameDirOnSameName1143] taken by a directory", "id/{a}/rename", "name=d", 500, -240),
		put("5.4 [T:RenameDirOnSameName1143] taken by a file", "id/{a}/rename", "name=file.txt", 500, -261),
		put("5.4 to its own name (part 3)", "id/{a}/rename", "name=a", 200, 0),
		put("5.4 rename the root", "id/{root}/rename", "name=x", 400, -101),
		put("5.4 rename the root by path", "path/rename", "name=x", 400, -101),
		put("5.4 rename missing", gone+"/rename", "name=x", 404, -241),
		put("5.2 no name", "id/{a}/rename", "x=y", 400, -101),
		put("5.2 empty name", "id/{a}/rename", "name=", 400, -101),
		put("5.3 bad name", "id/{a}/rename", "name=a%3Ab", 400, -101),
		put("D7 by id", "id/{b}/move", "parent_directory_id={root}", 200, 0),
		{name: "D7 moved", req: "GET P/directories/id/{c}/path?workspace_name=docs", body: `{"path":"/b/c/"}`},
		put("D7 to a path", "path/b/move", "parent_directory_path=%2Fa%2F", 200, 0),
		put("D7 with both the id wins", "id/{b}/move", "parent_directory_id={root}&parent_directory_path=/nope/", 200, 0),
		put("D7 back, path without slash at its end", "id/{b}/move", "parent_directory_path=/a", 200, 0),
		put("5.4 target missing", "id/{b}/move", "parent_directory_path=/nope/", 404, -241),
		put("5.4 target id missing", "id/{b}/move", "parent_directory_id=65a4f1e2510001000000a012", 404, -241),
		put("5.4 into itself", "id/{a}/move", "parent_directory_id={a}", 500, -243),
		put("5.4 into its own subtree", "id/{a}/move", "parent_directory_id={c}", 500, -243),
		put("5.4 into its own subtree by path", "path/a/move", "parent_directory_path=/a/b/c/", 500, -243),
		put("5.4 same name there", "path/same/move", "parent_directory_id={d}", 500, -240),
		put("5.4 a file of its name there", "id/{b}/move", "parent_directory_id={d}", 500, -261),
		put("5.4 [T:MoveDirToCurrent1146]", "id/{b}/move", "parent_directory_id={a}", 200, 0),
		put("5.4 move the root", "id/{root}/move", "parent_directory_id={a}", 400, -101),
		put("5.4 move missing", gone+"/move", "parent_directory_id={a}", 404, -241),
		put("5.3 target not absolute", "id/{b}/move", "parent_directory_path=d", 400, -101),
		put("5.2 neither, by path", "path/d/move", "x=y", 400, -101),
		put("5.2 neither, by id: class 500", "id/{b}/move", "x=y", 500, 500),
		{name: "5.2 no workspace_name", req: "PUT P/directories/id/{a}/rename", form: "name=x", status: 400, code: -101},
		{name: "5.2 unknown workspace", req: "PUT P/directories/id/{a}/rename", form: "workspace_name=nope&name=x", status: 500, code: -205},
		{name: "no other action", req: "PUT P/directories/id/{a}/copy", form: "workspace_name=docs&name=x", status: 405, code: 405},
	})
}

// Part 1 section 5.1: the root's version counts rename, move and delete, not
// creation and not files; other times stand still.
func TestConformanceRootVersion(t *testing.T) {
	s := newSite(t)
	version := func() string {
		r := s.send(t, "HEAD P/directories/id/{root}?workspace_name=docs", "")
		plain, err := url.QueryUnescape(r.header.Get("directory"))
		require.NoError(t, err)
		_, v, _ := strings.Cut(plain, `"version" : `)
		return strings.TrimSuffix(v, " }")
	}
	s.mkdir(t, "/a", "/b", "/c")
	assert.Equal(t, "1", version(), "creation")
	s.mkfile(t, "a", "f.txt", "")
	assert.Equal(t, "1", version(), "a file")
	s.clock.Add(1000)
	for i, c := range []call{
		{req: "PUT P/directories/id/{b}/rename", form: "workspace_name=docs&name=b2"},
		{req: "PUT P/directories/id/{b}/move", form: "workspace_name=docs&parent_directory_id={a}"},
		{req: "DELETE P/directories/id/{c}?workspace_name=docs"},
	} {
		s.one(t, c)
		assert.Equal(t, fmt.Sprint(i+2), version(), c.req)
	}
	for _, c := range []call{
		{req: "PUT P/directories/id/{b}/rename", form: "workspace_name=docs&name=a%3F", status: 400, code: -101},
		{req: "DELETE P/directories/id/{a}?workspace_name=docs", status: 500, code: -242},
	} {
		s.one(t, c)
	}
	assert.Equal(t, "4", version(), "what fails counts for nothing")
	r := s.send(t, "HEAD P/directories/id/{a}?workspace_name=docs", "")
	assert.Contains(t, r.header.Get("directory"), "%22update_time%22%20%3A%201705307400000%20", "children do not touch it")
}

// Part 1 section 5.7: of two that exclude each other exactly one wins.
func TestConformanceDirectoryRaces(t *testing.T) {
	s := newSite(t)
	type racer struct{ req, form string }
	for _, tt := range []struct {
		name   string
		setup  []string
		one    racer
		two    racer
		losers []int
	}{
		{"create twice", nil, racer{"POST P/directories", "workspace_name=docs&path=/p{n}"}, racer{"POST P/directories", "workspace_name=docs&path=/p{n}"}, []int{-240}},
		{"[T:CreateDirAndDeletePaDir1170]", []string{"/d{n}"}, racer{"POST P/directories", "workspace_name=docs&path=/d{n}/x"}, racer{"DELETE P/directories/path/d{n}/?workspace_name=docs", ""}, []int{-241, -242}},
		{"[T:DiffPaSameSubDirMoveToSameDir1175]", []string{"/m{n}", "/n{n}", "/m{n}/s", "/n{n}/s", "/t{n}"},
			racer{"PUT P/directories/path/m{n}/s/move", "workspace_name=docs&parent_directory_path=/t{n}"}, racer{"PUT P/directories/path/n{n}/s/move", "workspace_name=docs&parent_directory_path=/t{n}"}, []int{-240}},
		{"no cycle", []string{"/x{n}", "/y{n}"}, racer{"PUT P/directories/path/x{n}/move", "workspace_name=docs&parent_directory_path=/y{n}"}, racer{"PUT P/directories/path/y{n}/move", "workspace_name=docs&parent_directory_path=/x{n}"}, []int{-241, -243}},
		{"delete twice", []string{"/e{n}"}, racer{"DELETE P/directories/path/e{n}/?workspace_name=docs", ""}, racer{"DELETE P/directories/path/e{n}/?workspace_name=docs", ""}, []int{-241}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n := range 10 {
				at := func(text string) string { return strings.ReplaceAll(text, "{n}", fmt.Sprint(n)) }
				for _, p := range tt.setup {
					s.mkdir(t, at(p))
				}
				var got [2]reply
				var wg sync.WaitGroup
				for i, r := range []racer{tt.one, tt.two} {
					wg.Go(func() {
						var lines []string
						if r.form != "" {
							lines = []string{formType}
						}
						got[i] = s.send(t, at(r.req), at(r.form), lines...)
					})
				}
				wg.Wait()
				codes := []int{got[0].code(t), got[1].code(t)}
				if codes[0] != 0 {
					codes[0], codes[1] = codes[1], codes[0]
				}
				assert.Zero(t, codes[0], "one wins: %v", codes)
				assert.Contains(t, tt.losers, codes[1])
			}
		})
	}
}
