package client_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

func TestHTTPS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NotNil(t, r.TLS)
		w.Header().Set("x-auth-token", token)
		if r.URL.Path == "/auth/api/v2/salt" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	c := dial(t, []string{srv.URL + "/rootsite"}, func(o *client.Options) { o.TLS = &tls.Config{RootCAs: roots} })
	require.NoError(t, c.Login(t.Context()))

	c = dial(t, []string{srv.URL + "/rootsite"}, retrying)
	err := c.Login(t.Context())
	assert.Equal(t, client.Auth, client.KindOf(err), "waiting does not help: %v", err)
}
