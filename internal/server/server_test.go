package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// Neither tokens nor passwords reach the log, wherever in a request they are.
func TestLogHoldsNoSecrets(t *testing.T) {
	s := newSite(t)
	s.vars["victim"] = s.srv.sessions.create("admin").id
	secrets := []string{s.token, s.vars["victim"], "s3cret-Pass", "s3cret-new"}
	for _, c := range []call{
		{req: "POST /auth/api/v1/users/alice", form: "password_type=LOCAL&password=s3cret-Pass"},
		{req: "POST /login", form: "username=alice&password=s3cret-Pass"},
		{req: "POST /login?username=alice&password=s3cret-Pass"},
		{req: "POST /login?username=alice&password=s3cret-Pass-wrong", status: 401, code: 401},
		{req: "PUT /auth/api/v1/users/alice?old_password=s3cret-Pass&new_password=s3cret-new"},
		{req: "GET /auth/api/v1/sessions/{victim}"},
		{req: "DELETE /auth/api/v1/sessions/{victim}"},
		{req: "GET /auth/api/v1/sessions/{victim}", status: 404, code: 404},
		{req: "GET /auth/api/v2/sessions/{victim}/", status: 404, code: 404},
		{req: "PATCH /auth/api/v1/sessions/{victim}", status: 405, code: 405},
		{req: "POST /logout"},
	} {
		s.one(t, c)
	}
	text := s.log.String()
	for _, secret := range secrets {
		assert.NotContains(t, text, secret)
	}
	assert.Equal(t, 11, strings.Count(text, "msg=request"), text)
}

func TestAccessLog(t *testing.T) {
	s := newSite(t)
	require.Equal(t, 200, s.send(t, "GET P/workspaces/docs?x=y", "").status)
	assert.Regexp(t, `^time=\S+ level=debug msg=request bytes=\d{3} method=GET path=/rootsite/api/v1/workspaces/docs status=200 took=0s\n$`, s.log.String())
}

// Counters and fault patterns see endpoints, not names; strangers cannot grow them.
func TestCountsAreBounded(t *testing.T) {
	s := newSite(t)
	for i := range 20 {
		for _, req := range []string{"GET P/n%d", "GET P/workspaces/w%d", "GET P/workspaces/w/a%d", "GET /site%d/api/v1/x", "GET /auth/api/v1/n%d/x", "GET /auth/n%d/x/y", "GET P/directories/id/x/n%d", "M%d /login", "HEAD P/files/%d"} {
			s.send(t, fmt.Sprintf(req, i), "")
		}
	}
	counts := s.srv.Counts()
	assert.Len(t, counts, 8, "%v", counts)
	for _, kind := range []string{"GET /?", "GET /workspaces/{name}", "GET /workspaces/{name}/?", "GET ?", "GET /auth/api/v1/?", "GET /directories/id/{id}/?", "? /login", "HEAD /files/{id}"} {
		assert.NotZero(t, counts[kind], "%s: %v", kind, counts)
	}
}

// After ten failures of a name from one address each further attempt is refused
// for a time that grows, the right password included.
func TestLoginThrottle(t *testing.T) {
	s := newSite(t)
	s.login(t, "alice")
	login := func(user, password string) reply {
		return s.send(t, "POST /login", "username="+user+"&password="+password, formType, "x-auth-token:")
	}
	for range freeFailures {
		require.Equal(t, 401, login("alice", "x").status)
	}
	assert.Equal(t, 200, login("alice", "pw-alice").status, "ten are free, and a success forgets them")
	for range freeFailures + 1 {
		require.Contains(t, login("alice", "x").body, "Bad credentials")
	}
	r := login("alice", "pw-alice")
	assert.Equal(t, 401, r.status)
	assert.Contains(t, r.body, "too many failed logins")
	v2 := s.send(t, "POST /v2/localLogin", "username=alice&password=x", formType, "x-auth-token:", "date: 20240115T083000Z")
	assert.Contains(t, v2.body, "too many failed logins", "both logins count")
	assert.Equal(t, 200, login("admin", "admin").status, "others are not held up")
	s.clock.Add(1100)
	assert.Equal(t, 200, login("alice", "pw-alice").status)
}

