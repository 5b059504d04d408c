package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// site is a served store that is asked as the reference driver asks: requests
// are written out literally and answers compared with the text's words.
// Workspaces: "docs" with directories and "flat" without; admin may everything.
type site struct {
	t     *testing.T
	dir   string // of the store
	repo  *repo.Repo
	srv   *Server
	http  *httptest.Server
	clock *atomic.Int64 // ms, moved by tests only
	log   *logText
	token string // of admin, sent unless a call says otherwise
	vars  map[string]string
}

// siteStart is the clock's first reading, 2024-01-15 08:30:00 UTC as in the text's examples.
const siteStart = int64(1705307400000)

type siteOptions struct {
	repo   repo.Options
	server Options
}

func newSite(t *testing.T, change ...func(*siteOptions)) *site {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	s := &site{t: t, clock: &atomic.Int64{}, log: &logText{}, vars: map[string]string{"root": wire.RootDirID}}
	s.clock.Store(siteStart)
	now := func() time.Time { return time.UnixMilli(s.clock.Load()) }
	l := logrus.New()
	l.SetOutput(s.log)
	l.SetLevel(logrus.DebugLevel)
	o := siteOptions{repo: repo.Options{Site: "rootSite", Now: now, HashCost: 4}, server: Options{Now: now, Logger: l}}
	for _, fn := range change {
		fn(&o)
	}
	s.dir = t.TempDir()
	r, err := repo.Open(s.dir, o.repo)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	require.NoError(t, r.Provision("admin", "docs", true))
	require.NoError(t, r.Provision("admin", "flat", false))
	s.repo, s.srv = r, New(r, o.server)
	s.http = httptest.NewServer(s.srv.Handler())
	t.Cleanup(func() { s.http.Close() })
	s.token = s.srv.sessions.create("admin").id
	s.vars["token"] = s.token
	return s
}

// logText collects what the server logs.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// reply is an answer read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// formType is the reference driver's, with its charset.
const formType = "Content-Type: application/x-www-form-urlencoded; charset=UTF-8"

// fill puts the values of s.vars in place of {name}; "P/" at the beginning is
// the site's prefix.
func (s *site) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		if v, ok := s.vars[m[1:len(m)-1]]; ok {
			return v
		}
		return m
	})
}

var placeholder = regexp.MustCompile(`\{[a-z][A-Za-z0-9]*\}`)

// send makes one request, "METHOD target", with admin's token unless a header
// "x-auth-token: …" is among the lines ("x-auth-token:" sends none).
func (s *site) send(t testing.TB, req, body string, lines ...string) reply {
	t.Helper()
	method, target, _ := strings.Cut(req, " ")
	target = s.fill(target)
	if rest, ok := strings.CutPrefix(target, "P/"); ok {
		target = "/rootsite/api/v1/" + rest
	}
	u, err := url.ParseRequestURI(target)
	require.NoError(t, err)
	u.Scheme, u.Host = "http", s.http.Listener.Addr().String()
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}
	if body != "" {
		body = s.fill(body)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	token := s.token
	for _, line := range lines {
		k, v, _ := strings.Cut(line, ":")
		if v = s.fill(strings.TrimSpace(v)); strings.EqualFold(k, wire.HeaderToken) {
			token = v
			continue
		}
		r.Header.Set(k, v)
	}
	if token != "" {
		r.Header.Set(wire.HeaderToken, token)
	}
	res, err := s.http.Client().Do(r)
	require.NoError(t, err, req)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err, req)
	return reply{res.StatusCode, res.Header, string(b)}
}

// code is the error's "status": of the body, or of X-SCM-ERROR; 0 without one.
func (r reply) code(t testing.TB) int {
	t.Helper()
	text := r.body
	if h := r.header.Get("X-SCM-ERROR"); h != "" {
		text = h
		if r.header.Get("X-SCM-ERROR-CHARSET") != "" {
			plain, err := url.QueryUnescape(h)
			require.NoError(t, err)
			text = plain
		}
	}
	if text == "" || r.status == http.StatusOK {
		return 0
	}
	var e struct{ Status int }
	require.NoError(t, json.Unmarshal([]byte(text), &e), text)
	return e.Status
}

