package repo

import (
	"crypto/rand"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/sequoiacm/scmfs/internal/wire"
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

const (
	typeLocal            = "LOCAL"
	maxRoles             = 60
	defaultAdminPassword = "admin"
)

// The auth server's errors have positive codes (part 1 section 2.6).
const (
	authBadRequest   = wire.Code(400)
	authUnauthorized = wire.Code(401)
	authForbidden    = wire.Code(403)
	authNotFound     = wire.Code(404)
)

// newHash hashes a password with a random salt.
func (r *Repo) newHash(password string) (string, error) {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	return wire.BcryptHash(password, wire.BcryptSalt(r.o.HashCost, raw))
}

// randomPassword is for accounts that nobody may log in to with a password.
func randomPassword() string { return rand.Text() }

// User returns an account. The slices in it must not be modified.
func (r *Repo) User(name string) (User, bool) {
	u := r.auth.state.Load().Users[name]
	if u == nil {
		return User{}, false
	}
	return *u, true
}

// Users returns all accounts by name.
func (r *Repo) Users() []User {
	s := r.auth.state.Load()
	out := make([]User, 0, len(s.Users))
	for _, u := range s.Users {
		out = append(out, *u)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// HasRole reports whether a user has a role, given with its prefix.
func (r *Repo) HasRole(user, role string) bool {
	u, ok := r.User(user)
	return ok && slices.Contains(u.Roles, role)
}

func (r *Repo) isAdmin(c Caller) bool { return r.HasRole(c.User, RoleAdmin) }

func (r *Repo) needAdmin(c Caller) error {
	if r.isAdmin(c) {
		return nil
	}
	return Errorf(authForbidden, "Access Denied")
}

func userType(s string) (string, error) {
	switch t := strings.ToUpper(orElse(s, typeLocal)); t {
	case typeLocal, "LDAP", "TOKEN":
		return t, nil
	}
	return "", Errorf(authBadRequest, "Invalid password type: %s", s)
}

// PutUser creates a user; the caller needs AUTH_ADMIN. Only a user of type LOCAL
// can log in with a password.
func (r *Repo) PutUser(c Caller, name, typ, password string) (User, error) {
	if err := r.needAdmin(c); err != nil {
		return User{}, err
	}
	if name == "" {
		return User{}, Errorf(authBadRequest, "Invalid username")
	}
	typ, err := userType(typ)
	if err != nil {
		return User{}, err
	}
	if typ != typeLocal {
		password = randomPassword()
	}
	if password == "" {
		return User{}, Errorf(authBadRequest, "Invalid password")
	}
	hash, err := r.newHash(password)
	if err != nil {
		return User{}, err
	}
	u := &User{ID: r.ids.next(), Name: name, Type: typ, Hash: hash, Roles: []string{}}
	err = r.changeAuth(func(s *authState) error {
		if s.Users[name] != nil {
			return Errorf(authBadRequest, "User already exists: %s", name)
		}
		s.Users[name] = u
		return nil
	})
	if err != nil {
		return User{}, err
	}
	return *u, nil
}

// UserChange is what PUT on a user may change; nil and empty mean unchanged.
// Whoever calls has checked the old password where one is asked for.
type UserChange struct {
	Password           *string
	AddRoles, DelRoles []string
	Enabled            *bool
	Type               string
}

// ChangeUser alters a user. Without AUTH_ADMIN one may change one's own
// password only.
func (r *Repo) ChangeUser(c Caller, name string, ch UserChange) (User, error) {
	ownPassword := c.User == name && len(ch.AddRoles)+len(ch.DelRoles) == 0 && ch.Enabled == nil && ch.Type == ""
	if !ownPassword {
		if err := r.needAdmin(c); err != nil {
			return User{}, err
		}
	}
	hash := ""
	if ch.Password != nil {
		if *ch.Password == "" {
			return User{}, Errorf(authBadRequest, "Invalid password")
		}
		h, err := r.newHash(*ch.Password)
		if err != nil {
			return User{}, err
		}
		hash = h
	}
	var out User
	err := r.changeAuth(func(s *authState) error {
		u := s.Users[name]
		if u == nil {
			return Errorf(authNotFound, "User is not found: %s", name)
		}
		if err := s.changeRoles(u, ch.AddRoles, ch.DelRoles); err != nil {
			return err
		}
		if ch.Type != "" {
			t, err := userType(ch.Type)
			if err != nil {
				return err
			}
			u.Type = t
		}
		if ch.Enabled != nil {
			u.Disabled = !*ch.Enabled
		}
		u.Hash = orElse(hash, u.Hash)
		s.Version++
		out = *u
		return s.needAnAdmin()
	})
	if err != nil {
		return User{}, err
	}
	return out, nil
}

func (s *authState) changeRoles(u *User, add, del []string) error {
	for _, role := range add {
		role = roleName(role)
		if s.Roles[role] == nil {
			return Errorf(authNotFound, "Role is not found: %s", role)
		}
		if !slices.Contains(u.Roles, role) {
			u.Roles = append(u.Roles, role)
		}
	}
	for _, role := range del {
		u.Roles = without(u.Roles, roleName(role))
	}
	if len(u.Roles) > maxRoles {
		return Errorf(authBadRequest, "a user has at most %d roles", maxRoles)
	}
	return nil
}

func without(all []string, s string) []string {
	return slices.DeleteFunc(all, func(a string) bool { return a == s })
}

// DeleteUser removes a user; the caller needs AUTH_ADMIN.
func (r *Repo) DeleteUser(c Caller, name string) error {
	if err := r.needAdmin(c); err != nil {
		return err
	}
	return r.changeAuth(func(s *authState) error {
		if s.Users[name] == nil {
			return Errorf(authNotFound, "User is not found: %s", name)
		}
		delete(s.Users, name)
		return s.needAnAdmin()
	})
}

// needAnAdmin refuses a change after which nobody could manage the store.
func (s *authState) needAnAdmin() error {
	for _, u := range s.Users {
		if !u.Disabled && u.Type == typeLocal && slices.Contains(u.Roles, RoleAdmin) {
			return nil
		}
	}
	return Errorf(authBadRequest, "the last user with %s must stay", RoleAdmin)
}

// CheckSignature verifies a login v2 signature; anything wrong is 401.
func (r *Repo) CheckSignature(user, date, signature string) (User, error) {
	u, ok := r.User(user)
	if !ok || u.Disabled || u.Type != typeLocal || !constantEqual(wire.SignHash(u.Hash, date), signature) {
		return User{}, Errorf(authUnauthorized, "username or password error")
	}
	return u, nil
}

// CheckPassword verifies a login v1 password; anything wrong is 401.
func (r *Repo) CheckPassword(user, password string) (User, error) {
	u, ok := r.User(user)
	hash := u.Hash
	if !ok {
		// An unknown name takes as long as a wrong password.
		hash = wire.BcryptSalt(r.o.HashCost, make([]byte, 16))
	}
	got, err := wire.BcryptHash(password, hash)
	if err != nil {
		return User{}, fmt.Errorf("check password: %w", err)
	}
	if !constantEqual(got, hash) || !ok || u.Disabled || u.Type != typeLocal {
		return User{}, Errorf(authUnauthorized, "Bad credentials")
	}
	return u, nil
}
