package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// open are the requests that need no session, and why.
var open = map[string]string{
	"POST /login": "it is the login", "POST /auth/login": "likewise", "POST /v2/localLogin": "likewise", "POST /auth/v2/localLogin": "likewise",
	"POST /logout": "it names the session itself", "POST /auth/logout": "likewise", "POST /auth/api/v2/salt": "it comes before a login",
	"GET /health": "it says nothing", "GET /rootsite/internal/v1/health": "it says nothing", "GET /internal/v1/health": "it says nothing",
}

// endpoints are the paths that the router tells apart, with each verb. Those of
// the store come from the lists that the router and its counters use.
func endpoints() []string {
	var paths []string
	for _, prefix := range []string{"/api/v1/", "/rootsite/api/v1/", "/zuul/rootsite/api/v1/", "/ROOTSITE/api/v1/"} {
		for _, noun := range append([]string{"", "other"}, nouns...) {
			paths = append(paths, prefix+noun)
			for _, action := range append([]string{"", "id", "id/x", "path/x", "name"}, actions...) {
				paths = append(paths, prefix+noun+"/"+action, prefix+noun+"/x/"+action, prefix+noun+"/id/x/"+action)
			}
		}
	}
	for _, version := range []string{"v1", "v2", "v3"} {
		for _, noun := range append([]string{"", "other"}, authNouns...) {
			paths = append(paths, "/auth/api/"+version+"/"+noun, "/auth/api/"+version+"/"+noun+"/x", "/auth/api/"+version+"/"+noun+"/x/y")
		}
	}
	paths = append(paths, "/auth", "/auth/x", "/admin-server", "/admin-server/x", "/other/api/v1/files", "/rootsite/other", "/",
		"/login", "/logout", "/v2/localLogin", "/auth/login", "/auth/logout", "/auth/v2/localLogin", "/health", "/rootsite/internal/v1/health", "/internal/v1/health")
	return paths
}

// Nothing but what is listed above is answered without a session.
func TestEveryEndpointAsksForASession(t *testing.T) {
	s := newSite(t)
	h := s.srv.Handler()
	asked := 0
	for _, path := range endpoints() {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"} {
			if open[method+" "+path] != "" || strings.HasSuffix(path, "/health") {
				continue // health answers every verb alike
			}
			for _, tok := range []string{"", "0c7f6c0e-6a0e-4b7b-9c7f-3c1e5c8d2f11", s.token + " ", strings.ToUpper(s.token)} {
				r := httptest.NewRequest(method, path+"?workspace_name=docs", strings.NewReader("name=x"))
				if tok != "" {
					r.Header[http.CanonicalHeaderKey(wire.HeaderToken)] = []string{tok}
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				asked++
				// 404 and 405: there is nothing at all; 500: the firewall of paths.
				assert.Contains(t, []int{400, 401, 403, 404, 405, 500}, w.Code, "%s %s with %q", method, path, tok)
				assert.Equal(t, "close", w.Header().Get("Connection"), "%s %s", method, path)
				assert.Empty(t, w.Header().Get(wire.HeaderToken), "%s %s with %q", method, path, tok)
				if !strings.HasPrefix(path, "/login") && (w.Code == 404 || w.Code == 405) && strings.Contains(path, "/api/v1/files") && tok == "" {
					assert.Contains(t, w.Body.String(), "Service does not exist", "%s %s: a stranger is told what exists", method, path)
				}
			}
		}
	}
	assert.Greater(t, asked, 5000)
	assert.Equal(t, 200, s.send(t, "GET P/workspaces", "").status, "the same with a session")
	for req := range open {
		w := httptest.NewRecorder()
		method, path, _ := strings.Cut(req, " ")
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		assert.NotEqual(t, 403, w.Code, "%s is listed as open and is not: delete it from the list", req)
	}
}

// The test above goes by the router's own words. This one sees that it knows all.
func TestRouterHasNoWordsThatTheTestDoesNotKnow(t *testing.T) {
	known := map[string]bool{}
	for _, p := range endpoints() {
		for _, seg := range strings.Split(p, "/") {
			known[seg] = true
		}
	}
	f, err := parser.ParseFile(token.NewFileSet(), "request.go", nil, 0)
	require.NoError(t, err)
	g, err := parser.ParseFile(token.NewFileSet(), "dispatch.go", nil, 0)
	require.NoError(t, err)
	word, seen := regexp.MustCompile(`^"[A-Za-z0-9-]+"$`), 0
	for _, decl := range append(f.Decls, g.Decls...) {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "parse" && fn.Name.Name != "route" && fn.Name.Name != "serveAPI" {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && word.MatchString(lit.Value) && lit.Value != `"Connection"` && lit.Value != `"close"` && lit.Value != `"status"` && lit.Value != `"UP"` {
				seen++
				assert.True(t, known[strings.Trim(lit.Value, `"`)], "the router tells %s apart, the test of sessions does not try it", lit.Value)
			}
			return true
		})
	}
	assert.Greater(t, seen, 20)
}

