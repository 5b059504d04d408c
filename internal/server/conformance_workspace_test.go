package server

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wsNames returns the names in a workspace list's order.
func wsNames(want ...string) func(*testing.T, reply) {
	return func(t *testing.T, r reply) {
		t.Helper()
		var list []struct{ Name string }
		require.NoError(t, json.Unmarshal([]byte(r.body), &list), r.body)
		got := []string{}
		for _, w := range list {
			got = append(got, w.Name)
		}
		assert.Equal(t, append([]string{}, want...), got)
	}
}

// js is JSON as a query or form value.
func js(text string) string { return url.QueryEscape(text) }

// Part 1 sections 4.1 and 4.2: list, count, get.
func TestConformanceWorkspaceList(t *testing.T) {
	s := newSite(t)
	for _, w := range []string{"c", "a", "b"} {
		s.clock.Add(1000)
		s.one(t, call{req: "POST P/workspaces/" + w, form: "workspace_conf=" + js(`{"description":"is `+w+`"}`)})
	}
	s.login(t, "nobody")
	const docs = `{ "id" : 1 , "name" : "docs" , "description" : "" , "create_user" : "admin" , "create_time" : 1705307400000 , "update_user" : "admin" , "update_time" : 1705307400000 , ` +
		`"meta_location" : { "site_id" : 1 , "domain" : "domain1" } , "data_location" : [ { "site_id" : 1 , "domain" : "domain2" } ] , "batch_sharding_type" : "none" , ` +
		`"batch_id_time_regex" : null , "batch_id_time_pattern" : null , "batch_file_name_unique" : false , "enable_directory" : true , "site_cache_strategy" : "ALWAYS" , ` +
		`"tag_lib_table" : null , "tag_lib_meta_option" : null , "tag_retrieval_status" : null , "version" : 1 }`
	s.run(t, []call{
		{name: "4.2 raw record as BSON text", req: "GET P/workspaces/?&filter=" + js(`{"name":"docs"}`) + "&skip=0&limit=-1", body: "[" + docs + "]",
			header: "Content-Type: application/json;charset=utf-8"},
		{name: "4.1 all", req: "GET P/workspaces?orderby=" + js(`{"name":1}`), then: wsNames("a", "b", "c", "docs", "flat")},
		{name: "4.1 descending", req: "GET P/workspaces?orderby=" + js(`{"name":-1}`), then: wsNames("flat", "docs", "c", "b", "a")},
		{name: "4.1 by another key", req: "GET P/workspaces?orderby=" + js(`{"create_time":-1,"name":1}`), then: wsNames("b", "a", "c", "docs", "flat")},
		{name: "4.1 skip and limit", req: "GET P/workspaces?orderby=" + js(`{"name":1}`) + "&skip=1&limit=2", then: wsNames("b", "c")},
		{name: "4.1 skip beyond the end", req: "GET P/workspaces?skip=9", then: wsNames()},
		{name: "4.1 limit 0", req: "GET P/workspaces?limit=0", then: wsNames()},
		{name: "4.1 limit -1", req: "GET P/workspaces?limit=-1&orderby=" + js(`{"name":1}`), then: wsNames("a", "b", "c", "docs", "flat")},
		{name: "4.1 long skip", req: "GET P/workspaces?skip=3000000000", then: wsNames()},
		{name: "4.1 skip < 0", req: "GET P/workspaces?skip=-1", status: 400, code: -101},
		{name: "4.1 limit < -1", req: "GET P/workspaces?limit=-2", status: 400, code: -101},
		{name: "4.1 skip beyond long", req: "GET P/workspaces?skip=9223372036854775808", status: 400, code: 400},
		{name: "4.1 filter", req: "GET P/workspaces?orderby=" + js(`{"name":1}`) + "&filter=" + js(`{"name":{"$in":["a","docs","x"]}}`), then: wsNames("a", "docs")},
		{name: "4.1 filter on a nested field", req: "GET P/workspaces?limit=1&orderby=" + js(`{"name":1}`) + "&filter=" + js(`{"data_location.site_id":1,"meta_location.domain":"domain1"}`), then: wsNames("a")},
		{name: "6 unknown operator", req: "GET P/workspaces?filter=" + js(`{"name":{"$like":"a"}}`), status: 500, code: -206},
		{name: "4.1 no privilege needed", req: "GET P/workspaces?filter=" + js(`{"name":"docs"}`), lines: []string{"x-auth-token: {nobody}"}, then: wsNames("docs")},
		{name: "4.1 count", req: "HEAD P/workspaces", header: "X-SCM-Count: 5"},
		{name: "4.1 count with filter", req: "HEAD P/workspaces/?filter=" + js(`{"enable_directory":true}`), header: "X-SCM-Count: 1"},
		{name: "4.1 count with bad filter", req: "HEAD P/workspaces?filter=" + js(`{"$x":1}`), lines: []string{"X-SCM-ERROR-CHARSET: utf-8"}, status: 500, code: -206},
		{name: "4.2 get one", req: "GET P/workspaces/docs", body: `{"workspace":{"id":1,"name":"docs","description":"","create_user":"admin","create_time":1705307400000,"update_user":"admin","update_time":1705307400000,` +
			`"meta_location":{"site_id":1,"domain":"domain1","site":"rootSite","location_type":"sequoiadb"},"data_location":[{"site_id":1,"domain":"domain2","site":"rootSite","location_type":"sequoiadb"}],` +
			`"batch_sharding_type":"none","batch_id_time_regex":null,"batch_id_time_pattern":null,"batch_file_name_unique":false,"enable_directory":true,"site_cache_strategy":"ALWAYS",` +
			`"tag_lib_table":null,"tag_lib_meta_option":null,"tag_retrieval_status":null,"version":1}}`},
		{name: "4.1 get unknown", req: "GET P/workspaces/nope", status: 500, code: -205, has: `"error":"Workspace is not exist"`},
		{name: "4.1 names are case-sensitive", req: "GET P/workspaces/DOCS", status: 500, code: -205},
		{name: "nothing below a workspace", req: "GET P/workspaces/docs/x", status: 404, code: 404},
	})
}

