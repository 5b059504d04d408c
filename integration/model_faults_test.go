package integration

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// faultProxy stands between the mount and the server and does one thing wrong
// when it was told to.
type faultProxy struct {
	addr  string
	fired map[string]int

	mu    sync.Mutex
	armed *fault
	fresh int // requests since the last login or restart
}

// fault happens to one request: the one after so many.
type fault struct {
	kind  string
	after int
	then  func() // of kinds that do something themselves
}

var faultKinds = []string{"delay", "error", "error-after", "reset", "lost-reply", "expired", "cut"}

func newFaultProxy(t *testing.T, server string) *faultProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &faultProxy{addr: l.Addr().String(), fired: map[string]int{}}
	target, err := url.Parse("http://" + server)
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:      nil,
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(forward, w, r) })}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return p
}

// arm says what goes wrong next.
func (p *faultProxy) arm(f *fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = f
}

// sessionsEnded is for a restart of the server, which ends every session: an expiry
// on top of that would follow right upon the login, and means a missing privilege
// then (part 1 section 2.5).
func (p *faultProxy) sessionsEnded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = 0
	if p.armed != nil && p.armed.kind == "expired" {
		p.armed = nil
	}
}

// afterLogin is how many requests a session has before it may expire again.
const afterLogin = 8

func (p *faultProxy) take(path string) *fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fresh++; strings.HasSuffix(path, wire.PathLogin) || strings.HasSuffix(path, wire.PathLoginV2) {
		p.fresh = 0
	}
	f := p.armed
	if f == nil || f.kind == "expired" && p.fresh < afterLogin {
		return nil
	}
	if f.after--; f.after >= 0 {
		return nil
	}
	p.armed = nil
	p.fired[f.kind]++
	return f
}

func (p *faultProxy) counts() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.fired {
		n += v
	}
	return n
}

func (p *faultProxy) serve(forward http.Handler, w http.ResponseWriter, r *http.Request) {
	f := p.take(r.URL.Path)
	if f == nil {
		forward.ServeHTTP(w, r)
		return
	}
	switch f.kind {
	case "delay":
		select {
		case <-time.After(70 * time.Millisecond):
		case <-r.Context().Done():
		}
		forward.ServeHTTP(w, r)
	case "error":
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "the proxy says so", http.StatusInternalServerError)
	case "error-after":
		forward.ServeHTTP(discarding{http.Header{}}, r)
		http.Error(w, "the proxy says so", http.StatusInternalServerError)
	case "lost-reply":
		forward.ServeHTTP(discarding{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case "expired":
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, "the proxy says so", http.StatusUnauthorized)
	case "cut":
		// The server sees half of the content and then no more.
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(r.Body, max(r.ContentLength/2, 0)), broken{}), r.Body}
		if r.ContentLength > 0 {
			forward.ServeHTTP(discarding{http.Header{}}, r)
		}
		panic(http.ErrAbortHandler)
	case "kill-server-after", "kill-mount-after":
		forward.ServeHTTP(discarding{http.Header{}}, r)
		f.then()
		panic(http.ErrAbortHandler)
	case "kill-server", "kill-mount":
		f.then()
		panic(http.ErrAbortHandler)
	default: // reset
		panic(http.ErrAbortHandler)
	}
}

// discarding carries a request out and loses its answer.
type discarding struct{ h http.Header }

func (d discarding) Header() http.Header         { return d.h }
func (d discarding) Write(b []byte) (int, error) { return len(b), nil }
func (d discarding) WriteHeader(int)             {}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
