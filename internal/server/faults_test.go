package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestParseFault(t *testing.T) {
	for text, want := range map[string]Fault{
		"delay=200ms":                    {Kind: FaultDelay, Delay: 200 * time.Millisecond},
		"jitter=1s@GET /files":           {Kind: FaultJitter, Delay: time.Second, Pattern: "GET /files"},
		"error=503@PUT /files/*#2%10":    {Kind: FaultError, Code: 503, Pattern: "PUT /files/*", Count: 2, Percent: 10},
		"error=-103":                     {Kind: FaultError, Code: -103},
		"error-after=500#1":              {Kind: FaultErrorAfter, Code: 500, Count: 1},
		"cut-request=0":                  {Kind: FaultCutRequest},
		"cut-response=1000%100":          {Kind: FaultCutResponse, Bytes: 1000, Percent: 100},
		"lost-reply@POST /files":         {Kind: FaultLostReply, Pattern: "POST /files"},
		"hang":                           {Kind: FaultHang},
		"expire#1":                       {Kind: FaultExpire, Count: 1},
		"quota@PUT /breakpointfiles/*#1": {Kind: FaultQuota, Pattern: "PUT /breakpointfiles/*", Count: 1},
		"short-read=7":                   {Kind: FaultShortRead, Bytes: 7},
	} {
		got, err := ParseFault(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, bad := range []string{"", "nonsense", "delay", "delay=x", "delay=-1s", "jitter=", "error", "error=x", "error=0", "error=200", "cut-request=x",
		"cut-response=-1", "hang=1", "quota=1", "short-read", "hang#0", "hang#x", "hang%0", "hang%101", "hang@[", "expire=1", "lost-reply=1"} {
		_, err := ParseFault(bad)
		assert.Error(t, err, bad)
	}
	for kind := range strings.SplitSeq("delay jitter error error-after cut-request cut-response lost-reply hang expire quota short-read", " ") {
		assert.Contains(t, FaultHelp, "\n  "+kind, "every kind is in the help")
	}
}

// fault sets the only rule.
func (g *gateway) fault(text string) {
	g.t.Helper()
	f, err := ParseFault(text)
	require.NoError(g.t, err)
	g.faults.Clear()
	g.faults.Add(f)
}

// noAnswer wants the connection to break without an answer.
func (g *gateway) noAnswer(method, path string, header http.Header, body []byte) {
	g.t.Helper()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	a, err := g.raw(method, path, header, r)
	require.Error(g.t, err, "%+v", a)
}

func TestFaults(t *testing.T) {
	shared := newGateway(t)
	run := func(name string, fn func(t *testing.T, g *gateway)) {
		t.Run(name, func(t *testing.T) {
			g := shared.with(t)
			defer g.faults.Clear()
			fn(t, g)
		})
	}
	create := func(g *gateway, name string) *answer { g.t.Helper(); return g.create("ws1", name, "", "", "hello") }
	exists := func(g *gateway, name string) bool {
		g.t.Helper()
		return g.head("/files/path/"+name+"?workspace_name=ws1").status == 200
	}
	run("error", func(t *testing.T, g *gateway) {
		g.fault("error=503@POST /files#2")
		for range 2 {
			assert.Equal(t, 503, create(g, "error").status)
		}
		assert.False(t, exists(g, "error"))
		create(g, "error").ok()
		assert.Equal(t, 2, g.faults.Hits())
		g.fault("error=-103@* /files/id/*")
		g.stat("6553f100510003001a2b3c01", "").fails(500, -103)
		assert.True(t, exists(g, "error"), "another kind of request")
		g.fault("error=-261@PUT /breakpointfiles/{name}")
		g.bpPut("x", 0, true, pattern(1<<20)).fails(500, -261)
	})
	run("percent", func(t *testing.T, g *gateway) {
		g.fault("error=503@HEAD /files%30")
		failed := 0
		for range 100 {
			if g.head("/files?workspace_name=ws1").status == 503 {
				failed++
			}
		}
		assert.InDelta(t, 30, failed, 20)
	})
	run("error-after", func(t *testing.T, g *gateway) {
		g.fault("error-after=500@POST /files")
		assert.Equal(t, 500, create(g, "error-after").status)
		assert.True(t, exists(g, "error-after"))
	})
	run("cut-request", func(t *testing.T, g *gateway) {
		for _, n := range []string{"0", "3", "100000"} {
			g.fault("cut-request=" + n + "@POST /files#1")
			g.noAnswer("POST", zuul+"/files/?workspace_name=ws1", streamHeader(`{"name":"cut"}`), pattern(200_000))
			assert.False(t, exists(g, "cut"))
		}
		g.bpCreate("cut", "CRC32").ok()
		g.fault("cut-request=10@PUT /breakpointfiles/*#1")
		g.noAnswer("PUT", zuul+"/breakpointfiles/cut?workspace_name=ws1&offset=0&is_last_content=true", streamHeader(""), pattern(100))
		assert.EqualValues(t, 0, g.bp("cut").num("upload_size"))
	})
	run("cut-response", func(t *testing.T, g *gateway) {
		id := g.put("cut response", "", string(pattern(200_000))).str("id")
		for _, n := range []int{0, 1, 150_000} {
			g.fault("cut-response=" + strconv.Itoa(n) + "@GET /files/{id}#1")
			a, err := g.raw("GET", api+"/files/"+id+"?workspace_name=ws1", nil, nil)
			require.NoError(t, err)
			require.Error(t, a.cut)
			assert.Len(t, a.body, n)
			assert.Equal(t, "200000", a.header.Get("data_length"))
		}
	})
	run("lost-reply", func(t *testing.T, g *gateway) {
		g.fault("lost-reply@POST /files#1")
		g.noAnswer("POST", zuul+"/files/?workspace_name=ws1", streamHeader(`{"name":"lost"}`), []byte("hello"))
		assert.True(t, exists(g, "lost"))
		create(g, "lost").fails(500, -261)
	})
	run("hang", func(t *testing.T, g *gateway) {
		g.fault("hang@POST /files#1")
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "POST", g.http.URL+zuul+"/files/?workspace_name=ws1", strings.NewReader("x"))
		require.NoError(t, err)
		w := &watch{method: "POST", done: make(chan struct{})}
		g.watch.Store(w)
		go func() { <-w.done; cancel() }()
		resp, err := g.http.Client().Do(r)
		if !assert.ErrorIs(t, err, context.Canceled) {
			resp.Body.Close()
		}
		g.watch.Store(nil)
	})
	run("expire", func(t *testing.T, g *gateway) {
		g.fault("expire@POST /files#1")
		create(g, "expire").fails(401, 401)
		assert.False(t, g.head("/files?workspace_name=ws1").status == 200, "the token stays unknown")
		shared.token = g.srv.sessions.create("admin").id
	})
	run("quota", func(t *testing.T, g *gateway) {
		g.bpCreate("quota", "CRC32").ok()
		g.bpPut("quota", 0, false, []byte("hel")).ok()
		before := g.bp("quota")
		g.fault("quota@PUT /breakpointfiles/*#1")
		g.bpPut("quota", 3, false, pattern(1<<20)).fails(500, -414)
		r := g.bp("quota")
		assert.EqualValues(t, 0, r.num("upload_size"))
		assert.EqualValues(t, 0, r.num("checksum"))
		assert.NotEqual(t, before["data_id"], r["data_id"])
		assert.EqualValues(t, 907060870, g.bpPut("quota", 0, true, []byte("hello")).json().num("checksum"))
	})
	run("short-read", func(t *testing.T, g *gateway) {
		id := g.put("short", "", "hello scm\n").str("id")
		g.fault("short-read=3@GET /files/{id}")
		a := g.get("/files/" + id + "?workspace_name=ws1&offset=1&length=5").ok()
		assert.Equal(t, "3", a.header.Get("data_length"))
		assert.Equal(t, "ell", string(a.body))
		assert.Equal(t, "hello scm\n", g.read(id, ""), "a whole read is not ranged")
	})
	run("jitter and delay let the request through", func(t *testing.T, g *gateway) {
		g.fault("jitter=1ms")
		create(g, "jitter").ok()
		g.fault("delay=1ms")
		assert.True(t, exists(g, "jitter"))
	})
}

// Delays take the time they say, on a clock that is not the machine's.
func TestFaultDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaults(7)
		took := func(rule string) time.Duration {
			r, err := ParseFault(rule)
			require.NoError(t, err)
			f.Clear()
			f.Add(r)
			start := time.Now()
			served := false
			req, err := http.NewRequest("GET", "/", nil)
			require.NoError(t, err)
			f.serve("GET /files", nowhere{http.Header{}}, req, func(http.ResponseWriter, *http.Request) { served = true })
			assert.True(t, served)
			return time.Since(start)
		}
		assert.Equal(t, 200*time.Millisecond, took("delay=200ms"))
		seen := map[time.Duration]bool{}
		for range 20 {
			d := took("jitter=1s")
			assert.Less(t, d, time.Second)
			seen[d] = true
		}
		assert.Greater(t, len(seen), 10, "random")
	})
}

