package server

import (
	"net/http"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

func notFound(q *request) error {
	return &repo.Error{Code: 404, Msg: "No message available: " + q.URL.Path}
}

func notAllowed(q *request) error {
	return &repo.Error{Code: 405, Msg: "Request method '" + q.Method + "' not supported"}
}

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, q *request) {
	q.Request = r
	if err := q.loadParams(w); err != nil {
		s.fail(w, q, err)
		return
	}
	switch q.family {
	case familyHealth:
		writeJSON(w, wire.Doc{{Key: "status", Value: "UP"}})
		return
	case familyLogin:
		s.serveLogin(w, q)
		return
	case familyNoService:
		name := ""
		if len(q.rest) > 0 {
			name = q.rest[0]
		}
		s.fail(w, q, &repo.Error{Code: 404, Msg: "Service does not exist, serviceName: " + name})
		return
	case familyUnknown:
		s.fail(w, q, notFound(q))
		return
	}
	if q.family == familyAuth && len(q.rest) == 3 && q.rest[1] == "v2" && q.rest[2] == "salt" {
		s.serveSalt(w, q)
		return
	}
	if err := s.authenticate(q); err != nil {
		s.fail(w, q, err)
		return
	}
	w.Header().Set(wire.HeaderToken, q.token)
	switch q.family {
	case familyAuth:
		s.serveAuth(w, q)
	case familyAdmin:
		s.serveAdmin(w, q)
	default:
		s.serveAPI(w, q)
	}
}

// authenticate resolves the token: missing is 403, unknown 401 (part 1 section 2.5).
func (s *Server) authenticate(q *request) error {
	q.token = q.Header.Get(wire.HeaderToken)
	if q.token == "" {
		return &repo.Error{Code: 403, Msg: "Access Denied"}
	}
	se, ok := s.sessions.touch(q.token)
	if !ok {
		return &repo.Error{Code: 401, Msg: "Unauthorized"}
	}
	q.caller = repo.Caller{User: se.user}
	return nil
}

func (s *Server) serveAPI(w http.ResponseWriter, q *request) {
	if len(q.rest) == 0 {
		s.fail(w, q, notFound(q))
		return
	}
	var err error
	switch q.rest[0] {
	case "workspaces":
		err = s.serveWorkspaces(w, q)
	case "directories":
		err = s.serveDirectories(w, q)
	case "files":
		err = s.serveFiles(w, q)
	case "breakpointfiles":
		err = s.serveBreakpoints(w, q)
	case "sites":
		err = s.serveSites(w, q)
	case "nodes":
		err = s.serveNodes(w, q)
	case "roles":
		err = s.serveGrants(w, q)
	case "batches", "tasks":
		// A client may list them at start; there are none.
		switch q.Method {
		case http.MethodGet:
			writeBody(w, http.StatusOK, []byte("[]"))
		case http.MethodHead:
			s.writeCount(w, q, 0, nil)
		default:
			err = repo.Errorf(wire.CodeOperationUnsupported, "this store has no %s", q.rest[0])
		}
	default:
		err = notFound(q)
	}
	if err != nil {
		s.fail(w, q, err)
	}
}

// workspaceParam reads workspace_name. Where the framework requires it, a
// missing one is a plain 400.
func (q *request) workspaceParam() (string, error) { return q.need(wire.ParamWorkspace) }

// serveAdmin answers the few statistics and quota calls that a client may make.
func (s *Server) serveAdmin(w http.ResponseWriter, q *request) {
	if q.Method == http.MethodGet {
		writeBody(w, http.StatusOK, []byte("[]"))
		return
	}
	s.fail(w, q, notFound(q))
}
