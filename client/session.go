package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// session is one login. The seed belongs to it: every request of a session goes
// to the seed that took the login (part 1 section 1.2).
type session struct {
	token string
	seed  *seed
	gen   int // counts logins; 0 is "none"
}

// Login logs in now instead of at the first call.
func (c *Client) Login(ctx context.Context) error {
	_, err := c.session(ctx, 0)
	return err
}

// Logout ends the session; the next call logs in again. A session that the
// server has forgotten already counts as ended.
func (c *Client) Logout(ctx context.Context) error {
	c.mu.Lock()
	s := c.mu.session
	c.mu.session.token = ""
	c.mu.Unlock()
	if s.token == "" {
		return nil
	}
	_, err := c.once(ctx, &call{op: "log out", method: http.MethodPost, abs: wire.PathLogout, form: wire.Params{}}, s)
	if e, ok := errors.AsType[*Error](err); ok && (e.HTTP == http.StatusNotFound || e.HTTP == http.StatusUnauthorized) {
		return nil
	}
	return err
}

// session returns the login in use, logging in when there is none or when the
// present one is still number stale.
func (c *Client) session(ctx context.Context, stale int) (session, error) {
	for {
		c.mu.Lock()
		s := c.mu.session
		c.mu.Unlock()
		if s.token != "" && s.gen != stale {
			return s, nil
		}
		// A caller that has given up does not start what would outlive it.
		if err := ctx.Err(); err != nil {
			return session{}, c.gaveUp(err)
		}
		// One login for all callers; it outlives the caller that happens to lead.
		ch := c.login.DoChan("login", func() (any, error) {
			c.mu.Lock()
			now := c.mu.session
			c.mu.Unlock()
			if now.token != "" && now.gen != stale {
				return nil, nil
			}
			lctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.ConnectTimeout+c.o.StallTimeout)
			defer cancel()
			return nil, c.loginAny(lctx)
		})
		select {
		case r := <-ch:
			if r.Err != nil {
				return session{}, r.Err
			}
		case <-ctx.Done():
			return session{}, c.gaveUp(ctx.Err())
		}
	}
}

// gaveUp is what a caller gets whose context ended before there was a session.
func (c *Client) gaveUp(err error) error {
	return &Error{Op: "log in", Name: c.o.User, Kind: KindOf(err), Err: Plain(err)}
}

// loginAny tries the seeds in random order; a refusal of the user is final.
func (c *Client) loginAny(ctx context.Context) error {
	password, err := c.o.Password()
	if err != nil {
		return &Error{Op: "log in", Name: c.o.User, Kind: Auth, Err: err}
	}
	var last error
	for _, i := range rand.Perm(len(c.seeds)) {
		s := &c.seeds[i]
		token, err := c.loginAt(ctx, s, password)
		if err == nil {
			c.mu.Lock()
			c.mu.session, c.mu.since = session{token, s, c.mu.session.gen + 1}, time.Now()
			c.mu.Unlock()
			return nil
		}
		last = err
		if finalRefusal(err) || ctx.Err() != nil {
			return err
		}
	}
	return last
}

// finalRefusal tells what another seed would not change: -101 and HTTP 401
// (part 1 section 1.2); the driver reports an unknown user as 401 (2.1).
func finalRefusal(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Code == wire.CodeInvalidArgument || e.Code == wire.CodeSaltNotExist || e.HTTP == http.StatusUnauthorized)
}

// loginAt runs login v2 and falls back to v1 where part 1 sections 2.1 and 2.2
// say so, and nowhere else: v1 sends the password itself.
func (c *Client) loginAt(ctx context.Context, s *seed, password string) (string, error) {
	at := session{seed: s}
	user := wire.Params{{Name: wire.ParamUsername, Value: c.o.User}}
	var salt wire.SaltRecord
	_, err := c.once(ctx, &call{op: "log in", name: c.o.User, method: http.MethodPost, abs: wire.PathSalt, out: &salt, form: user, kind: "POST /auth/salt"}, at)
	if err != nil {
		if noLoginV2(err) && c.o.User != "" {
			return c.loginV1(ctx, at, password)
		}
		return "", err
	}
	sig, err := wire.Sign(password, salt.Salt, salt.Date)
	if err != nil {
		return "", &Error{Op: "log in", Name: c.o.User, Kind: Protocol, Err: err}
	}
	res, err := c.once(ctx, &call{op: "log in", name: c.o.User, method: http.MethodPost, abs: wire.PathLoginV2,
		form: user.Add(wire.ParamPassword, sig), header: http.Header{"Date": {salt.Date}}, kind: "POST /login"}, at)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.HTTP == http.StatusNotFound && e.Code >= 0 {
			return c.loginV1(ctx, at, password)
		}
		return "", err
	}
	return tokenOf(res)
}

// noLoginV2 reports the answers to a salt request that lead to v1: the user has
// no salt (LDAP, TOKEN), or the server knows no v2.
func noLoginV2(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	if e.Code < 0 {
		return e.Code == wire.CodeFindSaltFailed
	}
	return e.HTTP == http.StatusUnauthorized || e.HTTP == http.StatusForbidden || e.HTTP == http.StatusNotFound
}

func (c *Client) loginV1(ctx context.Context, at session, password string) (string, error) {
	res, err := c.once(ctx, &call{op: "log in", name: c.o.User, method: http.MethodPost, abs: wire.PathLogin, kind: "POST /login",
		form: wire.Params{{Name: wire.ParamUsername, Value: c.o.User}, {Name: wire.ParamPassword, Value: password}}}, at)
	if err != nil {
		return "", err
	}
	return tokenOf(res)
}

func tokenOf(h http.Header) (string, error) {
	if t := h.Get(wire.HeaderToken); t != "" {
		return t, nil
	}
	return "", &Error{Op: "log in", Kind: Protocol, Err: fmt.Errorf("the answer has no %s header", wire.HeaderToken)}
}

// authed sends a call with a token. When the session has expired it logs in
// again, once, and sends the call again; when the seed cannot be reached and
// there are others, likewise.
func (c *Client) authed(ctx context.Context, k *call) (http.Header, error) {
	stale, lost, moved := 0, false, false
	for {
		s, err := c.session(ctx, stale)
		if e, ok := errors.AsType[*Error](err); ok {
			mine := *e // callers share the login's error
			mine.unsent = true
			return nil, &mine
		} else if err != nil {
			return nil, err
		}
		h, err := c.once(ctx, k, s)
		switch {
		case err == nil:
			return h, nil
		case sessionLost(err) && !lost:
			lost = true
			c.o.Logger.WithField("seed", s.seed.text).Info("session has expired, logging in again")
		case sessionLost(err):
			return nil, refusedTwice(err)
		case notSent(err) && !moved && len(c.seeds) > 1:
			moved = true
			c.o.Logger.WithError(err).WithField("seed", s.seed.text).Warn("gateway cannot be reached, trying the others")
		default:
			return nil, err
		}
		stale = s.gen
	}
}

// sessionLost tells an expired token from a missing privilege (part 1 section 2.5).
func sessionLost(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code < 0 {
		return false
	}
	return e.HTTP == http.StatusUnauthorized || e.HTTP == http.StatusForbidden || e.HTTP == http.StatusNotFound && e.sessionGone
}

// refusedTwice is what a session error means after a fresh login.
func refusedTwice(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Kind = Auth
	}
	return err
}