// Part 1 sections 4.1 and 4.4: create, change, delete.
func TestConformanceWorkspaceLife(t *testing.T) {
	s := newSite(t)
	s.login(t, "nobody")
	as := []string{"x-auth-token: {nobody}"}
	conf := func(text string) string { return "workspace_conf=" + js(text) }
	up := func(text string) string { return "updator=" + js(text) }
	create := func(name, encoded string, code int) call {
		c := call{name: "4.4 " + name, req: "POST P/workspaces/" + encoded, form: conf("{}"), code: code}
		if code != 0 {
			c.status = 400
		}
		return c
	}
	s.run(t, []call{
		{name: "4.1 create", req: "POST P/workspaces/w1", form: conf(`{"description":"d","enable_directory":true,"batch_sharding_type":"month","batch_file_name_unique":true,"preferred":"rootSite","site_cache_strategy":"NEVER",` +
			`"meta_location":{"site":"rootSite","domain":"m"},"data_location":[{"site":"rootSite","domain":"x","data_sharding_type":{"collection_space":"year","collection":"month"}}]}`),
			body: `{"workspace":{"id":3,"name":"w1","description":"d","create_user":"admin","create_time":1705307400000,"update_user":"admin","update_time":1705307400000,` +
				`"meta_location":{"site_id":1,"domain":"m","site":"rootSite","location_type":"sequoiadb"},"data_location":[{"site_id":1,"domain":"x","data_sharding_type":{"collection_space":"year","collection":"month"},"site":"rootSite","location_type":"sequoiadb"}],` +
				`"batch_sharding_type":"month","batch_id_time_regex":null,"batch_id_time_pattern":null,"batch_file_name_unique":true,"enable_directory":true,"site_cache_strategy":"NEVER",` +
				`"tag_lib_table":null,"tag_lib_meta_option":null,"tag_retrieval_status":null,"version":1,"preferred":"rootSite"}}`},
		{name: "4.1 create existing", req: "POST P/workspaces/w1", form: conf("{}"), status: 500, code: -208, has: `"error":"Workspace already exist"`},
		{name: "4.1 create, not administrator", req: "POST P/workspaces/w2", form: conf("{}"), lines: as, status: 403, code: -109},
		{name: "4.2 new workspaces have no directories by default", req: "POST P/workspaces/w2", form: conf(`{"description":""}`), has: `"enable_directory":false`},
		{name: "4.1 create multipart (part 3)", req: "POST P/workspaces/w3", form: multipartForm("workspace_conf", "{'enable_directory':true}"), lines: []string{multipartType}, has: `"enable_directory":true`},
		{name: "4.1 malformed", req: "POST P/workspaces/w4", form: conf("x"), status: 400, code: 400},
		{name: "4.1 unknown site", req: "POST P/workspaces/w4", form: conf(`{"data_location":[{"site":"nope","domain":"x"}]}`), status: 404, code: -204},
		{name: "4.2 unknown sharding", req: "POST P/workspaces/w4", form: conf(`{"batch_sharding_type":"week"}`), status: 400, code: -101},
		{name: "4.2 unknown cache strategy", req: "POST P/workspaces/w4", form: conf(`{"site_cache_strategy":"SOMETIMES"}`), status: 400, code: -101},
		create("[T:Param_createWorkspace3153]", "3153%20%21%40%23%24%28%29_test", 0),
		create("dot", "a.b", -101), create("pipe", "a%7Cb", -101), create("colon", "a%3Ab", -101), create("star", "a*b", -101),
		create("question mark", "a%3Fb", -101), create("less", "a%3Cb", -101), create("greater", "a%3Eb", -101), create("quote", "a%22b", -101),
		create("not ASCII", "%C3%A9", -101),
		{name: "4.4 got back", req: "GET P/workspaces/3153%20%21%40%23%24%28%29_test", has: `"name":"3153 !@#$()_test"`},
		{name: "4.1 description", req: "PUT P/workspaces/w1", form: up(`{"description":"new"}`), has: `"description":"new"`},
		{name: "4.2 version counts changes", req: "GET P/workspaces/w1", has: `"version":2,`},
		{name: "4.1 cache strategy", req: "PUT P/workspaces/w1", form: up(`{"site_cache_strategy":"auto"}`), has: `"site_cache_strategy":"AUTO"`},
		{name: "4.1 cache strategy unknown", req: "PUT P/workspaces/w1", form: up(`{"site_cache_strategy":"X"}`), status: 400, code: -101},
		{name: "4.1 preferred", req: "PUT P/workspaces/w1", form: up(`{"preferred":"rootSite"}`), has: `"preferred":"rootSite"`},
		{name: "4.1 two changes", req: "PUT P/workspaces/w1", form: up(`{"description":"x","preferred":"rootSite"}`), status: 400, code: -101},
		{name: "4.1 unknown key", req: "PUT P/workspaces/w1", form: up(`{"colour":"x"}`), status: 400, code: -101},
		{name: "4.1 no change", req: "PUT P/workspaces/w1", form: up(`{}`), status: 400, code: -101},
		{name: "4.1 change, not administrator", req: "PUT P/workspaces/w1", form: up(`{"description":"x"}`), lines: as, status: 403, code: -109},
		{name: "4.1 change unknown", req: "PUT P/workspaces/nope", form: up(`{"description":"x"}`), status: 500, code: -205},
		{name: "4.1 directories off", req: "PUT P/workspaces/w1", form: up(`{"enable_directory":false}`), has: `"enable_directory":false`},
		{name: "4.1 and never on", req: "PUT P/workspaces/w1", form: up(`{"enable_directory":true}`), status: 500, code: -700},
		{name: "4.1 delete, not administrator", req: "DELETE P/workspaces/w1", lines: as, status: 403, code: -109},
		{name: "4.1 delete", req: "DELETE P/workspaces/w1", header: "Content-Length: 0"},
		{name: "4.1 delete again", req: "DELETE P/workspaces/w1", status: 500, code: -205},
		{name: "4.1 a file in it", req: "POST P/files?workspace_name=w2", form: "x", lines: append(as, "Content-Type: binary/octet-stream", "description: %7Bname%3A%22f%22%7D"), status: 403, code: -109},
		{name: "2.6 granted", req: "PUT P/roles/nobody/grant", form: "resource_type=workspace&resource=w2&privilege=ALL"},
		{name: "4.1 a file in it now", req: "POST P/files?workspace_name=w2", form: "x", lines: append(as, "Content-Type: binary/octet-stream", "description: %7Bname%3A%22f%22%7D")},
		{name: "4.1 delete non-empty", req: "DELETE P/workspaces/w2?enforced=false", status: 500, code: -207},
		{name: "4.1 enforced is a boolean", req: "DELETE P/workspaces/w2?enforced=x", status: 400, code: 400},
		{name: "4.1 enforced", req: "DELETE P/workspaces/w2?enforced=true&keep_alive=true"},
		{name: "and its grants went with it", req: "POST P/workspaces/w2", form: conf("{}")},
		{name: "so that a new one of the name is closed", req: "HEAD P/files?workspace_name=w2", lines: as, status: 403, code: -109},
		{name: "collection", req: "POST P/workspaces/", form: conf("{}"), status: 405, code: 405},
	})
}

