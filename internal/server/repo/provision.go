package repo

import (
	"slices"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Provision makes sure that a workspace exists and that user has every privilege
// in every workspace: what an embedded store for one user needs. It asks for no
// caller's privilege; the program that owns the store calls it.
func (r *Repo) Provision(user, ws string, directories bool) error {
	_, err := r.CreateWorkspace(Caller{User: "admin"}, ws, wire.Doc{{Key: "enable_directory", Value: directories}})
	if err != nil && CodeOf(err) != wire.CodeWorkspaceExist {
		return err
	}
	return r.GrantAll(user)
}

// GrantAll gives a user every privilege in every workspace through a role of its
// own. An unknown user is 404.
func (r *Repo) GrantAll(user string) error {
	const role = "ROLE_OWNER"
	if r.HasRole(user, role) {
		return nil
	}
	return r.changeAuth(func(s *authState) error {
		u := s.Users[user]
		if u == nil {
			return Errorf(authNotFound, "User is not found: %s", user)
		}
		if s.Roles[role] == nil {
			s.Roles[role] = &Role{ID: r.ids.next(), Name: role, Description: "every privilege in every workspace"}
		}
		s.Grants[role] = map[string]Privilege{allWorkspaces: Everything}
		if !slices.Contains(u.Roles, role) {
			u.Roles = append(u.Roles, role)
		}
		s.Version++
		return nil
	})
}
