package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/server/repo"
)

// Part 1 section 6 on files: every operator through the three lists that take a
// filter, and through the count.
func TestConformanceMatchers(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/d")
	for i, more := range []string{
		`,"author":"ann","title":"one","tags":["x","y"],"custom_metadata":{"posix-mode":"33188","color":"red"}`,
		`,"author":"bob","title":"two","tags":["y"],"class_id":"c1","class_properties":{"depth":3}`,
		`,"author":"Ann","custom_tag":{"k":"v"}`,
		``,
	} {
		s.clock.Add(1000)
		s.mkfile(t, "d", fmt.Sprintf("f%d.txt", i), more)
	}
	tests := []struct {
		name, filter, want string // names without extension, in order
	}{
		{"absent", ``, "f0 f1 f2 f3"},
		{"empty", `{}`, "f0 f1 f2 f3"},
		{"equality", `{"name":"f1.txt"}`, "f1"},
		{"two equalities", `{"name":"f1.txt","author":"bob"}`, "f1"},
		{"contradiction", `{"name":"f1.txt","author":"ann"}`, ""},
		{"number", `{"size":1}`, "f0 f1 f2 f3"},
		{"number as float", `{"size":1.0}`, "f0 f1 f2 f3"},
		{"number is no string", `{"size":"1"}`, ""},
		{"$et", `{"name":{"$et":"f2.txt"}}`, "f2"},
		{"$gt", `{"name":{"$gt":"f1.txt"}}`, "f2 f3"},
		{"$gte", `{"name":{"$gte":"f1.txt"}}`, "f1 f2 f3"},
		{"$lt", `{"name":{"$lt":"f1.txt"}}`, "f0"},
		{"$lte", `{"name":{"$lte":"f1.txt"}}`, "f0 f1"},
		{"range", `{"name":{"$gt":"f0.txt","$lt":"f3.txt"}}`, "f1 f2"},
		{"bytewise order", `{"author":{"$lt":"a"}}`, "f2"},
		{"$gt on time", `{"create_time":{"$gt":1705307402000}}`, "f2 f3"},
		{"$ne", `{"author":{"$ne":"ann"}}`, "f1 f2 f3"},
		{"$ne needs the field (part 3)", `{"nothing":{"$ne":"ann"}}`, ""},
		{"$in", `{"name":{"$in":["f0.txt","f3.txt","f9.txt"]}}`, "f0 f3"},
		{"$in with nothing", `{"name":{"$in":[]}}`, ""},
		{"$nin", `{"name":{"$nin":["f0.txt","f3.txt"]}}`, "f1 f2"},
		{"$nin needs the field (part 3)", `{"nothing":{"$nin":["x"]}}`, ""},
		{"$all", `{"tags":{"$all":["x","y"]}}`, "f0"},
		{"element of an array", `{"tags":"y"}`, "f0 f1"},
		{"$size", `{"tags":{"$size":1}}`, "f1"},
		{"$exists 1", `{"custom_metadata.color":{"$exists":1}}`, "f0"},
		{"$exists 0", `{"custom_metadata.color":{"$exists":0}}`, "f1 f2 f3"},
		{"$isnull 1", `{"title":{"$isnull":1}}`, "f2 f3"},
		{"$isnull 0", `{"title":{"$isnull":0}}`, "f0 f1"},
		{"$isnull on no field", `{"nothing":{"$isnull":1}}`, "f0 f1 f2 f3"},
		{"$elemMatch", `{"site_list":{"$elemMatch":{"site_id":1}}}`, "f0 f1 f2 f3"},
		{"$elemMatch on none", `{"site_list":{"$elemMatch":{"site_id":2}}}`, ""},
		{"$regex", `{"author":{"$regex":"^a"}}`, "f0"},
		{"$regex with options", `{"author":{"$regex":"^a","$options":"i"}}`, "f0 f2"},
		{"$mod", `{"major_version":{"$mod":[2,1]}}`, "f0 f1 f2 f3"},
		{"$and", `{"$and":[{"author":"bob"},{"name":"f1.txt"}]}`, "f1"},
		{"$or", `{"$or":[{"author":"bob"},{"name":"f3.txt"}]}`, "f1 f3"},
		{"$or inside $and", `{"$and":[{"$or":[{"name":"f0.txt"},{"name":"f1.txt"}]},{"author":"ann"}]}`, "f0"},
		{"$not", `{"$not":[{"author":"bob"}]}`, "f0 f2 f3"},
		{"$not of two is of both", `{"$not":[{"author":"ann"},{"name":"f1.txt"}]}`, "f0 f1 f2 f3"},
		{"nested field", `{"class_properties.depth":3}`, "f1"},
		{"nested string", `{"custom_metadata.posix-mode":"33188"}`, "f0"},
		{"field that does not exist", `{"nothing":1}`, ""},
		{"directory", `{"directory_id":"{d}"}`, "f0 f1 f2 f3"},
		{"directories", `{"directory_id":{"$in":["{d}","{root}"]}}`, "f0 f1 f2 f3"},
		{"another directory", `{"directory_id":"{root}"}`, ""},
		{"id", `{"id":"{f2}"}`, "f2"},
		{"ids", `{"id":{"$in":["{f2}","{f0}"]}}`, "f0 f2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			filter := js(s.fill(tt.filter))
			for _, req := range []string{"P/directories/id/{d}/listfiles?workspace_name=docs", "P/files/?workspace_name=docs&scope=1"} {
				r := s.send(t, "GET "+req+"&orderby="+js(`{"name":1}`)+"&filter="+filter, "")
				require.Equal(t, 200, r.status, r.body)
				assert.Equal(t, tt.want, fileNames(t, r), req)
			}
			r := s.send(t, "HEAD P/files?workspace_name=docs&filter="+filter, "")
			assert.Equal(t, fmt.Sprint(len(strings.Fields(tt.want))), r.header.Get("X-SCM-Count"))
		})
	}
}

