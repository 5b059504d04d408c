package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/wire"
)

var formType = map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "X-Auth-Token": ""}

// The vectors of part 1 section 2.3.
func TestLoginV2SendsTheSignature(t *testing.T) {
	for _, v := range []struct{ password, salt, date, sig string }{
		{"s3cret-Pass", "$2a$10$Q0pV9uWmEk7tRz3xYb1aNe", "20240115T083000Z", "69144bffd0e8d815695dc25e36e70b8690aa284bb2fdee43d9cbcd822ec6d1c9"},
		{"admin", "$2a$10$abcdefghijklmnopqrstuu", "20240229T235959Z", "1cb739ace6cab181ff62f87c14bb32e2ed0d8420970de76ab865e68ea361322b"},
		{"密码-ü", "$2a$10$abcdefghijklmnopqrstuu", "20240229T235959Z", "68511619585bfe9111ea0949ab1890ac6603be7785e074e86b28cf943e269597"},
	} {
		s := newScript(t,
			step{want: "POST /auth/api/v2/salt", header: formType, body: "username=alice", answer: `{"Salt":"` + v.salt + `","Date":"` + v.date + `"}`},
			step{want: "POST /v2/localLogin", header: map[string]string{"Date": v.date}, body: "username=alice&password=" + v.sig,
				set: map[string]string{"x-auth-token": token, "user_details": `{"user_id":"65a4","username":"alice"}`}},
			step{want: "HEAD /rootsite/api/v1/directories?workspace_name=docs", header: map[string]string{"X-Auth-Token": token}, set: map[string]string{"X-SCM-Count": "3"}},
			step{want: "POST /logout", header: map[string]string{"X-Auth-Token": token}},
		)
		c := s.client(func(o *client.Options) { o.Password = func() (string, error) { return v.password, nil } })
		require.NoError(t, c.Login(t.Context()))
		n, err := c.Workspace("docs").CountDirectories(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 3, n)
		require.NoError(t, c.Logout(t.Context()))
		require.NoError(t, c.Logout(t.Context()), "there is no session any more")
	}
}

// signed is the signature of password s3cret-Pass; its algorithm is pinned by
// the vectors above.
func signed(t *testing.T, salt, date string) string {
	sig, err := wire.Sign("s3cret-Pass", salt, date)
	require.NoError(t, err)
	return sig
}

func TestLoginFallsBackToV1(t *testing.T) {
	v1 := step{want: "POST /login", header: formType, body: "username=alice&password=s3cret-Pass", set: map[string]string{"x-auth-token": token}}
	salt := step{want: "POST /auth/api/v2/salt", body: "username=alice"}
	for name, first := range map[string][]step{
		"LDAP user":    {{want: salt.want, body: salt.body, status: 400, answer: scmError("-136")}},
		"denied":       {{want: salt.want, body: salt.body, status: 403, answer: scmError("403")}},
		"unauthorized": {{want: salt.want, body: salt.body, status: 401, answer: scmError("401")}},
		"not found":    {{want: salt.want, body: salt.body, status: 404}},
		"v2 missing": {{want: salt.want, body: salt.body, answer: `{"Salt":"$2a$04$Q0pV9uWmEk7tRz3xYb1aNe","Date":"20240115T083000Z"}`},
			{want: "POST /v2/localLogin", body: "username=alice&password=" + signed(t, "$2a$04$Q0pV9uWmEk7tRz3xYb1aNe", "20240115T083000Z"), status: 404, answer: scmError("404")}},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, newScript(t, append(first, v1)...).client().Login(t.Context()))
		})
	}
}

