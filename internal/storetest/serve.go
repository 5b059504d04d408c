// Package storetest serves the embedded store to tests and holds the contract
// that every store must keep.
package storetest

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/server"
	"github.com/sequoiacm/scmfs/internal/server/repo"
)

// Server is an embedded server that a test owns.
type Server struct {
	*server.Server
	Repo   *repo.Repo
	Faults *server.Faults
	Seed   string
	User   string
	Pass   string
}

// Options says how to serve.
type Options struct {
	Repo   repo.Options
	Server server.Options
}

// Serve starts a server on a random loopback port with the workspaces "ws"
// (with directories) and "flat" (without), in which admin has every privilege.
func Serve(t testing.TB, o Options) *Server {
	t.Helper()
	r, err := repo.Open(t.TempDir(), o.Repo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if o.Server.Faults == nil {
		o.Server.Faults = server.NewFaults(1)
	}
	o.Server.StopTimeout = time.Second
	s := &Server{Server: server.New(r, o.Server), Repo: r, Faults: o.Server.Faults, User: "admin", Pass: "admin"}
	Prepare(t, r, "ws", true)
	Prepare(t, r, "flat", false)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Seed = l.Addr().String() + "/" + r.Site()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Server.Serve(ctx, l)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

// Prepare makes a workspace in which admin has every privilege.
func Prepare(t testing.TB, r *repo.Repo, ws string, directories bool) {
	t.Helper()
	if err := r.Provision("admin", ws, directories); err != nil {
		t.Fatal(err)
	}
}

// Client returns a logged-in client of s with short timeouts.
func (s *Server) Client(t testing.TB, change ...func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{User: s.User, Password: func() (string, error) { return s.Pass, nil },
		StallTimeout: 10 * time.Second, RetryTimeout: 5 * time.Second}
	for _, fn := range change {
		fn(&o)
	}
	c, err := client.New([]string{s.Seed}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
