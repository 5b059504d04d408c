package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dial opens a connection that a test writes by hand.
func (g *gateway) dial() net.Conn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.http.Listener.Addr().String())
	require.NoError(g.t, err)
	require.NoError(g.t, c.SetDeadline(time.Now().Add(time.Minute)))
	return c
}

const wrongPut = "PUT /zuul/rootsite/api/v1/breakpointfiles/none?workspace_name=ws1&offset=0&is_last_content=false HTTP/1.1\r\n" +
	"Host: x\r\nx-auth-token: %s\r\nContent-Type: binary/octet-stream\r\nTransfer-Encoding: chunked\r\n"

// A blocking client (the reference driver) reads no answer before it has sent
// its whole body. It must get the error then, not a connection that was reset.
func TestRefusedBodyGetsItsAnswer(t *testing.T) {
	g := newGateway(t)
	c := g.dial()
	defer c.Close()
	// Twice on one connection: it stays usable.
	in := bufio.NewReader(c)
	for range 2 {
		const piece, pieces = 64 << 10, 512
		w := bufio.NewWriter(c)
		_, _ = fmt.Fprintf(w, wrongPut+"\r\n", g.token)
		for range pieces {
			_, _ = fmt.Fprintf(w, "%x\r\n", piece)
			_, _ = w.Write(make([]byte, piece))
			_, err := w.WriteString("\r\n")
			require.NoError(t, err, "the server closed the connection while the client was sending")
		}
		_, _ = w.WriteString("0\r\n\r\n")
		require.NoError(t, w.Flush())
		resp, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		var e map[string]any
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&e))
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 404, resp.StatusCode)
		assert.EqualValues(t, -262, e["status"])
	}
}

// A client that waits for "100 Continue" gets the error instead, and one that
// listens while it sends gets it before its body has ended.
func TestRefusedBodyIsAnsweredAtOnce(t *testing.T) {
	g := newGateway(t)
	t.Run("expect", func(t *testing.T) {
		c := g.dial()
		defer c.Close()
		_, err := fmt.Fprintf(c, wrongPut+"Expect: 100-continue\r\n\r\n", g.token)
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		assert.Equal(t, 404, resp.StatusCode)
	})
	for name, token := range map[string]string{"known": g.token, "stranger": "no such token"} {
		t.Run("listening, "+name, func(t *testing.T) {
			c := g.dial()
			defer c.Close()
			_, err := fmt.Fprintf(c, wrongPut+"\r\n5\r\nhello\r\n", token)
			require.NoError(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			assert.Equal(t, map[string]int{"known": 404, "stranger": 401}[name], resp.StatusCode)
		})
	}
}

// A body that ends before its announced length, or without its last chunk, is
// never taken for a whole one (part 2 section 1.6).
func TestTruncatedBodies(t *testing.T) {
	g := newGateway(t)
	for name, framing := range map[string]string{"length": "Content-Length: 10\r\n\r\nhello", "chunk": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"inside a chunk": "Transfer-Encoding: chunked\r\n\r\na\r\nhello"} {
		c := g.dial()
		_, err := fmt.Fprintf(c, "POST /zuul/rootsite/api/v1/files/?workspace_name=ws1 HTTP/1.1\r\nHost: x\r\nx-auth-token: %s\r\ndescription: {\"name\":\"cut\"}\r\n%s", g.token, framing)
		require.NoError(t, err, name)
		tcp, ok := c.(*net.TCPConn)
		require.True(t, ok)
		require.NoError(t, tcp.CloseWrite())
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err, name)
		a := &answer{t: t, method: "POST", status: resp.StatusCode}
		a.body, err = io.ReadAll(resp.Body)
		require.NoError(t, err, name)
		a.fails(500, -601)
		require.NoError(t, c.Close())
	}
	g.head("/files/path/cut?workspace_name=ws1").fails(404, -262)
	g.put("cut", "", "whole")
}

// Content passes through in pieces: memory does not grow with its size.
func TestStreamingIsBounded(t *testing.T) {
	const size, bound = 64 << 20, 8 << 20
	g := newGateway(t)
	allocated := func(fn func()) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		fn()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	content := func() io.Reader { return io.LimitReader(zeros{}, size) }
	var id string
	assert.Less(t, allocated(func() {
		f := g.send("POST", zuul+"/files/?workspace_name=ws1&upload_config={is_need_md5:true}", streamHeader(`{"name":"large"}`), content()).created()
		require.EqualValues(t, size, f.num("size"))
		id = f.str("id")
	}), uint64(bound), "create")
	assert.Less(t, allocated(func() {
		g.bpCreate("large", "ADLER32", "is_need_md5", "true").ok()
		g.send("PUT", zuul+"/breakpointfiles/large?workspace_name=ws1&offset=0&is_last_content=true", streamHeader(""), content()).ok()
	}), uint64(bound), "increment")
	assert.Less(t, allocated(func() {
		g.send("PUT", zuul+"/files/"+id+"?workspace_name=ws1", streamHeader(""), content()).ok()
	}), uint64(bound), "new version")
	assert.Less(t, allocated(func() {
		r, err := http.NewRequestWithContext(t.Context(), "GET", g.http.URL+api+"/files/"+id+"?workspace_name=ws1", nil)
		require.NoError(t, err)
		r.Header.Set("x-auth-token", g.token)
		resp, err := g.http.Client().Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.EqualValues(t, size, n)
	}), uint64(bound), "download")
}
