package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// call is one request to make.
type call struct {
	op, name string // for errors
	kind     string // endpoint kind for Observe, "" = derived from path
	method   string
	abs      string // path below the gateway; else path is below the site
	path     string
	stream   bool // the /zuul form, for data bodies
	query    wire.Params
	form     wire.Params
	header   http.Header
	body     *Body
	once     bool                  // not idempotent: never sent twice on doubt
	out      any                   // JSON body goes here
	each     func(io.Reader) error // takes the body instead of out
	keepBody bool                  // the body is handed to the caller by do
}

// Limits on what a server may make us hold in memory.
const (
	maxAnswer = 64 << 20
	maxError  = 64 << 10
	// maxHeader keeps a request below the gateway's 8 KiB (part 1 section 1.6).
	maxHeader = 7 << 10
)

// do runs a call with login, re-login and, for idempotent calls, retries.
func (c *Client) do(ctx context.Context, k *call) (http.Header, error) {
	if err := k.tooLong(); err != nil {
		return nil, err
	}
	if k.once || c.o.RetryTimeout < 0 {
		return c.authed(ctx, k)
	}
	bo := backoff.NewExponentialBackOff()
	bo.InitialInterval, bo.MaxInterval = 100*time.Millisecond, 3*time.Second
	return backoff.Retry(ctx, func() (http.Header, error) {
		h, err := c.authed(ctx, k)
		if err != nil && !retryable(err) {
			return nil, backoff.Permanent(err)
		}
		return h, err
	}, backoff.WithBackOff(bo), backoff.WithMaxElapsedTime(c.o.RetryTimeout))
}

func retryable(err error) bool {
	switch KindOf(err) {
	case Unavailable, Timeout, Uncertain:
		// Our own refusal to log in, a full store and the like are not transient.
		return CodeOf(err) == 0 || CodeOf(err) >= 500 || CodeOf(err) == wire.CodeSystemError ||
			CodeOf(err) == wire.CodeWorkspaceCacheExpire || CodeOf(err) == wire.CodeNetworkIO
	}
	return false
}

func (k *call) tooLong() error {
	n := len(k.path) + len(k.query.Encode())
	for name, v := range k.header {
		n += len(name) + len(strings.Join(v, ""))
	}
	if n > maxHeader {
		return &Error{Op: k.op, Name: k.name, Kind: TooLarge,
			Err: fmt.Errorf("the request's names and attributes take %d bytes in its header, a gateway takes %d", n, maxHeader)}
	}
	return nil
}

// authed sends a call with a token and logs in again once when it has expired
// and the body can be sent again.
func (c *Client) authed(ctx context.Context, k *call) (http.Header, error) {
	stale := -1
	for attempt := 0; ; attempt++ {
		token, gen, err := c.session(ctx, stale)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		s := c.mu.seed
		c.mu.Unlock()
		h, err := c.once(ctx, k, token, s)
		if err == nil || attempt > 0 || !sessionLost(err) {
			return h, err
		}
		stale = gen
	}
}

// sessionLost tells an expired token from a missing privilege (part 1 section 2.5).
func sessionLost(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code < 0 {
		return false
	}
	return e.HTTP == http.StatusUnauthorized || e.HTTP == http.StatusForbidden ||
		e.HTTP == http.StatusNotFound && e.Err != nil && strings.Contains(e.Err.Error(), "Session is not found")
}

// once sends a call exactly once.
func (c *Client) once(ctx context.Context, k *call, token string, s *seed) (h http.Header, err error) {
	start := time.Now()
	status := 0
	var sent, received atomic.Int64
	if c.o.Observe != nil {
		defer func() { c.o.Observe(k.endpoint(), status, time.Since(start), sent.Load(), received.Load()) }()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newWatchdog(c.o.StallTimeout, func() { cancel(errStalled) })
	handedOver := false
	defer func() {
		if !handedOver {
			watch.stop()
			cancel(nil)
		}
	}()
	req, wrote, err := c.request(ctx, k, token, s, watch, &sent)
	if err != nil {
		return nil, &Error{Op: k.op, Name: k.name, Kind: Invalid, Err: err}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, &Error{Op: k.op, Name: k.name, Kind: transportKind(ctx, err, wrote.Load() && k.once), Err: scrub(err, token)}
	}
	status = res.StatusCode
	body := &watchedBody{ReadCloser: res.Body, w: watch, n: &received}
	if k.keepBody && status == http.StatusOK {
		handedOver = true
		k.out = &streamBody{ReadCloser: body, stop: func() { watch.stop(); cancel(nil) }, ctx: ctx}
		return res.Header, nil
	}
	defer body.Close()
	if status != http.StatusOK {
		return nil, c.failure(k, res, body, token)
	}
	if err := k.read(body); err != nil {
		kind := Protocol
		if ctx.Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) || isConnError(err) {
			kind = transportKind(ctx, err, k.once)
		}
		return nil, &Error{Op: k.op, Name: k.name, Kind: kind, HTTP: status, Err: scrub(err, token)}
	}
	return res.Header, nil
}