// fileNames joins the names of a list, without extensions.
func fileNames(t *testing.T, r reply) string {
	t.Helper()
	var list []struct{ Name string }
	require.NoError(t, json.Unmarshal([]byte(r.body), &list), r.body)
	var out []string
	for _, f := range list {
		out = append(out, strings.TrimSuffix(f.Name, ".txt"))
	}
	return strings.Join(out, " ")
}

// [T:ListInstance_Param1200]: what is no filter.
func TestConformanceBadMatchers(t *testing.T) {
	s := newSite(t)
	for _, filter := range []string{
		`{"name":{"$like":"x"}}`, `{"$nor":[{"name":"x"}]}`, `{"$name":"x"}`, `{"$and":{"name":"x"}}`, `{"$or":[1]}`, `{"$not":5}`,
		`{"name":{"$in":"x"}}`, `{"name":{"$regex":"("}}`, `{"size":{"$mod":[0,1]}}`, `{"name":{"$exists":"x"}}`, `{"name":{"$elemMatch":1}}`, `{"a":{"$and":[{"$x":1}]}}`,
	} {
		for _, req := range []string{
			"GET P/directories?workspace_name=docs&filter=", "HEAD P/directories?workspace_name=docs&filter=", "GET P/directories/id/{root}/listfiles?workspace_name=docs&filter=",
			"GET P/files?scope=1&workspace_name=docs&filter=", "HEAD P/files?workspace_name=docs&filter=", "GET P/workspaces?filter=", "HEAD P/workspaces?filter=", "GET P/directories?workspace_name=docs&limit=0&filter=",
		} {
			s.run(t, []call{{name: req + filter, req: req + js(filter), status: 500, code: -206}})
		}
	}
}

