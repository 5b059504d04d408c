package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Session describes the login in use, for people.
type Session struct {
	User   string    `json:"user"`
	Seed   string    `json:"seed"`  // that answered; the first one before the first login
	Since  time.Time `json:"since"` // of the login, zero when there was none
	Logins int       `json:"logins"`
}

// Session returns the login in use. It makes no request.
func (c *Client) Session() Session {
	seed := c.Seed()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Session{User: c.o.User, Seed: seed, Since: c.mu.since, Logins: c.mu.session.gen}
}

// Ping asks the site whether it is up, once, without looking at privileges
// (part 1 section 1.4), and returns the server's clock; zero when it does not
// tell. A gateway that does not let this address through (section 1.3) or a site
// of an old release that has none counts as up: it answered.
func (c *Client) Ping(ctx context.Context) (time.Time, error) {
	s, err := c.session(ctx, 0)
	if err != nil {
		return time.Time{}, err
	}
	// Not by authed: a gateway that refuses this address with 403 would look like
	// a session that has expired.
	h, err := c.once(ctx, &call{op: "ping", method: http.MethodGet, abs: "/" + s.seed.site + wire.PathHealth, kind: "GET /health"}, s)
	if e, ok := errors.AsType[*Error](err); ok && (e.HTTP == http.StatusNotFound || e.HTTP == http.StatusForbidden) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	now, _ := http.ParseTime(h.Get("Date"))
	return now, nil
}
