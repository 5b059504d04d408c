package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/singleflight"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Options configures a [Client]. The zero value works for a server that lets
// the user in without a password, which none does: set User and Password.
type Options struct {
	User     string
	Password func() (string, error) // asked at each login, so that a changed file is seen

	TLS            *tls.Config
	ConnectTimeout time.Duration // 10 s
	StallTimeout   time.Duration // without a byte in either direction, 60 s
	RetryTimeout   time.Duration // how long idempotent calls are retried, 30 s; negative: not at all
	MaxConns       int           // kept alive per gateway, 64

	Logger logrus.FieldLogger
	// Observe is told of each request once it has ended: endpoint kind such as
	// "PUT /breakpointfiles/{name}", HTTP status (0: none), time, body bytes.
	Observe func(endpoint string, status int, took time.Duration, sent, received int64)
}

// Client is one user's access to SCM through one of several seeds. Safe for
// concurrent use. It starts nothing; the first call logs in.
type Client struct {
	o     Options
	seeds []seed
	http  *http.Client
	login singleflight.Group
	mu    struct {
		sync.Mutex
		token string
		seed  *seed // the one that worked
		gen   int   // counts logins
	}
}

// seed is one "host:port/site".
type seed struct{ base, site, text string }

// parseSeed splits at the first '/', lower-cases the site (part 1 section 1.2).
func parseSeed(s string) (seed, error) {
	scheme, rest := "http", strings.TrimSpace(s)
	if before, after, ok := strings.Cut(rest, "://"); ok {
		scheme, rest = strings.ToLower(before), after
	}
	host, site, ok := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	site = strings.ToLower(site)
	switch {
	case scheme != "http" && scheme != "https":
		return seed{}, fmt.Errorf("seed %q: scheme must be http or https", s)
	case !ok || site == "":
		return seed{}, fmt.Errorf("seed %q: want HOST:PORT/SITE", s)
	case strings.ContainsAny(site, `/\%;?#`):
		return seed{}, fmt.Errorf("seed %q: the site name has a character that is not allowed", s)
	case strings.Contains(host, "@"):
		return seed{}, fmt.Errorf("seed: a user name does not belong here")
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		return seed{}, fmt.Errorf("seed %q: want HOST:PORT/SITE: %w", s, err)
	}
	if u, err := url.Parse(scheme + "://" + host); err != nil || u.Host != host {
		return seed{}, fmt.Errorf("seed %q: malformed host", s)
	}
	return seed{base: scheme + "://" + host, site: site, text: host + "/" + site}, nil
}

// New returns a client for seeds of the form "host:port/site", optionally with
// "https://" in front. It makes no request.
func New(seeds []string, o Options) (*Client, error) {
	c := &Client{o: o}
	for _, s := range seeds {
		p, err := parseSeed(s)
		if err != nil {
			return nil, &Error{Op: "configure", Kind: Invalid, Err: err}
		}
		c.seeds = append(c.seeds, p)
	}
	if len(c.seeds) == 0 {
		return nil, &Error{Op: "configure", Kind: Invalid, Err: fmt.Errorf("no seed is given")}
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.o.ConnectTimeout, 10*time.Second)
	def(&c.o.StallTimeout, 60*time.Second)
	def(&c.o.RetryTimeout, 30*time.Second)
	if c.o.MaxConns <= 0 {
		c.o.MaxConns = 64
	}
	if c.o.Logger == nil {
		l := logrus.New()
		l.SetOutput(io.Discard)
		c.o.Logger = l
	}
	if c.o.Password == nil {
		c.o.Password = func() (string, error) { return "", nil }
	}
	dialer := &net.Dialer{Timeout: c.o.ConnectTimeout, KeepAlive: 30 * time.Second}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: o.TLS, TLSHandshakeTimeout: c.o.ConnectTimeout,
			MaxIdleConnsPerHost: c.o.MaxConns, MaxIdleConns: 2 * c.o.MaxConns, IdleConnTimeout: 25 * time.Minute,
			DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
			MaxResponseHeaderBytes: 256 << 10,
		},
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close drops idle connections. It does not log out.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Seed returns the seed in use, or the first one before the first login.
func (c *Client) Seed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.seed != nil {
		return c.mu.seed.text
	}
	return c.seeds[0].text
}

// Login logs in now instead of at the first call.
func (c *Client) Login(ctx context.Context) error {
	_, _, err := c.session(ctx, 0)
	return err
}

