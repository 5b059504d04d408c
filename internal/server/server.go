// Package server speaks SCM's REST protocol over a [repo.Repo]: routing,
// sessions, decoding, encoding. Rules and state are the repo's.
//
// A request goes through access log and counters, faults (tests and trying
// things out), routing, authentication, then one handler that decodes, calls
// the repo and encodes. Every error leaves through fail.
package server

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// Options configures a [Server]; the zero value is right for a real server.
type Options struct {
	SessionTTL    time.Duration    // sliding, 1800 s
	Now           func() time.Time // clock, time.Now
	Logger        logrus.FieldLogger
	Faults        *Faults // nil: none
	NoRangedCap   bool    // answer ranged reads of any length at once
	GatewayLimit  bool    // refuse requests whose line and headers exceed 8 KiB
	StopTimeout   time.Duration
	HeaderTimeout time.Duration
}

// Server is the HTTP side of one store. Safe for concurrent use.
type Server struct {
	repo     *repo.Repo
	o        Options
	site     string
	sessions *sessions
	throttle throttle
	hashing  chan struct{} // one entry for each password that is being checked
	counts   struct {
		sync.Mutex
		n map[string]int
	}
}

// New returns a server over r. It starts nothing.
func New(r *repo.Repo, o Options) *Server {
	if o.SessionTTL <= 0 {
		o.SessionTTL = 1800 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		l := logrus.New()
		l.SetOutput(io.Discard)
		o.Logger = l
	}
	if o.Faults == nil {
		o.Faults = NewFaults(1)
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = 10 * time.Second
	}
	if o.HeaderTimeout <= 0 {
		o.HeaderTimeout = 30 * time.Second
	}
	s := &Server{repo: r, o: o, site: r.Site(), sessions: newSessions(o.SessionTTL, o.Now), hashing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	s.counts.n = map[string]int{}
	o.Faults.dropSessions = s.sessions.dropAll
	o.Faults.refuseForQuota = func() { r.RefuseForQuota(1) }
	return s
}

// Counts returns how many requests were served by kind, such as
// "PUT /breakpointfiles/{name}".
func (s *Server) Counts() map[string]int {
	s.counts.Lock()
	defer s.counts.Unlock()
	out := make(map[string]int, len(s.counts.n))
	for k, v := range s.counts.n {
		out[k] = v
	}
	return out
}

// DropSessions makes every token unknown.
func (s *Server) DropSessions() { s.sessions.dropAll() }

// Handler returns the whole protocol as one handler.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.o.Now()
		q := s.parse(r)
		s.counts.Lock()
		s.counts.n[q.kind()]++
		s.counts.Unlock()
		rec := &recorder{ResponseWriter: w}
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
				s.o.Logger.WithFields(logrus.Fields{"path": q.logPath(), "stack": string(debug.Stack())}).Errorf("handler panicked: %v", p)
				if rec.status == 0 {
					s.fail(rec, q, repo.Errorf(wire.CodeSystemError, "internal error"))
					p = nil
				}
			}
			s.o.Logger.WithFields(logrus.Fields{"method": r.Method, "path": q.logPath(), "status": rec.status,
				"bytes": rec.n, "took": s.o.Now().Sub(start)}).Debug("request")
			if p != nil {
				panic(http.ErrAbortHandler) // what has been sent is not whole
			}
		}()
		s.o.Faults.serve(q.kind(), rec, r, func(w http.ResponseWriter, r *http.Request) { s.dispatch(w, r, q) })
	})
}

// Serve answers on l until ctx is done, then stops gracefully.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	hs := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: s.o.HeaderTimeout, IdleTimeout: 30 * time.Minute, MaxHeaderBytes: 46080,
		ErrorLog: log.New(warnings{s.o.Logger}, "", 0)}
	if s.o.GatewayLimit {
		// net/http adds 4 KiB of slack to the limit.
		hs.MaxHeaderBytes = wire.GatewayHeaderLimit - 4096
	}
	done := make(chan error, 1)
	go func() { done <- hs.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.StopTimeout)
	defer cancel()
	err := hs.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = hs.Close()
	}
	<-done
	return err
}

// warnings takes net/http's own complaints to our log.
type warnings struct{ log logrus.FieldLogger }

func (w warnings) Write(p []byte) (int, error) {
	w.log.Warn(strings.TrimSpace(string(p)))
	return len(p), nil
}

// recorder remembers what was answered, and keeps sendfile possible.
type recorder struct {
	http.ResponseWriter
	status int
	n      int64
}

func (r *recorder) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.n += int64(n)
	return n, err
}

// ReadFrom lets io.Copy reach the connection's sendfile.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := io.Copy(r.ResponseWriter, src)
	r.n += n
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// hostPort is what SCM-ERROR-HOST names.
func hostPort(r *http.Request) string {
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return a.String()
	}
	return strings.TrimSpace(r.Host)
}
