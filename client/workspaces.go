package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Workspaces lists all workspaces in order of name. The list is not filtered by
// privilege: ask for the root of one, [Store.Directory], to see whether it may
// be used (part 1 section 4.1).
func (c *Client) Workspaces(ctx context.Context) iter.Seq2[Workspace, error] {
	return func(yield func(Workspace, error) bool) {
		k := &call{op: "list workspaces", path: "/workspaces/", query: wire.Params{{Name: wire.ParamSkip, Value: "0"}, {Name: wire.ParamLimit, Value: "-1"}}}
		h := held{c: c}
		defer h.release()
		rows, err := fetchList(ctx, &h, k, maxRows, eachBy(workspaceOf))
		if err != nil {
			yield(Workspace{}, err)
			return
		}
		slices.SortFunc(rows, func(a, b Workspace) int { return strings.Compare(a.Name, b.Name) })
		for _, w := range rows {
			if !yield(w, nil) {
				return
			}
		}
	}
}

// workspaceCall is a call about one workspace; the returned function converts
// its answer.
func workspaceCall(op, method, name string) (*call, func() Workspace) {
	var out struct {
		Workspace wire.WorkspaceRecord `json:"workspace"`
	}
	var w Workspace
	k := &call{op: op, name: name, method: method, path: "/workspaces/" + wire.Escape(name), kind: method + " /workspaces/{name}"}
	if method != http.MethodDelete {
		k.out = &out
		k.accept = func() (err error) {
			w, err = workspaceOf(&out.Workspace)
			return err
		}
	}
	return k, func() Workspace { return w }
}

// CheckWorkspaceName applies the rules of part 1 section 4.4: ASCII without any
// of / \ % ; | . : * ? < > ".
func CheckWorkspaceName(name string) error {
	if name == "" || strings.ContainsAny(name, `/\%;|.:*?<>"`) || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return errors.New(`a workspace name must be ASCII, not empty, and without any of / \ % ; | . : * ? < > "`)
	}
	return nil
}

// WorkspaceInfo describes one workspace; [NoWorkspace] when there is none.
func (c *Client) WorkspaceInfo(ctx context.Context, name string) (Workspace, error) {
	k, answer := workspaceCall("get workspace", http.MethodGet, name)
	if CheckWorkspaceName(name) != nil {
		return Workspace{}, &Error{Op: k.op, Name: name, Kind: NoWorkspace, Err: errors.New("no workspace can have this name")}
	}
	_, err := c.do(ctx, k)
	return answer(), err
}

// CreateWorkspace makes a workspace, with directories or flat; only
// ROLE_AUTH_ADMIN may. [Exist] when the name is taken.
func (c *Client) CreateWorkspace(ctx context.Context, name string, directories bool) (Workspace, error) {
	conf := wire.Doc{{Key: "name", Value: name}, {Key: "description", Value: ""}, {Key: "enable_directory", Value: directories},
		{Key: "batch_sharding_type", Value: "none"}, {Key: "batch_file_name_unique", Value: false}}
	k, answer := workspaceCall("create workspace", http.MethodPost, name)
	k.form = wire.Params{{Name: wire.ParamWorkspaceConf, Value: encodeDoc(conf)}}
	if err := CheckWorkspaceName(name); err != nil {
		return Workspace{}, &Error{Op: k.op, Name: name, Kind: Invalid, Err: err}
	}
	start := time.Now()
	return settle(ctx, c, k, answer, func(ctx context.Context) (Workspace, verdict, error) {
		w, err := c.WorkspaceInfo(ctx, name)
		switch {
		case KindOf(err) == NoWorkspace:
			return w, undone, nil
		case err != nil:
			return w, unknown, err
		case c.ours(w.CreateUser, w.CreateTime, start):
			return w, done, nil
		}
		return w, refused, &Error{Op: k.op, Name: name, Kind: Exist}
	})
}

