package server

import (
	"net"
	"net/http"
	"strings"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

func (s *Server) serveWorkspaces(w http.ResponseWriter, q *request) error {
	if len(q.rest) == 1 {
		lq, err := q.query(64)
		if err != nil {
			return err
		}
		lq.Selector = nil
		switch q.Method {
		case http.MethodGet:
			s.writeList(w, q, s.repo.Workspaces(lq), bsonRow)
		case http.MethodHead:
			n, err := repo.Count(s.repo.Workspaces(repo.Query{Filter: lq.Filter, Limit: -1}))
			s.writeCount(w, q, n, err)
		default:
			return notAllowed(q)
		}
		return nil
	}
	if len(q.rest) > 2 {
		return notFound(q)
	}
	name, err := q.name(1)
	if err != nil {
		return err
	}
	var d wire.Doc
	switch q.Method {
	case http.MethodGet:
		d, err = s.repo.Workspace(name)
	case http.MethodPost:
		var conf wire.Doc
		if conf, err = q.doc(wire.ParamWorkspaceConf); err == nil {
			d, err = s.repo.CreateWorkspace(q.caller, name, conf)
		}
	case http.MethodPut:
		var up wire.Doc
		if up, err = q.doc(wire.ParamUpdator); err == nil {
			d, err = s.repo.UpdateWorkspace(q.caller, name, up)
		}
	case http.MethodDelete:
		enforced, berr := q.boolean(wire.ParamEnforced, false)
		if berr != nil {
			return berr
		}
		if err := s.repo.DeleteWorkspace(q.caller, name, enforced); err != nil {
			return err
		}
		writeEmpty(w)
		return nil
	default:
		return notAllowed(q)
	}
	if err != nil {
		return err
	}
	writeJSON(w, wire.Doc{{Key: "workspace", Value: d}})
	return nil
}

// siteDoc describes the one site; a client wants a data-source type and url, and
// of the root site its metadata location (part 3).
func (s *Server) siteDoc(q *request) wire.Doc {
	url := []any{hostPort(q.Request)}
	return wire.Doc{{Key: "id", Value: int32(1)}, {Key: "name", Value: s.site}, {Key: "root_site_flag", Value: true},
		{Key: "stage_tag", Value: ""},
		{Key: "data", Value: wire.Doc{{Key: "type", Value: "sequoiadb"}, {Key: "url", Value: url}, {Key: "user", Value: ""},
			{Key: "password", Value: ""}, {Key: "configuration", Value: wire.Doc{}}}},
		{Key: "meta", Value: wire.Doc{{Key: "url", Value: url}, {Key: "user", Value: ""}, {Key: "password", Value: ""}}}}
}

func (s *Server) serveSites(w http.ResponseWriter, q *request) error {
	switch {
	case len(q.rest) == 1 && q.Method == http.MethodGet:
		writeText(w, []any{s.siteDoc(q)})
	case len(q.rest) == 1 && q.Method == http.MethodHead:
		s.writeCount(w, q, 1, nil)
	case len(q.rest) == 2 && q.Method == http.MethodGet:
		name, err := q.name(1)
		if err != nil {
			return err
		}
		if !strings.EqualFold(name, s.site) {
			return repo.Errorf(wire.CodeSiteNotExist, "site does not exist: %s", name)
		}
		writeJSON(w, wire.Doc{{Key: "site", Value: s.siteDoc(q)}})
	default:
		return notAllowed(q)
	}
	return nil
}

// serveNodes lists this process as the one content server. The text names no
// fields (UNKNOWN); a client shows them at most.
func (s *Server) serveNodes(w http.ResponseWriter, q *request) error {
	if len(q.rest) == 1 && q.Method == http.MethodHead {
		s.writeCount(w, q, 1, nil)
		return nil
	}
	if len(q.rest) != 1 || q.Method != http.MethodGet {
		return notAllowed(q)
	}
	host, port, _ := net.SplitHostPort(hostPort(q.Request))
	writeText(w, []any{wire.Doc{{Key: "id", Value: int32(1)}, {Key: "name", Value: s.site}, {Key: "type", Value: int32(1)},
		{Key: "site_id", Value: int32(1)}, {Key: "host_name", Value: host}, {Key: "port", Value: port}}})
	return nil
}
