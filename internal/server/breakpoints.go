package server

import (
	"net/http"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

func (s *Server) serveBreakpoints(w http.ResponseWriter, q *request) error {
	ws, err := q.workspaceParam()
	if err != nil {
		return err
	}
	if len(q.rest) == 1 {
		if q.Method != http.MethodGet {
			return notAllowed(q)
		}
		filter, err := q.doc(wire.ParamFilter)
		if err != nil {
			return err
		}
		s.writeList(w, q, s.repo.Breakpoints(q.caller, ws, filter), func(b []byte, d wire.Doc) []byte {
			return append(b, breakpointBody(d)...)
		})
		return nil
	}
	if err := withoutEncoded([]string{"%2f", "%5c"}, q.rest[1]); err != nil {
		return err
	}
	name, err := q.name(1)
	if err != nil {
		return err
	}
	switch q.Method {
	case http.MethodHead:
		d, err := s.repo.Breakpoint(lockContext(q), q.caller, ws, name)
		if err != nil {
			return err
		}
		h := wire.Escape(string(wire.AppendJSON(nil, d)))
		w.Header()[http.CanonicalHeaderKey(wire.HeaderBreakpoint)] = []string{h}
		writeEmpty(w)
		return nil
	case http.MethodPost:
		if q.get(wire.ParamAction) == wire.ActionCalcMD5 {
			sum, err := s.repo.CalcBreakpointMD5(lockContext(q), q.caller, ws, name)
			if err != nil {
				return err
			}
			writeJSON(w, wire.Doc{{Key: "md5", Value: sum}})
			return nil
		}
		return s.createBreakpoint(w, q, ws, name)
	case http.MethodPut:
		return s.appendBreakpoint(w, q, ws, name)
	case http.MethodDelete:
		if err := s.repo.DeleteBreakpoint(lockContext(q), q.caller, ws, name); err != nil {
			return err
		}
		writeEmpty(w)
		return nil
	}
	return notAllowed(q)
}

func (s *Server) createBreakpoint(w http.ResponseWriter, q *request, ws, name string) error {
	if q.get(wire.ParamIsLastContent) == "" {
		return repo.Errorf(wire.CodeMissingArgument, "is_last_content is missing")
	}
	var n repo.NewBreakpoint
	var err error
	if n.Last, err = q.boolean(wire.ParamIsLastContent, false); err != nil {
		return err
	}
	n.Type = wire.ChecksumNone
	if t := q.get(wire.ParamChecksumType); t != "" {
		if n.Type, err = wire.ParseChecksumType(t); err != nil {
			return badRequest(err.Error())
		}
	}
	if n.NeedMD5, err = q.boolean(wire.ParamNeedMD5, false); err != nil {
		return err
	}
	set, err := q.boolean(wire.ParamHasSetTime, false)
	if err != nil {
		return err
	}
	given := q.get(wire.ParamCreateTime) != ""
	if n.CreateTime, err = q.integer(wire.ParamCreateTime, 0, 64); err != nil {
		return err
	}
	switch {
	case set && !given:
		return repo.Errorf(wire.CodeMissingArgument, "create_time is missing")
	case !set && n.CreateTime == 0:
		n.CreateTime = s.o.Now().UnixMilli()
	default:
		if err := repo.CheckTimeRange(n.CreateTime); err != nil {
			return err
		}
	}
	if !q.hasForm && q.Body != http.NoBody && q.ContentLength != 0 {
		n.Body = q.Body
	}
	d, err := s.repo.CreateBreakpoint(lockContext(q), q.caller, ws, name, n)
	if err != nil {
		return err
	}
	writeBody(w, http.StatusOK, breakpointBody(d))
	return nil
}

func (s *Server) appendBreakpoint(w http.ResponseWriter, q *request, ws, name string) error {
	for _, name := range []string{wire.ParamOffset, wire.ParamIsLastContent} {
		// An empty one is no number and no boolean, and there is no default.
		if q.get(name) == "" {
			return badRequest("Required parameter '" + name + "' is not present")
		}
	}
	offset, err := q.integer(wire.ParamOffset, 0, 64)
	if err != nil {
		return err
	}
	last, err := q.boolean(wire.ParamIsLastContent, false)
	if err != nil {
		return err
	}
	d, err := s.repo.AppendBreakpoint(lockContext(q), q.caller, ws, name, offset, last, q.data())
	if err != nil {
		return err
	}
	writeBody(w, http.StatusOK, breakpointBody(d))
	return nil
}
