package repo

import (
	"io"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// mayUpdate is the privilege check of a content update. For a caller who needs
// the privilege of a directory it looks the asked version up, so that a missing
// one is -262 there (part 2 section 3.9).
func (r *Repo) mayUpdate(c Caller, w *wsTx, id string, v Version) error {
	if !wire.ValidID(id) {
		return Errorf(wire.CodeInvalidID, "invalid id: %q", id)
	}
	if r.allowed(c, w.ws.Name, "", Update) {
		return nil
	}
	if v.Major == -1 || v.Minor == -1 {
		v = Current
	}
	_, err := r.findFile(c, w, FileRef{ID: id}, v, Update)
	return err
}

// expectVersion checks the version that a content update is made against; it is
// not checked again when the update is committed.
func (w *wsTx) expectVersion(id string, v Version) error {
	f, err := w.current(id)
	if err != nil {
		return err
	}
	if v.Major != -1 && v.Minor != -1 && v != (Version{f.Major, 0}) {
		return Errorf(wire.CodeFileVersionMismatching, "current version is %d.0, expected %d.%d", f.Major, v.Major, v.Minor)
	}
	return nil
}

// UpdateContent makes a new version from a stream and returns its record (part 2
// section 3.9). The expected version (or [Current] for none) is compared before
// the body is read and not again: two updates that expect the same version can
// both succeed.
func (r *Repo) UpdateContent(c Caller, ws, id string, v Version, needMD5 bool, body io.Reader) (wire.Doc, error) {
	err := r.inWorkspace(ws, func(w *wsTx) error {
		if err := r.mayUpdate(c, w, id, v); err != nil {
			return err
		}
		return w.expectVersion(id, v)
	})
	if err != nil {
		return nil, err
	}
	data, err := r.takeBody(r.ids.next(), body, needMD5)
	if err != nil {
		return nil, err
	}
	var out wire.Doc
	err = r.changeWorkspace(ws, func(w *wsTx) error {
		next, err := w.current(id)
		if err != nil {
			return err
		}
		if err := w.dataFree(data.id); err != nil {
			return err
		}
		next.DataID, next.Size, next.DataTime, next.MD5 = data.id, data.size, r.nowMillis(), nil
		if data.md5 != nil {
			next.MD5, _ = md5Strings(data.md5)
		}
		if err := data.commit(w); err != nil {
			return err
		}
		out, err = r.addVersion(w, next, c)
		return err
	})
	if err != nil {
		r.drop(data)
		return nil, err
	}
	return out, nil
}

// addVersion commits next, a copy of the current version with new content.
func (r *Repo) addVersion(w *wsTx, next *fileRecord, c Caller) (wire.Doc, error) {
	next.Major++
	next.ETag = nil // not inherited, and not set outside buckets (part 2 section 2.5)
	next.UpdateUser, next.UpdateTime = c.User, next.CreateTime
	if r.o.UpdateTimeNow {
		next.UpdateTime = r.nowMillis()
	}
	if err := w.addCount(countVersions, 1); err != nil {
		return nil, err
	}
	return next.doc(), w.putVersion(next)
}

// UpdateContentFromBreakpoint makes a new version that takes over a completed
// breakpoint file's content. The caller holds the breakpoint file's lock and
// passes its unlock, which is called in any case.
func (r *Repo) UpdateContentFromBreakpoint(c Caller, ws, id string, v Version, needMD5 bool, bp string, unlock func()) (wire.Doc, error) {
	defer unlock()
	var out wire.Doc
	err := r.changeWorkspace(ws, func(w *wsTx) error {
		if err := r.mayUpdate(c, w, id, v); err != nil {
			return err
		}
		if _, err := w.completedBreakpoint(bp, false); err != nil {
			return err
		}
		if err := w.expectVersion(id, v); err != nil {
			return err
		}
		b, err := w.completedBreakpoint(bp, needMD5)
		if err != nil {
			return err
		}
		next, err := w.current(id)
		if err != nil {
			return err
		}
		next.DataID, next.Size, next.DataTime, next.MD5 = b.DataID, b.Size, b.CreateTime, b.MD5
		if err := w.consume(b); err != nil {
			return err
		}
		out, err = r.addVersion(w, next, c)
		return err
	})
	return out, err
}

// CalcMD5 computes and stores a version's md5, and its etag if that was empty
// (part 2 section 3.10); UPDATE on its directory.
func (r *Repo) CalcMD5(c Caller, ws, id string, v Version) (string, error) {
	f, rd, err := r.openData(ws, func(w *wsTx) (*fileRecord, error) {
		if !wire.ValidID(id) {
			return nil, Errorf(wire.CodeInvalidID, "invalid id: %q", id)
		}
		return r.findFile(c, w, FileRef{ID: id}, v, Update)
	})
	if err != nil {
		return "", err
	}
	defer rd.Close()
	h, err := r.md5Of(rd.ReadSeeker, f.Size)
	if err != nil {
		return "", err
	}
	sum, etag := md5Strings(h)
	err = r.changeWorkspace(ws, func(w *wsTx) error {
		now, err := w.version(id, Version{Major: f.Major})
		if err != nil {
			return err
		}
		if now.DataID != f.DataID {
			return Errorf(wire.CodeFileNotFound, "file not exist: id=%s version=%d.0 was replaced", id, f.Major)
		}
		if now.MD5 = sum; now.ETag == nil {
			now.ETag = etag
		}
		return w.putVersion(now)
	})
	return *sum, err
}
