package server

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// FaultKind is what a [Fault] does to a request.
type FaultKind string

// The kinds of faults.
const (
	FaultDelay       FaultKind = "delay"        // wait Delay first
	FaultJitter      FaultKind = "jitter"       // wait a random time up to Delay first
	FaultError       FaultKind = "error"        // answer Code without running the handler
	FaultErrorAfter  FaultKind = "error-after"  // run the handler, then answer Code
	FaultCutRequest  FaultKind = "cut-request"  // break the connection after Bytes of the body
	FaultCutResponse FaultKind = "cut-response" // break the connection after Bytes of the answer's body
	FaultLostReply   FaultKind = "lost-reply"   // run the handler, then break the connection
	FaultHang        FaultKind = "hang"         // answer nothing until the client gives up
	FaultExpire      FaultKind = "expire"       // forget all sessions first
)

// Fault is one rule. It applies to requests whose kind matches Pattern.
type Fault struct {
	Kind    FaultKind
	Pattern string        // "PUT /breakpointfiles/*", "" = every request
	Delay   time.Duration // of delay and jitter
	Code    wire.Code     // of error: HTTP status or SCM code
	Bytes   int64         // of the cuts
	Count   int           // how many more times, 0 = without end
	Percent int           // how often, 0 = always
}

// ParseFault reads KIND[=ARGUMENT][@METHOD PATTERN][#COUNT][%PERCENT], for
// example "delay=200ms", "error=503@PUT /breakpointfiles/*%10",
// "lost-reply@POST /files#1", "cut-request=1000@PUT /files/*#2". Patterns match
// request kinds as [Server.Counts] names them; '*' stands for one part.
func ParseFault(s string) (Fault, error) {
	f := Fault{}
	bad := func(what string) (Fault, error) { return Fault{}, fmt.Errorf("fault %q: %s", s, what) }
	rest := s
	for _, cut := range []struct {
		sep string
		to  *int
	}{{"%", &f.Percent}, {"#", &f.Count}} {
		if head, tail, ok := strings.Cut(rest, cut.sep); ok {
			n, err := strconv.Atoi(tail)
			if err != nil || n < 1 {
				return bad("want a number behind " + cut.sep)
			}
			*cut.to, rest = n, head
		}
	}
	rest, f.Pattern, _ = strings.Cut(rest, "@")
	if _, err := path.Match(f.Pattern, ""); err != nil {
		return bad(err.Error())
	}
	kind, arg, hasArg := strings.Cut(rest, "=")
	f.Kind = FaultKind(kind)
	var err error
	switch f.Kind {
	case FaultDelay, FaultJitter:
		f.Delay, err = time.ParseDuration(arg)
	case FaultError, FaultErrorAfter:
		var n int
		n, err = strconv.Atoi(arg)
		f.Code = wire.Code(n)
	case FaultCutRequest, FaultCutResponse:
		f.Bytes, err = strconv.ParseInt(arg, 10, 64)
	case FaultLostReply, FaultHang, FaultExpire:
		if hasArg {
			return bad("takes no argument")
		}
	default:
		return bad("unknown kind")
	}
	if err != nil {
		return bad(err.Error())
	}
	return f, nil
}

// Faults is a set of rules in front of a server. Safe for concurrent use; the
// same seed and order of requests give the same faults.
type Faults struct {
	dropSessions func()
	mu           struct {
		sync.Mutex
		rng   *rand.Rand
		rules []*Fault
		hits  int
	}
}

// NewFaults returns an empty set.
func NewFaults(seed uint64) *Faults {
	f := &Faults{dropSessions: func() {}}
	f.mu.rng = rand.New(rand.NewPCG(seed, seed))
	return f
}

// Add puts rules behind those there are.
func (f *Faults) Add(rules ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		f.mu.rules = append(f.mu.rules, &r)
	}
}

// Clear removes all rules.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.rules = nil
}

// Hits returns how many faults have been applied.
func (f *Faults) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.hits
}

// pick returns the rules that apply to a request and uses them up.
func (f *Faults) pick(kind string) (out []Fault, jitter float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.mu.rules[:0]
	for _, r := range f.mu.rules {
		ok := r.Pattern == "" || r.Pattern == kind
		if !ok {
			ok, _ = path.Match(r.Pattern, kind)
		}
		if ok && (r.Percent == 0 || f.mu.rng.IntN(100) < r.Percent) {
			f.mu.hits++
			out = append(out, *r)
			if r.Count > 0 {
				if r.Count--; r.Count == 0 {
					continue
				}
			}
		}
		kept = append(kept, r)
	}
	f.mu.rules = kept
	return out, f.mu.rng.Float64()
}

func (f *Faults) serve(kind string, w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter, *http.Request)) {
	rules, jitter := f.pick(kind)
	after := func() {}
	for _, rule := range rules {
		switch rule.Kind {
		case FaultDelay:
			pause(r, rule.Delay)
		case FaultJitter:
			pause(r, time.Duration(jitter*float64(rule.Delay)))
		case FaultError:
			answerFault(w, r, rule.Code)
			return
		case FaultErrorAfter:
			next(nowhere{http.Header{}}, r)
			answerFault(w, r, rule.Code)
			return
		case FaultCutRequest:
			r.Body = &cutBody{ReadCloser: r.Body, left: rule.Bytes}
			after = abort
		case FaultCutResponse:
			w = &cutWriter{ResponseWriter: w, left: rule.Bytes}
		case FaultLostReply:
			next(nowhere{http.Header{}}, r)
			abort()
		case FaultHang:
			<-r.Context().Done()
			abort()
		case FaultExpire:
			f.dropSessions()
		}
	}
	next(w, r)
	after()
}

func abort() { panic(http.ErrAbortHandler) }

func pause(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

func answerFault(w http.ResponseWriter, r *http.Request, code wire.Code) {
	s := &Server{}
	if code < 0 {
		s.fail(w, &request{Request: r}, repo.Errorf(code, "fault"))
		return
	}
	http.Error(w, "fault", int(code))
}

type nowhere struct{ h http.Header }

func (n nowhere) Header() http.Header         { return n.h }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

var errCut = errors.New("connection cut by a fault")

type cutBody struct {
	io.ReadCloser
	left int64
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errCut
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= c.left {
		c.left -= int64(len(p))
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
