package server

import (
	"context"
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
	FaultQuota       FaultKind = "quota"        // the next increment with data is -414, its breakpoint file back at 0
	FaultShortRead   FaultKind = "short-read"   // a ranged read answers at most Bytes
)

// Fault is one rule. It applies to requests whose kind matches Pattern.
type Fault struct {
	Kind    FaultKind
	Pattern string        // "PUT /breakpointfiles/*", "" = every request
	Delay   time.Duration // of delay and jitter
	Code    wire.Code     // of error: HTTP status or SCM code
	Bytes   int64         // of the cuts and of short-read
	Count   int           // how many more times, 0 = without end
	Percent int           // how often, 0 = always
}

// FaultHelp describes what [ParseFault] reads, for a command's help.
const FaultHelp = `KIND[=ARG][@METHOD PATTERN][#COUNT][%PERCENT]
  delay=200ms         wait first
  jitter=1s           wait a random time up to this first
  error=503           answer an HTTP status, or an SCM code such as -103, and do nothing
  error-after=500     carry the request out, then answer an error
  cut-request=1000    break the connection after so many bytes of the request's body
  cut-response=1000   break the connection after so many bytes of the answer's body
  lost-reply          carry the request out, then break the connection
  hang                never answer
  expire              forget all sessions first
  quota               refuse the next increment for quota (-414): its breakpoint file starts at 0 again
  short-read=100      answer ranged reads with at most so many bytes
COUNT is how many requests it happens to, PERCENT how often. METHOD PATTERN is a
request kind, with '*' for one part; without it, it happens to every request:
  POST /files                     create            PUT /files/{id}      new content, rename, property
  HEAD /files/id/{id}             stat by id        HEAD /files/path/{path}  stat by path
  GET /files/{id}                 read              DELETE /files/{id}   delete
  GET /files                      list              GET /directories/id/{id}/listfiles  list a directory
  GET|POST|DELETE /directories    directories       PUT /directories/id/{id}/rename     (or move)
  POST|PUT|HEAD|DELETE /breakpointfiles/{name}      POST /login, POST /localLogin`

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
			if err != nil || n < 1 || cut.sep == "%" && n > 100 {
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
		if f.Delay, err = time.ParseDuration(arg); f.Delay < 0 {
			return bad("want a time that is not negative")
		}
	case FaultError, FaultErrorAfter:
		var n int
		n, err = strconv.Atoi(arg)
		if f.Code = wire.Code(n); n >= 0 && (n < 400 || n > 599) {
			return bad("want an HTTP status from 400 to 599 or a negative SCM code")
		}
	case FaultCutRequest, FaultCutResponse, FaultShortRead:
		if f.Bytes, err = strconv.ParseInt(arg, 10, 64); f.Bytes < 0 {
			return bad("want a number of bytes that is not negative")
		}
	case FaultLostReply, FaultHang, FaultExpire, FaultQuota:
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
	dropSessions   func()
	refuseForQuota func()
	mu             struct {
		sync.Mutex
		rng   *rand.Rand
		rules []*Fault
		hits  int
	}
}

// NewFaults returns an empty set.
func NewFaults(seed uint64) *Faults {
	f := &Faults{dropSessions: func() {}, refuseForQuota: func() {}}
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
			next(nowhere{http.Header{}}, r) // the sender of a broken body gets no answer
			abort()
		case FaultCutResponse:
			w = &cutWriter{ResponseWriter: w, left: rule.Bytes}
		case FaultLostReply:
			next(nowhere{http.Header{}}, r)
			abort()
		case FaultHang:
			// net/http notices that a client has gone only behind the body.
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
			abort()
		case FaultExpire:
			f.dropSessions()
		case FaultQuota:
			f.refuseForQuota()
		case FaultShortRead:
			r = r.WithContext(context.WithValue(r.Context(), shortReadKey{}, rule.Bytes))
		}
	}
	next(w, r)
}

type shortReadKey struct{}

// shortRead returns the most a ranged read may answer, -1 for no such fault.
func shortRead(r *http.Request) int64 {
	if n, ok := r.Context().Value(shortReadKey{}).(int64); ok {
		return n
	}
	return -1
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
	s, q := &Server{}, &request{Request: r}
	if code < 0 {
		s.fail(w, q, repo.Errorf(code, "fault"))
		return
	}
	answered := refuseBody(w, q)
	http.Error(w, "fault", int(code))
	answered()
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
