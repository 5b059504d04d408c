package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Store is a handle on one workspace. It makes no request by itself.
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

// checkedID refuses an id that could change the meaning of a URL.
func checkedID(op, id string) error {
	if !wire.ValidID(id) {
		return &Error{Op: op, Name: id, Kind: Invalid, Err: fmt.Errorf("an id is 24 hex digits")}
	}
	return nil
}

// Workspaces lists the workspaces; the list is not filtered by privilege.
func (c *Client) Workspaces(ctx context.Context) iter.Seq2[Workspace, error] {
	return func(yield func(Workspace, error) bool) {
		k := &call{op: "list workspaces", path: "/workspaces/", query: wire.Params{{Name: wire.ParamSkip, Value: "0"}, {Name: wire.ParamLimit, Value: "-1"}}}
		var rows []Workspace
		err := fetchList(ctx, c, k, func(r *wire.WorkspaceRecord) error {
			rows = append(rows, workspaceOf(r))
			return nil
		})
		slices.SortFunc(rows, func(a, b Workspace) int { return strings.Compare(a.Name, b.Name) })
		for _, w := range rows {
			if !yield(w, nil) {
				return
			}
		}
		if err != nil {
			yield(Workspace{}, err)
		}
	}
}

type workspaceAnswer struct {
	Workspace wire.WorkspaceRecord `json:"workspace"`
}

// WorkspaceInfo describes one workspace; [NoWorkspace] when there is none.
func (c *Client) WorkspaceInfo(ctx context.Context, name string) (Workspace, error) {
	var out workspaceAnswer
	_, err := c.do(ctx, &call{op: "get workspace", name: name, method: http.MethodGet, path: "/workspaces/" + wire.Escape(name), kind: "GET /workspaces/{name}", out: &out})
	return workspaceOf(&out.Workspace), err
}

// CreateWorkspace makes a workspace; only ROLE_AUTH_ADMIN may.
func (c *Client) CreateWorkspace(ctx context.Context, name string, directories bool) (Workspace, error) {
	conf := wire.Doc{{Key: "name", Value: name}, {Key: "description", Value: ""}, {Key: "enable_directory", Value: directories},
		{Key: "batch_sharding_type", Value: "none"}, {Key: "batch_file_name_unique", Value: false}}
	var out workspaceAnswer
	_, err := c.do(ctx, &call{op: "create workspace", name: name, method: http.MethodPost, path: "/workspaces/" + wire.Escape(name), kind: "POST /workspaces/{name}", once: true,
		form: wire.Params{{Name: wire.ParamWorkspaceConf, Value: string(wire.AppendJSON(nil, conf))}}, out: &out})
	return workspaceOf(&out.Workspace), err
}

// DeleteWorkspace removes a workspace; enforced with everything in it.
func (c *Client) DeleteWorkspace(ctx context.Context, name string, enforced bool) error {
	_, err := c.do(ctx, &call{op: "delete workspace", name: name, method: http.MethodDelete, path: "/workspaces/" + wire.Escape(name), kind: "DELETE /workspaces/{name}", once: true,
		query: wire.Params{{Name: wire.ParamEnforced, Value: strconv.FormatBool(enforced)}}})
	return err
}

// Grant gives a role privileges ("READ|CREATE") on a resource; types are
// "workspace", "directory" ("ws:/path") and "workspace_all".
func (c *Client) Grant(ctx context.Context, role, resourceType, resource, privilege string) error {
	_, err := c.do(ctx, &call{op: "grant", name: resource, method: http.MethodPut, path: "/roles/" + wire.Escape(role) + "/grant", kind: "PUT /roles/{name}/grant",
		form: wire.Params{{Name: wire.ParamResourceType, Value: resourceType}, {Name: wire.ParamResource, Value: resource}, {Name: wire.ParamPrivilege, Value: privilege}}})
	return err
}

// CreateRole makes a role; [Invalid] when it exists.
func (c *Client) CreateRole(ctx context.Context, name, description string) error {
	_, err := c.do(ctx, &call{op: "create role", name: name, method: http.MethodPost, abs: wire.PathAuthV1 + "/roles/" + wire.Escape(name), kind: "POST /auth/roles", once: true,
		form: wire.Params{{Name: "description", Value: description}}})
	return err
}

// CreateUser makes a local user.
func (c *Client) CreateUser(ctx context.Context, name, password string) error {
	_, err := c.do(ctx, &call{op: "create user", name: name, method: http.MethodPost, abs: wire.PathAuthV1 + "/users/" + wire.Escape(name), kind: "POST /auth/users", once: true,
		form: wire.Params{{Name: wire.ParamPasswordType, Value: "LOCAL"}, {Name: wire.ParamPassword, Value: password}}})
	return err
}

// AssignRole gives a user a role.
func (c *Client) AssignRole(ctx context.Context, user, role string) error {
	_, err := c.do(ctx, &call{op: "assign role", name: user, method: http.MethodPut, abs: wire.PathAuthV1 + "/users/" + wire.Escape(user), kind: "PUT /auth/users",
		form: wire.Params{{Name: "add_roles", Value: role}}})
	return err
}

func (s *Store) headDirectory(ctx context.Context, name, path, kind string) (Directory, error) {
	k := &call{op: "get directory", name: name, method: http.MethodHead, path: path, kind: kind, query: s.ws()}
	h, err := s.c.do(ctx, k)
	if err != nil {
		return Directory{}, err
	}
	var rec wire.DirectoryRecord
	if err := decodeHeader(h.Get(wire.HeaderDirectory), &rec); err != nil {
		return Directory{}, &Error{Op: k.op, Name: name, Kind: Protocol, Err: err}
	}
	d, err := directoryOf(&rec)
	if err != nil {
		return Directory{}, &Error{Op: k.op, Name: name, Kind: Protocol, Err: err}
	}
	return d, nil
}

