// Package storetest serves the embedded store to tests and holds the contract
// that every store must keep.
package storetest

import (
	"context"
	"errors"
	"net"
	"os"
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
	s, stop, err := serve(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s
}

// ServeExample is [Serve] for examples, which have no testing.TB: it returns the
// seed, and stop removes everything.
func ServeExample() (seed string, stop func()) {
	dir, err := os.MkdirTemp("", "scmfs-example-")
	if err != nil {
		panic(err)
	}
	s, end, err := serve(dir, Options{})
	if err != nil {
		panic(err)
	}
	return s.Seed, func() { end(); _ = os.RemoveAll(dir) }
}

func serve(dir string, o Options) (*Server, func(), error) {
	if o.Repo.HashCost == 0 {
		o.Repo.HashCost = 4 // a login takes a second with the race detector otherwise
	}
	r, err := repo.Open(dir, o.Repo)
	if err != nil {
		return nil, nil, err
	}
	if o.Server.Faults == nil {
		o.Server.Faults = server.NewFaults(1)
	}
	o.Server.StopTimeout = time.Second
	s := &Server{Server: server.New(r, o.Server), Repo: r, Faults: o.Server.Faults, User: "admin", Pass: "admin"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = errors.Join(r.Provision("admin", "ws", true), r.Provision("admin", "flat", false))
	}
	if err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	s.Seed = l.Addr().String() + "/" + r.Site()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Server.Serve(ctx, l)
	}()
	return s, func() { cancel(); <-done; _ = r.Close() }, nil
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
