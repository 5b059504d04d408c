package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// verdict is what a look at the store says about a request whose answer was lost
// (part 2 section 7.4).
type verdict int

const (
	unknown verdict = iota // nothing proves either: the caller is told so
	done                   // it was carried out
	undone                 // it was not, and sending it again can do no harm
	refused                // it was not, and cannot be: the look's error says why
)

// settle runs a call that must not be carried out twice on a mere guess. While
// its outcome is in doubt the store is asked before anything is sent again. A
// refusal behind a doubt may be the echo of our own success ("exists already"),
// so it is looked at likewise.
func settle[V any](ctx context.Context, c *Client, k *call, answer func() V, look func(context.Context) (V, verdict, error)) (V, error) {
	var out V
	k.once = true
	doubted, again := false, false
	_, err := c.retry(ctx, k, func(error) bool { return again }, func() (http.Header, error) {
		again = false
		h, err := c.do(ctx, k)
		if err == nil {
			out = answer()
			return h, nil
		}
		if doubted = doubted || KindOf(err) == Uncertain; !doubted {
			return nil, err
		}
		c.o.Logger.WithError(err).Debug("outcome in doubt, asking the store")
		found, v, lookErr := look(ctx)
		switch v {
		case done:
			out = found
			return nil, nil
		case refused:
			return nil, lookErr
		case undone:
			again = KindOf(err) == Uncertain
		case unknown:
		}
		if e, ok := errors.AsType[*Error](err); ok && lookErr != nil {
			e.Err = errors.Join(e.Err, fmt.Errorf("asking what became of it: %w", lookErr))
		}
		return nil, err
	})
	return out, err
}

// settleError is settle for calls without a result.
func settleError(ctx context.Context, c *Client, k *call, look func(context.Context) (verdict, error)) error {
	type none struct{}
	_, err := settle(ctx, c, k, func() none { return none{} }, func(ctx context.Context) (none, verdict, error) {
		v, err := look(ctx)
		return none{}, v, err
	})
	return err
}

// gone is the look behind a removal: not there any more is done.
func gone(err error, missing Kind, ifThere verdict) (verdict, error) {
	switch {
	case err == nil:
		return ifThere, nil
	case KindOf(err) == missing:
		return done, nil
	}
	return unknown, err
}

// clockTolerance is how far the clocks of server and client may differ before a
// record that we made looks as if it had been there before.
const clockTolerance = time.Minute

// ours tells whether a record of this user and time was made by a request begun
// at start (part 1 section 5.7).
func (c *Client) ours(user string, created, start time.Time) bool {
	return user == c.o.User && created.After(start.Add(-clockTolerance))
}

// sameContent compares a version with a body, byte for byte.
func (s *Store) sameContent(ctx context.Context, f File, body Body) (bool, error) {
	if body.Size >= 0 && body.Size != f.Size {
		return false, nil
	}
	var want io.Reader = bytes.NewReader(nil)
	if body.Open != nil && body.Size != 0 {
		r, err := body.Open()
		if err != nil {
			return false, err
		}
		if c, ok := r.(io.Closer); ok {
			defer c.Close()
		}
		want = r
	}
	have, err := s.Open(ctx, f.Content(), 0)
	if err != nil {
		return false, err
	}
	defer have.Close()
	a, b := bufio.NewReaderSize(want, 64<<10), bufio.NewReaderSize(have, 64<<10)
	p, q := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errA := io.ReadFull(a, p)
		m, errB := io.ReadFull(b, q)
		if !bytes.Equal(p[:n], q[:m]) {
			return false, nil
		}
		endA := errors.Is(errA, io.EOF) || errors.Is(errA, io.ErrUnexpectedEOF)
		endB := errors.Is(errB, io.EOF) || errors.Is(errB, io.ErrUnexpectedEOF) && !errors.Is(errB, ErrShort)
		switch {
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		case endA || endB:
			return endA == endB, nil
		}
	}
}