// The password itself must not be sent unless the text says so.
func TestLoginDoesNotFallBack(t *testing.T) {
	for name, c := range map[string]struct {
		salt step
		kind client.Kind
	}{
		"unknown user":    {step{status: 400, answer: scmError("-135")}, client.Auth},
		"bad argument":    {step{status: 400, answer: scmError("-101")}, client.Invalid},
		"framework error": {step{status: 400, answer: scmError("400")}, client.Invalid},
		"gateway timeout": {step{status: 504}, client.Unavailable},
		"redirect":        {step{status: 302, set: map[string]string{"Location": "/elsewhere"}}, client.Protocol},
		"not JSON":        {step{answer: "<html>"}, client.Protocol},
		"hostile cost":    {step{answer: `{"Salt":"$2a$31$Q0pV9uWmEk7tRz3xYb1aNe","Date":"20240115T083000Z"}`}, client.Protocol},
		"no salt":         {step{answer: `{}`}, client.Protocol},
		"cut":             {step{cut: true}, client.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c.salt.want, c.salt.body = "POST /auth/api/v2/salt", "username=alice"
			err := newScript(t, c.salt).client().Login(t.Context())
			assert.Equal(t, c.kind, client.KindOf(err), err)
			assert.NotContains(t, err.Error(), "s3cret-Pass")
		})
	}
}

func TestLoginWithoutToken(t *testing.T) {
	s := newScript(t, step{want: "POST /auth/api/v2/salt", body: "username=alice", status: 404}, step{want: "POST /login", body: "username=alice&password=s3cret-Pass"})
	assert.Equal(t, client.Protocol, client.KindOf(s.client().Login(t.Context())))
}

func TestPasswordIsAskedAtEachLogin(t *testing.T) {
	s := newScript(t, step{want: "HEAD /rootsite/api/v1/directories?workspace_name=docs", status: 401}, step{want: "HEAD /rootsite/api/v1/directories?workspace_name=docs", set: map[string]string{"X-SCM-Count": "1"}})
	asked := 0
	c := s.client(func(o *client.Options) { o.Password = func() (string, error) { asked++; return "p", nil } })
	_, err := c.Workspace("docs").CountDirectories(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, asked)
	c = s.client(func(o *client.Options) { o.Password = func() (string, error) { return "", errors.New("file is gone") } })
	err = c.Login(t.Context())
	assert.Equal(t, client.Auth, client.KindOf(err))
	assert.ErrorContains(t, err, "file is gone")
}

const countURI = "HEAD /rootsite/api/v1/directories?workspace_name=docs"

// Part 1 section 2.5: what means an expired session and what does not.
func TestExpiredSession(t *testing.T) {
	ok := step{want: "GET /rootsite/api/v1/workspaces/docs", answer: `{"workspace":{"name":"docs"}}`}
	lost := func(status int, body string) step { return step{want: ok.want, status: status, answer: body} }
	for name, c := range map[string]struct {
		steps  []step
		logins int
		kind   client.Kind
	}{
		"401":               {[]step{lost(401, scmError("401")), ok}, 2, client.Other},
		"403 without code":  {[]step{lost(403, scmError("403")), ok}, 2, client.Other},
		"403 without body":  {[]step{lost(403, ""), ok}, 2, client.Other},
		"404 of a session":  {[]step{lost(404, `{"status":404,"message":"Session is not found: x"}`), ok}, 2, client.Other},
		"404 of a service":  {[]step{lost(404, `{"status":404,"message":"Service does not exist, serviceName: x"}`)}, 1, client.Protocol},
		"twice":             {[]step{lost(401, ""), lost(401, "")}, 2, client.Auth},
		"twice 404":         {[]step{lost(404, `{"status":404,"message":"Session is not found: x"}`), lost(404, `{"status":404,"message":"Session is not found: x"}`)}, 2, client.Auth},
		"missing privilege": {[]step{lost(403, scmError("-109"))}, 1, client.Permission},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, c.steps...)
			w, err := s.client().WorkspaceInfo(t.Context(), "docs")
			assert.Equal(t, c.kind, client.KindOf(err), err)
			if err == nil {
				assert.Equal(t, "docs", w.Name)
			}
			assert.Equal(t, c.logins, s.logins)
		})
	}
}

// HEAD has neither a body nor X-SCM-ERROR then: only the status line tells.
func TestExpiredSessionOfHead(t *testing.T) {
	s := newScript(t, step{want: countURI, status: 401}, step{want: countURI, set: map[string]string{"X-SCM-Count": "5"}})
	n, err := s.client().Workspace("docs").CountDirectories(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 5, n)
	assert.Equal(t, 2, s.logins)
}

