package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog ends a request that makes no progress. The limit is on silence, not
// on the whole: a large upload over a slow line is right, a stalled one is not.
type watchdog struct {
	d  time.Duration
	mu sync.Mutex
	t  *time.Timer
	// A timer reset per read would cost a lock in the runtime for each; progress
	// is noted instead and looked at when the timer fires.
	last atomic.Int64
}

func newWatchdog(d time.Duration, fire func()) *watchdog {
	w := &watchdog{d: d}
	w.last.Store(time.Now().UnixNano())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t = time.AfterFunc(d, func() { w.check(fire) })
	return w
}

func (w *watchdog) check(fire func()) {
	idle := time.Duration(time.Now().UnixNano() - w.last.Load())
	if idle >= w.d {
		fire()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Reset(w.d - idle)
}

func (w *watchdog) progress() { w.last.Store(time.Now().UnixNano()) }

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Stop()
}

// sentReader notes progress of a request body.
type sentReader struct {
	r io.Reader
	w *watchdog
	n *atomic.Int64
}

func (s *sentReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n.Add(int64(n))
	s.w.progress()
	return n, err
}

func (s *sentReader) Close() error {
	if c, ok := s.r.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// watchedBody notes progress of an answer.
type watchedBody struct {
	io.ReadCloser
	w *watchdog
	n *atomic.Int64
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.w.progress()
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	b.w.progress()
	return n, err
}

// streamBody is an answer's body handed to the caller.
type streamBody struct {
	io.ReadCloser
	ctx  context.Context
	stop func()
}

func (b *streamBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

// withWriteMark sets mark once the request's first bytes were written: from then
// on a lost answer leaves the outcome open.
func withWriteMark(ctx context.Context, mark *atomic.Bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { mark.Store(true) },
	})
}

func isConnError(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}