func TestThrottleMemory(t *testing.T) {
	var th throttle
	now := time.UnixMilli(siteStart)
	for range freeFailures + 1 {
		th.note("guessed", false, now)
	}
	for i := range maxThrottled + 100 {
		th.note(fmt.Sprint(i), false, now)
	}
	assert.LessOrEqual(t, len(th.fails), maxThrottled)
	assert.True(t, th.refused("guessed", now), "other names do not wash it out")
	later := now.Add(time.Hour)
	th.note("new", false, later)
	assert.Len(t, th.fails, 1, "what is over is dropped")
}

// The number of sessions is bounded; the one unused for longest goes.
func TestSessionsAreBounded(t *testing.T) {
	now := time.UnixMilli(siteStart)
	ss := newSessions(time.Hour, func() time.Time { return now })
	first := ss.create("a").id
	now = now.Add(time.Second)
	second := ss.create("a").id
	for range maxSessions - 2 {
		ss.create("b")
	}
	_, ok := ss.get(first)
	require.True(t, ok)
	ss.create("c")
	_, ok = ss.get(first)
	assert.False(t, ok)
	_, ok = ss.get(second)
	assert.True(t, ok)
	now = now.Add(time.Hour + time.Second)
	ss.create("d")
	assert.Len(t, ss.mu.byID, 1, "expired ones go first")
}

// A handler that panics is an error to its caller, a line in the log, and
// nothing to others.
func TestPanicIsAnswered(t *testing.T) {
	log := &logText{}
	l := logrus.New()
	l.SetOutput(log)
	srv := New(&repo.Repo{}, Options{Logger: l}) // a store that was never opened
	h := httptest.NewServer(srv.Handler())
	defer h.Close()
	req, err := http.NewRequest("GET", h.URL+"/api/v1/workspaces", nil)
	require.NoError(t, err)
	req.Header.Set(wire.HeaderToken, srv.sessions.create("x").id)
	res, err := h.Client().Do(req)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, 500, res.StatusCode)
	assert.Contains(t, string(b), `"status":-103,"error":"System error"`)
	assert.NotContains(t, string(b), "nil pointer")
	assert.Contains(t, log.String(), "handler panicked")
}

// serving runs [Server.Serve] on a port of its own.
type serving struct {
	addr string
	stop context.CancelFunc
	done chan error
}

func serve(t *testing.T, srv *Server) *serving {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	v := &serving{addr: l.Addr().String(), stop: cancel, done: make(chan error, 1)}
	go func() { v.done <- srv.Serve(ctx, l) }()
	t.Cleanup(cancel)
	return v
}

// Serve stops without cutting what is under way: a request that has begun is
// carried out and answered, a new one finds nobody.
func TestGracefulStop(t *testing.T) {
	s := newSite(t)
	v := serve(t, s.srv)
	body, feed := io.Pipe()
	req, err := http.NewRequest("POST", "http://"+v.addr+"/zuul/rootsite/api/v1/files?workspace_name=docs", body)
	require.NoError(t, err)
	req.Header.Set(wire.HeaderToken, s.token)
	req.Header.Set(wire.HeaderDescription, "%7Bname%3A%22slow%22%7D")
	// Nothing is sent before the server asks for it: what has been read from the
	// pipe shows that the request has begun, and is not only in a socket's buffer.
	req.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
	defer client.CloseIdleConnections()
	answer := make(chan int, 1)
	go func() {
		res, err := client.Do(req)
		if err != nil {
			answer <- 0
			return
		}
		_ = res.Body.Close()
		answer <- res.StatusCode
	}()
	_, err = feed.Write(bytes.Repeat([]byte("x"), 1<<20))
	require.NoError(t, err)
	v.stop()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", v.addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond, "nobody listens any more")
	select {
	case err := <-v.done:
		t.Fatalf("stopped over a running upload: %v", err)
	default:
	}
	require.NoError(t, feed.Close())
	assert.Equal(t, 200, <-answer)
	assert.NoError(t, <-v.done)
	r := s.send(t, "HEAD P/files/path/slow?workspace_name=docs", "")
	assert.Contains(t, r.header.Get("file"), "%22size%22%20%3A%201048576%20")
}

