package server

import (
	"net/http"
	"slices"
	"time"

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
	if err := s.route(w, q); err != nil {
		s.fail(w, q, err)
	}
}

func (s *Server) route(w http.ResponseWriter, q *request) error {
	// Strangers and forms are not waited for without end, nor is the rest of a
	// body that is refused here. An upload may take its time, so the deadline
	// goes before the handler runs. Writers of tests have no deadlines.
	// Nor does a stranger keep a connection, of which we have only so many.
	w.Header().Set("Connection", "close")
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.o.HeaderTimeout))
	salt := q.family == familyAuth && len(q.rest) == 3 && q.rest[1] == "v2" && q.rest[2] == "salt"
	switch {
	case q.family == familyHealth:
		writeJSON(w, wire.Doc{{Key: "status", Value: "UP"}})
		return nil
	case q.family == familyNoService:
		// The gateway asks for a session before it looks for the service.
		if slices.Contains(q.rest, "api") {
			if err := s.authenticate(q); err != nil {
				return err
			}
		}
		name := ""
		if len(q.rest) > 0 {
			name = q.rest[0]
		}
		return &repo.Error{Code: 404, Msg: "Service does not exist, serviceName: " + name}
	case q.family == familyUnknown:
		return notFound(q)
	case q.family == familyLogin || salt:
		if err := q.loadParams(w, maxLoginForm); err != nil {
			return err
		}
		if salt {
			return s.serveSalt(w, q)
		}
		if q.rest[0] == "logout" {
			return s.logout(w, q)
		}
		return s.serveLogin(w, q)
	}
	if err := q.firewall(); err != nil {
		return err
	}
	// Whoever has no session gets nothing of a body read.
	if err := s.authenticate(q); err != nil {
		return err
	}
	keepConnection(w)
	w.Header().Set(wire.HeaderToken, q.token)
	if err := q.loadParams(w, maxForm); err != nil {
		return err
	}
	_ = rc.SetReadDeadline(time.Time{})
	switch q.family {
	case familyAuth:
		return s.serveAuth(w, q)
	case familyAdmin:
		return s.serveAdmin(w, q)
	default:
		return s.serveAPI(w, q)
	}
}

// keepConnection is for whoever has a session.
func keepConnection(w http.ResponseWriter) { w.Header().Del("Connection") }

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

func (s *Server) serveAPI(w http.ResponseWriter, q *request) error {
	if len(q.rest) == 0 {
		return notFound(q)
	}
	switch q.rest[0] {
	case "workspaces":
		return s.serveWorkspaces(w, q)
	case "directories":
		return s.serveDirectories(w, q)
	case "files":
		return s.serveFiles(w, q)
	case "breakpointfiles":
		return s.serveBreakpoints(w, q)
	case "sites":
		return s.serveSites(w, q)
	case "nodes":
		return s.serveNodes(w, q)
	case "roles":
		return s.serveGrants(w, q)
	case "batches", "tasks":
		// A client may list them at start; there are none.
		switch q.Method {
		case http.MethodGet:
			writeBody(w, http.StatusOK, []byte("[]"))
		case http.MethodHead:
			s.writeCount(w, q, 0, nil)
		default:
			return repo.Errorf(wire.CodeOperationUnsupported, "this store has no %s", q.rest[0])
		}
		return nil
	}
	return notFound(q)
}

// workspaceParam reads workspace_name. Where the framework requires it, a
// missing one is a plain 400.
func (q *request) workspaceParam() (string, error) { return q.need(wire.ParamWorkspace) }

// serveAdmin answers the few statistics and quota calls that a client may make.
func (s *Server) serveAdmin(w http.ResponseWriter, q *request) error {
	if q.Method != http.MethodGet {
		return notFound(q)
	}
	writeBody(w, http.StatusOK, []byte("[]"))
	return nil
}
