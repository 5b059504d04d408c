package server

import (
	"net/http"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// serveAuth answers /auth/api/v1|v2/….
func (s *Server) serveAuth(w http.ResponseWriter, q *request) error {
	if len(q.rest) < 3 || len(q.rest) > 4 || q.rest[0] != "api" || q.rest[1] != "v1" && q.rest[1] != "v2" {
		return notFound(q)
	}
	name := ""
	if len(q.rest) == 4 {
		n, err := q.name(3)
		if err != nil {
			return err
		}
		name = n
	}
	switch q.rest[2] {
	case "sessions":
		return s.serveSessions(w, q, name)
	case "users":
		return s.serveUsers(w, q, name, q.rest[1] == "v2")
	case "roles":
		return s.serveRoles(w, q, name)
	case "privileges":
		if q.Method != http.MethodGet || name != "" {
			return notFound(q)
		}
		writeJSON(w, wire.Doc{{Key: "version", Value: s.repo.PrivilegeVersion()}})
		return nil
	}
	return notFound(q)
}

// serveSessions answers sessions and sessions/{id}. An id is a token, so only
// AUTH_ADMIN is shown those of others; the text names no privilege for the list.
func (s *Server) serveSessions(w http.ResponseWriter, q *request, id string) error {
	details, err := q.boolean("user_details", false)
	if err != nil {
		return err
	}
	missing := &repo.Error{Code: 404, Msg: "Session is not found: " + id}
	switch {
	case id == "" && (q.Method == http.MethodGet || q.Method == http.MethodHead):
		user := q.get(wire.ParamUsername)
		if _, ok := s.repo.User(user); user != "" && !ok {
			return &repo.Error{Code: 404, Msg: "User is not found: " + user}
		}
		out := []any{}
		for _, se := range s.sessions.list(user) {
			if se.user == q.caller.User || s.repo.HasRole(q.caller.User, repo.RoleAdmin) {
				out = append(out, s.sessionDoc(se, details))
			}
		}
		if q.Method == http.MethodHead {
			s.writeCount(w, q, int64(len(out)), nil)
			return nil
		}
		writeJSON(w, out)
	case q.Method == http.MethodGet:
		se, ok := s.sessions.get(id)
		if !ok {
			return missing
		}
		writeJSON(w, s.sessionDoc(se, details))
	case q.Method == http.MethodDelete && id != "":
		if !s.repo.HasRole(q.caller.User, repo.RoleAdmin) || id == q.token {
			return &repo.Error{Code: 403, Msg: "Access Denied"}
		}
		if !s.sessions.remove(id) {
			return missing
		}
		writeEmpty(w)
	default:
		return notAllowed(q)
	}
	return nil
}