// What does not end in StopTimeout is cut.
func TestStopTimeout(t *testing.T) {
	s := newSite(t, func(o *siteOptions) { o.server.StopTimeout = 10 * time.Millisecond })
	v := serve(t, s.srv)
	c, err := net.Dial("tcp", v.addr)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	_, err = fmt.Fprintf(c, "POST /api/v1/files?workspace_name=docs HTTP/1.1\r\nHost: x\r\nx-auth-token: %s\r\ndescription: %%7Bname%%3A%%22x%%22%%7D\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", s.token)
	require.NoError(t, err)
	one := make([]byte, 12)
	_, err = io.ReadFull(c, one) // the handler has begun to read
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100", string(one))
	v.stop()
	assert.NoError(t, <-v.done)
	_, err = io.Copy(io.Discard, c)
	if err != nil {
		assert.ErrorContains(t, err, "reset")
	}
}

// Limits of a request line and headers: those of the content server's template,
// or those of a gateway.
func TestHeaderLimits(t *testing.T) {
	for _, tt := range []struct {
		gateway bool
		size    int
		status  int
	}{{false, 40 << 10, 200}, {false, 60 << 10, 431}, {true, 7 << 10, 200}, {true, 9 << 10, 431}} {
		t.Run(fmt.Sprint(tt.gateway, tt.size), func(t *testing.T) {
			s := newSite(t, func(o *siteOptions) { o.server.GatewayLimit = tt.gateway })
			v := serve(t, s.srv)
			req, err := http.NewRequest("GET", "http://"+v.addr+"/rootsite/api/v1/workspaces", nil)
			require.NoError(t, err)
			req.Header.Set(wire.HeaderToken, s.token)
			req.Header.Set("X-Long", strings.Repeat("x", tt.size))
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			res, err := client.Do(req)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, tt.status, res.StatusCode)
			v.stop()
			assert.NoError(t, <-v.done)
		})
	}
}

// A client that does not finish its form, or its body without a session, is not
// waited for; an upload is.
func TestSlowBodies(t *testing.T) {
	s := newSite(t, func(o *siteOptions) { o.server.HeaderTimeout = 50 * time.Millisecond })
	for _, tt := range []struct{ name, target, token, ct, status string }{
		{"login", "/login", "", "application/x-www-form-urlencoded", "400"},
		{"form", "/api/v1/directories", s.token, "application/x-www-form-urlencoded", "400"},
		{"multipart", "/api/v1/directories", s.token, "multipart/form-data; boundary=x", "400"},
		{"no session", "/api/v1/files?workspace_name=docs", "nope", "binary/octet-stream", "401"},
		{"no such site", "/nope/api/v1/files", s.token, "binary/octet-stream", "404"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.http.Listener.Addr().String())
			require.NoError(t, err)
			defer func() { _ = c.Close() }()
			require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
			_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nx-auth-token: %s\r\nContent-Type: %s\r\nContent-Length: 100\r\n\r\nworkspace_name=", tt.target, tt.token, tt.ct)
			require.NoError(t, err)
			line := make([]byte, len("HTTP/1.1 400 "))
			_, err = io.ReadFull(c, line)
			require.NoError(t, err)
			assert.Equal(t, "HTTP/1.1 "+tt.status+" ", string(line))
		})
	}
	t.Run("upload", func(t *testing.T) {
		w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
		body := readerFunc(func([]byte) (int, error) {
			assert.NotZero(t, w.set)
			assert.True(t, w.last.IsZero(), "there is no deadline while content is read")
			return 0, io.EOF
		})
		r := httptest.NewRequest("POST", "/api/v1/files?workspace_name=docs", body)
		r.Header.Set(wire.HeaderToken, s.token)
		r.Header.Set(wire.HeaderDescription, "%7Bname%3A%22slow%22%7D")
		s.srv.Handler().ServeHTTP(w, r)
		assert.Equal(t, 200, w.Code)
	})
}