// Part 1 section 5.2 D8 and D9, 6: directories.
func TestConformanceDirectoryList(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/a", "/a/x", "/a/y", "/b", "/b/x")
	list := func(name, query, want string) call {
		return call{name: name, req: "GET P/directories/?workspace_name=docs&" + query, then: func(t *testing.T, r reply) { assert.Equal(t, want, fileNames(t, r)) }}
	}
	parent := "filter=" + js(`{"parent_directory_id":"`+s.vars["a"]+`"}`)
	top := "filter=" + js(`{"parent_directory_id":"000000000000000000000000"}`)
	byName := "&orderby=" + js(`{"name":1}`)
	s.run(t, []call{
		list("children", parent+byName, "x y"),
		list("children of the root, the root not among them", top+byName, "a b"),
		list("the root", "filter="+js(`{"parent_directory_id":"-1"}`), "/"),
		list("one child", "filter="+js(`{"parent_directory_id":"`+s.vars["a"]+`","name":"y"}`), "y"),
		list("no such child", "filter="+js(`{"parent_directory_id":"`+s.vars["a"]+`","name":"z"}`), ""),
		list("descending", parent+"&orderby="+js(`{"name":-1}`), "y x"),
		list("skip and limit", parent+byName+"&skip=1&limit=1", "y"),
		list("limit 0", parent+"&limit=0", ""),
		list("limit -1", parent+byName+"&limit=-1", "x y"),
		list("keyset paging", "filter="+js(`{"parent_directory_id":"`+s.vars["a"]+`","name":{"$gt":"x"}}`)+byName+"&limit=1", "y"),
		list("whole workspace", "orderby="+js(`{"name":1,"parent_directory_id":-1}`), "/ a b x x y"),
		list("two parents", "filter="+js(`{"parent_directory_id":{"$in":["`+s.vars["b"]+`","`+s.vars["a"]+`"]}}`)+"&orderby="+js(`{"name":1,"parent_directory_id":1}`), "x x y"),
		list("by id", "filter="+js(`{"id":"`+s.vars["b"]+`"}`), "b"),
		list("by user", "filter="+js(`{"user":"admin","name":"b"}`), "b"),
		list("$or", "filter="+js(`{"$or":[{"name":"a"},{"name":"b"}]}`)+byName, "a b"),
		list("$not", "filter="+js(`{"$not":[{"name":"x"}],"parent_directory_id":{"$ne":"-1"}}`)+byName, "a b y"),
		list("root's version", "filter="+js(`{"version":{"$exists":1}}`), "/"),
		{name: "no selector: all fields", req: "GET P/directories?workspace_name=docs&selector=" + js(`{"name":null}`) + "&limit=1&" + parent + byName,
			body: `[{ "name" : "x" , "parent_directory_id" : "{a}" , "id" : "` + s.xOf(t, "a") + `" , "user" : "admin" , "update_user" : "admin" , "create_time" : 1705307400000 , "update_time" : 1705307400000 }]`},
		{name: "D9", req: "HEAD P/directories?workspace_name=docs", header: "X-SCM-Count: 6"},
		{name: "D9 filter", req: "HEAD P/directories/?workspace_name=docs&" + parent, header: "X-SCM-Count: 2"},
		{name: "D9 unknown workspace", req: "HEAD P/directories?workspace_name=nope", lines: []string{"X-SCM-ERROR-CHARSET: utf-8"}, status: 500, code: -205},
		{name: "D9 no workspace_name", req: "HEAD P/directories", status: 400, then: bare},
		{name: "D8 no workspace_name", req: "GET P/directories", status: 400, code: 400},
		{name: "D8 empty workspace_name", req: "GET P/directories?workspace_name=", status: 400, code: -101},
		{name: "skip is 32 bits wide", req: "GET P/directories?workspace_name=docs&skip=3000000000", status: 400, code: 400},
		{name: "limit is 32 bits wide", req: "GET P/directories?workspace_name=docs&limit=3000000000", status: 400, code: 400},
		{name: "negative skip (UNKNOWN)", req: "GET P/directories?workspace_name=docs&skip=-1", status: 400, code: -101},
		{name: "[T:EnableDir3134] workspace", req: "POST P/workspaces/e", form: "workspace_conf=" + js(`{"enable_directory":true}`)},
		{name: "[T:EnableDir3134] first", req: "POST P/directories", form: "workspace_name=e&path=/1"},
		{name: "[T:EnableDir3134] second", req: "POST P/directories", form: "workspace_name=e&path=/1/2"},
	})
}

// xOf is the id of the directory x in a directory.
func (s *site) xOf(t *testing.T, dir string) string {
	r := s.send(t, "HEAD P/directories/path/"+dir+"/x/?workspace_name=docs", "")
	return r.id(t)
}

