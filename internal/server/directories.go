package server

import (
	"net/http"
	"strings"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// wsArg is a required workspace_name: a framework 400 when missing on lists, a
// code of its own elsewhere (part 1 section 5.2).
func (q *request) wsArg() (string, error) {
	ws := q.get(wire.ParamWorkspace)
	if ws != "" {
		return ws, nil
	}
	if q.Method == http.MethodPost {
		return "", repo.Errorf(wire.CodeMissingArgument, "workspace_name is missing")
	}
	return "", repo.Errorf(wire.CodeInvalidArgument, "workspace_name is missing")
}

// listed is the workspace_name of the lists and the count, where the framework
// requires it.
func (q *request) listed() (string, error) {
	if _, err := q.need(wire.ParamWorkspace); err != nil {
		return "", err
	}
	return q.wsArg()
}

// dirRef reads the directory that segments behind "path" or "id" name. An id is
// taken as it stands, a trailing slash included (part 1 section 1.5).
func (q *request) dirRef(kind string, segs []string, verbatim bool) (ref repo.DirRef, err error) {
	if kind == "path" {
		if len(segs) == 0 && verbatim && !q.slash {
			return ref, repo.Errorf(wire.CodeInvalidArgument, "directory path is missing")
		}
		ref.Path, err = q.path(segs)
		return ref, err
	}
	if ref.ID = strings.Join(segs, "/"); ref.ID == "" {
		return ref, repo.Errorf(wire.CodeInvalidArgument, "directory id is missing")
	}
	if verbatim && q.slash {
		ref.ID += "/"
	}
	return ref, nil
}

func (s *Server) serveDirectories(w http.ResponseWriter, q *request) error {
	if len(q.rest) == 1 {
		return s.directoryCollection(w, q)
	}
	kind, segs := q.rest[1], q.rest[2:]
	if kind != "id" && kind != "path" {
		return repo.Errorf(wire.CodeInvalidArgument, "unknown type: %s", kind)
	}
	action := ""
	if n := len(segs); n > 0 {
		switch last := segs[n-1]; {
		case q.Method == http.MethodPut && (last == "rename" || last == "move"),
			q.Method == http.MethodGet && kind == "id" && n > 1 && (last == "path" || last == "listfiles"):
			action, segs = last, segs[:n-1]
		}
	}
	if action == "listfiles" {
		return s.listFiles(w, q, segs[0])
	}
	if action == "" && q.Method != http.MethodHead && q.Method != http.MethodDelete {
		return notAllowed(q)
	}
	ws, err := q.wsArg()
	if err != nil {
		return err
	}
	ref, err := q.dirRef(kind, segs, action == "")
	if err != nil {
		return err
	}
	switch {
	case q.Method == http.MethodHead:
		d, err := s.repo.Directory(q.caller, ws, ref)
		if err != nil {
			return err
		}
		setHeader(w, wire.HeaderDirectory, d)
		writeEmpty(w)
	case q.Method == http.MethodDelete:
		if err := s.repo.DeleteDirectory(q.caller, ws, ref); err != nil {
			return err
		}
		writeEmpty(w)
	case action == "path":
		p, err := s.repo.DirectoryPath(q.caller, ws, ref.ID)
		if err != nil {
			return err
		}
		writeJSON(w, wire.Doc{{Key: "path", Value: p}})
	case action == "rename":
		t, err := s.repo.RenameDirectory(q.caller, ws, ref, q.get(wire.ParamName))
		if err != nil {
			return err
		}
		writeJSON(w, wire.Doc{{Key: "update_time", Value: t}})
	case action == "move":
		to := repo.DirRef{ID: q.get(wire.ParamParentID), Path: q.get(wire.ParamParentPath)}
		if to.ID == "" && to.Path == "" {
			if kind == "id" {
				// The real server fails over the missing path; which body that
				// gives is UNKNOWN.
				return &repo.Error{Code: 500, Msg: "No parent directory is given"}
			}
			return repo.Errorf(wire.CodeInvalidArgument, "neither parent_directory_id nor parent_directory_path is given")
		}
		t, err := s.repo.MoveDirectory(q.caller, ws, ref, to)
		if err != nil {
			return err
		}
		writeJSON(w, wire.Doc{{Key: "update_time", Value: t}})
	}
	return nil
}

func (s *Server) directoryCollection(w http.ResponseWriter, q *request) error {
	if q.Method == http.MethodPost {
		ws, err := q.wsArg()
		if err != nil {
			return err
		}
		d, err := s.repo.CreateDirectory(q.caller, ws, q.get(wire.ParamParentID), q.get(wire.ParamName), q.get(wire.ParamPath))
		if err != nil {
			return err
		}
		writeJSON(w, d)
		return nil
	}
	ws, err := q.listed()
	if err != nil {
		return err
	}
	lq, err := q.query(32)
	if err != nil {
		return err
	}
	switch q.Method {
	case http.MethodGet:
		s.writeList(w, q, s.repo.Directories(ws, lq), bsonRow)
	case http.MethodHead:
		n, err := s.repo.CountDirectories(q.caller, ws, lq.Filter)
		s.writeCount(w, q, n, err)
	default:
		return notAllowed(q)
	}
	return nil
}

func (s *Server) listFiles(w http.ResponseWriter, q *request, dir string) error {
	ws, err := q.listed()
	if err != nil {
		return err
	}
	lq, err := q.query(32)
	if err != nil {
		return err
	}
	s.writeList(w, q, s.repo.FilesOf(q.caller, ws, dir, lq), bsonRow)
	return nil
}