// deadlineWriter remembers the read deadline.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	last time.Time
	set  int
}

func (d *deadlineWriter) SetReadDeadline(t time.Time) error {
	d.last = t
	d.set++
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// What was answered is there after a restart; sessions are not. Meanwhile the
// directory belongs to one process.
func TestRestart(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	dir := t.TempDir()
	start := func() *site {
		r, err := repo.Open(dir, repo.Options{HashCost: 4})
		require.NoError(t, err)
		s := &site{t: t, repo: r, srv: New(r, Options{}), log: &logText{}, vars: map[string]string{"root": wire.RootDirID}}
		s.http = httptest.NewServer(s.srv.Handler())
		s.token = s.srv.sessions.create("admin").id
		return s
	}
	stop := func(s *site) {
		s.http.Close()
		require.NoError(t, s.repo.Close())
	}
	s := start()
	require.NoError(t, s.repo.Provision("admin", "docs", true))
	s.mkdir(t, "/a", "/a/b")
	s.mkfile(t, "b", "f.txt", "")
	s.login(t, "alice", "directory docs:/a READ")
	token, id := s.token, s.vars["b"]
	_, err := repo.Open(dir, repo.Options{})
	require.Error(t, err)
	assert.True(t, errors.Is(err, disk.ErrLocked), "%v", err)
	stop(s)

	s = start()
	defer func() { stop(s) }()
	assert.Equal(t, 401, s.send(t, "GET P/workspaces", "", "x-auth-token: "+token).status)
	r := s.send(t, "POST /login", "username=alice&password=pw-alice", formType, "x-auth-token:")
	require.Equal(t, 200, r.status)
	alice := "x-auth-token: " + r.header.Get("x-auth-token")
	assert.Equal(t, `{"path":"/a/b/"}`, s.send(t, "GET P/directories/id/"+id+"/path?workspace_name=docs", "", alice).body)
	assert.Equal(t, "f", fileNames(t, s.send(t, "GET P/directories/id/"+id+"/listfiles?workspace_name=docs", "", alice)))
	assert.Equal(t, 403, s.send(t, "DELETE P/directories/id/"+id+"?workspace_name=docs", "", alice).status)
}

// Many clients at once, each with a session and a tree of its own; nobody sees
// another's mistakes.
func TestConcurrentClients(t *testing.T) {
	s := newSite(t)
	const clients, each = 8, 20
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			login := s.send(t, "POST /login", "username=admin&password=admin", formType, "x-auth-token:")
			token := "x-auth-token: " + login.header.Get("x-auth-token")
			for i := range each {
				form := fmt.Sprintf("workspace_name=docs&path=/c%d-%d", c, i)
				assert.Equal(t, 200, s.send(t, "POST P/directories", form, formType, token).status)
				assert.Equal(t, 500, s.send(t, "POST P/directories", form, formType, token).status)
				assert.Equal(t, 200, s.send(t, "GET P/directories?workspace_name=docs", "", token).status)
			}
			assert.Equal(t, 200, s.send(t, "POST /logout", "", token).status)
		})
	}
	wg.Wait()
	assert.Equal(t, fmt.Sprint(clients*each+1), s.send(t, "HEAD P/directories?workspace_name=docs", "").header.Get("X-SCM-Count"))
}
