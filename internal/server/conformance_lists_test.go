package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Part 2 section 4, lists, counts and matchers.
func TestConformanceLists(t *testing.T) {
	shared := newGateway(t)
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) { fn(t, shared.with(t)) })
	}
	list := func(g *gateway, pairs ...string) *answer {
		g.t.Helper()
		return g.get("/files/" + query(append([]string{"workspace_name", "ws1"}, pairs...)...))
	}
	count := func(g *gateway, pairs ...string) string {
		g.t.Helper()
		a := g.head("/files/" + query(append([]string{"workspace_name", "ws1"}, pairs...)...)).ok()
		assert.Equal(g.t, "0", a.header.Get("Content-Length"))
		return a.header.Get("X-SCM-Count")
	}
	run("C24 filters over breakpoint files", func(t *testing.T, g *gateway) {
		for i := range 4 {
			g.bpCreate(fmt.Sprintf("c24.%d", i), "CRC32").ok()
			g.bpPut(fmt.Sprintf("c24.%d", i), 0, i == 3, pattern(i*100)).ok()
		}
		for _, c := range []struct{ filter, want string }{
			{"", "0123"}, {"{}", "0123"}, {`{"$or":[{"file_name":"c24.0"},{"upload_size":300}]}`, "03"},
			{`{"$and":[{"upload_size":{"$gt":0}},{"completed":false}]}`, "12"}, {`{"upload_size":{"$gte":100,"$lt":300}}`, "12"},
			{`{"upload_size":{"$lte":100}}`, "01"}, {`{"file_name":{"$ne":"c24.1"}}`, "023"},
			{`{"$not":[{"completed":true}]}`, "012"}, {`{"file_name":{"$in":["c24.1","c24.2"]}}`, "12"},
			{`{"create_user":"admin","checksum_type":"CRC32"}`, "0123"}, {`{'file_name':{$regex:'^c24\\.[23]$'}}`, "23"},
		} {
			got := names(g.get("/breakpointfiles/"+query("workspace_name", "ws1", "filter", c.filter)).list(), "file_name")
			assert.Equal(t, c.want, strings.ReplaceAll(strings.Join(got, ""), "c24.", ""), c.filter)
		}
	})
	run("C112 scopes: 2 files with 3 versions each", func(t *testing.T, g *gateway) {
		for _, n := range []string{"a", "b"} {
			id := g.put("c112."+n, "", "1").str("id")
			g.update(id, "", "22").ok()
			g.update(id, "", "333").ok()
		}
		only := []string{"filter", `{"name":{"$regex":"^c112"}}`}
		for scope, want := range map[string]int{"1": 2, "2": 4, "3": 6} {
			assert.Equal(t, fmt.Sprint(want), count(g, append(only, "scope", scope)...), scope)
			assert.Equal(t, fmt.Sprint(want), count(g, "scope", scope), "without a filter")
			assert.Len(t, list(g, append(only, "scope", scope)...).list(), want)
		}
		assert.Equal(t, "2", count(g), "the current scope is the default")
		id := list(g, "scope", "1", "filter", `{name:'c112.a'}`).list()[0].str("id")
		rows := list(g, "scope", "3", "filter", `{"id":"`+id+`"}`).list()
		var versions []int64
		for _, r := range rows {
			versions = append(versions, r.num("major_version"))
		}
		slices.Sort(versions)
		assert.Equal(t, []int64{1, 2, 3}, versions)
		// History: full records whatever the selector; all: history full, current selected.
		for _, r := range list(g, "scope", "2", "selector", `{"id":null}`).list() {
			assert.Contains(t, r, "data_id")
		}
		full := 0
		for _, r := range list(g, "scope", "3", "selector", `{"id":null}`, "filter", `{"id":"`+id+`"}`).list() {
			if len(r) > 1 {
				full++
			}
		}
		assert.Equal(t, 2, full)
		assert.Len(t, list(g, "scope", "2", "filter", `{"size":2}`).list(), 2)
	})
	run("C90 C91 paging that is refused", func(t *testing.T, g *gateway) {
		list(g, "scope", "3", "skip", "1").fails(500, -107)
		list(g, "scope", "3", "limit", "1").fails(500, -107)
		list(g, "scope", "3", "skip", "0", "limit", "-1").ok()
		list(g, "scope", "1", "limit", "-2").fails(400, -101)
		list(g, "scope", "1", "skip", "-1").fails(400, -101)
		assert.Equal(t, "[]", string(list(g, "scope", "1", "limit", "0").ok().body))
		g.get("/directories/id/000000000000000000000000/listfiles?workspace_name=ws1&limit=3000000000").fails(400, 400)
		list(g, "scope", "1", "limit", "3000000000").ok()
	})
	run("C92 windows on current and history scope", func(t *testing.T, g *gateway) {
		dir := g.mkdir("/c92")
		for i := range 7 {
			id := g.put(fmt.Sprintf("f%d", i), dir, strings.Repeat("x", 7-i)).str("id")
			g.update(id, "", strings.Repeat("y", i)).ok()
		}
		in := `{"directory_id":"` + dir + `"}`
		for _, c := range []struct{ scope, orderby, skip, limit, want string }{
			{"1", `{"name":1}`, "0", "-1", "f0f1f2f3f4f5f6"}, {"1", `{"name":-1}`, "2", "3", "f4f3f2"}, {"1", `{"size":-1}`, "0", "2", "f6f5"},
			{"1", `{"size":1,"name":1}`, "5", "10", "f5f6"}, {"1", `{"name":1}`, "7", "1", ""},
			{"2", `{"size":1}`, "1", "2", "f5f4"}, {"2", `{"name":1}`, "0", "3", "f0f1f2"}, {"2", `{"name":-1}`, "6", "-1", "f0"},
		} {
			rows := list(g, "scope", c.scope, "filter", in, "orderby", c.orderby, "skip", c.skip, "limit", c.limit).list()
			assert.Equal(t, c.want, strings.Join(names(rows, "name"), ""), "%+v", c)
		}
		sub := g.get("/directories/id/" + dir + "/listfiles" + query("workspace_name", "ws1", "orderby", `{"name":1}`, "skip", "1", "limit", "2"))
		assert.Equal(t, []string{"f1", "f2"}, names(sub.list(), "name"))
		ids := names(list(g, "scope", "1", "filter", in, "orderby", `{"name":1}`).list(), "id")
		assert.Equal(t, []string{"f1", "f4"}, names(list(g, "scope", "1", "filter", `{"id":{"$in":["`+ids[4]+`","`+ids[1]+`","x"]}}`, "orderby", `{"id":1}`).list(), "name"))
	})
	run("default fields and selectors", func(t *testing.T, g *gateway) {
		dir := g.mkdir("/fields")
		g.put("f", dir, "hello")
		a := g.get("/directories/id/" + dir + "/listfiles?workspace_name=ws1")
		assert.Equal(t, "application/json;charset=utf-8", a.header.Get("Content-Type"))
		var keys []string
		for k := range a.list()[0] {
			keys = append(keys, k)
		}
		assert.ElementsMatch(t, []string{"id", "name", "major_version", "minor_version", "mime_type", "user", "create_time", "delete_marker", "version_serial"}, keys)
		row := g.get("/directories/id/" + dir + "/listfiles" + query("workspace_name", "ws1", "selector", `{"size":null,"data_id":null,"none":null,"tags":null}`)).list()[0]
		require.Len(t, row, 4)
		assert.EqualValues(t, 5, row.num("size"))
		assert.Nil(t, row["none"])
		assert.Equal(t, []any{}, row["tags"])
		assert.Empty(t, g.get("/directories/id/6553f064510003001a2b3b99/listfiles?workspace_name=ws1").list(), "no such directory")
		g.get("/directories/id/000000000000000000000000/listfiles?workspace_name=flat").fails(500, -244)
		assert.Empty(t, g.get("/directories/id/"+dir+"/listfiles"+query("workspace_name", "ws1", "filter", `{"name":"g"}`)).list())
	})
	run("matchers over file fields", func(t *testing.T, g *gateway) {
		dir := g.mkdir("/match")
		g.stream("POST", "/files/?workspace_name=ws1", `{"name":"m1","title":"T","directory_id":"`+dir+`","tags":["a"],"custom_metadata":{"k":"v"}}`, []byte("1")).ok()
		g.stream("POST", "/files/?workspace_name=ws1", `{"name":"m2","directory_id":"`+dir+`"}`, []byte("22")).ok()
		in := func(cond string) string { return `{"directory_id":"` + dir + `",` + cond + `}` }
		for cond, want := range map[string]string{
			`"title":"T"`: "m1", `"title":null`: "m2", `"title":{"$exists":1}`: "m1m2", `"title":{"$isnull":1}`: "m2", `"none":{"$exists":0}`: "m1m2",
			`"none":{"$ne":1}`: "", `"none":{"$nin":[1]}`: "", `"tags":"a"`: "m1", `"custom_metadata.k":"v"`: "m1",
			`"site_list.$0.site_id":1`: "m1m2", `"size":{"$et":2}`: "m2", `"name":{"$in":["m2","x"]}`: "m2", `"create_month":"202311"`: "m1m2",
			`"$or":[{"size":1},{"size":{"$gte":2}}]`: "m1m2", `"$not":[{"size":1},{"name":"m1"}]`: "m2", `"mime_type":{"$regex":"^APP","$options":"i"}`: "m1m2",
		} {
			got := names(list(g, "scope", "1", "filter", in(cond), "orderby", `{"name":1}`).list(), "name")
			assert.Equal(t, want, strings.Join(got, ""), cond)
			assert.Equal(t, fmt.Sprint(len(got)), count(g, "filter", in(cond)))
		}
		for _, bad := range []string{`{"name":{"$bad":1}}`, `{"$bad":1}`, `{"$or":1}`, `{"name":{"$in":1}}`} {
			list(g, "scope", "1", "filter", bad).fails(500, -206)
			g.head("/files/"+query("workspace_name", "ws1", "filter", bad)).fails(500, -206)
		}
		list(g, "scope", "1", "filter", `[1]`).fails(400, 400)
		list(g, "scope", "1", "filter", `{"a"`).fails(400, 400)
	})
	run("a low-level reader may list and count, not read", func(t *testing.T, g *gateway) {
		u := g.as("lister", [3]string{"workspace", "ws1", "LOW_LEVEL_READ"})
		id := list(u, "scope", "1", "limit", "1").list()[0].str("id")
		assert.NotEqual(t, "0", count(u))
		u.stat(id, "").fails(403, -109)
	})
}
