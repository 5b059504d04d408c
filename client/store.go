package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Store is a handle on one workspace. It makes no request by itself and is safe
// for concurrent use.
type Store struct {
	c    *Client
	name string
	flat atomic.Bool // the workspace turned out to have no directories
}

// Workspace returns the handle on a workspace, whether it exists or not.
func (c *Client) Workspace(name string) *Store { return &Store{c: c, name: name} }

// Name returns the workspace's name.
func (s *Store) Name() string { return s.name }

func (s *Store) ws() wire.Params { return wire.Params{{Name: wire.ParamWorkspace, Value: s.name}} }

func versionParams(p wire.Params, v Version) wire.Params {
	if v.IsZero() {
		return p.Add(wire.ParamMajor, "-1").Add(wire.ParamMinor, "-1")
	}
	return p.Add(wire.ParamMajor, strconv.Itoa(v.Major)).Add(wire.ParamMinor, strconv.Itoa(v.Minor))
}

func offsetParam(n int64) string { return strconv.FormatInt(n, 10) }

// checkedID refuses an id that could change the meaning of a URL.
func checkedID(op, id string) error {
	if !wire.ValidID(id) {
		return &Error{Op: op, Name: id, Kind: Invalid, Err: errors.New("an id is 24 hex digits")}
	}
	return nil
}

func (s *Store) count(ctx context.Context, op, path string, query wire.Params) (int64, error) {
	h, err := s.c.do(ctx, &call{op: op, method: http.MethodHead, path: path, query: query})
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(h.Get(wire.HeaderCount), 10, 64)
	if err != nil || n < 0 {
		return 0, &Error{Op: op, Kind: Protocol, Err: fmt.Errorf("%s is %.40q", wire.HeaderCount, h.Get(wire.HeaderCount))}
	}
	return n, nil
}

// CountFiles counts the current files of the workspace. LOW_LEVEL_READ on it.
func (s *Store) CountFiles(ctx context.Context) (int64, error) {
	return s.count(ctx, "count files", "/files", s.ws().Add(wire.ParamScope, strconv.Itoa(wire.ScopeCurrent)))
}

// CountDirectories counts the directories, the root included. LOW_LEVEL_READ on
// the workspace.
func (s *Store) CountDirectories(ctx context.Context) (int64, error) {
	return s.count(ctx, "count directories", "/directories", s.ws())
}
