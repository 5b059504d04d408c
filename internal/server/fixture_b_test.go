package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// gateway is a served store as the reference driver sees it: plain HTTP requests
// with the driver's URLs, headers and bodies, not our client's. Its clock stands
// still until a test moves it. Workspaces: "ws1" with directories, "flat" without.
type gateway struct {
	t      testing.TB
	repo   *repo.Repo
	dir    string // of the store
	srv    *Server
	http   *httptest.Server
	faults *Faults
	clock  *atomic.Int64 // ms
	watch  *atomic.Pointer[watch]
	token  string
}

// watch tells when the server has read so much of a body that was sent to it, or
// with a method when a request with that method has arrived.
type watch struct {
	want   int64
	method string
	got    atomic.Int64
	once   sync.Once
	done   chan struct{}
}

func (w *watch) note(n int) {
	if w != nil && w.got.Add(int64(n)) >= w.want {
		w.once.Do(func() { close(w.done) })
	}
}

// watchedBody reports to the watch that is set, also that reading begins.
type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b watchedBody) Read(p []byte) (int, error) {
	b.watch.note(0)
	n, err := b.ReadCloser.Read(p)
	b.watch.note(n)
	return n, err
}

var errSource = errors.New("source broke")

// brokenSource ends in errSource once the server has read what came before.
type brokenSource struct{ *watch }

func (b brokenSource) Read([]byte) (int, error) { <-b.done; return 0, errSource }

// broken sends content and breaks the connection when the server has read all of
// it: what it locks and writes before reading is locked and written then.
func (g *gateway) broken(method, path string, header http.Header, content []byte) {
	g.t.Helper()
	w := &watch{want: int64(len(content)), done: make(chan struct{})}
	g.watch.Store(w)
	defer g.watch.Store(nil)
	_, err := g.raw(method, path, header, io.MultiReader(bytes.NewReader(content), brokenSource{w}))
	require.ErrorIs(g.t, err, errSource)
}

// epoch is second 1700000000 of the text's examples, and a few milliseconds.
const epoch = int64(1700000000123)

type gatewayOptions struct {
	repo   repo.Options
	server Options
}

func newGateway(t testing.TB, change ...func(*gatewayOptions)) *gateway {
	t.Helper()
	if tt, ok := t.(*testing.T); ok {
		tt.Cleanup(func() { goleak.VerifyNone(tt) })
	}
	var o gatewayOptions
	for _, fn := range change {
		fn(&o)
	}
	g := &gateway{t: t, clock: &atomic.Int64{}, faults: NewFaults(1)}
	g.clock.Store(epoch)
	now := func() time.Time { return time.UnixMilli(g.clock.Load()) }
	if o.repo.Now == nil {
		o.repo.Now, o.server.Now = now, now
	}
	o.repo.Site, o.repo.HashCost, o.server.Faults = "rootSite", 4, g.faults
	var err error
	g.dir = t.TempDir()
	g.repo, err = repo.Open(g.dir, o.repo)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, g.repo.Close()) })
	require.NoError(t, g.repo.Provision("admin", "ws1", true))
	require.NoError(t, g.repo.Provision("admin", "flat", false))
	g.srv = New(g.repo, o.server)
	g.token = g.srv.sessions.create("admin").id
	g.watch = &atomic.Pointer[watch]{}
	handler := g.srv.Handler()
	g.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if watch := g.watch.Load(); watch != nil {
			if r.Body = (watchedBody{r.Body, watch}); watch.method == r.Method {
				watch.note(0)
			}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(g.http.Close)
	return g
}

// as is the same gateway for another user with the given grants, each "type
// resource privilege".
func (g *gateway) as(user string, grants ...[3]string) *gateway {
	g.t.Helper()
	admin := repo.Caller{User: "admin"}
	if _, known := g.repo.User(user); !known {
		_, err := g.repo.PutUser(admin, user, "", "pw")
		require.NoError(g.t, err)
		_, err = g.repo.PutRole(admin, user, "")
		require.NoError(g.t, err)
		_, err = g.repo.ChangeUser(admin, user, repo.UserChange{AddRoles: []string{user}})
		require.NoError(g.t, err)
	}
	for _, gr := range grants {
		p, err := repo.ParsePrivilege(gr[2])
		require.NoError(g.t, err)
		require.NoError(g.t, g.repo.Grant(admin, user, gr[0], gr[1], p, false))
	}
	other := *g
	other.token = g.srv.sessions.create(user).id
	return &other
}

// with is the same gateway reporting to a subtest.
func (g *gateway) with(t testing.TB) *gateway {
	other := *g
	other.t = t
	return &other
}

// pattern is pattern(n) of part 2 section 10.1: byte i is i mod 251.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// answer is a response read to its end.
type answer struct {
	t      testing.TB
	method string
	status int
	header http.Header
	body   []byte
	cut    error // the body broke
	took   time.Duration
}

