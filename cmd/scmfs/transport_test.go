package main

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// A gateway is believed when one of the authorities given has signed it.
func TestAuthorities(t *testing.T) {
	asked := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		http.Error(w, "no", http.StatusTeapot)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that must fail
	s.StartTLS()
	defer s.Close()
	ca := write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})), 0o644)
	login := func(v transport) error {
		o := client.Options{User: "a", RetryTimeout: -1}
		require.NoError(t, v.apply(&o))
		c, err := client.New([]string{"https://" + s.Listener.Addr().String() + "/site"}, o)
		require.NoError(t, err)
		defer c.Close()
		return c.Login(t.Context())
	}
	require.ErrorContains(t, login(transport{}), "certificate")
	assert.Zero(t, asked, "nothing may be sent to a stranger")
	require.Error(t, login(transport{caFile: ca})) // 418, but it got there
	assert.NotZero(t, asked)

	require.ErrorContains(t, (&transport{caFile: write(t, "x.pem", "junk", 0o644)}).check(), "has no certificate in PEM form")
	require.ErrorContains(t, (&transport{caFile: "/nonexistent"}).check(), "/nonexistent")
}

// The environment's proxy is used when asked for, never by itself.
func TestProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.invalid:3128")
	for proxy, want := range map[string]bool{"": false, "none": false, "environment": true, "http://p:1": true} {
		var o client.Options
		require.NoError(t, (&transport{proxy: proxy}).apply(&o))
		assert.Equal(t, want, o.Proxy != nil, proxy)
	}
	for _, bad := range []string{"p:3128", "ftp://p", "http://", "http://user:hunter2@p:3128", "http://us er:hunter2@p"} {
		err := (&transport{proxy: bad}).check()
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), "hunter2")
		assert.Equal(t, exitUsage, exitCode(err))
	}
}
