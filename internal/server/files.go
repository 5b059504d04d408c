package server

import (
	"net/http"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

func (s *Server) serveFiles(w http.ResponseWriter, q *request) error {
	ws, err := q.workspaceParam()
	if err != nil {
		return err
	}
	if len(q.rest) == 1 {
		return s.fileCollection(w, q, ws)
	}
	if q.Method == http.MethodHead {
		return s.headFile(w, q, ws)
	}
	id, err := q.name(1)
	if err != nil {
		return err
	}
	if len(q.rest) == 3 && (q.rest[2] == "async-cache" || q.rest[2] == "async-transfer") {
		v, err := q.version()
		if err != nil {
			return err
		}
		if _, err := s.repo.File(q.caller, ws, repo.FileRef{ID: id}, v); err != nil {
			return err
		}
		writeBody(w, http.StatusOK, []byte(`""`))
		return nil
	}
	if len(q.rest) > 2 {
		return notFound(q)
	}
	switch q.Method {
	case http.MethodGet:
		if q.get(wire.ParamAction) == wire.ActionGetContentLocation {
			return s.contentLocation(w, q, ws, id)
		}
		return s.download(w, q, ws, id)
	case http.MethodPut:
		return s.putFile(w, q, ws, id)
	case http.MethodDelete:
		return s.deleteFile(w, q, ws, id)
	case http.MethodPost:
		if q.get(wire.ParamAction) != wire.ActionCalcMD5 {
			return repo.Errorf(wire.CodeInvalidArgument, "unknown action: %q", q.get(wire.ParamAction))
		}
		v, err := q.version()
		if err != nil {
			return err
		}
		sum, err := s.repo.CalcMD5(q.caller, ws, id, v)
		if err != nil {
			return err
		}
		writeJSON(w, wire.Doc{{Key: "md5", Value: sum}})
		return nil
	}
	return notAllowed(q)
}

func (s *Server) fileCollection(w http.ResponseWriter, q *request, ws string) error {
	switch q.Method {
	case http.MethodPost:
		return s.createFile(w, q, ws)
	case http.MethodGet:
		lq, err := q.query(64)
		if err != nil {
			return err
		}
		if _, err := q.need(wire.ParamScope); err != nil {
			return err
		}
		scope, err := q.integer(wire.ParamScope, 0, 32)
		if err != nil {
			return err
		}
		s.writeList(w, q, s.repo.Files(q.caller, ws, int(scope), lq), bsonRow)
	case http.MethodHead:
		filter, err := q.doc(wire.ParamFilter)
		if err != nil {
			return err
		}
		scope, err := q.integer(wire.ParamScope, wire.ScopeCurrent, 32)
		if err != nil {
			return err
		}
		n, err := s.repo.CountFiles(q.caller, ws, int(scope), filter)
		s.writeCount(w, q, n, err)
	case http.MethodDelete:
		if q.get(wire.ParamAction) != wire.ActionDeleteByPath {
			return repo.Errorf(wire.CodeInvalidArgument, "unknown action: %q", q.get(wire.ParamAction))
		}
		path, err := q.need(wire.ParamFilePath)
		if err != nil {
			return err
		}
		if err := physical(q); err != nil {
			return err
		}
		if err := s.repo.DeleteFile(q.caller, ws, repo.FileRef{Path: path}); err != nil {
			return err
		}
		writeEmpty(w)
	default:
		return notAllowed(q)
	}
	return nil
}

// physical refuses is_physical=false, the server's own default (part 2 section 3.6).
func physical(q *request) error {
	yes, err := q.boolean(wire.ParamIsPhysical, false)
	if err == nil && !yes {
		err = repo.Errorf(wire.CodeOperationUnsupported, "only physical deletion is supported")
	}
	return err
}

func (s *Server) createFile(w http.ResponseWriter, q *request, ws string) error {
	raw := q.Header.Values(wire.HeaderDescription)
	if len(raw) == 0 {
		return badRequest("Missing request header 'description'")
	}
	text, err := wire.Unescape(raw[0])
	if err != nil {
		text = raw[0]
	}
	desc, err := parseDoc(wire.HeaderDescription, text)
	if err != nil {
		return err
	}
	conf, err := q.doc(wire.ParamUploadConfig)
	if err != nil {
		return err
	}
	var cfg repo.UploadConfig
	cfg.Overwrite, _ = flag(conf, "is_overwrite")
	cfg.NeedMD5, _ = flag(conf, "is_need_md5")
	var d wire.Doc
	if bp := q.get(wire.ParamBreakpointFile); bp != "" {
		unlock, lerr := s.repo.LockBreakpoint(q.Context(), ws, bp)
		if lerr != nil {
			return lerr
		}
		d, err = s.repo.CreateFileFromBreakpoint(q.caller, ws, desc, cfg, bp, unlock)
	} else {
		d, err = s.repo.CreateFile(q.caller, ws, desc, cfg, q.data())
	}
	if err != nil {
		return err
	}
	writeText(w, wire.Doc{{Key: "file", Value: d}})
	return nil
}

func flag(d wire.Doc, key string) (value, ok bool) {
	v, _ := d.Get(key)
	value, ok = v.(bool)
	return value, ok
}

func (s *Server) headFile(w http.ResponseWriter, q *request, ws string) error {
	v, err := q.version()
	if err != nil {
		return err
	}
	var ref repo.FileRef
	switch q.rest[1] {
	case "id":
		if len(q.rest) != 3 || q.slash {
			return repo.Errorf(wire.CodeInvalidID, "invalid id in %s", q.URL.Path)
		}
		ref.ID = q.rest[2]
	case "path":
		// The real server cannot look up names with a backslash, ';' or '%' by path;
		// nothing is lost by doing so here.
		if err = withoutEncoded([]string{"%2f"}, q.rest[2:]...); err != nil {
			return err
		}
		if ref.Path, err = q.path(q.rest[2:]); err != nil {
			return err
		}
	default:
		return repo.Errorf(wire.CodeInvalidArgument, "unknown type: %s", q.rest[1])
	}
	d, err := s.repo.File(q.caller, ws, ref, v)
	if err != nil {
		return err
	}
	setHeader(w, wire.HeaderFile, d)
	writeEmpty(w)
	return nil
}

// putFile tells the three uses of PUT apart: file_info, breakpoint_file, body
// (part 2 section 3.7, precedence).
func (s *Server) putFile(w http.ResponseWriter, q *request, ws, id string) error {
	v, err := q.version()
	if err != nil {
		return err
	}
	var d wire.Doc
	switch {
	case q.has(wire.ParamFileInfo):
		info, perr := q.doc(wire.ParamFileInfo)
		if perr != nil {
			return perr
		}
		d, err = s.repo.UpdateFile(q.caller, ws, id, v, info)
	default:
		opt, perr := q.doc(wire.ParamUpdateOption)
		if perr != nil {
			return perr
		}
		needMD5, _ := flag(opt, "is_need_md5")
		if bp := q.get(wire.ParamBreakpointFile); bp != "" {
			unlock, lerr := s.repo.LockBreakpoint(q.Context(), ws, bp)
			if lerr != nil {
				return lerr
			}
			d, err = s.repo.UpdateContentFromBreakpoint(q.caller, ws, id, v, needMD5, bp, unlock)
		} else {
			d, err = s.repo.UpdateContent(q.caller, ws, id, v, needMD5, q.data())
		}
	}
	if err != nil {
		return err
	}
	setHeader(w, wire.HeaderFileInfo, d)
	writeEmpty(w)
	return nil
}

func (s *Server) deleteFile(w http.ResponseWriter, q *request, ws, id string) error {
	var err error
	if q.get(wire.ParamAction) == wire.ActionDeleteVersion {
		v, verr := q.version()
		if verr != nil {
			return verr
		}
		err = s.repo.DeleteVersion(ws, id, v)
	} else if err = physical(q); err == nil {
		err = s.repo.DeleteFile(q.caller, ws, repo.FileRef{ID: id})
	}
	if err == nil {
		writeEmpty(w)
	}
	return err
}

func (s *Server) contentLocation(w http.ResponseWriter, q *request, ws, id string) error {
	v, err := q.version()
	if err != nil {
		return err
	}
	d, err := s.repo.File(q.caller, ws, repo.FileRef{ID: id}, v)
	if err != nil {
		return err
	}
	data, _ := d.Get("data_id")
	writeText(w, []any{wire.Doc{{Key: "site", Value: s.site}, {Key: "type", Value: "sequoiadb"}, {Key: "site_id", Value: int32(1)},
		{Key: "urls", Value: []any{hostPort(q.Request)}}, {Key: "file_content_id", Value: data}}})
	return nil
}
