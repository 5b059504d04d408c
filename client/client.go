package client

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/singleflight"
)

// Options configures a [Client]. User and Password are required, the rest has
// defaults.
type Options struct {
	User string
	// Password is asked at each login, so that a changed file is seen; see
	// [StaticPassword].
	Password func() (string, error)

	TLS            *tls.Config                           // for https:// seeds
	Proxy          func(*http.Request) (*url.URL, error) // nil: none, whatever the environment says
	ConnectTimeout time.Duration                         // 10 s
	StallTimeout   time.Duration                         // the longest silence of a transfer, 60 s
	RetryTimeout   time.Duration                         // how long a call is tried again, 30 s; negative: not at all
	MaxConns       int                                   // connections kept alive per gateway, 64

	// ListBytes bounds the memory that the rows of all lists being read take together,
	// in bytes, 2 GiB: 2 million files with the usual attributes. It counts the JSON of
	// each row and what a row takes besides, from the first page until the last row was
	// taken, since who reads a list mostly keeps it; then it is given back. The list
	// that would take more ends with [TooLarge].
	ListBytes int64

	Logger logrus.FieldLogger // nil: silent
	// Observe is told of each request once it has ended: endpoint kind such as
	// "PUT /breakpointfiles/{name}", HTTP status (0: none), time, body bytes. For a
	// stream, once it is open. It must not block.
	Observe func(endpoint string, status int, took time.Duration, sent, received int64)
}

// StaticPassword is an Options.Password that never changes.
func StaticPassword(password string) func() (string, error) {
	return func() (string, error) { return password, nil }
}

// Client is one user's access to SCM through one of several seeds. Safe for
// concurrent use. It starts nothing; the first call logs in.
type Client struct {
	o     Options
	seeds []seed
	http  *http.Client
	login singleflight.Group

	listed    atomic.Int64 // bytes that lists under way take, see Options.ListBytes
	maxAnswer int64

	mu struct {
		sync.Mutex
		session session
		since   time.Time // of the login
	}
}

// New returns a client for seeds of the form "host:port/site", with "https://" in
// front where TLS is spoken. Login tries them in random order; the one that takes
// it serves the session, and when it cannot be reached any more the others are
// tried. New makes no request; [Invalid] when a seed is malformed.
func New(seeds []string, o Options) (*Client, error) {
	c := &Client{o: o, maxAnswer: maxAnswer}
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
	if c.o.ListBytes <= 0 {
		c.o.ListBytes = 2 << 30
	}
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
			DialContext: dialPlain(dialer), TLSClientConfig: o.TLS, Proxy: o.Proxy, TLSHandshakeTimeout: c.o.ConnectTimeout,
			MaxIdleConnsPerHost: c.o.MaxConns, MaxIdleConns: 2 * c.o.MaxConns, IdleConnTimeout: 25 * time.Minute,
			DisableCompression: true, WriteBufferSize: 64 << 10,
			// A body is read past the buffer when more than the buffer's size is asked
			// for. With a buffer as large as the read cache's 64 KiB pages every byte of a
			// stream was copied once more: 0.2 of 1.2 CPU seconds a GiB.
			ReadBufferSize:         16 << 10,
			MaxResponseHeaderBytes: 256 << 10,
		},
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close drops idle connections. It neither logs out nor ends calls under way,
// and the client can still be used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Seed returns the seed in use, or the first one before the first login.
func (c *Client) Seed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.session.seed != nil {
		return c.mu.session.seed.text
	}
	return c.seeds[0].text
}
