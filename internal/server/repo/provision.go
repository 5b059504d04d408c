package repo

import "github.com/sequoiacm/scmfs/internal/wire"

// Provision makes sure that a workspace exists and that user has every privilege
// in every workspace: what an embedded store for one user needs.
func (r *Repo) Provision(user, ws string, directories bool) error {
	admin := Caller{User: "admin"}
	_, err := r.CreateWorkspace(admin, ws, wire.Doc{{Key: "enable_directory", Value: directories}})
	if err != nil && CodeOf(err) != wire.CodeWorkspaceExist {
		return err
	}
	return r.GrantAll(user)
}

// GrantAll gives a user every privilege in every workspace through a role of its own.
func (r *Repo) GrantAll(user string) error {
	const role = "ROLE_OWNER"
	if u, ok := r.User(user); ok && containsString(u.Roles, role) {
		return nil
	}
	return r.changeAuth(func(a *authTables) error {
		u := a.users[user]
		if u == nil {
			return Errorf(authNotFound, "User is not found: %s", user)
		}
		if a.roles[role] == nil {
			a.roles[role] = &Role{ID: r.ids.next(), Name: role, Description: "every privilege in every workspace"}
		}
		a.grants[role] = map[string]Privilege{"*": Everything}
		if !containsString(u.Roles, role) {
			u.Roles = append(u.Roles, role)
		}
		a.version++
		return nil
	})
}
