package client

import (
	"context"
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

// call is one request to make and what to do with its answer.
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
	once     bool // not idempotent: never sent twice on doubt
	tried    bool // an attempt was made

	inHeader string                             // the answer's JSON is in this header, not in the body
	out      any                                // the JSON goes here
	accept   func() error                       // then judges out
	quick    func([]byte) bool                  // reads it without out and accept; false: it did not understand
	takeList func(*elements) error              // takes a JSON array instead of out
	each     func(http.Header, io.Reader) error // takes the body as it comes
	handOver bool                               // the body goes to the caller, in opened
	opened   *streamBody
}

// Limits on what a server may make us hold in memory.
const (
	// maxAnswer is of a list, which is not held as a whole; maxRecord of all else.
	maxAnswer = 64 << 20
	maxError  = 64 << 10
	// maxHeader keeps a request below the gateway's 8 KiB (part 1 section 1.6).
	maxHeader = 7 << 10
)

// do runs a call with login and re-login. Idempotent calls are retried; others
// only while nothing of them has left this machine.
func (c *Client) do(ctx context.Context, k *call) (http.Header, error) {
	if err := k.tooLong(); err != nil {
		return nil, err
	}
	again := retryable
	if k.once {
		again = notSent
	}
	return c.retry(ctx, k, again, func() (http.Header, error) { return c.authed(ctx, k) })
}

// retry repeats try with jittered backoff while again agrees with its error.
func (c *Client) retry(ctx context.Context, k *call, again func(error) bool, try func() (http.Header, error)) (http.Header, error) {
	if c.o.RetryTimeout < 0 {
		return try()
	}
	bo := backoff.NewExponentialBackOff()
	bo.InitialInterval, bo.MaxInterval = 100*time.Millisecond, 3*time.Second
	var last error
	h, err := backoff.Retry(ctx, func() (http.Header, error) {
		h, err := try()
		if last = err; err != nil && !again(err) {
			return nil, backoff.Permanent(err)
		}
		return h, err
	}, backoff.WithBackOff(bo), backoff.WithMaxElapsedTime(c.o.RetryTimeout))
	if _, ours := errors.AsType[*Error](err); err != nil && !ours {
		// The context ended while we waited for the next attempt.
		return nil, &Error{Op: k.op, Name: k.name, Kind: KindOf(ctx.Err()), Err: errors.Join(Plain(err), last)}
	}
	return h, err
}

// retryable reports errors of an idempotent call that may go away by themselves.
func retryable(err error) bool {
	switch KindOf(err) {
	case Unavailable, Timeout, Uncertain:
		// A store's own error with a code is only retried where the protocol says
		// that it is passing (part 1 sections 3.4 and 5.7).
		switch code := CodeOf(err); code {
		case 0, wire.CodeSystemError, wire.CodeNetworkIO, wire.CodeWorkspaceCacheExpire:
			return true
		default:
			return code > 0
		}
	}
	return false
}

// notSent reports an error from before the first byte of the request was sent.
func notSent(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.unsent && e.Kind == Unavailable
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

// once sends a call exactly once.
func (c *Client) once(ctx context.Context, k *call, s session) (h http.Header, err error) {
	start := time.Now()
	status := 0
	var sent, received atomic.Int64
	if c.o.Observe != nil {
		defer func() { c.o.Observe(k.endpoint(), status, time.Since(start), sent.Load(), received.Load()) }()
	}
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newWatchdog(c.o.StallTimeout, func() { cancel(errStalled) })
	handedOver := false
	defer func() {
		if !handedOver {
			watch.stop()
			cancel(nil)
		}
	}()
	src := k.source(watch, &sent)
	defer src.Close()
	req, wrote, err := k.request(ctx, s, src)
	if err != nil {
		return nil, &Error{Op: k.op, Name: k.name, Kind: Invalid, Err: err}
	}
	if k.tried {
		// A content that cannot be read again must not even begin to be sent.
		if err := src.begin(); err != nil {
			return nil, &Error{Op: k.op, Name: k.name, Kind: sourceKind(err), Err: fmt.Errorf("source: %w", err)}
		}
	}
	k.tried = true
	res, err := c.http.Do(req)
	if err != nil {
		e := &Error{Op: k.op, Name: k.name, unsent: !wrote.Load(), Err: scrub(Plain(why(ctx, err)), s.token)}
		if serr := src.failure(); serr != nil && outer.Err() == nil {
			// The body never came to its end, so nothing was kept (part 2 section 1.6).
			e.Kind, e.Err = sourceKind(serr), fmt.Errorf("source: %w", serr)
		} else {
			e.Kind = transportKind(ctx, err, wrote.Load() && k.once)
		}
		return nil, e
	}
	status = res.StatusCode
	body := &watchedBody{ReadCloser: res.Body, w: watch, n: &received}
	if k.handOver && status == http.StatusOK {
		handedOver = true
		watch.rest()
		k.opened = &streamBody{watchedBody: body, stop: func() { watch.stop(); cancel(nil) }, ctx: ctx}
		return res.Header, nil
	}
	defer body.Close()
	if status != http.StatusOK {
		return nil, k.refusal(res, body, s.token)
	}
	longest := int64(maxRecord)
	if k.takeList != nil {
		longest = c.maxAnswer
	}
	if err := k.take(res.Header, &bounded{body, longest}, s.token); err != nil {
		return nil, k.unreadable(ctx, err, s.token)
	}
	return res.Header, nil
}

func (k *call) endpoint() string {
	if k.kind != "" {
		return k.kind
	}
	return k.method + " " + k.abs + k.path
}

// request builds the HTTP request. wrote becomes true once it has a connection:
// from then on the server may have seen it.
func (k *call) request(ctx context.Context, s session, src *source) (*http.Request, *atomic.Bool, error) {
	path := k.abs
	if path == "" {
		path = wire.SitePrefix(s.seed.site, k.stream) + k.path
	}
	u := s.seed.base + path
	if len(k.query) > 0 {
		u += "?" + k.query.Encode()
	}
	var reader io.Reader
	size := int64(0)
	switch {
	case len(k.form) > 0:
		form := k.form.Encode()
		src.open = func() (io.Reader, error) { return strings.NewReader(form), nil }
		reader, size = src, int64(len(form))
	case k.body != nil && k.body.Open != nil && k.body.Size != 0:
		src.open = k.body.Open
		reader, size = src, k.body.Size
	}
	wrote := &atomic.Bool{}
	// A reader of a type that net/http does not know leaves GetBody nil, so that
	// the transport never sends a body a second time by itself.
	req, err := http.NewRequestWithContext(withWriteMark(ctx, wrote), k.method, u, reader)
	if err != nil {
		return nil, nil, err
	}
	req.ContentLength = size
	for name, v := range k.header {
		req.Header[http.CanonicalHeaderKey(name)] = v
	}
	if s.token != "" {
		req.Header.Set(wire.HeaderToken, s.token)
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
