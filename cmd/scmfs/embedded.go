package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/server"
	"github.com/sequoiacm/scmfs/internal/server/repo"
)

// embedded is a server in this process over a local directory, or the address of
// the one that another process runs there.
type embedded struct {
	seed  string
	login embeddedLogin
	repo  *repo.Repo     // nil when another process has the directory
	srv   *server.Server // likewise
	stop  func() error
}

type embeddedOptions struct {
	dir    string
	listen string
	site   string
	repo   repo.Options
	server server.Options
	log    logrus.FieldLogger
}

func addressPath(dir string) string { return filepath.Join(dir, "address") }

// openEmbedded opens the store in a directory, making it with the workspace
// "default" and generated credentials if it is new. When another process serves
// it, its address is used.
func openEmbedded(o embeddedOptions) (*embedded, error) {
	if err := disk.Private(o.dir, "store"); err != nil {
		return nil, err
	}
	l, fresh, err := ensureEmbeddedLogin(o.dir)
	if err != nil {
		return nil, err
	}
	o.repo.Site, o.repo.Logger, o.repo.AdminPassword = o.site, o.log, l.Password
	r, err := repo.Open(filepath.Join(o.dir, "store"), o.repo)
	if errors.Is(err, disk.ErrLocked) {
		return joinEmbedded(o.dir, l, err)
	}
	if err != nil {
		return nil, err
	}
	e := &embedded{login: l, repo: r}
	fail := func(err error) (*embedded, error) { return nil, errors.Join(err, r.Close()) }
	if fresh {
		if err := r.Provision(l.User, "default", true); err != nil {
			return fail(err)
		}
	}
	if err := r.GrantAll(l.User); err != nil {
		return fail(err)
	}
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fail(err)
	}
	e.seed = ln.Addr().String() + "/" + r.Site()
	if err := disk.WriteFile(disk.OS(), "address", addressPath(o.dir), []byte(e.seed+"\n")); err != nil {
		return fail(errors.Join(err, ln.Close()))
	}
	o.server.Logger = o.log
	e.srv = server.New(r, o.server)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.srv.Serve(ctx, ln) }()
	e.stop = func() error {
		cancel()
		err := <-done
		_ = os.Remove(addressPath(o.dir))
		return errors.Join(ignoreClosed(err), r.Close())
	}
	return e, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// joinEmbedded uses the server of another process.
func joinEmbedded(dir string, l embeddedLogin, locked error) (*embedded, error) {
	b, err := os.ReadFile(addressPath(dir))
	if err != nil {
		return nil, fmt.Errorf("%w, and it does not say where it listens", locked)
	}
	return &embedded{seed: strings.TrimSpace(string(b)), login: l, stop: func() error { return nil }}, nil
}
