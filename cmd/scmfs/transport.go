package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/client"
)

// transport is how gateways are reached.
type transport struct {
	caFile string
	proxy  string
}

func (t *transport) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.caFile, "ca-file", "", "PEM file with the authorities that https gateways must be signed by (default: the system's)")
	cmd.Flags().StringVar(&t.proxy, "proxy", "none", "none, environment ($HTTPS_PROXY and the like) or http://HOST:PORT")
}

// apply completes a client's options.
func (t *transport) apply(o *client.Options) error {
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if t.caFile != "" {
		b, err := os.ReadFile(t.caFile)
		if err != nil {
			return usage(fileFailure("ca-file", err))
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(b) {
			return usage(fmt.Errorf("ca-file: %s has no certificate in PEM form", t.caFile))
		}
	}
	switch t.proxy {
	case "", "none":
		o.Proxy = nil
	case "environment":
		o.Proxy = http.ProxyFromEnvironment
	default:
		u, err := parseProxy(t.proxy)
		if err != nil {
			return usage(err)
		}
		o.Proxy = http.ProxyURL(u)
	}
	return nil
}

// check looks at the settings without using them.
func (t *transport) check() error { return t.apply(&client.Options{}) }

// parseProxy refuses a password in the address: everybody can see it in ps. The
// address is not repeated in the error for the same reason.
func parseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5":
		return nil, errors.New("--proxy: want none, environment or http://HOST:PORT")
	case u.User != nil:
		return nil, errors.New("--proxy: a password does not belong here; set HTTPS_PROXY and use --proxy environment")
	}
	return u, nil
}