// Part 1 section 4.3 [T:TestWorkspaceDisableDir] [T:EnableDir3133].
func TestConformanceWithoutDirectories(t *testing.T) {
	s := newSite(t)
	create := func(name, desc string, status, code int) call {
		return call{name: name, req: "POST /zuul/rootsite/api/v1/files/?workspace_name=flat", form: "x",
			lines: []string{"Content-Type: binary/octet-stream", "description: " + js(desc)}, status: status, code: code, save: map[int]string{0: "file"}[code]}
	}
	off := func(name, req, form string) call {
		return call{name: name, req: req, form: form, status: 500, code: -244}
	}
	s.run(t, []call{
		off("get by path", "HEAD P/directories/path/?workspace_name=flat", ""),
		off("get by id", "HEAD P/directories/id/{root}?workspace_name=flat", ""),
		off("path", "GET P/directories/id/{root}/path?workspace_name=flat", ""),
		off("create by path", "POST P/directories", "workspace_name=flat&path=/x"),
		off("create by parent", "POST P/directories", "workspace_name=flat&name=x&parent_directory_id={root}"),
		off("delete by path", "DELETE P/directories/path/x/?workspace_name=flat", ""),
		off("delete by id", "DELETE P/directories/id/65a4f1e2510001000000a012?workspace_name=flat", ""),
		off("list", "GET P/directories/?workspace_name=flat", ""),
		off("count", "HEAD P/directories/?workspace_name=flat", ""),
		off("rename", "PUT P/directories/id/65a4f1e2510001000000a012/rename", "workspace_name=flat&name=y"),
		off("move", "PUT P/directories/path/x/move", "workspace_name=flat&parent_directory_path=/"),
		off("listfiles", "GET P/directories/id/{root}/listfiles?workspace_name=flat", ""),
		off("file by path", "HEAD P/files/path/f/?workspace_name=flat", ""),
		off("delete by path, file", "DELETE P/files?action=delete_file_by_path&file_path=/f&workspace_name=flat&is_physical=true", ""),
		create("file in a directory", `{"name":"f","directory_id":"65a4f1e2510001000000a012"}`, 500, -244),
		create("no directory_id", `{"name":"f"}`, 200, 0),
		create("root as directory_id", `{"name":"f","directory_id":"000000000000000000000000"}`, 200, 0),
		create("empty directory_id; names are not unique", `{"name":"f","directory_id":""}`, 200, 0),
		create("slash in a name", `{"name":"a/b"}`, 200, 0),
		off("move a file by id", "PUT P/files/{file}", "workspace_name=flat&file_info="+js(`{"directory_id":"65a4f1e2510001000000a012"}`)),
		off("move a file by path", "PUT P/files/{file}", "workspace_name=flat&file_info="+js(`{"parent_directory_path":"/x/"}`)),
		{name: "list by filter", req: "GET P/files?workspace_name=flat&scope=1&filter=" + js(`{"name":"f"}`), then: func(t *testing.T, r reply) {
			assert.Equal(t, 3, strings.Count(r.body, `"name" : "f"`), r.body)
		}},
		{name: "get by id", req: "HEAD P/files/id/{file}?workspace_name=flat"},
	})
}

