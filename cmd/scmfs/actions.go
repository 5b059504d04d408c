package main

import (
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/fs"
	"github.com/sequoiacm/scmfs/writeback"
)

// actions are what the status page can do. Each needs the token.
func (r *running) actions(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/pending/retry", r.act("retry", func(q *http.Request) error { return r.queue.Retry(q.FormValue("id")) }))
	mux.HandleFunc("POST /api/pending/discard", r.act("discard", func(q *http.Request) error { return r.queue.Discard(q.FormValue("id")) }))
	mux.HandleFunc("POST /api/pending/export", r.exportAction)
	mux.HandleFunc("POST /api/partial/convert", r.act("convert", r.convertAction))
	mux.HandleFunc("POST /api/partial/delete", r.act("delete", r.deleteAction))
	mux.HandleFunc("POST /api/partial/resume", r.act("resume", func(q *http.Request) error {
		return r.queue.Resume(q.Context(), partialOf(q), q.Body)
	}))
}

// act checks the token, does it, and writes to the log who did what.
func (r *running) act(name string, do func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		err := r.allowed(q)
		if err == nil && r.m.readOnly {
			err = refuse(http.StatusForbidden, "the mount is read-only")
		}
		if err == nil {
			err = do(q)
			log := r.log.WithField("action", name).WithField("from", q.RemoteAddr).WithField("file", q.FormValue("id")+q.FormValue("name"))
			if err != nil {
				log = log.WithError(err)
			}
			log.Info("asked for on the status page")
			r.auditAction(name, q, err)
		}
		if err != nil {
			failHTTP(w, err)
			return
		}
		writeJSON(w, map[string]bool{"done": true})
	}
}

// auditAction puts an action into the audit log, as an operation of this process.
func (r *running) auditAction(name string, q *http.Request, err error) {
	if r.audit == nil {
		return
	}
	e := fs.AuditEvent{Op: "page-" + name, Path: q.FormValue("id"), UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), PID: uint32(os.Getpid())}
	if t := partialOf(q); t.Name != "" {
		e.Path, e.To = t.Workspace+"/.partial/"+t.Name, q.FormValue("to")
	}
	if err != nil && !errors.As(err, &e.Errno) {
		e.Errno = syscall.EIO
	}
	r.audit(e)
}

// allowed looks for the token, in a header, or in a form that a browser posts to
// save the answer as a file.
func (r *running) allowed(q *http.Request) error {
	given, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	if kind, _, _ := mime.ParseMediaType(q.Header.Get("Content-Type")); !ok && kind == "application/x-www-form-urlencoded" {
		given = q.PostFormValue("token")
	}
	if subtle.ConstantTimeCompare([]byte(strings.TrimSpace(given)), []byte(r.token)) != 1 {
		return refuse(http.StatusUnauthorized, "this needs the token that 'scmfs status %s' shows", r.dir)
	}
	return nil
}

func (r *running) exportAction(w http.ResponseWriter, q *http.Request) {
	if err := r.allowed(q); err != nil {
		failHTTP(w, err)
		return
	}
	id := q.FormValue("id")
	all := r.queue.Pending()
	i := slices.IndexFunc(all, func(p writeback.Info) bool { return p.ID == id })
	if i < 0 {
		failHTTP(w, writeback.ErrUnknown)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": all[i].Target.Name}))
	if err := r.queue.Export(q.Context(), id, w); err != nil {
		r.log.WithError(err).WithField("file", all[i].Target.String()).Error("export broke off; the content is still here, try again")
		panic(http.ErrAbortHandler) // a short copy must not look whole
	}
}

func partialOf(q *http.Request) writeback.Target {
	f := q.URL.Query() // resume: the body is the content
	if !f.Has("name") {
		f = q.Form
	}
	return writeback.Target{Workspace: f.Get("workspace"), Partial: true, Name: f.Get("name")}
}

// convertAction makes a complete breakpoint file the file at a path below its
// workspace, or its next version.
func (r *running) convertAction(q *http.Request) error {
	ctx := q.Context()
	_ = q.FormValue("name")
	from := partialOf(q)
	st := r.client.Workspace(from.Workspace)
	parts := strings.Split(strings.Trim(q.FormValue("to"), "/"), "/")
	name := parts[len(parts)-1]
	if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, func(c rune) bool { return c < 0x20 }) {
		return refuse(http.StatusBadRequest, "give the path the file is to have below %s, such as 2026/report.pdf", from.Workspace)
	}
	dir := client.RootDir
	for _, p := range parts[:len(parts)-1] {
		d, err := st.LookupDirectory(ctx, dir, p)
		if client.KindOf(err) == client.NotExist {
			return refuse(http.StatusNotFound, "there is no directory %q: make it first", p)
		}
		if err != nil {
			return err
		}
		dir = d.ID
	}
	to := writeback.Target{Workspace: from.Workspace, Dir: dir, Name: name}
	if d, ok := r.queue.Lookup(to); ok && d.Dirty() {
		return refuse(http.StatusConflict, "%s is being written at the moment", name)
	}
	var onto *client.File
	switch f, err := st.LookupFile(ctx, dir, name); {
	case err == nil:
		onto = &f
	case client.KindOf(err) != client.NotExist:
		return err
	}
	_, err := r.queue.Convert(ctx, from.Workspace, from.Name, to, nil, onto)
	return err
}

