package repo

import (
	"sort"
	"strings"
)

// Built-in roles.
const (
	RoleAdmin   = "ROLE_AUTH_ADMIN"
	RoleMonitor = "ROLE_AUTH_MONITOR"
	rolePrefix  = "ROLE_"
)

// Role is a named set of grants. Names carry the prefix ROLE_.
type Role struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"desc,omitempty"`
}

func roleName(s string) string {
	if strings.HasPrefix(s, rolePrefix) {
		return s
	}
	return rolePrefix + s
}

// Role returns one role by its name, with or without the prefix.
func (r *Repo) Role(name string) (Role, bool) {
	ro := r.auth.state.Load().Roles[roleName(name)]
	if ro == nil {
		return Role{}, false
	}
	return *ro, true
}

// Roles returns all roles by name.
func (r *Repo) Roles() []Role {
	s := r.auth.state.Load()
	out := make([]Role, 0, len(s.Roles))
	for _, ro := range s.Roles {
		out = append(out, *ro)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// PutRole creates a role; the caller needs AUTH_ADMIN.
func (r *Repo) PutRole(c Caller, name, description string) (Role, error) {
	if err := r.needAdmin(c); err != nil {
		return Role{}, err
	}
	ro := &Role{ID: r.ids.next(), Name: roleName(name), Description: description}
	if ro.Name == rolePrefix {
		return Role{}, Errorf(authBadRequest, "Invalid role name")
	}
	err := r.changeAuth(func(s *authState) error {
		if s.Roles[ro.Name] != nil {
			return Errorf(authBadRequest, "Role already exists: %s", ro.Name)
		}
		s.Roles[ro.Name] = ro
		return nil
	})
	if err != nil {
		return Role{}, err
	}
	return *ro, nil
}

// DeleteRole removes a role from the store and from every user; the caller needs
// AUTH_ADMIN, and the built-in roles stay.
func (r *Repo) DeleteRole(c Caller, name string) error {
	if err := r.needAdmin(c); err != nil {
		return err
	}
	name = roleName(name)
	if name == RoleAdmin || name == RoleMonitor {
		return Errorf(authBadRequest, "Role is built in: %s", name)
	}
	return r.changeAuth(func(s *authState) error {
		if s.Roles[name] == nil {
			return Errorf(authNotFound, "Role is not found: %s", name)
		}
		delete(s.Roles, name)
		delete(s.Grants, name)
		for _, u := range s.Users {
			u.Roles = without(u.Roles, name)
		}
		s.Version++
		return nil
	})
}