// call is one row of a conformance table.
type call struct {
	name   string // section of the text, or the test of the vendor that pins it
	req    string // "METHOD target"
	form   string // body, urlencoded unless lines say otherwise
	lines  []string
	status int    // HTTP; 0 means 200
	code   int    // of the error; 0 means none
	body   string // exactly, after [site.fill]
	has    string // part of the body, after [site.fill]
	header string // "name: value" exactly, after [site.fill]
	save   string // name under which the answer's id is kept in vars
	then   func(t *testing.T, r reply)
}

// run sends the calls one after the other, each as a subtest.
func (s *site) run(t *testing.T, calls []call) {
	t.Helper()
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) { s.one(t, c) })
	}
}

func (s *site) one(t *testing.T, c call) {
	t.Helper()
	lines := c.lines
	if c.form != "" {
		lines = append([]string{formType}, lines...)
	}
	r := s.send(t, c.req, c.form, lines...)
	want := c.status
	if want == 0 {
		want = http.StatusOK
	}
	require.Equal(t, want, r.status, "%s: %s %v", c.req, r.body, r.header)
	assert.Equal(t, c.code, r.code(t), "%s: %s", c.req, r.body)
	if c.body != "" {
		assert.Equal(t, s.fill(c.body), r.body)
	}
	if c.has != "" {
		assert.Contains(t, r.body, s.fill(c.has))
	}
	if c.header != "" {
		k, v, _ := strings.Cut(c.header, ": ")
		assert.Equal(t, s.fill(v), r.header.Get(k), k)
	}
	if c.save != "" {
		s.vars[c.save] = r.id(t)
	}
	if c.then != nil {
		c.then(t, r)
	}
}

// id finds the record's id in a body, or in one of the record headers.
func (r reply) id(t testing.TB) string {
	t.Helper()
	text := r.body
	for _, h := range []string{"directory", "file", "file_info"} {
		if v := r.header.Get(h); v != "" {
			plain, err := url.QueryUnescape(v)
			require.NoError(t, err)
			text = plain
		}
	}
	m := idField.FindStringSubmatch(text)
	require.NotNil(t, m, text)
	return m[1]
}

var idField = regexp.MustCompile(`"id" ?: ?"([0-9a-f]{24})"`)

// mkdir makes directories by path, each kept in vars under its last name.
func (s *site) mkdir(t testing.TB, paths ...string) {
	t.Helper()
	for _, p := range paths {
		r := s.send(t, "POST P/directories", "workspace_name=docs&path="+url.QueryEscape(p), formType)
		require.Equal(t, 200, r.status, r.body)
		s.vars[p[strings.LastIndexByte(p, '/')+1:]] = r.id(t)
	}
}

// mkfile makes a small file, kept in vars under its name without extension.
func (s *site) mkfile(t testing.TB, dir, name, more string) {
	t.Helper()
	desc := s.fill(`{"name":"` + name + `","directory_id":"{` + dir + `}"` + more + `}`)
	r := s.send(t, "POST /zuul/rootsite/api/v1/files/?workspace_name=docs", "x", "Content-Type: binary/octet-stream",
		"description: "+wire.Escape(desc))
	require.Equal(t, 200, r.status, r.body)
	base, _, _ := strings.Cut(name, ".")
	s.vars[base] = r.id(t)
}

// login makes a user with a role of the same name and the grants, each
// "type|resource|privilege", and keeps a token of his in vars under his name.
func (s *site) login(t testing.TB, user string, grants ...string) {
	t.Helper()
	ok := func(req, form string) {
		t.Helper()
		lines := []string{formType}
		if form == "" {
			lines = nil
		}
		r := s.send(t, req, form, lines...)
		require.Equal(t, 200, r.status, "%s %s", req, r.body)
	}
	ok("POST /auth/api/v1/users/"+user, "password_type=LOCAL&password=pw-"+user)
	ok("POST /auth/api/v1/roles/"+user, "")
	ok("PUT /auth/api/v1/users/"+user, "add_roles=ROLE_"+user)
	for _, g := range grants {
		p := strings.SplitN(g, " ", 3)
		ok("PUT P/roles/"+user+"/grant", "resource_type="+p[0]+"&resource="+url.QueryEscape(p[1])+"&privilege="+url.QueryEscape(p[2]))
	}
	s.vars[user] = s.srv.sessions.create(user).id
}