// Part 1 section 4.5 and part 3: what a client asks for at its start.
func TestConformanceSites(t *testing.T) {
	s := newSite(t)
	type siteJSON struct {
		ID   int
		Name string
		Root bool `json:"root_site_flag"`
		Data struct {
			Type string
			URL  []string
		}
		Meta *struct{ URL []string }
	}
	check := func(t *testing.T, d siteJSON) {
		assert.Equal(t, 1, d.ID)
		assert.Equal(t, "rootSite", d.Name)
		assert.True(t, d.Root)
		assert.Equal(t, "sequoiadb", d.Data.Type)
		assert.NotEmpty(t, d.Data.URL)
		require.NotNil(t, d.Meta, "the root site carries its metadata location")
		assert.NotEmpty(t, d.Meta.URL)
	}
	one := func(t *testing.T, r reply) {
		var a struct{ Site siteJSON }
		require.NoError(t, json.Unmarshal([]byte(r.body), &a))
		check(t, a.Site)
	}
	s.run(t, []call{
		{name: "4.5 list", req: "GET P/sites/", then: func(t *testing.T, r reply) {
			var list []siteJSON
			require.NoError(t, json.Unmarshal([]byte(r.body), &list))
			require.Len(t, list, 1)
			check(t, list[0])
		}},
		{name: "4.5 get", req: "GET P/sites/rootSite", then: one},
		{name: "4.5 get in lower case", req: "GET P/sites/rootsite", then: one},
		{name: "4.5 unknown", req: "GET P/sites/nope", status: 404, code: -204, has: `"error":"Site is not exist"`},
		{name: "7.3 count", req: "HEAD P/sites", header: "X-SCM-Count: 1"},
		{name: "nodes", req: "GET P/nodes", then: func(t *testing.T, r reply) {
			var list []struct {
				Site int    `json:"site_id"`
				Host string `json:"host_name"`
				Port string
			}
			require.NoError(t, json.Unmarshal([]byte(r.body), &list), r.body)
			require.Len(t, list, 1)
			assert.Equal(t, s.http.Listener.Addr().String(), list[0].Host+":"+list[0].Port)
		}},
		{name: "7.3 count of nodes", req: "HEAD P/nodes", header: "X-SCM-Count: 1"},
		{name: "7.3 count of batches", req: "HEAD P/batches?workspace_name=docs", header: "X-SCM-Count: 0"},
		{name: "7.3 count of tasks", req: "HEAD P/tasks", header: "X-SCM-Count: 0"},
		{name: "no tasks", req: "GET P/tasks/", body: "[]"},
		{name: "creating one", req: "POST P/tasks", form: "x=y", status: 500, code: -107},
	})
}