func TestExpiredSessionAndBodies(t *testing.T) {
	const uri = "PUT /zuul/rootsite/api/v1/breakpointfiles/b?workspace_name=docs&offset=0&is_last_content=false"
	s := newScript(t, step{want: uri, body: "abc", status: 401}, step{want: uri, body: "abc", answer: `{"file_name":"b","upload_size":3}`})
	b, err := s.client().Workspace("docs").AppendBreakpointFile(t.Context(), "b", 0, client.BytesBody([]byte("abc")), false)
	require.NoError(t, err)
	assert.EqualValues(t, 3, b.Size)

	s = newScript(t, step{want: uri, body: "abc", header: map[string]string{"Transfer-Encoding": "chunked"}, status: 401})
	_, err = s.client().Workspace("docs").AppendBreakpointFile(t.Context(), "b", 0, client.ReaderBody(strings.NewReader("abc")), false)
	assert.Equal(t, client.Unavailable, client.KindOf(err), err)
	assert.ErrorContains(t, err, "second time")
}

// One login serves all callers, at the beginning and when the session expires.
func TestLoginIsSharedByAllCallers(t *testing.T) {
	const callers = 40
	var logins, served atomic.Int64
	arrived := make(chan struct{}, callers)
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/auth/api/v2/salt":
			w.WriteHeader(http.StatusNotFound)
		case "/login":
			if logins.Add(1) == 1 {
				w.Header().Set("x-auth-token", "first")
				return
			}
			w.Header().Set("x-auth-token", "second")
		default:
			if r.Header.Get("x-auth-token") == "first" {
				arrived <- struct{}{}
				<-release
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			served.Add(1)
			w.Header().Set("X-SCM-Count", "1")
		}
	}))
	defer srv.Close()
	c := dial(t, []string{strings.TrimPrefix(srv.URL, "http://") + "/s"})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			_, err := c.Workspace("docs").CountFiles(t.Context())
			assert.NoError(t, err)
		})
	}
	for range callers {
		<-arrived
	}
	assert.EqualValues(t, 1, logins.Load())
	close(release)
	wg.Wait()
	assert.EqualValues(t, 2, logins.Load())
	assert.EqualValues(t, callers, served.Load())
}

// The caller who happens to lead the shared login must not take it down.
func TestLoginOutlivesItsLeader(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/login" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		close(started)
		<-release
		w.Header().Set("x-auth-token", token)
	}))
	defer srv.Close()
	c := dial(t, []string{strings.TrimPrefix(srv.URL, "http://") + "/s"})
	ctx, cancel := context.WithCancel(t.Context())
	led := make(chan error)
	go func() { led <- c.Login(ctx) }()
	<-started
	follower := make(chan error)
	go func() { follower <- c.Login(t.Context()) }()
	cancel()
	assert.Equal(t, client.Canceled, client.KindOf(<-led))
	close(release)
	require.NoError(t, <-follower)
}

func refusedSeed(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String() + "/rootsite"
}

// Part 1 section 1.2: on after a failure, except that -101 and 401 are final.
func TestSeedsFailOver(t *testing.T) {
	for name, broken := range map[string]step{"503": {status: 503}, "500": {status: 500, answer: scmError("500")}, "404": {status: 404}, "403": {status: 403}, "cut": {cut: true}} {
		t.Run(name, func(t *testing.T) {
			broken.want, broken.body = "POST /login", "username=alice&password=s3cret-Pass"
			for range 20 { // until the random order has begun with the broken one
				bad := &script{t: t, steps: []step{{want: "POST /auth/api/v2/salt", body: "username=alice", status: 404}, broken}}
				bad.Server = httptest.NewServer(bad)
				good := newScript(t, step{want: countURI, set: map[string]string{"X-SCM-Count": "2"}})
				c := dial(t, []string{bad.seed(), good.seed(), refusedSeed(t)})
				n, err := c.Workspace("docs").CountDirectories(t.Context())
				bad.Close()
				require.NoError(t, err)
				assert.EqualValues(t, 2, n)
				assert.Equal(t, strings.ToLower(good.seed()), c.Seed())
				if len(bad.steps) == 0 {
					return
				}
			}
			t.Fatal("the broken seed was never tried first")
		})
	}
}