// Part 1 sections 5.2 D10 and 5.6: files of a directory.
func TestConformanceListFiles(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/d", "/other")
	for _, n := range []string{"c.txt", "a.txt", "b.txt"} {
		s.clock.Add(1000)
		s.mkfile(t, "d", n, "")
	}
	s.mkfile(t, "other", "z.txt", "")
	const at = "GET P/directories/id/{d}/listfiles?workspace_name=docs"
	byName := "&orderby=" + js(`{"name":1}`)
	list := func(name, query, want string) call {
		return call{name: name, req: at + query, then: func(t *testing.T, r reply) { assert.Equal(t, want, fileNames(t, r)) }}
	}
	s.run(t, []call{
		{name: "5.6 default selector", req: at + byName + "&limit=1", header: "Content-Type: application/json;charset=utf-8",
			body: `[{ "id" : "{a}" , "name" : "a.txt" , "major_version" : 1 , "minor_version" : 0 , "user" : "admin" , "create_time" : 1705307402000 , "mime_type" : "application/octet-stream" , "version_serial" : null , "delete_marker" : false }]`},
		{name: "5.2 selector", req: at + byName + "&limit=1&selector=" + js(`{"id":null,"name":null,"size":null,"update_time":null}`),
			body: `[{ "id" : "{a}" , "name" : "a.txt" , "update_time" : 1705307402000 , "size" : 1 }]`},
		{name: "6 selector's value stands for what is absent", req: at + byName + "&limit=1&selector=" + js(`{"name":"","nothing":null,"other":"x"}`),
			body: `[{ "name" : "a.txt" , "nothing" : null , "other" : "x" }]`},
		{name: "6 selector, nulls printed", req: at + byName + "&limit=1&selector=" + js(`{"title":null,"md5":""}`), body: `[{ "title" : null , "md5" : null }]`},
		list("order", byName, "a b c"),
		list("descending", "&orderby="+js(`{"name":-1}`), "c b a"),
		list("by time", "&orderby="+js(`{"create_time":1}`), "c a b"),
		list("two keys, order kept", "&orderby="+js(`{"size":1,"create_time":-1}`), "b a c"),
		list("filter", "&filter="+js(`{"name":"b.txt"}`), "b"),
		list("paging", byName+"&skip=1&limit=1", "b"),
		list("keyset", byName+"&limit=1&filter="+js(`{"name":{"$gt":"a.txt"}}`), "b"),
		list("limit 0", "&limit=0", ""),
		list("skip beyond", "&skip=7", ""),
		list("a filter on another directory finds nothing", "&filter="+js(`{"directory_id":"`+s.vars["other"]+`"}`), ""),
		{name: "D10 empty directory of the root", req: "GET P/directories/id/{root}/listfiles?workspace_name=docs", body: "[]"},
		{name: "D10 missing directory: no existence check", req: "GET P/directories/id/65a4f1e2510001000000a012/listfiles?workspace_name=docs", body: "[]"},
		{name: "D10 no workspace_name", req: "GET P/directories/id/{d}/listfiles", status: 400, code: 400},
		{name: "D10 unknown workspace", req: "GET P/directories/id/{d}/listfiles?workspace_name=nope", status: 500, code: -205},
		{name: "D10 skip is 32 bits wide", req: at + "&skip=2147483648", status: 400, code: 400},
		{name: "D10 malformed selector", req: at + "&selector=x", status: 400, code: 400},
	})
}

// A long list is streamed: the first rows arrive while there are more to come,
// and every row is there once.
func TestConformanceLongList(t *testing.T) {
	s := newSite(t)
	const n, at = 1200, 40
	var wg sync.WaitGroup
	for part := range at { // side by side they share commits
		wg.Go(func() {
			for i := part; i < n; i += at {
				_, err := s.repo.CreateDirectory(repo.Caller{User: "admin"}, "docs", "", "", fmt.Sprintf("/%04d", i))
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	r := s.send(t, "GET P/directories?workspace_name=docs&orderby="+js(`{"name":1}`), "")
	require.Equal(t, 200, r.status)
	var list []struct{ Name string }
	require.NoError(t, json.Unmarshal([]byte(r.body), &list))
	require.Len(t, list, n+1)
	for i, d := range list[1:] {
		require.Equal(t, fmt.Sprintf("%04d", i), d.Name)
	}
	req, err := http.NewRequest("GET", s.http.URL+"/rootsite/api/v1/directories?workspace_name=docs", nil)
	require.NoError(t, err)
	req.Header.Set("x-auth-token", s.token)
	res, err := s.http.Client().Do(req)
	require.NoError(t, err)
	assert.EqualValues(t, -1, res.ContentLength, "sent in chunks, not collected first")
	require.NoError(t, res.Body.Close())
}
