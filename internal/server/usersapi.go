package server

import (
	"net/http"
	"strings"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// serveUsers answers users and users/{name} (part 1 section 2.6); in v2 passwords
// are encoded.
func (s *Server) serveUsers(w http.ResponseWriter, q *request, name string, v2 bool) error {
	switch q.Method {
	case http.MethodGet:
		if name == "" {
			out := []any{}
			for _, u := range s.repo.Users() {
				out = append(out, s.userDoc(u))
			}
			writeJSON(w, out)
			return nil
		}
		u, ok := s.repo.User(name)
		if !ok {
			return &repo.Error{Code: 404, Msg: "User is not found: " + name}
		}
		writeJSON(w, s.userDoc(u))
	case http.MethodHead:
		if name == "" {
			s.writeCount(w, q, int64(len(s.repo.Users())), nil)
			return nil
		}
		if _, ok := s.repo.User(name); !ok {
			return &repo.Error{Code: 404, Msg: "User is not found: " + name}
		}
		writeEmpty(w)
	case http.MethodPost:
		p, _, err := q.password(wire.ParamPassword, v2)
		if err != nil {
			return err
		}
		u, err := s.repo.PutUser(q.caller, name, q.get(wire.ParamPasswordType), p)
		if err != nil {
			return err
		}
		writeJSON(w, s.userDoc(u))
	case http.MethodPut:
		return s.changeUser(w, q, name, v2)
	case http.MethodDelete:
		if err := s.repo.DeleteUser(q.caller, name); err != nil {
			return err
		}
		s.sessions.dropUser(name)
		writeEmpty(w)
	default:
		return notAllowed(q)
	}
	return nil
}

// password reads a password parameter; given tells whether it is there at all.
func (q *request) password(param string, v2 bool) (p string, given bool, err error) {
	p, given = q.get(param), q.has(param)
	if !v2 || p == "" {
		return p, given, nil
	}
	if p, err = decryptPassword(p); err != nil {
		return "", true, badRequest("password is not in the v2 encoding")
	}
	return p, true, nil
}

func (s *Server) changeUser(w http.ResponseWriter, q *request, name string, v2 bool) error {
	ch := repo.UserChange{AddRoles: q.list("add_roles"), DelRoles: q.list("del_roles"), Type: q.get(wire.ParamPasswordType)}
	p, given, err := q.password("new_password", v2)
	if err != nil {
		return err
	}
	if given {
		ch.Password = &p
		if err := s.checkOldPassword(q, name, v2); err != nil {
			return err
		}
	}
	if q.has("enabled") {
		on, err := q.boolean("enabled", true)
		if err != nil {
			return err
		}
		ch.Enabled = &on
	}
	clean, err := q.boolean("clean_sessions", false)
	if err != nil {
		return err
	}
	u, err := s.repo.ChangeUser(q.caller, name, ch)
	if err != nil {
		return err
	}
	if clean || u.Disabled {
		s.sessions.dropUser(name)
	}
	writeJSON(w, s.userDoc(u))
	return nil
}

// checkOldPassword asks for the old password before a new one is set: one that
// is given must be right, and only AUTH_ADMIN may leave it out. Which status a
// wrong one has is UNKNOWN; 401 would send clients to log in again.
func (s *Server) checkOldPassword(q *request, name string, v2 bool) error {
	old, _, err := q.password("old_password", v2)
	if err != nil {
		return err
	}
	admin := s.repo.HasRole(q.caller.User, repo.RoleAdmin)
	switch {
	case !admin && name != q.caller.User:
		return &repo.Error{Code: 403, Msg: "Access Denied"}
	case admin && old == "":
		return nil
	case old == "":
		return badRequest("old_password is missing")
	}
	if _, err := s.repo.CheckPassword(name, old); err != nil {
		return badRequest("old_password is wrong")
	}
	return nil
}

// list reads a repeated or comma-separated parameter.
func (q *request) list(name string) []string {
	var out []string
	for _, v := range q.params[name] {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}