// Whatever a name or an id says, nothing comes to be outside of the store.
func TestNamesCannotLeaveTheStore(t *testing.T) {
	s := newSite(t)
	large := strings.Repeat("evil", 20_000) // small content is kept with its record
	for _, evil := range []string{"..", ".", "../x", "../../x", "/etc/x", "a/../../x", "x\x00y", "..\\x", strings.Repeat("../", 40) + "tmp/evil", "%2e%2e/x"} {
		raw, double := strings.ReplaceAll(wire.Escape(evil), "+", "%20"), wire.Escape(wire.Escape(evil))
		for _, name := range []string{raw, double, evil} {
			if strings.ContainsAny(name, "\x00") {
				continue
			}
			for _, path := range []string{"P/breakpointfiles/" + name, "P/files/" + name, "P/files/id/" + name, "P/files/path/" + name, "P/directories/id/" + name,
				"P/directories/path/" + name, "P/workspaces/" + name, "auth/" + name, name + "/api/v1/files"} {
				if !strings.HasPrefix(path, "P/") {
					path = "/" + path
				}
				for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
					s.send(t, method+" "+path+"?workspace_name=docs&offset=0&is_last_content=true", "evil", "Content-Type: binary/octet-stream")
				}
			}
		}
		s.send(t, "POST P/files?workspace_name=docs", large, "description: "+wire.Escape(`{"name":`+string(wire.AppendJSON(nil, evil))+`}`))
		s.send(t, "POST P/files?workspace_name=docs", large, "description: "+wire.Escape(`{"name":"n","id":`+string(wire.AppendJSON(nil, evil))+`}`))
		s.send(t, "POST P/directories", "workspace_name=docs&parent_directory_id={root}&name="+wire.Escape(evil), formType)
		s.send(t, "POST P/workspaces/"+raw, "", formType)
		s.send(t, "POST P/files?workspace_name="+wire.Escape(evil), "evil", "description: "+wire.Escape(`{"name":"n"}`))
	}
	dir, content := s.dir, 0
	require.NoError(t, filepath.WalkDir(filepath.Dir(dir), func(p string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		switch {
		case err != nil:
			return err
		case regexp.MustCompile(`^data/[0-9a-f]{2}/[0-9a-f]{24}$`).MatchString(rel) && e.Type().IsRegular():
			content++
		case rel != "." && rel != ".." && rel != "data" && rel != "meta.db" && rel != "lock" && !regexp.MustCompile(`^data/[0-9a-f]{2}$`).MatchString(rel):
			t.Errorf("%s came to be", p)
		}
		return nil
	}))
	assert.Positive(t, content, "some of it is a fine name")
	assert.NoFileExists(t, filepath.Join(os.TempDir(), "evil"))
}

// A form of nothing but separators is refused before it becomes 16 times as large.
func TestManyParameters(t *testing.T) {
	s := newSite(t)
	r := s.send(t, "POST P/directories", strings.Repeat("&", maxPairs+1), formType)
	assert.Equal(t, 400, r.status)
	r = s.send(t, "POST P/directories", "workspace_name=docs&parent_directory_id={root}&name=n"+strings.Repeat("&", 100), formType)
	assert.Equal(t, 200, r.status, r.body)
}

// The throttle remembers a name of 60 KiB as shortly as any other.
func TestThrottleKeysAreShort(t *testing.T) {
	s := newSite(t)
	require.Equal(t, 401, s.send(t, "POST /login", "password=x&username="+strings.Repeat("x", 60<<10), formType, "x-auth-token:").status)
	s.srv.throttle.mu.Lock()
	defer s.srv.throttle.mu.Unlock()
	require.Len(t, s.srv.throttle.fails, 1)
	for key := range s.srv.throttle.fails {
		assert.LessOrEqual(t, len(key), 32)
	}
}

// Who waits for a password's check and goes away takes no place.
func TestPasswordChecksAreFew(t *testing.T) {
	s := newSite(t)
	for range cap(s.srv.hashing) {
		s.srv.hashing <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "POST", "/login", bytes.NewBufferString("username=admin&password=admin"))
	r.Header.Set("Content-Type", wire.ContentTypeForm)
	w := httptest.NewRecorder()
	s.srv.Handler().ServeHTTP(w, r)
	assert.Equal(t, 401, w.Code)
	<-s.srv.hashing
	assert.Equal(t, 200, s.send(t, "POST /login", "username=admin&password=admin", formType, "x-auth-token:").status)
	assert.Len(t, s.srv.hashing, cap(s.srv.hashing)-1)
}

// A connection that says nothing, and one that says its headers slowly, are closed.
func TestSlowHeaders(t *testing.T) {
	s := newSite(t, func(o *siteOptions) { o.server.HeaderTimeout = 50 * time.Millisecond })
	v := serve(t, s.srv)
	for _, said := range []string{"", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX: "} {
		c, err := net.Dial("tcp", v.addr)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = fmt.Fprint(c, said)
		require.NoError(t, err)
		_, err = bufio.NewReader(c).ReadString(0)
		nerr, timeout := err.(net.Error) //nolint:errorlint // as it comes
		assert.False(t, timeout && nerr.Timeout(), "after %q the connection stays", said)
		_ = c.Close()
	}
	v.stop()
	assert.NoError(t, <-v.done)
}
