package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// MaxDirName is the longest name of a directory that this package makes, in
// bytes: the server's own limit is not known (part 1 section 5.3).
const MaxDirName = 255

// CheckDirName applies the rules of part 1 section 5.3, and ours: no "..", no
// control characters, which get lost in lists, valid UTF-8, 255 bytes.
func CheckDirName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\%;:*?"<>|`):
		return errors.New(`a directory name must not be empty, "." or "..", or contain any of / \ % ; : * ? " < > |`)
	case hasControl(name):
		return errors.New("a directory name must not contain control characters")
	case !utf8.ValidString(name):
		return errors.New("a directory name must be UTF-8")
	case len(name) > MaxDirName:
		return errors.New("a directory name must not be longer than 255 bytes")
	}
	return nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 })
}

// checkPath refuses what a by-path request cannot address: gateway and server
// reject such URLs with errors that are not SCM's (part 1 section 1.3).
func checkPath(op, path string) error {
	bad := !strings.HasPrefix(path, "/") || strings.ContainsAny(path, `\%;`) || !utf8.ValidString(path) || hasControl(path)
	for seg := range strings.SplitSeq(path, "/") {
		bad = bad || seg == "." || seg == ".."
	}
	if bad {
		return &Error{Op: op, Name: path, Kind: Invalid, Err: errors.New(`a path starts with "/" and has no "." or "..", none of \ % ; and no control characters: use ids`)}
	}
	return nil
}

func (s *Store) headDirectory(ctx context.Context, name, path, kind string) (Directory, error) {
	var rec wire.DirectoryRecord
	var d Directory
	k := &call{op: "get directory", name: name, method: http.MethodHead, path: path, kind: kind, query: s.ws(), inHeader: wire.HeaderDirectory, out: &rec,
		accept: func() (err error) { d, err = directoryOf(&rec); return err }}
	_, err := s.c.do(ctx, k)
	return d, err
}

// Directory returns a directory by id; [NotExist] when there is none. READ on it.
func (s *Store) Directory(ctx context.Context, id DirID) (Directory, error) {
	if err := checkedID("get directory", string(id)); err != nil {
		return Directory{}, err
	}
	return s.headDirectory(ctx, string(id), "/directories/id/"+string(id), "HEAD /directories/id/{id}")
}

// DirectoryByPath returns a directory by absolute path. Prefer ids: a directory
// called "internal" cannot be reached by path through a gateway.
func (s *Store) DirectoryByPath(ctx context.Context, path string) (Directory, error) {
	if err := checkPath("get directory", path); err != nil {
		return Directory{}, err
	}
	return s.headDirectory(ctx, path, "/directories/path/"+wire.EscapePath(path), "HEAD /directories/path/{path}")
}

// CreateDirectory makes a directory; [Exist] when a directory or a file has the
// name, [NotExist] when there is no such parent. CREATE on the parent.
func (s *Store) CreateDirectory(ctx context.Context, parent DirID, name string) (Directory, error) {
	var rec wire.DirectoryRecord
	var d Directory
	k := &call{op: "create directory", name: name, method: http.MethodPost, path: "/directories", out: &rec,
		accept: func() (err error) { d, err = directoryOf(&rec); return err },
		form:   s.ws().Add(wire.ParamName, name).Add(wire.ParamParentID, string(parent))}
	if err := CheckDirName(name); err != nil {
		return Directory{}, &Error{Op: k.op, Name: name, Kind: Invalid, Err: err}
	}
	start := time.Now()
	return settle(ctx, s.c, k, func() Directory { return d }, func(ctx context.Context) (Directory, verdict, error) {
		d, err := s.LookupDirectory(ctx, parent, name)
		switch {
		case KindOf(err) == NotExist:
			return d, undone, nil
		case err != nil:
			return d, unknown, err
		case s.c.ours(d.User, d.CreateTime, start):
			return d, done, nil
		}
		return d, refused, &Error{Op: k.op, Name: name, Kind: Exist, Code: wire.CodeDirExist}
	})
}

// DeleteDirectory removes an empty directory; [NotEmpty] when it is not. After a
// lost answer a directory that is gone counts as removed. DELETE on it.
func (s *Store) DeleteDirectory(ctx context.Context, id DirID) error {
	if err := checkedID("delete directory", string(id)); err != nil {
		return err
	}
	k := &call{op: "delete directory", name: string(id), method: http.MethodDelete, path: "/directories/id/" + string(id), kind: "DELETE /directories/id/{id}", query: s.ws()}
	return settleError(ctx, s.c, k, func(ctx context.Context) (verdict, error) {
		_, err := s.Directory(ctx, id)
		return gone(err, NotExist, undone)
	})
}

// RenameDirectory gives a directory another name in its parent; [Exist] when it
// is taken, by whatever. The record is read back, because the server reports
// success for a directory that was removed meanwhile (part 1 section 5.7); for a
// user without READ it has id and name only.
func (s *Store) RenameDirectory(ctx context.Context, id DirID, name string) (Directory, error) {
	if err := CheckDirName(name); err != nil {
		return Directory{}, &Error{Op: "rename directory", Name: name, Kind: Invalid, Err: err}
	}
	return s.relocate(ctx, "rename directory", id, "rename", wire.Param{Name: wire.ParamName, Value: name}, func(d Directory) bool { return d.Name == name })
}

// MoveDirectory gives a directory another parent and is otherwise like
// [Store.RenameDirectory]; [MoveIntoSelf] when the parent is below it.
func (s *Store) MoveDirectory(ctx context.Context, id, parent DirID) (Directory, error) {
	if err := checkedID("move directory", string(parent)); err != nil {
		return Directory{}, err
	}
	return s.relocate(ctx, "move directory", id, "move", wire.Param{Name: wire.ParamParentID, Value: string(parent)}, func(d Directory) bool { return d.Parent == parent })
}

func (s *Store) relocate(ctx context.Context, op string, id DirID, action string, p wire.Param, is func(Directory) bool) (Directory, error) {
	if err := checkedID(op, string(id)); err != nil {
		return Directory{}, err
	}
	k := &call{op: op, name: string(id), method: http.MethodPut, path: "/directories/id/" + string(id) + "/" + action,
		kind: "PUT /directories/id/{id}/" + action, form: append(s.ws(), p)}
	err := settleError(ctx, s.c, k, func(ctx context.Context) (verdict, error) {
		d, err := s.Directory(ctx, id)
		switch {
		case KindOf(err) == NotExist:
			return refused, err
		case err != nil:
			return unknown, err
		case is(d):
			return done, nil
		}
		return undone, nil
	})
	if err != nil {
		return Directory{}, err
	}
	d, err := s.Directory(ctx, id)
	if err != nil && KindOf(err) != NotExist {
		// Renaming needs no READ; that the store said yes must do.
		d, err = Directory{ID: id}, nil
		if action == "rename" {
			d.Name = p.Value
		} else {
			d.Parent = DirID(p.Value)
		}
	}
	return d, err
}
