package client

import (
	"context"
	"errors"
	"fmt"
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
	// is noted instead and looked at when the timer fires. 0: nobody waits for
	// the server at the moment.
	last atomic.Int64
}

func newWatchdog(d time.Duration, fire func()) *watchdog {
	w := &watchdog{d: d}
	w.progress()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t = time.AfterFunc(d, func() { w.check(fire) })
	return w
}

func (w *watchdog) check(fire func()) {
	last := w.last.Load()
	idle := time.Duration(time.Now().UnixNano() - last)
	if last == 0 {
		idle = 0
	}
	if idle >= w.d {
		fire()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Reset(w.d - idle)
}

func (w *watchdog) progress() { w.last.Store(time.Now().UnixNano()) }

// rest says that the caller, not the server, is awaited until the next progress.
func (w *watchdog) rest() { w.last.Store(0) }

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Stop()
}

// source is a request body that is opened at its first read, notes progress and
// remembers how it ended. Once it is closed the caller's reader is not touched
// any more: net/http may still be sending when an early answer is there, and the
// caller may reuse what the reader reads from as soon as the call returns.
type source struct {
	open func() (io.Reader, error) // nil: no body
	size int64                     // -1: unknown
	w    *watchdog
	n    *atomic.Int64
	mu   struct {
		sync.Mutex // held while the caller's reader reads
		r          io.Reader
		err        error // of the caller's reader
		closed     bool
	}
}

func (k *call) source(w *watchdog, n *atomic.Int64) *source {
	s := &source{w: w, n: n, size: -1}
	if k.body != nil && len(k.form) == 0 {
		s.size = k.body.Size
	}
	return s
}

func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.beginLocked(); err != nil {
		return 0, err
	}
	n, err := s.mu.r.Read(p)
	total := s.n.Add(int64(n))
	s.w.progress()
	if errors.Is(err, io.EOF) && s.size > total {
		err = fmt.Errorf("it ends after %d of %d bytes: %w", total, s.size, io.ErrUnexpectedEOF)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.err = err
	}
	return n, err
}

// begin opens the caller's reader, if there is one.
func (s *source) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return nil
	}
	return s.beginLocked()
}

func (s *source) beginLocked() error {
	if s.mu.closed {
		return io.ErrClosedPipe // the transport has given up already
	}
	if s.mu.r == nil && s.mu.err == nil {
		s.mu.r, s.mu.err = s.open()
	}
	return s.mu.err
}

func (s *source) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.err
}

// Close implements io.Closer.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.mu.r.(io.Closer)
	if s.mu.closed = true; !ok {
		return nil
	}
	s.mu.r = nil
	return c.Close()
}

// sourceKind is the kind of an error of the caller's own reader.
func sourceKind(err error) Kind {
	switch {
	case errors.Is(err, errSpent):
		return Unavailable
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Invalid
	}
	return KindOf(err)
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

// streamBody is an answer's body handed to the caller, who may take his time
// between reads.
type streamBody struct {
	*watchedBody
	ctx  context.Context
	stop func()
}

func (b *streamBody) Read(p []byte) (int, error) {
	defer b.w.rest()
	return b.watchedBody.Read(p)
}

func (b *streamBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

// withWriteMark sets mark once the request has a connection: from then on a lost
// answer leaves the outcome open.
func withWriteMark(ctx context.Context, mark *atomic.Bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { mark.Store(true) },
	})
}

func isConnError(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}
