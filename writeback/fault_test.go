package writeback

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

type faultKind int

// What can happen to a request.
const (
	faultNone    faultKind = iota
	faultRefuse            // no connection: certainly not carried out
	faultLose              // carried out, the answer is lost
	faultGateway           // carried out, and a gateway answers 504
	faultGarble            // carried out, and the answer cannot be understood
	faultCut               // the body breaks at a byte; not carried out
	faultExpire            // the session has expired: the client logs in and sends the body again
	faultAuth              // and the new login fails as well
	faultStall             // no progress: the client gives up; not carried out
	faultCrash             // this process dies before the request
	faultCrashed           // this process dies after it
	faultQuota             // of an append: refused, and the record is back at 0 (section 5.6)
	faultFlip              // of an append: the store damages a byte
)

var faultNames = [...]string{"none", "refuse", "lose", "gateway", "garble", "cut", "expire", "auth", "stall", "crash before", "crash after", "quota", "flip"}

// fault is what happens to one request; at is where a body is cut: 0 the first
// byte, 1 the middle, 2 before the last byte.
type fault struct {
	kind faultKind
	at   int
}

func (f fault) String() string {
	if f.kind == faultCut {
		return fmt.Sprintf("cut at %d", f.at)
	}
	return faultNames[f.kind]
}

// script counts requests and says which fail.
type script struct {
	n        int
	faults   map[int]fault // by number, the first request is 1
	always   *fault        // of every request, when set
	log      []string
	received int64         // content bytes
	hit      int           // faults that happened
	latency  time.Duration // of every request; see delay
	alive    func() bool
	die      func()
}

// cutOf is called with the store locked.
func (s *script) cutOf(n int, size int64) int64 {
	f, ok := s.faults[n]
	if !ok || f.kind != faultCut {
		return -1
	}
	return [...]int64{0, size / 2, max(size-1, 0)}[f.at]
}

// delay makes every request that begins from now on take that long.
func (s *fakeStore) delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

func (s *fakeStore) next(op string) (fault, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	f := s.faults[s.n]
	if s.always != nil {
		f = *s.always
	}
	if f.kind != faultNone {
		s.hit++
	}
	s.log = append(s.log, fmt.Sprintf("%d %s %v", s.n, op, f))
	return f, s.n
}

// call is one request: it reads the body, carries the request out under the
// store's lock and answers, as far as the script lets it.
func (s *fakeStore) call(ctx context.Context, op string, once bool, body *client.Body, exec func([]byte) error) error {
	f, n := s.next(op)
	s.mu.Lock()
	latency := s.latency
	s.mu.Unlock()
	if latency > 0 {
		time.Sleep(latency)
	}
	lost := &client.Error{Op: op, Kind: client.Unavailable, HTTP: 0}
	if once {
		lost.Kind = client.Uncertain
	}
	switch f.kind {
	case faultRefuse:
		return &client.Error{Op: op, Kind: client.Unavailable}
	case faultAuth:
		return &client.Error{Op: op, Kind: client.Auth, HTTP: 401}
	case faultCrash:
		s.die()
	case faultStall:
		select {
		case <-time.After(stallTimeout):
			return lost
		case <-ctx.Done():
		}
	case faultExpire:
		if _, err := receive(body, 1<<62, true); err != nil {
			return lost
		}
	}
	if s.alive != nil && !s.alive() {
		return errDead
	}
	if err := ctx.Err(); err != nil {
		return &client.Error{Op: op, Kind: client.KindOf(err), Err: err}
	}
	limit := int64(1 << 62)
	if body != nil && f.kind == faultCut {
		s.mu.Lock()
		limit = s.cutOf(n, body.Size)
		s.mu.Unlock()
	}
	data, err := receive(body, limit, false)
	if err != nil {
		lost.Err = err
		return lost
	}
	if f.kind == faultCut && body != nil && body.Size > 0 {
		return lost
	}
	if s.alive != nil && !s.alive() {
		return errDead
	}
	s.mu.Lock()
	s.received += int64(len(data))
	err = exec(data)
	s.mu.Unlock()
	switch f.kind {
	case faultLose:
		return lost
	case faultGateway:
		return &client.Error{Op: op, Kind: client.Unavailable, HTTP: 504}
	case faultGarble:
		return &client.Error{Op: op, Kind: client.Protocol, HTTP: 200}
	case faultCrashed:
		s.die()
		return errDead
	}
	return err
}

// receive reads a body; half reads a part of it and drops it.
func receive(b *client.Body, limit int64, half bool) ([]byte, error) {
	if b == nil || b.Open == nil || b.Size == 0 {
		return nil, nil
	}
	r, err := b.Open()
	if err != nil {
		return nil, err
	}
	if half {
		limit = b.Size / 2
	}
	data, err := io.ReadAll(io.LimitReader(r, limit))
	if err == nil && limit > b.Size && int64(len(data)) != b.Size {
		err = fmt.Errorf("the body has %d of %d bytes", len(data), b.Size)
	}
	return data, err
}

// fail gives the n-th request from now a fault.
func (s *fakeStore) fail(n int, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[s.n+n] = f
}

func (s *fakeStore) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// happened tells how many faults there were; calm ends them.
func (s *fakeStore) happened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hit
}

func (s *fakeStore) calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.always = map[int]fault{}, nil
}

func (s *fakeStore) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}
