package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/server"
)

// serving runs "scmfs serve" in this process on a new directory and returns its
// base URL, a session, and what stops it and gives its error.
func serving(t *testing.T, flags ...string) (base, token string, stop func() error) {
	t.Helper()
	dir := t.TempDir()
	root := rootCommand()
	out, in := io.Pipe()
	root.SetOut(in)
	root.SetArgs(append([]string{"serve", dir, "--listen", "127.0.0.1:0", "--log-level", "error"}, flags...))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		err := root.ExecuteContext(ctx)
		_ = in.CloseWithError(io.EOF)
		done <- err
	}()
	stop = func() error { cancel(); return <-done }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(stop())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	_, seed, ok := strings.Cut(strings.TrimSpace(line), " at ")
	require.True(t, ok, line)
	host, site, _ := strings.Cut(seed, "/")
	l, err := readEmbeddedLogin(dir)
	require.NoError(t, err)
	resp, err := http.PostForm("http://"+host+"/login", url.Values{"username": {l.User}, "password": {l.Password}})
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	return "http://" + host + "/" + site + "/api/v1", resp.Header.Get("x-auth-token"), stop
}

func call(t *testing.T, token, method, url string, body string) int {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("x-auth-token", token)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

func TestServeFaults(t *testing.T) {
	base, token, stop := serving(t, "--fault", "error=503@HEAD /files#2", "--fault", "error=-107@GET /breakpointfiles", "--s3-parts")
	count := base + "/files?workspace_name=default"
	assert.Equal(t, []int{503, 503, 200}, []int{call(t, token, "HEAD", count, ""), call(t, token, "HEAD", count, ""), call(t, token, "HEAD", count, "")})
	assert.Equal(t, 500, call(t, token, "GET", base+"/breakpointfiles?workspace_name=default", ""))
	bp := base + "/breakpointfiles/x?workspace_name=default&is_last_content=false"
	assert.Equal(t, 200, call(t, token, "POST", bp, "three"))
	assert.Equal(t, 500, call(t, token, "PUT", bp+"&offset=5", "not at a multiple of 5 MiB"))
	http.DefaultClient.CloseIdleConnections()
	assert.NoError(t, stop())
}

func TestServeWithoutFaults(t *testing.T) {
	base, token, stop := serving(t, "--no-breakpoints", "--site", "other")
	assert.True(t, strings.HasSuffix(base, "/other/api/v1"))
	assert.Equal(t, 200, call(t, token, "HEAD", base+"/files?workspace_name=default", ""))
	assert.Equal(t, 500, call(t, token, "POST", base+"/breakpointfiles/x?workspace_name=default&is_last_content=false", ""))
	http.DefaultClient.CloseIdleConnections()
	assert.NoError(t, stop())
}

func TestServeImitates(t *testing.T) {
	base, token, stop := serving(t, "--gateway-limit", "--session-ttl", "1h")
	count := base + "/files?workspace_name=default"
	assert.Equal(t, 200, call(t, token, "HEAD", count, ""))
	http.DefaultClient.CloseIdleConnections()
	assert.Equal(t, 431, call(t, token, "HEAD", count+"&x="+strings.Repeat("x", 9<<10), ""), "longer than a gateway takes")
	http.DefaultClient.CloseIdleConnections()
	assert.NoError(t, stop())

	base, token, stop = serving(t, "--session-ttl", "1ns", "--flush-interval", "1024", "--no-ranged-cap", "--update-time-now")
	assert.Equal(t, 401, call(t, token, "HEAD", base+"/files?workspace_name=default", ""), "the session is over")
	http.DefaultClient.CloseIdleConnections()
	assert.NoError(t, stop())
}

func TestServeUsage(t *testing.T) {
	for _, bad := range [][]string{{"--fault", "nonsense"}, {"--fault", "delay=x"}, {"--log-level", "loud"}, {"--listen", "nowhere"}, {"--listen", "0.0.0.0:0"}} {
		root := rootCommand()
		root.SetArgs(append([]string{"serve", t.TempDir()}, bad...))
		err := root.ExecuteContext(t.Context())
		require.Error(t, err, bad)
		assert.Equal(t, exitUsage, exitCode(err), bad)
	}
	var help bytes.Buffer
	root := rootCommand()
	root.SetOut(&help)
	root.SetArgs([]string{"serve", "--help"})
	require.NoError(t, root.Execute())
	assert.Contains(t, help.String(), server.FaultHelp)
	for _, flag := range strings.Fields("--fault --s3-parts --no-breakpoints --update-time-now --no-ranged-cap --flush-interval --gateway-limit --session-ttl") {
		assert.Contains(t, help.String(), flag+" ")
	}
}