// The switches that change the server as a whole.
func TestServerSwitches(t *testing.T) {
	t.Run("no-ranged-cap", func(t *testing.T) {
		g := newGateway(t, func(o *gatewayOptions) { o.server.NoRangedCap = true })
		id := g.put("x", "", string(pattern(200_000))).str("id")
		assert.Len(t, g.get("/files/"+id+"?workspace_name=ws1&offset=1&length=150000").ok().body, 150_000)
	})
	t.Run("update-time-now", func(t *testing.T) {
		g := newGateway(t, func(o *gatewayOptions) { o.repo.UpdateTimeNow = true })
		id := g.put("x", "", "1").str("id")
		g.clock.Store(epoch + 5)
		assert.Equal(t, epoch+5, g.update(id, "", "2").inHeader("file_info").num("update_time"))
	})
	t.Run("session-ttl", func(t *testing.T) {
		g := newGateway(t, func(o *gatewayOptions) { o.server.SessionTTL = time.Minute })
		g.clock.Store(epoch + 59_000)
		g.get("/breakpointfiles?workspace_name=ws1").ok()
		g.clock.Store(epoch + 59_000 + 61_000)
		g.get("/breakpointfiles?workspace_name=ws1").fails(401, 401)
	})
	for _, limited := range []bool{false, true} {
		t.Run("gateway-limit "+strconv.FormatBool(limited), func(t *testing.T) {
			g := newGateway(t, func(o *gatewayOptions) { o.server.GatewayLimit = limited })
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- g.srv.Serve(ctx, l) }()
			status := func(n int) int {
				r, err := http.NewRequest("POST", "http://"+l.Addr().String()+zuul+"/files/?workspace_name=ws1", strings.NewReader("x"))
				require.NoError(t, err)
				r.Header.Set("x-auth-token", g.token)
				r.Header.Set("description", wire.Escape(`{"name":"f`+strconv.Itoa(n)+`","title":"`+strings.Repeat("n", n)+`"}`))
				resp, err := g.http.Client().Do(r)
				require.NoError(t, err)
				resp.Body.Close()
				return resp.StatusCode
			}
			assert.Equal(t, 200, status(6000))
			assert.Equal(t, map[bool]int{false: 200, true: 431}[limited], status(9000))
			g.http.Client().CloseIdleConnections()
			cancel()
			assert.NoError(t, <-done)
		})
	}
}