// Logout ends the session; the next call would log in again.
func (c *Client) Logout(ctx context.Context) error {
	c.mu.Lock()
	token, s := c.mu.token, c.mu.seed
	c.mu.token = ""
	c.mu.Unlock()
	if token == "" {
		return nil
	}
	_, err := c.once(ctx, &call{op: "log out", method: http.MethodPost, abs: wire.PathLogout}, token, s)
	return err
}

// session returns the token and the seed in use, logging in when there is none
// or when the present login is still number stale.
func (c *Client) session(ctx context.Context, stale int) (token string, gen int, err error) {
	c.mu.Lock()
	token, gen = c.mu.token, c.mu.gen
	c.mu.Unlock()
	if token != "" && gen != stale {
		return token, gen, nil
	}
	// One login for all callers; it outlives the caller that happens to lead.
	ch := c.login.DoChan("login", func() (any, error) {
		c.mu.Lock()
		fresh := c.mu.token != "" && c.mu.gen != stale
		c.mu.Unlock()
		if fresh {
			return nil, nil
		}
		lctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.ConnectTimeout+c.o.StallTimeout)
		defer cancel()
		return nil, c.loginAny(lctx)
	})
	select {
	case r := <-ch:
		if r.Err != nil {
			return "", 0, r.Err
		}
	case <-ctx.Done():
		return "", 0, &Error{Op: "log in", Kind: KindOf(ctx.Err()), Err: ctx.Err()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.token, c.mu.gen, nil
}

// loginAny tries the seeds in random order; a refusal of the user is final.
func (c *Client) loginAny(ctx context.Context) error {
	var last error
	for _, i := range rand.Perm(len(c.seeds)) {
		s := &c.seeds[i]
		token, err := c.loginAt(ctx, s)
		if err == nil {
			c.mu.Lock()
			c.mu.token, c.mu.seed = token, s
			c.mu.gen++
			c.mu.Unlock()
			return nil
		}
		last = err
		if k := KindOf(err); k == Auth || k == Invalid {
			return err
		}
	}
	return last
}

// loginAt runs login v2 and falls back to v1 where part 1 sections 2.1 and 2.2
// say so.
func (c *Client) loginAt(ctx context.Context, s *seed) (string, error) {
	password, err := c.o.Password()
	if err != nil {
		return "", &Error{Op: "log in", Name: c.o.User, Kind: Auth, Err: err}
	}
	var salt wire.SaltRecord
	_, err = c.once(ctx, &call{op: "log in", name: c.o.User, method: http.MethodPost, abs: wire.PathSalt, out: &salt,
		form: wire.Params{{Name: wire.ParamUsername, Value: c.o.User}}, kind: "POST /auth/salt"}, "", s)
	if err != nil {
		e, _ := err.(*Error) //nolint:errorlint // once returns *Error
		if e == nil || e.Code == wire.CodeSaltNotExist || e.HTTP == 0 || e.HTTP >= 500 {
			return "", err
		}
		return c.loginV1(ctx, s, password)
	}
	sig, err := wire.Sign(password, salt.Salt, salt.Date)
	if err != nil {
		return "", &Error{Op: "log in", Name: c.o.User, Kind: Protocol, Err: err}
	}
	res, err := c.once(ctx, &call{op: "log in", name: c.o.User, method: http.MethodPost, abs: wire.PathLoginV2,
		form:   wire.Params{{Name: wire.ParamUsername, Value: c.o.User}, {Name: wire.ParamPassword, Value: sig}},
		header: http.Header{"Date": {salt.Date}}, kind: "POST /login"}, "", s)
	if err != nil {
		if e, ok := err.(*Error); ok && e.HTTP == http.StatusNotFound { //nolint:errorlint // once returns *Error
			return c.loginV1(ctx, s, password)
		}
		return "", err
	}
	return tokenOf(res)
}

func (c *Client) loginV1(ctx context.Context, s *seed, password string) (string, error) {
	res, err := c.once(ctx, &call{op: "log in", name: c.o.User, method: http.MethodPost, abs: wire.PathLogin, kind: "POST /login",
		form: wire.Params{{Name: wire.ParamUsername, Value: c.o.User}, {Name: wire.ParamPassword, Value: password}}}, "", s)
	if err != nil {
		return "", err
	}
	return tokenOf(res)
}

func tokenOf(h http.Header) (string, error) {
	if t := h.Get(wire.HeaderToken); t != "" {
		return t, nil
	}
	return "", &Error{Op: "log in", Kind: Protocol, Err: fmt.Errorf("the answer has no %s header", wire.HeaderToken)}
}
