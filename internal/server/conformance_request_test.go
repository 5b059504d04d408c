package server

import (
	"bufio"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Part 1 sections 1.2 to 1.5 and 8.1: all forms of URL.
func TestConformanceURLs(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/a", "/a/b c", "/a/x+y", "/a/rename", "/a/internal")
	for _, prefix := range []string{"/rootsite/api/v1", "/ROOTSITE/api/v1", "/rootSite/api/v1", "/zuul/rootsite/api/v1", "/zuul/RootSite/api/v1", "/api/v1", "/zuul/api/v1"} {
		s.run(t, []call{
			{name: prefix + " list", req: "GET " + prefix + "/workspaces/?&filter=&skip=0&limit=-1", has: `"name" : "docs"`},
			{name: prefix + " list without slash", req: "GET " + prefix + "/workspaces", has: `"name" : "docs"`},
			{name: prefix + " item", req: "GET " + prefix + "/workspaces/docs", has: `{"workspace":{"id":1,"name":"docs"`},
			{name: prefix + " item with slash", req: "GET " + prefix + "/workspaces/docs/", has: `{"workspace":{"id":1,`},
			{name: prefix + " count", req: "HEAD " + prefix + "/directories/?workspace_name=docs", header: "X-SCM-Count: 6"},
			{name: prefix + " by path", req: "HEAD " + prefix + "/directories/path/a/?workspace_name=docs"},
			{name: prefix + " by id", req: "HEAD " + prefix + "/directories/id/{a}?workspace_name=docs"},
			{name: prefix + " listfiles", req: "GET " + prefix + "/directories/id/{a}/listfiles/?workspace_name=docs", body: "[]"},
			{name: prefix + " form", req: "PUT " + prefix + "/directories/id/{a}/rename", form: "workspace_name=docs&name=a", has: `{"update_time":`},
		})
	}
	s.run(t, []call{
		{name: "1.2 unknown site", req: "GET /other/api/v1/workspaces", status: 404, code: 404, has: `"message":"Service does not exist, serviceName: other"`},
		{name: "1.2 unknown site through zuul", req: "GET /zuul/other/api/v1/workspaces", status: 404, code: 404, has: `serviceName: other"`},
		{name: "service centre (part 3)", req: "GET /service-center/eureka/apps/x", lines: none, status: 404, code: 404},
		{name: "unknown URL", req: "GET P/nope", status: 404, code: 404},
		{name: "unknown URL of the site", req: "GET /rootsite/other", status: 404, code: 404},
		{name: "method not allowed", req: "POST P/sites", status: 405, code: 405},
		{name: "1.4 health", req: "GET /rootsite/internal/v1/health", body: `{"status":"UP"}`},
		{name: "1.4 health of older servers", req: "GET /rootsite/health", body: `{"status":"UP"}`},
		{name: "1.4 health, upper case", req: "GET /ROOTSITE/internal/v1/health", body: `{"status":"UP"}`},
		{name: "1.5 blank as %20", req: "HEAD P/directories/path/a/b%20c/?workspace_name=docs"},
		{name: "1.5 plus is a literal plus in paths", req: "HEAD P/directories/path/a/x+y/?workspace_name=docs"},
		{name: "1.5 plus as %2B", req: "HEAD P/directories/path/a/x%2By/?workspace_name=docs"},
		{name: "1.5 plus is no blank in paths", req: "HEAD P/directories/path/a/b+c/?workspace_name=docs", status: 404, code: -241},
		{name: "1.5 plus is a blank in queries", req: "GET P/directories?workspace_name=docs&filter=%7Bname:'b+c'%7D", has: `{ "name" : "b c" ,`},
		{name: "1.5 ids are verbatim: trailing slash", req: "HEAD P/directories/id/{a}/?workspace_name=docs", status: 404, code: -241},
		{name: "1.5 ids are verbatim: case", req: "HEAD P/directories/id/ABCDEF?workspace_name=docs", status: 404, code: -241},
		{name: "1.5 root", req: "HEAD P/directories/path/?workspace_name=docs"},
		{name: "1.5 root without its slash", req: "HEAD P/directories/path?workspace_name=docs", status: 400, code: -101},
		{name: "1.5 without trailing slash", req: "HEAD P/directories/path/a?workspace_name=docs"},
		{name: "1.3 [T:CrudDirectory2198] doubled slash", req: "HEAD P/directories/path//a//b%20c/?workspace_name=docs"},
		{name: "1.3 internal (need not be denied)", req: "HEAD P/directories/path/a/internal/?workspace_name=docs"},
		{name: "1.3 path parameters are dropped", req: "HEAD P/directories/path/a;x=y/?workspace_name=docs"},
		{name: "1.3 encoded slash", req: "HEAD P/directories/path/a%2Fb/?workspace_name=docs", status: 500, then: bare},
		{name: "1.3 percent", req: "HEAD P/directories/path/a%25b/?workspace_name=docs", status: 500, then: bare},
		{name: "1.3 encoded dot", req: "HEAD P/directories/path/a%2eb/?workspace_name=docs", status: 500, then: bare},
		{name: "1.3 semicolon", req: "HEAD P/directories/path/a%3bb/?workspace_name=docs", status: 500, then: bare},
		{name: "1.3 backslash", req: "HEAD P/directories/path/a%5Cb/?workspace_name=docs", status: 500, then: bare},
		{name: "1.3 dot", req: "HEAD P/directories/path/a/./?workspace_name=docs", status: 500, then: bare},
		{name: "1.3 dots", req: "HEAD P/directories/path/a/../?workspace_name=docs", status: 500, then: bare},
		{name: "1.3 with a body", req: "DELETE P/directories/path/a%2Fb/?workspace_name=docs", status: 500, code: 500},
	})
}

// Part 1 section 1.5 and part 3: where parameters are read from.
func TestConformanceParameters(t *testing.T) {
	s := newSite(t)
	s.run(t, []call{
		{name: "form", req: "POST P/directories", form: "workspace_name=docs&path=%2Fform+a%2B", has: `"name":"form a+"`},
		{name: "query", req: "POST P/directories?workspace_name=docs&path=%2Fquery+b%20c", has: `"name":"query b c"`},
		{name: "query and form", req: "POST P/directories?workspace_name=docs", form: "path=%2Fboth", has: `"name":"both"`, save: "both"},
		{name: "multipart", req: "POST P/directories", form: multipartForm("workspace_name", "docs", "path", "/multi 中"), lines: []string{multipartType}, has: `"name":"multi 中"`},
		{name: "PUT form", req: "PUT P/directories/id/{both}/rename", form: "workspace_name=docs&name=both2", has: `{"update_time":`},
		{name: "PUT query", req: "PUT P/directories/id/{both}/rename?workspace_name=docs&name=both3", has: `{"update_time":`},
		{name: "PUT multipart", req: "PUT P/directories/id/{both}/rename", form: multipartForm("workspace_name", "docs", "name", "both4"), lines: []string{multipartType}, has: `{"update_time":`},
		{name: "PUT body of another type is no form", req: "PUT P/directories/id/{both}/rename?workspace_name=docs", form: "name=x", lines: []string{"Content-Type: text/plain"}, status: 400, code: -101},
		{name: "content type in capitals", req: "PUT P/directories/id/{both}/rename", form: "workspace_name=docs&name=both5", lines: []string{"Content-Type: Application/X-WWW-Form-Urlencoded"}, has: `{"update_time":`},
		{name: "DELETE reads the query only", req: "DELETE P/directories/id/{both}", form: "workspace_name=docs", status: 400, code: -101},
		{name: "empty query parts", req: "GET P/directories/?&&workspace_name=docs&&filter=&orderby=&skip=&limit=", has: `"name" : "both5"`},
		{name: "semicolon in a query", req: "GET P/directories?workspace_name=docs&filter=%7Bname:'a;b'%7D;", body: "[]"},
		{name: "raw semicolon in a form", req: "POST P/directories", form: "workspace_name=docs&path=/a;b", status: 400, code: -101},
		{name: "a pair that cannot be decoded", req: "GET P/directories?workspace_name=docs&x=%zz&limit=0", body: "[]"},
		{name: "multipart without boundary", req: "POST P/directories", form: "x", lines: []string{"Content-Type: multipart/form-data"}, status: 400, code: 400},
	})
	t.Run("limit of a form", func(t *testing.T) {
		r := s.send(t, "POST P/directories", "workspace_name=docs&path=/"+strings.Repeat("x", maxForm), formType)
		assert.Equal(t, 413, r.status)
		r = s.send(t, "POST /login", "username=admin&password="+strings.Repeat("x", maxLoginForm), formType, "x-auth-token:")
		assert.Equal(t, 413, r.status, "without an account less is read")
	})
}

// Part 1 section 1.7, request-side JSON.
func TestConformanceLenientJSON(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/a", "/b", `/quo'te`, "/中")
	list := func(filter string) string {
		return "GET P/directories/?workspace_name=docs&orderby=&filter=" + url.QueryEscape(filter)
	}
	only := func(name string) func(*testing.T, reply) {
		return func(t *testing.T, r reply) {
			assert.Equal(t, 1, strings.Count(r.body, `"name" : `), r.body)
			assert.Contains(t, r.body, `{ "name" : "`+name+`" ,`)
		}
	}
	bad := func(name, filter string) call {
		return call{name: name, req: list(filter), status: 400, code: 400, has: `"status":400,"error":"Bad Request"`}
	}
	s.run(t, []call{
		{name: "quoted", req: list(`{"name":"a"}`), then: only("a")},
		{name: "single-quoted keys and strings", req: list(`{'name':'a'}`), then: only("a")},
		{name: "unquoted keys", req: list(`{name:"a"}`), then: only("a")},
		{name: "blanks", req: list(" {\n\t name : \"a\" } "), then: only("a")},
		{name: "trailing garbage", req: list(`{name:"a"} and more`), then: only("a")},
		{name: "escapes", req: list(`{name:"\u4e2d"}`), then: only("中")},
		{name: "escaped quote", req: list(`{name:'quo\'te'}`), then: only("quo'te")},
		{name: "empty string is absent", req: list(""), has: `"name" : "a"`},
		{name: "empty object", req: list("{}"), has: `"name" : "a"`},
		{name: "wrapper oid", req: list(`{id:{"$oid":"` + s.vars["a"] + `"}}`), then: only("a")},
		{name: "wrapper numberLong", req: list(`{name:"a",create_time:{$gte:{"$numberLong":"1705307400000"}}}`), then: only("a")},
		{name: "wrapper date", req: list(`{name:"a",create_time:{"$date":1705307400000}}`), then: only("a")},
		{name: "wrapper timestamp has another type", req: list(`{create_time:{$gt:{"$timestamp":"2012-01-01-13.14.26.124233"}}}`), body: "[]"},
		{name: "wrapper minKey has another type", req: list(`{create_time:{"$minKey":1}}`), body: "[]"},
		{name: "a string that contains a dollar", req: list(`{name:"$a"}`), body: "[]"},
		bad("no JSON", "name"), bad("array", "[]"), bad("number", "5"), bad("string", `"a"`), bad("unfinished", `{"name":"a"`), bad("no value", `{name:}`),
		{name: "orderby malformed", req: "GET P/directories?workspace_name=docs&orderby=x", status: 400, code: 400},
		{name: "HEAD malformed", req: "HEAD P/directories?workspace_name=docs&filter=x", status: 400, then: bare},
		{name: "skip is no number", req: "GET P/directories?workspace_name=docs&skip=x", status: 400, code: 400},
	})
}

// Part 1 sections 1.7, 3.1 and 3.2: the shapes of answers and errors.
func TestConformanceErrors(t *testing.T) {
	s := newSite(t)
	const gone = "P/directories/path/nö pe/?workspace_name=docs"
	req := strings.ReplaceAll(gone, "nö pe", "n%C3%B6%20pe")
	parts := regexpFields(`^\{"timestamp":(\d{13}),"status":-241,"error":"Directory not found","exception":"com.sequoiacm.exception.ScmServerException",` +
		`"message":"directory not exist:path=/nö pe/","path":"/api/v1/directories/path/nö pe/"\}$`)
	s.run(t, []call{
		{name: "3.1 body", req: "DELETE " + req, status: 404, code: -241, header: "Content-Type: application/json;charset=UTF-8", then: func(t *testing.T, r reply) {
			assert.Regexp(t, parts, r.body)
			assert.Equal(t, s.http.Listener.Addr().String(), r.header.Get("SCM-ERROR-HOST"))
			assert.NotContains(t, r.body, s.token)
		}},
		{name: "3.1 path without the gateway's part", req: "DELETE /zuul/" + req[2:], status: 404, code: 404},
		{name: "3.1 framework error", req: "GET P/directories", status: 400, code: 400,
			has: `"status":400,"error":"Bad Request","message":"Required String parameter 'workspace_name' is not present","path":"/api/v1/directories"`},
		{name: "3.1 auth server's path", req: "GET /auth/api/v1/users/nope", status: 404, code: 404, has: `"path":"/api/v1/users/nope"`},
		{name: "3.2 HEAD with charset", req: "HEAD " + req, lines: []string{"X-SCM-ERROR-CHARSET: utf-8"}, status: 404, code: -241, header: "X-SCM-ERROR-CHARSET: utf-8", then: func(t *testing.T, r reply) {
			raw := r.header.Get("X-SCM-ERROR")
			assert.Regexp(t, `^%7B\+%22timestamp%22\+%3A\+\d+\+%2C\+%22status%22\+%3A\+-241\+%2C\+%22error%22\+%3A\+%22Directory\+not\+found%22\+%2C\+%22exception%22\+%3A\+%22com\.sequoiacm`, raw)
			plain, err := url.QueryUnescape(raw)
			require.NoError(t, err)
			assert.Contains(t, plain, `"message" : "directory not exist:path=/nö pe/" , "path" : "/api/v1/directories/path/nö pe/" }`)
			assert.Empty(t, r.body)
		}},
		{name: "3.2 HEAD without charset: raw JSON", req: "HEAD P/directories/path/nope/?workspace_name=docs", status: 404, code: -241, then: func(t *testing.T, r reply) {
			assert.True(t, strings.HasPrefix(r.header.Get("X-SCM-ERROR"), `{ "timestamp" : `), r.header.Get("X-SCM-ERROR"))
			assert.NotContains(t, r.header, http.CanonicalHeaderKey("X-SCM-ERROR-CHARSET"))
		}},
		{name: "3.2 framework error on HEAD", req: "HEAD P/directories", lines: []string{"X-SCM-ERROR-CHARSET: utf-8"}, status: 400, then: bare},
		{name: "3.3 500 for most", req: "DELETE P/workspaces/nope", status: 500, code: -205, has: `"error":"Workspace is not exist"`},
		{name: "3.3 404 for a site", req: "GET P/sites/nope", status: 404, code: -204},
		{name: "1.7 list", req: "GET P/directories?workspace_name=docs", header: "Content-Type: application/json;charset=utf-8",
			body: `[{ "name" : "/" , "parent_directory_id" : "-1" , "id" : "000000000000000000000000" , "user" : "admin" , "update_user" : "admin" , "create_time" : 1705307400000 , "update_time" : 1705307400000 , "version" : 1 }]`},
		{name: "1.7 empty list", req: "GET P/directories?workspace_name=docs&limit=0", header: "Content-Type: application/json;charset=utf-8", body: `[]`},
		{name: "1.7 list fails before its first row", req: "GET P/directories?workspace_name=nope", status: 500, code: -205},
		{name: "1.7 wildcard Accept", req: "GET P/directories?workspace_name=docs&limit=0", lines: []string{"Accept: */*"}, body: `[]`},
	})
}

func regexpFields(s string) string {
	return strings.NewReplacer("com.sequoiacm.exception.", `com\.sequoiacm\.exception\.`).Replace(s)
}

// A raw connection: what net/http's client would not send.
func TestConformanceRawRequests(t *testing.T) {
	s := newSite(t)
	ask := func(t *testing.T, text string) *http.Response {
		c, err := net.Dial("tcp", s.http.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = c.Write([]byte(strings.ReplaceAll(s.fill(text), "\n", "\r\n")))
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		_ = res.Body.Close()
		return res
	}
	t.Run("header names in lower case", func(t *testing.T) {
		res := ask(t, "GET /rootsite/api/v1/workspaces/?&filter= HTTP/1.1\nhost: x\nx-auth-token: {token}\n\n")
		assert.Equal(t, 200, res.StatusCode)
	})
	t.Run("form in chunks", func(t *testing.T) {
		res := ask(t, "POST /rootsite/api/v1/directories HTTP/1.1\nHost: x\nx-auth-token: {token}\nContent-Type: application/x-www-form-urlencoded\nTransfer-Encoding: chunked\n\n"+
			"e\nworkspace_name\n12\n=docs&path=%2Fchun\n2\nks\n0\n\n")
		assert.Equal(t, 200, res.StatusCode)
		assert.Equal(t, 200, s.send(t, "HEAD P/directories/path/chunks/?workspace_name=docs", "").status)
	})
	t.Run("form cut off", func(t *testing.T) {
		res := ask(t, "POST /rootsite/api/v1/directories HTTP/1.1\nHost: x\nx-auth-token: {token}\nContent-Type: application/x-www-form-urlencoded\nTransfer-Encoding: chunked\n\n"+
			"1\nw\nnonsense\n")
		assert.Equal(t, 400, res.StatusCode)
	})
	t.Run("a session error leaves the body unread", func(t *testing.T) {
		res := ask(t, "POST /rootsite/api/v1/directories HTTP/1.1\nHost: x\nx-auth-token: nope\nContent-Type: application/x-www-form-urlencoded\nExpect: 100-continue\nContent-Length: 1000\n\n")
		assert.Equal(t, 401, res.StatusCode, "not 100")
	})
	t.Run("HTTP/1.0", func(t *testing.T) {
		res := ask(t, "GET /rootsite/api/v1/workspaces HTTP/1.0\nx-auth-token: {token}\n\n")
		assert.Equal(t, 200, res.StatusCode)
	})
}