// deleteAction removes a breakpoint file, and what is here of it.
func (r *running) deleteAction(q *http.Request) error {
	_ = q.FormValue("name")
	t := partialOf(q)
	if d, ok := r.queue.Lookup(t); ok && d.Dirty() {
		if d.Info().Handles > 0 {
			return refuse(http.StatusConflict, "%s is being written at the moment", t.Name)
		}
		if err := d.Discard(); err != nil {
			return err
		}
	}
	err := r.client.Workspace(t.Workspace).DeleteBreakpointFile(q.Context(), t.Name)
	if client.KindOf(err) == client.NotExist {
		return nil
	}
	return err
}

// partialFile is a breakpoint file as the page shows it.
type partialFile struct {
	Name      string    `json:"name"`
	Size      int64     `json:"size"`
	Completed bool      `json:"completed"`
	Modified  time.Time `json:"modified"`
	User      string    `json:"user"`
	Draft     string    `json:"draft,omitempty"` // the pending file that writes it
}

type partialList struct {
	Workspace string        `json:"workspace"`
	Files     []partialFile `json:"files"`
	Error     string        `json:"error,omitempty"`
}

// partials lists the breakpoint files of the workspaces that are shown, but for those that are
// how a file of the tree is on its way.
func (r *running) partials(w http.ResponseWriter, q *http.Request) {
	all := []partialList{}
	for ws, err := range r.client.Workspaces(q.Context()) {
		if err != nil {
			failHTTP(w, err)
			return
		}
		if !r.m.place.shows(ws.Name) {
			continue
		}
		l := partialList{Workspace: ws.Name, Files: []partialFile{}}
		for b, err := range r.client.Workspace(ws.Name).BreakpointFiles(q.Context(), "") {
			if err != nil {
				l.Error = err.Error()
				break
			}
			if r.queue.Owns(ws.Name, b.Name) {
				continue
			}
			f := partialFile{Name: b.Name, Size: b.Size, Completed: b.Completed, Modified: b.UploadTime, User: b.UploadUser}
			if f.Modified.Before(b.CreateTime) {
				f.Modified = b.CreateTime
			}
			if d, ok := r.queue.Lookup(writeback.Target{Workspace: ws.Name, Partial: true, Name: b.Name}); ok && d.Dirty() {
				f.Draft = d.ID()
			}
			l.Files = append(l.Files, f)
		}
		slices.SortFunc(l.Files, func(a, b partialFile) int { return strings.Compare(a.Name, b.Name) })
		all = append(all, l)
	}
	writeJSON(w, all)
}

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, writeback.ErrUnknown):
		return http.StatusNotFound
	case errors.Is(err, writeback.ErrBusy), errors.Is(err, writeback.ErrIncomplete), errors.Is(err, writeback.ErrTaken), errors.Is(err, writeback.ErrOtherSource):
		return http.StatusConflict
	case errors.Is(err, io.ErrUnexpectedEOF):
		return http.StatusBadRequest
	}
	switch client.KindOf(err) {
	case client.NotExist, client.NoWorkspace:
		return http.StatusNotFound
	case client.Exist, client.Busy, client.VersionMismatch:
		return http.StatusConflict
	case client.Permission, client.Auth:
		return http.StatusForbidden
	case client.Invalid, client.Unsupported, client.TooLarge:
		return http.StatusBadRequest
	case client.Unavailable, client.Timeout, client.Uncertain:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}
