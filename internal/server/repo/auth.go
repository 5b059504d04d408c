package repo

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"
)

// authTables are users, roles and grants. They are small and read by every
// request, so they live in memory as one immutable state, which a change
// replaces; the database holds the same as one value.
type authTables struct {
	write sync.Mutex // held while a change is made durable
	state atomic.Pointer[authState]
}

// authState is immutable once it is in authTables.
type authState struct {
	Users   map[string]*User                `json:"users"`
	Roles   map[string]*Role                `json:"roles"`
	Grants  map[string]map[string]Privilege `json:"grants"` // role -> resource, see grantKey
	Version int64                           `json:"version"`
}

// clone copies what changes modify: the maps and the users.
func (s *authState) clone() *authState {
	next := &authState{Users: make(map[string]*User, len(s.Users)), Roles: maps.Clone(s.Roles),
		Grants: make(map[string]map[string]Privilege, len(s.Grants)), Version: s.Version}
	for name, u := range s.Users {
		c := *u
		c.Roles = slices.Clone(u.Roles)
		next.Users[name] = &c
	}
	for role, g := range s.Grants {
		next.Grants[role] = maps.Clone(g)
	}
	return next
}

var keyAuth = []byte("tables")

// loadAuth reads the tables, or makes the built-in users and roles of part 1
// section 2.6. With an admin password of its own the store has no second
// well-known password: monitor is disabled then.
func (r *Repo) loadAuth() error {
	s := &authState{}
	err := r.db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucketAuth).Get(keyAuth); b != nil {
			return decode(b, s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if s.Users != nil {
		r.auth.state.Store(s)
		return r.pruneGrants()
	}
	r.auth.state.Store(&authState{Version: 1})
	return r.changeAuth(func(s *authState) error {
		s.Roles = map[string]*Role{}
		for _, name := range []string{RoleAdmin, RoleMonitor} {
			s.Roles[name] = &Role{ID: r.ids.next(), Name: name}
		}
		monitor := randomPassword()
		if r.o.AdminPassword == defaultAdminPassword {
			monitor = "monitor"
		}
		for _, u := range []*User{
			{Name: "admin", Roles: []string{RoleAdmin}},
			{Name: "monitor", Roles: []string{RoleMonitor}, Disabled: monitor != "monitor"},
		} {
			password := r.o.AdminPassword
			if u.Name == "monitor" {
				password = monitor
			}
			u.ID, u.Type = r.ids.next(), typeLocal
			hash, err := r.newHash(password)
			if err != nil {
				return err
			}
			u.Hash = hash
			s.Users[u.Name] = u
		}
		return nil
	})
}

// changeAuth runs fn on a copy of the tables and makes the result durable; when
// either fails nothing has changed.
func (r *Repo) changeAuth(fn func(*authState) error) error {
	r.auth.write.Lock()
	defer r.auth.write.Unlock()
	next := r.auth.state.Load().clone()
	if err := fn(next); err != nil {
		return err
	}
	b := encode(next)
	if err := r.q.run(func(tx *bolt.Tx) error { return tx.Bucket(bucketAuth).Put(keyAuth, b) }); err != nil {
		return err
	}
	r.auth.state.Store(next)
	return nil
}

// pruneGrants drops grants on workspaces that are gone: a crash can come between
// the removal of a workspace and that of its grants, and a new workspace of the
// name must not inherit them.
func (r *Repo) pruneGrants() error {
	known := map[string]bool{allWorkspaces: true}
	err := r.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketWS).ForEach(func(k, _ []byte) error {
			known[string(k)] = true
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, g := range r.auth.state.Load().Grants {
		for key := range g {
			if ws, _, _ := strings.Cut(key, ":"); !known[ws] {
				if err := r.forgetPrivileges(ws); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// forgetPrivileges removes all grants on a workspace and its directories.
func (r *Repo) forgetPrivileges(ws string) error {
	return r.changeAuth(func(s *authState) error {
		for _, g := range s.Grants {
			maps.DeleteFunc(g, func(key string, _ Privilege) bool {
				name, _, _ := strings.Cut(key, ":")
				return name == ws
			})
		}
		s.Version++
		return nil
	})
}