func (k *call) endpoint() string {
	if k.kind != "" {
		return k.kind
	}
	return k.method + " " + k.abs + k.path
}

func (c *Client) request(ctx context.Context, k *call, token string, s *seed, watch *watchdog, sent *atomic.Int64) (*http.Request, *atomic.Bool, error) {
	path := k.abs
	if path == "" {
		path = wire.SitePrefix(s.site, k.stream) + k.path
	}
	u := s.base + path
	if len(k.query) > 0 {
		u += "?" + k.query.Encode()
	}
	var reader io.Reader
	size := int64(0)
	wrote := &atomic.Bool{}
	switch {
	case k.form != nil:
		form := k.form.Encode()
		reader, size = strings.NewReader(form), int64(len(form))
	case k.body != nil && k.body.Open != nil && k.body.Size != 0:
		r, err := k.body.Open()
		if err != nil {
			return nil, nil, err
		}
		reader, size = r, k.body.Size
	}
	if reader != nil {
		reader = &sentReader{r: reader, w: watch, n: sent}
	}
	req, err := http.NewRequestWithContext(withWriteMark(ctx, wrote), k.method, u, reader)
	if err != nil {
		return nil, nil, err
	}
	req.ContentLength = size
	// The Go transport must not send the request again by itself: it cannot tell
	// whether the first one was carried out.
	req.GetBody = nil
	if k.once {
		req.Header["Idempotency-Key"] = nil
	}
	for name, v := range k.header {
		req.Header[http.CanonicalHeaderKey(name)] = v
	}
	if token != "" {
		req.Header.Set(wire.HeaderToken, token)
	}
	switch {
	case k.form != nil:
		req.Header.Set("Content-Type", wire.ContentTypeForm)
	case k.body != nil:
		req.Header.Set("Content-Type", wire.ContentTypeBinary)
	}
	if k.method == http.MethodHead {
		req.Header.Set(wire.HeaderErrorCharset, "utf-8")
	}
	return req, wrote, nil
}

func (k *call) read(body io.Reader) error {
	limited := io.LimitReader(body, maxAnswer)
	if k.each != nil {
		return k.each(limited)
	}
	b, err := io.ReadAll(limited)
	if err != nil {
		return err
	}
	if k.out == nil {
		return nil
	}
	if err := json.Unmarshal(b, k.out); err != nil {
		return fmt.Errorf("the answer is not the JSON that was expected: %w", err)
	}
	return nil
}

// failure turns an error answer into an [Error]; the code is in the body, for
// HEAD in a header (part 1 section 3).
func (c *Client) failure(k *call, res *http.Response, body io.Reader, token string) error {
	e := &Error{Op: k.op, Name: k.name, HTTP: res.StatusCode}
	var rec wire.ErrorRecord
	var raw []byte
	if k.method == http.MethodHead {
		if v := res.Header.Get(wire.HeaderError); v != "" {
			s, err := wire.Unescape(v)
			if err != nil {
				s = v
			}
			raw = []byte(s)
		}
	} else {
		raw, _ = io.ReadAll(io.LimitReader(body, maxError))
	}
	if json.Unmarshal(raw, &rec) == nil && rec.Status != 0 {
		e.Code = wire.Code(rec.Status)
		e.Kind = kindOfCode(e.Code)
		if rec.Message != "" {
			e.Err = errors.New(scrubText(rec.Message, token))
		}
		return e
	}
	e.Kind = kindOfCode(wire.Code(res.StatusCode))
	if res.StatusCode < 400 {
		e.Kind = Protocol
	}
	e.Err = fmt.Errorf("HTTP %s", res.Status)
	return e
}

// scrubText takes the live token out of a message (part 1 section 3.1).
func scrubText(s, token string) string {
	if i := strings.Index(s, "sessionId="); i >= 0 {
		if j := strings.IndexByte(s[i:], ','); j >= 0 {
			s = s[:i] + s[i+j+1:]
		}
	}
	if token != "" {
		s = strings.ReplaceAll(s, token, "…")
	}
	return s
}

// scrub keeps the error chain when there is nothing to hide in it.
func scrub(err error, token string) error {
	if token != "" && strings.Contains(err.Error(), token) {
		return errors.New(strings.ReplaceAll(err.Error(), token, "…"))
	}
	return err
}
