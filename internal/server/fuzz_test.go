package server

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// FuzzRequest is for all that the server reads of a request: it answers with a
// status of HTTP's, never panics, and what a stranger sends is never carried out.
func FuzzRequest(f *testing.F) {
	form := wire.ContentTypeForm
	for _, s := range [][5]string{
		{"GET", "/rootsite/api/v1/files/?workspace_name=docs&filter=%7Bname%3A'x'%7D&orderby=%7B%22id%22%3A1%7D&skip=0&limit=10", "", "", ""},
		{"GET", "/api/v1/directories/id/000000000000000000000000/listfiles?workspace_name=docs&selector=%7B%22id%22%3Anull%7D", "", "", ""},
		{"POST", "/zuul/rootsite/api/v1/files?workspace_name=docs", "%7B%22name%22%3A%22n%22%2C%22custom_metadata%22%3A%7B%22a%22%3A%22b%22%7D%7D", "", "content"},
		{"PUT", "/api/v1/files/6553f100510003001a2b3c01?workspace_name=docs&major_version=1&minor_version=0", "", form, "file_info=%7B%22name%22%3A%22m%22%7D"},
		{"POST", "/api/v1/breakpointfiles/b?workspace_name=docs&checksum_type=CRC32", "", "", "abc"},
		{"PUT", "/api/v1/breakpointfiles/b?workspace_name=docs&offset=3&is_last_content=true", "", "", "def"},
		{"POST", "/api/v1/directories", "", form, "workspace_name=docs&name=d&parent_directory_id=000000000000000000000000"},
		{"POST", "/api/v1/directories", "", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"workspace_name\"\r\n\r\ndocs\r\n--b--\r\n"},
		{"POST", "/api/v1/workspaces/w", "", form, "workspace_conf=%7B%22name%22%3A%22w%22%7D"},
		{"POST", "/auth/api/v2/users/u", "", form, "password_type=LOCAL&password=0000ffff"},
		{"PUT", "/api/v1/roles/r/grant", "", form, "resource_type=workspace&resource=docs&privilege=ALL"},
		{"HEAD", "/api/v1/files/path/%2e%2e/%00;x=y//a?workspace_name=docs", "", "", ""},
		{"GET", "/api/v1/files/x?workspace_name=docs&offset=-1&length=99999999999999999999", "", "", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3], s[4])
	}
	r, err := repo.Open(f.TempDir(), repo.Options{Site: "rootSite", HashCost: 4})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = r.Close() })
	if err := r.Provision("admin", "docs", true); err != nil {
		f.Fatal(err)
	}
	srv := New(r, Options{})
	f.Fuzz(func(t *testing.T, method, target, description, contentType, body string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || !strings.HasPrefix(target, "/") || len(body) > 1<<20 || strings.ContainsAny(method, " \r\n") || method == "" {
			return
		}
		do := func(token string) int {
			req := &http.Request{Method: method, URL: u, Host: "h", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:1", RequestURI: target,
				Header: http.Header{"Description": {description}, "Content-Type": {contentType}}, Body: http.NoBody, ContentLength: int64(len(body))}
			if body != "" {
				req.Body = readCloser{strings.NewReader(body)}
			}
			req.Header.Set(wire.HeaderToken, token)
			w := httptest.NewRecorder()
			srv.Handler().ServeHTTP(w, req.WithContext(t.Context()))
			return w.Code
		}
		token := srv.sessions.create("admin").id
		defer srv.sessions.remove(token)
		if code := do(""); code < 400 && !strings.Contains(target, "health") && !strings.Contains(target, "salt") && !strings.Contains(strings.ToLower(target), "log") {
			t.Fatalf("%s %s is answered with %d without a session", method, target, code)
		}
		if code := do(token); code < 200 || code > 599 {
			t.Fatalf("%s %s: status %d", method, target, code)
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
