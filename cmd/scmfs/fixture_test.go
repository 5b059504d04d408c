package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/fs"
	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/readcache"
	"github.com/sequoiacm/scmfs/internal/server"
	"github.com/sequoiacm/scmfs/internal/storetest"
	"github.com/sequoiacm/scmfs/writeback"
)

// rig is a running mount without the mount: everything behind the tree.
type rig struct {
	t       *testing.T
	r       *running
	store   *storetest.Server
	gone    chan struct{} // closing it takes the mount away
	web     *httptest.Server
	audited []fs.AuditEvent
}

func newRig(t *testing.T, change ...func(*mountFlags)) *rig {
	t.Helper()
	g := &rig{t: t, store: storetest.Serve(t, storetest.Options{}), gone: make(chan struct{})}
	m := &mountFlags{stateDir: t.TempDir(), http: "127.0.0.1:0", writeMode: "sync", conflict: "version", uploads: 4, increment: 5 << 20,
		spoolFree: 1, cacheSize: 64 << 20, retry: 2 * time.Second, timeout: 10 * time.Second}
	for _, fn := range change {
		fn(m)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	r := &running{m: m, dir: "/mnt/test", log: log, started: time.Now(), meter: newMeter(), token: "the-token", gone: g.gone}
	r.recent = &recentErrors{count: func(level string) { r.meter.logged.WithLabelValues(level).Inc() }}
	log.AddHook(r.recent)
	r.client = g.store.Client(t, func(o *client.Options) { o.Observe, o.RetryTimeout = r.meter.request, -1 })
	var err error
	r.cache, err = readcache.New(readcache.Options{Memory: 64 << 20, Registerer: r.meter.reg})
	require.NoError(t, err)
	o := m.writeback()
	o.Logger, o.Registerer = log, r.meter.reg
	r.queue, err = writeback.Open(disk.OS(), m.stateDir, func(ws string) writeback.Store { return r.client.Workspace(ws) }, o)
	require.NoError(t, err)
	r.meter.reg.MustRegister(newQueueGauges(r))
	r.sampler, r.facts = newSampler(r.meter, r.queue.Pending, func() int64 { return r.cache.Stats().Fetched }), newFacts(r.client, &m.place)
	r.audit = func(e fs.AuditEvent) { g.audited = append(g.audited, e) }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.queue.Run(ctx) }()
	g.r = r
	g.web = httptest.NewServer(r.httpHandler())
	t.Cleanup(func() {
		g.web.Close()
		cancel()
		<-done
		require.NoError(t, r.queue.Close())
		require.NoError(t, r.cache.Close())
	})
	return g
}

// draft writes a file that is published when stuck is false; otherwise the server
// refuses it.
func (g *rig) draft(name, content string, stuck bool) string {
	g.t.Helper()
	ctx := g.t.Context()
	if stuck {
		rule, err := server.ParseFault("error=-109@POST /files#1")
		require.NoError(g.t, err)
		g.store.Faults.Add(rule)
	}
	d, err := g.r.queue.Create(ctx, writeback.Target{Workspace: "ws", Dir: client.RootDir, Name: name}, nil)
	require.NoError(g.t, err)
	_, err = d.WriteAt(ctx, []byte(content), 0)
	require.NoError(g.t, err)
	_, err = d.Publish(ctx)
	require.Equal(g.t, stuck, err != nil, "%v", err)
	require.NoError(g.t, d.Release(ctx))
	return d.ID()
}

// breakpoint makes a breakpoint file at the server.
func (g *rig) breakpoint(name, content string, last bool) {
	g.t.Helper()
	st := g.r.client.Workspace("ws")
	_, err := st.CreateBreakpointFile(g.t.Context(), name, client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
	require.NoError(g.t, err)
	if content != "" {
		_, err = st.AppendBreakpointFile(g.t.Context(), name, 0, bodyOf(content), last)
		require.NoError(g.t, err)
	}
}

func bodyOf(s string) client.Body {
	return client.Body{Size: int64(len(s)), Open: func() (io.Reader, error) { return strings.NewReader(s), nil }}
}

// answerOf is what the server behind the page said.
type answerOf struct {
	status int
	body   string
	header http.Header
}

// ask sends a request; header lines are "Name: value".
func (g *rig) ask(method, path string, body io.Reader, header ...string) answerOf {
	g.t.Helper()
	q, err := http.NewRequestWithContext(g.t.Context(), method, g.web.URL+path, body)
	require.NoError(g.t, err)
	for _, h := range header {
		name, v, _ := strings.Cut(h, ": ")
		if name == "Host" {
			q.Host = v
		} else {
			q.Header.Set(name, v)
		}
	}
	res, err := g.web.Client().Do(q)
	require.NoError(g.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(g.t, err)
	return answerOf{res.StatusCode, string(b), res.Header}
}

const bearer = "Authorization: Bearer the-token"

// act posts a form with the token.
func (g *rig) act(path string, form url.Values, header ...string) answerOf {
	g.t.Helper()
	return g.ask(http.MethodPost, path, strings.NewReader(form.Encode()), append([]string{bearer, "Content-Type: application/x-www-form-urlencoded"}, header...)...)
}

// content reads a published file.
func (g *rig) content(name string) string {
	g.t.Helper()
	st := g.r.client.Workspace("ws")
	f, err := st.LookupFile(g.t.Context(), client.RootDir, name)
	require.NoError(g.t, err)
	in, err := st.Open(g.t.Context(), f.Content(), 0)
	require.NoError(g.t, err)
	defer in.Close()
	b, err := io.ReadAll(in)
	require.NoError(g.t, err)
	return string(b)
}

const (
	patienceForQueue = 20 * time.Second
	pollQueue        = 5 * time.Millisecond
)