// raw sends one request; path is everything behind host and port, as the driver
// would write it. A body that is not nil goes out chunked.
func (g *gateway) raw(method, path string, header http.Header, body io.Reader) (*answer, error) {
	if body != nil {
		body = struct{ io.Reader }{body} // hides the length
	}
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.http.URL, body)
	require.NoError(g.t, err)
	file, query, _ := strings.Cut(path, "?")
	r.URL.Path, err = url.PathUnescape(file)
	require.NoError(g.t, err)
	r.URL.RawPath, r.URL.RawQuery = file, query
	for k, v := range header {
		r.Header[k] = v
	}
	if g.token != "" {
		r.Header.Set("x-auth-token", g.token)
	}
	if method == http.MethodHead {
		r.Header.Set("X-SCM-ERROR-CHARSET", "utf-8")
	}
	start := time.Now()
	resp, err := g.http.Client().Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{t: g.t, method: method, status: resp.StatusCode, header: resp.Header}
	a.body, a.cut = io.ReadAll(resp.Body)
	a.took = time.Since(start)
	return a, nil
}

func (g *gateway) send(method, path string, header http.Header, body io.Reader) *answer {
	g.t.Helper()
	a, err := g.raw(method, path, header, body)
	require.NoError(g.t, err)
	require.NoError(g.t, a.cut)
	return a
}

const (
	api  = "/rootsite/api/v1"
	zuul = "/zuul/rootsite/api/v1"
)

// get, head and del send what the driver sends without a body.
func (g *gateway) get(path string) *answer { g.t.Helper(); return g.send("GET", api+path, nil, nil) }

func (g *gateway) head(path string) *answer { g.t.Helper(); return g.send("HEAD", api+path, nil, nil) }

func (g *gateway) del(path string) *answer { g.t.Helper(); return g.send("DELETE", api+path, nil, nil) }

// form sends a form body as the driver does: '+' for blanks.
func (g *gateway) form(method, path string, header http.Header, pairs ...string) *answer {
	g.t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return g.send(method, api+path, h, strings.NewReader(v.Encode()))
}

// stream sends content on the zuul route, chunked.
func (g *gateway) stream(method, path, description string, content []byte) *answer {
	g.t.Helper()
	return g.send(method, zuul+path, streamHeader(description), bytes.NewReader(content))
}

func streamHeader(description string) http.Header {
	h := http.Header{"Content-Type": {"binary/octet-stream"}}
	if description != "" {
		h["description"] = []string{wire.Escape(description)}
	}
	return h
}

// query joins parameters with the protocol's encoding.
func query(pairs ...string) string {
	var p wire.Params
	for i := 0; i < len(pairs); i += 2 {
		p = p.Add(pairs[i], pairs[i+1])
	}
	return "?" + p.Encode()
}

// ok wants 200.
func (a *answer) ok() *answer {
	a.t.Helper()
	require.Equal(a.t, 200, a.status, "%s %s", a.header.Get("X-SCM-ERROR"), a.body)
	return a
}

// fails wants an HTTP status and the field status of the error JSON, which HEAD
// has in a header, form-encoded. Framework errors of HEAD have neither.
func (a *answer) fails(status, code int) map[string]any {
	a.t.Helper()
	require.Equal(a.t, status, a.status, "%s", a.body)
	text := a.body
	if a.method == "HEAD" {
		require.Empty(a.t, a.body)
		if code > 0 {
			require.Empty(a.t, a.header.Get("X-SCM-ERROR"))
			return nil
		}
		plain, err := url.QueryUnescape(a.header.Get("X-SCM-ERROR"))
		require.NoError(a.t, err)
		text = []byte(plain)
	}
	var e map[string]any
	require.NoError(a.t, json.Unmarshal(text, &e), "%s", text)
	require.EqualValues(a.t, code, e["status"], "%s", text)
	return e
}

// record is a JSON object whose numbers are exact.
type record map[string]any

func parseRecord(t testing.TB, text string) record {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var r record
	require.NoError(t, d.Decode(&r), "%s", text)
	return r
}

func (r record) str(key string) string { s, _ := r[key].(string); return s }

func (r record) num(key string) int64 {
	n, _ := r[key].(json.Number)
	v, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil {
		return -1 << 62 // not an integer: equal to nothing that is expected
	}
	return v
}

// json is the body as one object.
func (a *answer) json() record { a.t.Helper(); return parseRecord(a.t, string(a.ok().body)) }

// list is the body as an array of objects.
func (a *answer) list() []record {
	a.t.Helper()
	d := json.NewDecoder(bytes.NewReader(a.ok().body))
	d.UseNumber()
	var out []record
	require.NoError(a.t, d.Decode(&out), "%s", a.body)
	return out
}

// names are the values of one field in a list.
func names(list []record, key string) []string {
	out := []string{}
	for _, r := range list {
		out = append(out, r.str(key))
	}
	return out
}

// created is the record in a create's body.
func (a *answer) created() record {
	a.t.Helper()
	f, ok := a.json()["file"].(map[string]any)
	require.True(a.t, ok, "%s", a.body)
	return record(f)
}

// inHeader is the record that a header carries, percent-encoded.
func (a *answer) inHeader(name string) record {
	a.t.Helper()
	require.Empty(a.t, a.ok().body)
	v := a.header.Get(name)
	require.NotContains(a.t, v, "+")
	plain, err := url.PathUnescape(v)
	require.NoError(a.t, err)
	return parseRecord(a.t, plain)
}