func TestSeedsFinalRefusal(t *testing.T) {
	for name, c := range map[string]struct {
		salt step
		kind client.Kind
	}{
		"-101": {step{status: 400, answer: scmError("-101")}, client.Invalid},
		"-135": {step{status: 400, answer: scmError("-135")}, client.Auth},
	} {
		t.Run(name, func(t *testing.T) {
			c.salt.want, c.salt.body = "POST /auth/api/v2/salt", "username=alice"
			a, b := newScript(t), newScript(t)
			a.steps, b.steps = []step{c.salt}, []step{c.salt}
			err := dial(t, []string{a.seed(), b.seed()}).Login(t.Context())
			assert.Equal(t, c.kind, client.KindOf(err), err)
			assert.Equal(t, 1, len(a.steps)+len(b.steps), "one of the two is asked")
			a.steps, b.steps = nil, nil
		})
	}
}

// A gateway that dies in the middle of a session is left for another.
func TestSeedsFailOverInSession(t *testing.T) {
	a, b := newScript(t), newScript(t)
	c := dial(t, []string{a.seed(), b.seed()})
	require.NoError(t, c.Login(t.Context()))
	dead, alive := a, b
	if c.Seed() == strings.ToLower(b.seed()) {
		dead, alive = b, a
	}
	dead.Close()
	alive.steps = []step{{want: "POST /rootsite/api/v1/directories", body: "workspace_name=docs&name=q1&parent_directory_id=000000000000000000000000",
		answer: `{"name":"q1","parent_directory_id":"000000000000000000000000","id":"65a4f1e2510001000000a012"}`}}
	c.Close() // what was pooled would only delay the discovery
	d, err := c.Workspace("docs").CreateDirectory(t.Context(), client.RootDir, "q1")
	require.NoError(t, err, "nothing of the request was sent, so it may be sent elsewhere")
	assert.Equal(t, "q1", d.Name)
}

// A call that could not even log in was not sent: it may be tried again whatever
// it changes.
func TestLoginIsTriedAgainForAnyCall(t *testing.T) {
	login := step{want: "POST /login", body: "username=alice&password=s3cret-Pass", cut: true}
	salt := step{want: "POST /auth/api/v2/salt", body: "username=alice", status: 404}
	again := login
	again.cut, again.set = false, map[string]string{"x-auth-token": token}
	s := newScript(t, salt, login, salt, again, step{want: "DELETE /rootsite/api/v1/files/" + fileID + "?workspace_name=docs&is_physical=true"})
	require.NoError(t, s.client(retrying).Workspace("docs").DeleteFile(t.Context(), fileID))
}

func TestSeedForms(t *testing.T) {
	for _, bad := range []string{"", "host", "host:80", "host:80/", "host/site", "ftp://host:80/site", "host:80/a/b", "host:80/a%b", "host:80/a;b",
		`host:80/a\b`, "host:80/a?b", "user:pw@host:80/s", "http://user@host:80/s", "host:80/a b", "ho st:80/s", "http:///s"} {
		_, err := client.New([]string{bad}, client.Options{})
		assert.Equal(t, client.Invalid, client.KindOf(err), bad)
		if err != nil {
			assert.NotContains(t, err.Error(), "pw")
		}
	}
	_, err := client.New(nil, client.Options{})
	assert.Equal(t, client.Invalid, client.KindOf(err))
	for in, want := range map[string]string{"scmserver:8080/RootSite": "scmserver:8080/rootsite", "https://gw:443/a/": "gw:443/a", "HTTP://gw/a": "gw/a", "[::1]:80/s": "[::1]:80/s"} {
		c, err := client.New([]string{in}, client.Options{})
		require.NoError(t, err, in)
		assert.Equal(t, want, c.Seed())
	}
}
