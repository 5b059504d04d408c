package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// matrixProxy stands between a mount and its server and knows the protocol's
// endpoints. A rule belongs to one workspace, so that many cells of the matrix
// run beside each other on one mount. Requests without a workspace (login, the
// list of workspaces) have the workspace "".
type matrixProxy struct {
	server   *httptest.Server
	upstream string
	out      *http.Transport
	ending   chan struct{} // closed with the proxy: nothing is held back any more

	mu    sync.Mutex
	rules map[string]*rule
	seen  map[string]map[string]bool // endpoints by workspace, while somebody looks
	busy  map[string]int             // requests under way at the server
}

// rule is one fault at one endpoint.
type rule struct {
	endpoint string
	fault    *matrixFault
	once     bool
	hits     int
}

// matrixFault is what happens to a request; it answers it, or breaks the connection.
type matrixFault struct {
	name string
	body bool // only a request with a body can have it
	do   func(x *exchange)
}

// exchange is one request on its way.
type exchange struct {
	p    *matrixProxy
	ws   string
	w    http.ResponseWriter
	r    *http.Request
	body []byte
}

func newMatrixProxy(t *testing.T, upstream string) *matrixProxy {
	p := &matrixProxy{upstream: "http://" + upstream, out: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 128},
		ending: make(chan struct{}), rules: map[string]*rule{}, seen: map[string]map[string]bool{}, busy: map[string]int{}}
	p.server = httptest.NewServer(p)
	t.Cleanup(func() {
		close(p.ending)
		p.server.CloseClientConnections()
		p.server.Close()
		p.out.CloseIdleConnections()
	})
	return p
}

func (p *matrixProxy) addr() string { return p.server.Listener.Addr().String() }

// set gives a workspace a fault until lift.
func (p *matrixProxy) set(ws, endpoint string, f *matrixFault, once bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules[ws] = &rule{endpoint: endpoint, fault: f, once: once}
}

// lift takes it away and tells how often it happened.
func (p *matrixProxy) lift(ws string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rules[ws]
	delete(p.rules, ws)
	if r == nil {
		return 0
	}
	return r.hits
}

// watch begins to note a workspace's endpoints; the returned function ends that.
func (p *matrixProxy) watch(ws string) func() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[ws] = map[string]bool{}
	return func() map[string]bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		defer delete(p.seen, ws)
		return p.seen[ws]
	}
}

// idle tells whether nothing of a workspace is on its way to the server.
func (p *matrixProxy) idle(ws string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy[ws] == 0
}

func (p *matrixProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := wholeBody(r.Body, r.ContentLength)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	endpoint, ws := endpointOf(r, body)
	x := &exchange{p: p, ws: ws, w: w, r: r, body: body}
	p.mu.Lock()
	p.busy[ws]++
	if s := p.seen[ws]; s != nil {
		s[endpoint] = true
	}
	rule := p.rules[ws]
	hit := rule != nil && rule.endpoint == endpoint && (!rule.once || rule.hits == 0)
	if hit {
		rule.hits++
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy[ws]--
	}()
	if hit {
		rule.fault.do(x)
		return
	}
	x.answer(x.forward(len(body)))
}

// wholeBody reads a body of a known length into memory. io.ReadAll, which grows its
// own time and again, was two thirds of what the matrix cost under the race detector.
func wholeBody(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		return io.ReadAll(r)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// endpointOf names a request's endpoint and its workspace.
func endpointOf(r *http.Request, body []byte) (endpoint, ws string) {
	q := r.URL.Query()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, _ := url.ParseQuery(string(body))
		for k, v := range form {
			q[k] = v
		}
	}
	ws = q.Get("workspace_name")
	_, rest, ok := strings.Cut(r.URL.Path, "/rootsite/api/v1/")
	if !ok {
		return r.Method + " " + r.URL.Path, ws
	}
	part := strings.Split(strings.Trim(rest, "/"), "/")
	switch {
	case len(part) == 1:
	case part[0] == "files" && (part[1] == "id" || part[1] == "path"):
		part = []string{"files", part[1], "{}"}
	case part[0] == "directories" && len(part) > 2:
		part[2] = "{}"
	default:
		part[1] = "{}"
	}
	endpoint = r.Method + " /" + strings.Join(part, "/")
	switch {
	case q.Get("breakpoint_file") != "":
		endpoint += " convert"
	case q.Get("file_info") != "":
		endpoint += " property"
	case endpoint == "GET /files/{}" && q.Get("length") != "":
		endpoint += " range"
	}
	return endpoint, ws
}

// served is a whole answer of the server.
type served struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// forward has the server carry the request out, whatever became of who asked;
// with n below the body's length the server sees a connection that breaks there.
func (x *exchange) forward(n int) served {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), patience)
	defer cancel()
	var body io.Reader = bytes.NewReader(x.body)
	if n < len(x.body) {
		body = io.MultiReader(bytes.NewReader(x.body[:n]), &brokenBody{})
	}
	req, err := http.NewRequestWithContext(ctx, x.r.Method, x.p.upstream+x.r.URL.RequestURI(), body)
	if err != nil {
		return served{err: err}
	}
	req.Header, req.ContentLength = x.r.Header.Clone(), int64(len(x.body))
	if len(x.body) == 0 {
		req.Body = nil
	}
	res, err := x.p.out.RoundTrip(req)
	if err != nil {
		return served{err: err}
	}
	defer res.Body.Close()
	size := res.ContentLength
	if x.r.Method == http.MethodHead {
		size = 0
	}
	b, err := wholeBody(res.Body, size)
	return served{status: res.StatusCode, header: res.Header, body: b, err: err}
}

// brokenBody is a body that breaks.
type brokenBody struct{}

func (*brokenBody) Read([]byte) (int, error) { return 0, errors.New("cut by the proxy") }

// answer passes an answer on; a server that is gone is a connection that breaks.
func (x *exchange) answer(a served) {
	if a.err != nil {
		x.reset(nil)
		return
	}
	x.head(a)
	_, _ = x.w.Write(a.body)
}

func (x *exchange) head(a served) {
	for k, v := range a.header {
		x.w.Header()[k] = v
	}
	if x.r.Method != http.MethodHead {
		x.w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	x.w.WriteHeader(a.status)
}

// wire is an answer as it goes over the line, and where its body begins.
func (a served) wire() ([]byte, int) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	h := a.header.Clone()
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	_ = h.Write(&b)
	b.WriteString("\r\n")
	head := b.Len()
	b.Write(a.body)
	return b.Bytes(), head
}

// reset sends raw bytes and then a TCP reset.
func (x *exchange) reset(raw []byte) {
	c, _, err := x.w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = c.Write(raw)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// pause returns false when the proxy ends.
func (x *exchange) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.p.ending:
		return false
	}
}

// hang answers nothing more until the client has gone.
func (x *exchange) hang() {
	select {
	case <-x.r.Context().Done():
	case <-x.p.ending:
	}
	panic(http.ErrAbortHandler)
}
