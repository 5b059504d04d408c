package repo

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Built-in roles.
const (
	RoleAdmin   = "ROLE_AUTH_ADMIN"
	RoleMonitor = "ROLE_AUTH_MONITOR"
	rolePrefix  = "ROLE_"
	maxRoles    = 60
)

// User is an account. Hash is bcrypt, "$2a$10$…".
type User struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Type     string   `json:"type"` // LOCAL, LDAP, TOKEN
	Hash     string   `json:"hash"`
	Disabled bool     `json:"disabled,omitempty"`
	Roles    []string `json:"roles"`
}

// Role is a named set of grants.
type Role struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"desc,omitempty"`
}

// authTables are small and read by every request: they live in memory and are
// written to the database as a whole when they change.
type authTables struct {
	mu      sync.RWMutex
	users   map[string]*User
	roles   map[string]*Role
	grants  map[string]map[string]Privilege
	version int64
}

type authSnapshot struct {
	Users   map[string]*User                `json:"users"`
	Roles   map[string]*Role                `json:"roles"`
	Grants  map[string]map[string]Privilege `json:"grants"`
	Version int64                           `json:"version"`
}

var keyAuth = []byte("tables")

func (r *Repo) loadAuth() error {
	var s authSnapshot
	err := r.db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucketAuth).Get(keyAuth); b != nil {
			return decode(b, &s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	a := &r.auth
	a.users, a.roles, a.grants, a.version = s.Users, s.Roles, s.Grants, s.Version
	if a.users != nil {
		return nil
	}
	a.users, a.roles, a.grants = map[string]*User{}, map[string]*Role{}, map[string]map[string]Privilege{}
	a.version = 1
	for _, name := range []string{RoleAdmin, RoleMonitor} {
		a.roles[name] = &Role{ID: r.ids.next(), Name: name}
	}
	for name, v := range map[string][2]string{"admin": {r.o.AdminPassword, RoleAdmin}, "monitor": {"", RoleMonitor}} {
		pass := v[0]
		if pass == "" && r.o.AdminPassword == "admin" {
			pass = name
		}
		u := &User{ID: r.ids.next(), Name: name, Type: "LOCAL", Roles: []string{v[1]}, Disabled: pass == ""}
		if u.Hash, err = newHash(pass); err != nil {
			return err
		}
		a.users[name] = u
	}
	return r.changeAuth(func(*authTables) error { return nil })
}

// newHash hashes a password with a random salt.
func newHash(password string) (string, error) {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	return wire.BcryptHash(password, wire.BcryptSalt(10, raw))
}

// changeAuth runs fn on the tables and makes the result durable; when either
// fails nothing has changed.
func (r *Repo) changeAuth(fn func(*authTables) error) error {
	a := &r.auth
	a.mu.Lock()
	defer a.mu.Unlock()
	next := &authTables{users: map[string]*User{}, roles: maps.Clone(a.roles), grants: map[string]map[string]Privilege{}, version: a.version}
	for k, u := range a.users {
		c := *u
		c.Roles = slices.Clone(u.Roles)
		next.users[k] = &c
	}
	for k, g := range a.grants {
		next.grants[k] = maps.Clone(g)
	}
	if err := fn(next); err != nil {
		return err
	}
	b := encode(authSnapshot{next.users, next.roles, next.grants, next.version})
	if err := r.q.run(func(tx *bolt.Tx) error { return tx.Bucket(bucketAuth).Put(keyAuth, b) }); err != nil {
		return err
	}
	a.users, a.roles, a.grants, a.version = next.users, next.roles, next.grants, next.version
	return nil
}

func (r *Repo) isAdmin(c Caller) bool { return r.HasRole(c.User, RoleAdmin) }

// HasRole reports whether a user has a role.
func (r *Repo) HasRole(user, role string) bool {
	u, ok := r.User(user)
	return ok && slices.Contains(u.Roles, role)
}

// User returns a copy of an account.
func (r *Repo) User(name string) (User, bool) {
	r.auth.mu.RLock()
	defer r.auth.mu.RUnlock()
	u := r.auth.users[name]
	if u == nil {
		return User{}, false
	}
	c := *u
	c.Roles = slices.Clone(u.Roles)
	return c, true
}

// Users returns all accounts by name.
func (r *Repo) Users() []User {
	r.auth.mu.RLock()
	defer r.auth.mu.RUnlock()
	out := make([]User, 0, len(r.auth.users))
	for _, u := range r.auth.users {
		out = append(out, *u)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Roles returns all roles by name.
func (r *Repo) Roles() []Role {
	r.auth.mu.RLock()
	defer r.auth.mu.RUnlock()
	out := make([]Role, 0, len(r.auth.roles))
	for _, ro := range r.auth.roles {
		out = append(out, *ro)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// The auth server's errors have positive codes (part 1 section 2.6).
const (
	authBadRequest = wire.Code(400)
	authForbidden  = wire.Code(403)
	authNotFound   = wire.Code(404)
)

// PutUser creates a user; the caller needs AUTH_ADMIN.
func (r *Repo) PutUser(c Caller, name, typ, password string) (User, error) {
	if !r.isAdmin(c) {
		return User{}, Errorf(authForbidden, "Access Denied")
	}
	if name == "" {
		return User{}, Errorf(authBadRequest, "Invalid username")
	}
	typ = strings.ToUpper(orElse(typ, "LOCAL"))
	if typ != "LOCAL" && typ != "LDAP" && typ != "TOKEN" {
		return User{}, Errorf(authBadRequest, "Invalid password type: %s", typ)
	}
	hash, err := newHash(password)
	if err != nil {
		return User{}, err
	}
	u := &User{ID: r.ids.next(), Name: name, Type: typ, Hash: hash, Roles: []string{}}
	return *u, r.changeAuth(func(a *authTables) error {
		if a.users[name] != nil {
			return Errorf(authBadRequest, "User already exists: %s", name)
		}
		a.users[name] = u
		return nil
	})
}

// UserChange is what PUT on a user may change; nil and empty mean unchanged.
type UserChange struct {
	Password           *string
	AddRoles, DelRoles []string
	Enabled            *bool
	Type               string
}

// ChangeUser alters a user.
func (r *Repo) ChangeUser(c Caller, name string, ch UserChange) (User, error) {
	if !r.isAdmin(c) && (c.User != name || len(ch.AddRoles)+len(ch.DelRoles) > 0 || ch.Enabled != nil) {
		return User{}, Errorf(authForbidden, "Access Denied")
	}
	hash := ""
	if ch.Password != nil {
		h, err := newHash(*ch.Password)
		if err != nil {
			return User{}, err
		}
		hash = h
	}
	var out User
	return out, r.changeAuth(func(a *authTables) error {
		u := a.users[name]
		if u == nil {
			return Errorf(authNotFound, "User is not found: %s", name)
		}
		for _, role := range ch.AddRoles {
			role = roleName(role)
			if a.roles[role] == nil {
				return Errorf(authNotFound, "Role is not found: %s", role)
			}
			if !slices.Contains(u.Roles, role) {
				u.Roles = append(u.Roles, role)
			}
		}
		if len(u.Roles) > maxRoles {
			return Errorf(authBadRequest, "a user has at most %d roles", maxRoles)
		}
		for _, role := range ch.DelRoles {
			u.Roles = withoutString(u.Roles, roleName(role))
		}
		if hash != "" {
			u.Hash = hash
		}
		if ch.Type != "" {
			u.Type = strings.ToUpper(ch.Type)
		}
		if ch.Enabled != nil {
			u.Disabled = !*ch.Enabled
		}
		a.version++
		out = *u
		return nil
	})
}

// DeleteUser removes a user.
func (r *Repo) DeleteUser(c Caller, name string) error {
	if !r.isAdmin(c) {
		return Errorf(authForbidden, "Access Denied")
	}
	return r.changeAuth(func(a *authTables) error {
		if a.users[name] == nil {
			return Errorf(authNotFound, "User is not found: %s", name)
		}
		delete(a.users, name)
		return nil
	})
}

func roleName(s string) string {
	if strings.HasPrefix(s, rolePrefix) {
		return s
	}
	return rolePrefix + s
}

// Role returns one role by its name, with or without the prefix.
func (r *Repo) Role(name string) (Role, bool) {
	r.auth.mu.RLock()
	defer r.auth.mu.RUnlock()
	ro := r.auth.roles[roleName(name)]
	if ro == nil {
		return Role{}, false
	}
	return *ro, true
}

// PutRole creates a role.
func (r *Repo) PutRole(c Caller, name, description string) (Role, error) {
	if !r.isAdmin(c) {
		return Role{}, Errorf(authForbidden, "Access Denied")
	}
	ro := &Role{ID: r.ids.next(), Name: roleName(name), Description: description}
	return *ro, r.changeAuth(func(a *authTables) error {
		if a.roles[ro.Name] != nil {
			return Errorf(authBadRequest, "Role already exists: %s", ro.Name)
		}
		a.roles[ro.Name] = ro
		return nil
	})
}

// DeleteRole removes a role from the store and from every user.
func (r *Repo) DeleteRole(c Caller, name string) error {
	if !r.isAdmin(c) {
		return Errorf(authForbidden, "Access Denied")
	}
	name = roleName(name)
	return r.changeAuth(func(a *authTables) error {
		if a.roles[name] == nil {
			return Errorf(authNotFound, "Role is not found: %s", name)
		}
		delete(a.roles, name)
		delete(a.grants, name)
		for _, u := range a.users {
			u.Roles = withoutString(u.Roles, name)
		}
		a.version++
		return nil
	})
}

// CheckSignature verifies a login v2 signature; it takes the same time for
// every user name.
func (r *Repo) CheckSignature(user, date, signature string) (User, error) {
	u, ok := r.User(user)
	if !ok || u.Disabled || !constantEqual(wire.SignHash(u.Hash, date), signature) {
		return User{}, Errorf(401, "username or password error")
	}
	return u, nil
}

// CheckPassword verifies a login v1 password.
func (r *Repo) CheckPassword(user, password string) (User, error) {
	u, ok := r.User(user)
	hash := u.Hash
	if !ok {
		hash = "$2a$10$abcdefghijklmnopqrstuuQaLxbHNyOkst.5hok/MxsNYsoRyHiAq"
	}
	got, err := wire.BcryptHash(password, hash)
	if err != nil {
		return User{}, fmt.Errorf("check password: %w", err)
	}
	if !constantEqual(got, hash) || !ok || u.Disabled {
		return User{}, Errorf(401, "Bad credentials")
	}
	return u, nil
}