// Directory returns a directory by id.
func (s *Store) Directory(ctx context.Context, id DirID) (Directory, error) {
	if err := checkedID("get directory", string(id)); err != nil {
		return Directory{}, err
	}
	return s.headDirectory(ctx, string(id), "/directories/id/"+string(id), "HEAD /directories/id/{id}")
}

// DirectoryByPath returns a directory by absolute path.
func (s *Store) DirectoryByPath(ctx context.Context, path string) (Directory, error) {
	return s.headDirectory(ctx, path, "/directories/path/"+wire.EscapePath(path), "HEAD /directories/path/{path}")
}

// CreateDirectory makes a directory. After a lost answer the caller looks the
// name up: the server makes at most one.
func (s *Store) CreateDirectory(ctx context.Context, parent DirID, name string) (Directory, error) {
	var rec wire.DirectoryRecord
	k := &call{op: "create directory", name: name, method: http.MethodPost, path: "/directories", once: true, out: &rec,
		form: s.ws().Add(wire.ParamName, name).Add(wire.ParamParentID, string(parent))}
	if err := CheckDirName(name); err != nil {
		return Directory{}, &Error{Op: k.op, Name: name, Kind: Invalid, Err: err}
	}
	if _, err := s.c.do(ctx, k); err != nil {
		if KindOf(err) != Uncertain {
			return Directory{}, err
		}
		return s.LookupDirectory(ctx, parent, name)
	}
	d, err := directoryOf(&rec)
	if err != nil {
		return Directory{}, &Error{Op: k.op, Name: name, Kind: Protocol, Err: err}
	}
	return d, nil
}

// CheckDirName applies the rules of part 1 section 5.3, and ours: no "..", no
// control characters, which get lost in lists.
func CheckDirName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\%;:*?"<>|`) {
		return fmt.Errorf(`a directory name must not be empty, "." or "..", or contain any of / \ %% ; : * ? " < > |`)
	}
	for i := range len(name) {
		if name[i] < 0x20 {
			return fmt.Errorf("a directory name must not contain control characters")
		}
	}
	return nil
}

// DeleteDirectory removes an empty directory. Asked again after a lost answer,
// a directory that is gone counts as done.
func (s *Store) DeleteDirectory(ctx context.Context, id DirID) error {
	if err := checkedID("delete directory", string(id)); err != nil {
		return err
	}
	k := &call{op: "delete directory", name: string(id), method: http.MethodDelete, path: "/directories/id/" + string(id), kind: "DELETE /directories/id/{id}", once: true, query: s.ws()}
	_, err := s.c.do(ctx, k)
	if KindOf(err) == Uncertain {
		if _, err = s.c.do(ctx, k); KindOf(err) == NotExist {
			return nil
		}
	}
	return err
}

// RenameDirectory gives a directory another name in its parent. The result has
// id, name and update time only.
func (s *Store) RenameDirectory(ctx context.Context, id DirID, name string) (Directory, error) {
	if err := CheckDirName(name); err != nil {
		return Directory{}, &Error{Op: "rename directory", Name: name, Kind: Invalid, Err: err}
	}
	d, err := s.relocate(ctx, "rename directory", id, "rename", wire.Param{Name: wire.ParamName, Value: name}, func(d Directory) bool { return d.Name == name })
	d.Name = name
	return d, err
}

// MoveDirectory gives a directory another parent. The result has id, parent and
// update time only.
func (s *Store) MoveDirectory(ctx context.Context, id, parent DirID) (Directory, error) {
	d, err := s.relocate(ctx, "move directory", id, "move", wire.Param{Name: wire.ParamParentID, Value: string(parent)}, func(d Directory) bool { return d.Parent == parent })
	d.Parent = parent
	return d, err
}

func (s *Store) relocate(ctx context.Context, op string, id DirID, action string, p wire.Param, done func(Directory) bool) (Directory, error) {
	if err := checkedID(op, string(id)); err != nil {
		return Directory{}, err
	}
	var out struct {
		UpdateTime wire.Int `json:"update_time"`
	}
	_, err := s.c.do(ctx, &call{op: op, name: string(id), method: http.MethodPut, path: "/directories/id/" + string(id) + "/" + action,
		kind: "PUT /directories/id/{id}/" + action, once: true, form: append(s.ws(), p), out: &out})
	if KindOf(err) == Uncertain {
		d, derr := s.Directory(ctx, id)
		if derr == nil && done(d) {
			return d, nil
		}
	}
	return Directory{ID: id, UpdateTime: millis(out.UpdateTime)}, err
}

func (s *Store) count(ctx context.Context, op, path string) (int64, error) {
	h, err := s.c.do(ctx, &call{op: op, method: http.MethodHead, path: path, query: s.ws()})
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(h.Get(wire.HeaderCount), 10, 64)
	if err != nil || n < 0 {
		return 0, &Error{Op: op, Kind: Protocol, Err: fmt.Errorf("%s is %.40q", wire.HeaderCount, h.Get(wire.HeaderCount))}
	}
	return n, nil
}

// CountFiles counts the current files of the workspace.
func (s *Store) CountFiles(ctx context.Context) (int64, error) {
	return s.count(ctx, "count files", "/files")
}

// CountDirectories counts the directories, the root included.
func (s *Store) CountDirectories(ctx context.Context) (int64, error) {
	return s.count(ctx, "count directories", "/directories")
}

func sortVersions(fs []File) {
	slices.SortFunc(fs, func(a, b File) int {
		if a.Version.Major != b.Version.Major {
			return b.Version.Major - a.Version.Major
		}
		return b.Version.Minor - a.Version.Minor
	})
}
