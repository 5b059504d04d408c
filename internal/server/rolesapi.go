package server

import (
	"net/http"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// serveRoles answers roles and roles/{name} of the auth server (part 1 section 2.6).
func (s *Server) serveRoles(w http.ResponseWriter, q *request, name string) error {
	switch q.Method {
	case http.MethodGet:
		if name == "" {
			out := []any{}
			for _, ro := range s.repo.Roles() {
				out = append(out, roleDoc(ro))
			}
			writeJSON(w, out)
			return nil
		}
		ro, ok := s.repo.Role(name)
		if !ok {
			return &repo.Error{Code: 404, Msg: "Role is not found: " + name}
		}
		writeJSON(w, roleDoc(ro))
	case http.MethodHead:
		if name != "" {
			return notAllowed(q)
		}
		s.writeCount(w, q, int64(len(s.repo.Roles())), nil)
	case http.MethodPost:
		ro, err := s.repo.PutRole(q.caller, name, q.get("description"))
		if err != nil {
			return err
		}
		writeJSON(w, roleDoc(ro))
	case http.MethodDelete:
		if err := s.repo.DeleteRole(q.caller, name); err != nil {
			return err
		}
		writeEmpty(w)
	default:
		return notAllowed(q)
	}
	return nil
}

// serveGrants answers PUT roles/{role}/grant and /revoke.
func (s *Server) serveGrants(w http.ResponseWriter, q *request) error {
	if len(q.rest) != 3 || q.rest[2] != "grant" && q.rest[2] != "revoke" {
		return notFound(q)
	}
	if q.Method != http.MethodPut && q.Method != http.MethodPost {
		return notAllowed(q)
	}
	role, err := q.name(1)
	if err != nil {
		return err
	}
	p, err := repo.ParsePrivilege(q.get(wire.ParamPrivilege))
	if err != nil {
		return err
	}
	if err := s.repo.Grant(q.caller, role, q.get(wire.ParamResourceType), q.get(wire.ParamResource), p, q.rest[2] == "revoke"); err != nil {
		return err
	}
	writeEmpty(w)
	return nil
}
