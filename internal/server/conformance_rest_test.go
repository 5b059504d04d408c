package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Part 2 sections 9.4 and 1: status lines and headers at the level of REST.
func TestConformanceREST(t *testing.T) {
	shared := newGateway(t)
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) { fn(t, shared.with(t)) })
	}
	run("C56 C57 C58 C59 HEAD of a breakpoint file", func(t *testing.T, g *gateway) {
		g.bpCreate("c56", "NONE").ok()
		a := g.head("/breakpointfiles/c56?workspace_name=ws1").ok()
		assert.Equal(t, "c56", a.inHeader("X-SCM-BREAKPOINTFILE")["file_name"])
		assert.Equal(t, "0", a.header.Get("Content-Length"))
		g.head("/breakpointfiles/c56?workspace_name=none").fails(500, -205)
		g.head("/breakpointfiles/none?workspace_name=ws1").fails(404, -262)
		g.head("/breakpointfiles/c56").fails(400, 400)
	})
	run("C59 C65 every endpoint wants workspace_name, and an existing one", func(t *testing.T, g *gateway) {
		const id = "6553f100510003001a2b3c01"
		ends := []string{"POST /files", "GET /files?scope=1", "HEAD /files", "DELETE /files?action=delete_file_by_path&file_path=/x&is_physical=true",
			"HEAD /files/id/" + id, "HEAD /files/path/x", "GET /files/" + id, "PUT /files/" + id, "DELETE /files/" + id + "?is_physical=true",
			"POST /files/" + id + "?action=calc_md5", "POST /files/" + id + "/async-cache", "GET /directories/id/" + id + "/listfiles",
			"GET /breakpointfiles", "HEAD /breakpointfiles/x", "POST /breakpointfiles/x?is_last_content=false",
			"PUT /breakpointfiles/x?offset=0&is_last_content=false", "DELETE /breakpointfiles/x", "POST /breakpointfiles/x?action=calc_md5"}
		for _, end := range ends {
			method, path, _ := strings.Cut(end, " ")
			h := streamHeader(`{"name":"x"}`)
			g.send(method, api+path, h, nil).fails(400, 400)
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			g.send(method, api+path+sep+"workspace_name=none", h, nil).fails(500, -205)
		}
	})
	run("C60 list of breakpoint files with a filter", func(t *testing.T, g *gateway) {
		g.bpCreate("c60.a", "NONE").ok()
		g.bpCreate("c60.b", "NONE").ok()
		a := g.get("/breakpointfiles/" + query("workspace_name", "ws1", "filter", `{"file_name":"c60.a"}`))
		assert.Equal(t, []string{"c60.a"}, names(a.list(), "file_name"))
		assert.NotContains(t, string(a.body), "md5\":null", "the body form leaves null out")
		assert.Equal(t, []string{"c60.a", "c60.b"}, names(g.get("/breakpointfiles"+query("workspace_name", "ws1", "filter", `{"file_name":{"$regex":"^c60\\."},"site_id":1}`)).list(), "file_name"))
		g.get("/breakpointfiles?workspace_name=none").fails(500, -205)
		g.get("/breakpointfiles"+query("workspace_name", "ws1", "filter", `{"file_name":`)).fails(400, 400)
		g.get("/breakpointfiles"+query("workspace_name", "ws1", "filter", `{"file_name":{"$bad":1}}`)).fails(500, -206)
	})
	run("C61 DELETE of a missing one, in an unknown workspace", func(t *testing.T, g *gateway) {
		g.del("/breakpointfiles/none?workspace_name=ws1").fails(404, -262)
		g.del("/breakpointfiles/none?workspace_name=none").fails(500, -205)
	})
	run("C62 C63 C68 count, list, write, read and delete", func(t *testing.T, g *gateway) {
		g.head("/files?workspace_name=none").fails(500, -205)
		before := g.head("/files?workspace_name=ws1").ok().header.Get("X-SCM-Count")
		assert.Equal(t, "0", before)
		for _, content := range []string{"", "hello scm\n"} {
			f := g.put("c68", "", content)
			assert.Equal(t, "1", g.head("/files/?workspace_name=ws1&scope=1").ok().header.Get("X-SCM-Count"))
			list := g.get("/files/" + query("workspace_name", "ws1", "scope", "1", "filter", `{"name":"c68"}`)).list()
			require.Len(t, list, 1)
			assert.EqualValues(t, len(content), g.file(list[0].str("id")).num("size"))
			assert.Equal(t, content, g.read(f.str("id"), ""))
			a := g.remove(f.str("id")).ok()
			assert.Empty(t, a.body)
			g.stat(f.str("id"), "").fails(404, -262)
		}
	})
	run("C64 a loop of ranged reads ends with data_length -1", func(t *testing.T, g *gateway) {
		data := pattern(200_000)
		f := g.put("c64", "", string(data))
		var got []byte
		for {
			a := g.get(fmt.Sprintf("/files/%s?workspace_name=ws1&major_version=1&minor_version=0&offset=%d&length=102400", f.str("id"), len(got))).ok()
			if a.header.Get("data_length") == "-1" {
				assert.Empty(t, a.body)
				break
			}
			require.Equal(t, fmt.Sprint(len(a.body)), a.header.Get("data_length"))
			require.LessOrEqual(t, len(a.body), 65536)
			require.NotEmpty(t, a.body)
			got = append(got, a.body...)
		}
		assert.True(t, string(data) == string(got))
	})
	run("C65 file_info with CJK values", func(t *testing.T, g *gateway) {
		f := g.put("c65", "", "")
		got := g.change(f.str("id"), `{"title":"标题 one"}`).inHeader("file_info")
		assert.Equal(t, "标题 one", got["title"])
		assert.Equal(t, "标题 one", g.file(f.str("id"))["title"])
		g.form("PUT", "/files/"+f.str("id"), nil, "file_info", `{"title":"x"}`).fails(400, 400)
	})
	run("C66 C67 PUT with a body, versions go together", func(t *testing.T, g *gateway) {
		f := g.put("c66", "", "1")
		assert.EqualValues(t, 2, g.update(f.str("id"), "", "2").inHeader("file_info").num("major_version"))
		g.head("/files/id/"+f.str("id")+"?workspace_name=ws1&major_version=1").fails(400, -101)
		g.get("/files/"+f.str("id")+"?workspace_name=ws1&minor_version=0").fails(400, -101)
	})
	run("ill-typed and missing parameters are framework errors", func(t *testing.T, g *gateway) {
		f := g.put("types", "", "")
		for _, q := range []string{"offset=x", "length=3000000000", "read_flag=x", "major_version=x&minor_version=0"} {
			g.get("/files/"+f.str("id")+"?workspace_name=ws1&"+q).fails(400, 400)
		}
		for _, q := range []string{"", "&offset=0", "&is_last_content=true", "&offset=&is_last_content=true", "&offset=0&is_last_content=maybe"} {
			g.send("PUT", zuul+"/breakpointfiles/types?workspace_name=ws1"+q, streamHeader(""), strings.NewReader("x")).fails(400, 400)
		}
		g.get("/files?workspace_name=ws1").fails(400, 400)
		g.get("/files?workspace_name=ws1&scope=4").fails(400, -101)
		g.head("/files?workspace_name=ws1&scope=0").fails(400, -101)
		g.stream("POST", "/files/?workspace_name=ws1", "", nil).fails(400, 400)
		g.stream("POST", "/files/?workspace_name=ws1", `{"name":`, nil).fails(400, 400)
		g.stream("POST", "/files/?workspace_name=ws1&upload_config=%5B%5D", `{"name":"x"}`, nil).fails(400, 400)
		g.del("/files?workspace_name=ws1&action=delete_file_by_path&is_physical=true").fails(400, 400)
		// Empty JSON parameters mean absent, unknown parameters are ignored.
		g.get("/files/?workspace_name=ws1&scope=1&filter=&orderby=&selector=&skip=&limit=&majorVersion=x&&keep_alive=true").ok()
	})
	run("an error body and its header form", func(t *testing.T, g *gateway) {
		a := g.get("/files/6553f100510003001a2b3c01?workspace_name=ws1")
		e := a.fails(404, -262)
		assert.Equal(t, "File not found", e["error"])
		assert.Equal(t, "/api/v1/files/6553f100510003001a2b3c01", e["path"])
		assert.Equal(t, "application/json;charset=UTF-8", a.header.Get("Content-Type"))
		h := g.head("/files/path/none/?workspace_name=ws1")
		h.fails(404, -262)
		assert.Equal(t, "utf-8", h.header.Get("X-SCM-ERROR-CHARSET"))
		assert.Contains(t, h.header.Get("X-SCM-ERROR"), "%22status%22+%3A+-262")
	})
	run("three URL forms, and a form content type eats the body", func(t *testing.T, g *gateway) {
		for i, prefix := range []string{"/zuul/rootsite/api/v1", "/rootSite/api/v1", "/api/v1"} {
			h := streamHeader(fmt.Sprintf(`{"name":"forms%d"}`, i))
			h.Set("x-scm-statistics", "file_upload") // and other headers that say nothing
			f := g.send("POST", prefix+"/files?workspace_name=ws1", h, strings.NewReader("hello")).created()
			assert.Equal(t, "hello", g.read(f.str("id"), ""))
			h = streamHeader(fmt.Sprintf(`{"name":"eaten%d"}`, i))
			h.Set("Content-Type", "application/x-www-form-urlencoded")
			f = g.send("POST", prefix+"/files?workspace_name=ws1", h, strings.NewReader("hello")).created()
			assert.EqualValues(t, 0, f.num("size"))
		}
		// Parameters may come as multipart/form-data, which is never content.
		f := g.put("multi", "", "v1")
		body := "--b\r\nContent-Disposition: form-data; name=\"file_info\"\r\n\r\n{title:'multi part'}\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"workspace_name\"\r\n\r\nws1\r\n--b--\r\n"
		h := http.Header{"Content-Type": {"multipart/form-data; boundary=b"}}
		got := g.send("PUT", api+"/files/"+f.str("id"), h, strings.NewReader(body)).inHeader("file_info")
		assert.Equal(t, "multi part", got["title"])
		assert.EqualValues(t, 1, got.num("major_version"))
	})
	run("the gateway's header limit is a switch", func(t *testing.T, g *gateway) {
		// 46 080 bytes by default: a description of 30 000 bytes passes.
		f := g.stream("POST", "/files/?workspace_name=ws1", `{"name":"long","title":"`+strings.Repeat("x", 30_000)+`"}`, nil).created()
		assert.Len(t, f.str("title"), 30_000)
	})
}