// DeleteWorkspace removes a workspace; enforced with everything in it, else
// [NotEmpty] when it still holds something. When the answer is lost and a
// workspace of the name is there, the error is [Uncertain]: it may be a new one.
func (c *Client) DeleteWorkspace(ctx context.Context, name string, enforced bool) error {
	k, _ := workspaceCall("delete workspace", http.MethodDelete, name)
	if CheckWorkspaceName(name) != nil {
		return &Error{Op: k.op, Name: name, Kind: NoWorkspace, Err: errors.New("no workspace can have this name")}
	}
	// Blanks keep the connection while the server works (part 1 section 1.8).
	k.query = wire.Params{{Name: wire.ParamEnforced, Value: strconv.FormatBool(enforced)}, {Name: wire.ParamKeepAlive, Value: "true"}}
	return settleError(ctx, c, k, func(ctx context.Context) (verdict, error) {
		_, err := c.WorkspaceInfo(ctx, name)
		return gone(err, NoWorkspace, unknown)
	})
}

// Grant gives a role privileges ("READ|CREATE") on a resource; types are
// "workspace", "directory" ("ws:/path") and "workspace_all". It takes up to ten
// seconds until all nodes know (part 1 section 2.7).
func (c *Client) Grant(ctx context.Context, role, resourceType, resource, privilege string) error {
	_, err := c.do(ctx, &call{op: "grant", name: resource, method: http.MethodPut, path: "/roles/" + wire.Escape(role) + "/grant", kind: "PUT /roles/{name}/grant",
		form: wire.Params{{Name: wire.ParamResourceType, Value: resourceType}, {Name: wire.ParamResource, Value: resource}, {Name: wire.ParamPrivilege, Value: privilege}}})
	return err
}

// CreateRole makes a role; [Invalid] when it exists.
func (c *Client) CreateRole(ctx context.Context, name, description string) error {
	path := wire.PathAuthV1 + "/roles/" + wire.Escape(name)
	k := &call{op: "create role", name: name, method: http.MethodPost, abs: path, kind: "POST /auth/roles",
		form: wire.Params{{Name: "description", Value: description}}}
	return settleError(ctx, c, k, func(ctx context.Context) (verdict, error) {
		var out struct {
			Description string `json:"description"`
		}
		err := c.authRecord(ctx, path, &out)
		if err == nil && out.Description == description {
			return done, nil
		}
		return missingOrUnknown(err)
	})
}

// CreateUser makes a local user; [Invalid] when there is one. After a lost answer
// nothing tells whose password an existing user has: the error is [Uncertain].
func (c *Client) CreateUser(ctx context.Context, name, password string) error {
	path := wire.PathAuthV1 + "/users/" + wire.Escape(name)
	k := &call{op: "create user", name: name, method: http.MethodPost, abs: path, kind: "POST /auth/users",
		form: wire.Params{{Name: wire.ParamPasswordType, Value: "LOCAL"}, {Name: wire.ParamPassword, Value: password}}}
	return settleError(ctx, c, k, func(ctx context.Context) (verdict, error) {
		return missingOrUnknown(c.authRecord(ctx, path, nil))
	})
}

// authRecord asks the auth-server, whose errors are HTTP's (part 1 section 2.6).
func (c *Client) authRecord(ctx context.Context, path string, out any) error {
	_, err := c.do(ctx, &call{op: "ask", method: http.MethodGet, abs: path, kind: "GET /auth", out: out})
	return err
}

func missingOrUnknown(err error) (verdict, error) {
	if e, ok := errors.AsType[*Error](err); ok && e.HTTP == http.StatusNotFound {
		return undone, nil
	}
	if err == nil {
		err = fmt.Errorf("there is one now")
	}
	return unknown, err
}

// AssignRole gives a user a role.
func (c *Client) AssignRole(ctx context.Context, user, role string) error {
	_, err := c.do(ctx, &call{op: "assign role", name: user, method: http.MethodPut, abs: wire.PathAuthV1 + "/users/" + wire.Escape(user), kind: "PUT /auth/users",
		form: wire.Params{{Name: "add_roles", Value: role}}})
	return err
}
