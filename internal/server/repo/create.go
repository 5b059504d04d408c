package repo

import (
	"io"
	"slices"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// prepareCreate runs the checks that come before the body is read.
func (r *Repo) prepareCreate(c Caller, ws string, desc wire.Doc, cfg UploadConfig, bp bool) (n *newFile, err error) {
	err = r.inWorkspace(ws, func(w *wsTx) error {
		if n, err = r.describe(w, c, desc); err != nil {
			return err
		}
		need := Create
		if cfg.Overwrite {
			need |= Delete
		}
		if cfg.Overwrite && w.ws.Directories || bp && !w.ws.Directories {
			need |= Update
		}
		if !w.ws.Directories {
			return r.allow(c, ws, "", need)
		}
		return r.allowDir(c, w, DirRef{ID: n.rec.Dir}, need)
	})
	return n, err
}

// CreateFile makes a file from a stream and returns its record (part 2 section
// 3.1). A conflict (-261) or a missing parent (-241) shows only after the whole
// body was read; a body that breaks is -601 and leaves nothing.
func (r *Repo) CreateFile(c Caller, ws string, desc wire.Doc, cfg UploadConfig, body io.Reader) (wire.Doc, error) {
	n, err := r.prepareCreate(c, ws, desc, cfg, false)
	if err != nil {
		return nil, err
	}
	data, err := r.takeBody(n.rec.DataID, body, cfg.NeedMD5)
	if err != nil {
		return nil, err
	}
	n.rec.Size = data.size
	if data.md5 != nil {
		n.rec.MD5, n.rec.ETag = md5Strings(data.md5)
	}
	var gone []string
	err = r.changeWorkspace(ws, func(w *wsTx) error {
		if err := w.dataFree(data.id); err != nil {
			return err
		}
		if gone, err = w.insert(n, cfg); err != nil {
			return err
		}
		return data.commit(w)
	})
	if err != nil {
		r.drop(data)
		return nil, err
	}
	r.removeLater(gone)
	return n.rec.doc(), nil
}

// CreateFileFromBreakpoint makes a file that takes over a completed breakpoint
// file's content (part 2 section 3.2). The caller holds the breakpoint file's
// lock ([Repo.LockBreakpoint]) and passes its unlock, which is called in any
// case. After a failure the breakpoint file is as it was.
func (r *Repo) CreateFileFromBreakpoint(c Caller, ws string, desc wire.Doc, cfg UploadConfig, bp string, unlock func()) (wire.Doc, error) {
	defer unlock()
	n, err := r.prepareCreate(c, ws, desc, cfg, true)
	if err != nil {
		return nil, err
	}
	var gone []string
	err = r.changeWorkspace(ws, func(w *wsTx) error {
		b, err := w.completedBreakpoint(bp, cfg.NeedMD5)
		if err != nil {
			return err
		}
		n.rec.DataID, n.rec.DataTime, n.rec.Size = b.DataID, b.CreateTime, b.Size
		n.rec.MD5, n.rec.ETag = b.MD5, etagOf(b.MD5)
		if gone, err = w.insert(n, cfg); err != nil {
			return err
		}
		return w.consume(b)
	})
	if err != nil {
		return nil, err
	}
	r.removeLater(gone)
	return n.rec.doc(), nil
}

// insert puts the first version of a file in place; with overwrite a file of
// the same name or id goes in the same transaction, and gone names its content
// files.
func (w *wsTx) insert(n *newFile, cfg UploadConfig) (gone []string, err error) {
	f := &n.rec
	if f.Dir != wire.RootDirID {
		if _, err := w.dir(f.Dir); err != nil {
			return nil, err
		}
	}
	var clash []string
	if id, taken := w.fileByName(f.Dir, f.Name); taken {
		clash = append(clash, id)
	}
	sameID := w.exists(f.ID)
	if sameID && !slices.Contains(clash, f.ID) {
		clash = append(clash, f.ID)
	}
	// An id of our own making replaces nothing.
	if len(clash) > 0 && (!cfg.Overwrite || sameID && !n.idGiven) {
		return nil, &Error{Code: wire.CodeFileExist, Msg: "file exists: directory=" + f.Dir + " name=" + f.Name,
			Extra: wire.Doc{{Key: "id", Value: clash[0]}}}
	}
	for _, id := range clash {
		if err := w.removeFile(id, &gone); err != nil {
			return nil, err
		}
	}
	if err := w.names.Put(w.fileNameKey(f.Dir, f.Name, f.ID), []byte(f.ID)); err != nil {
		return nil, err
	}
	if err := w.addCount(countFiles, 1); err != nil {
		return nil, err
	}
	if err := w.addCount(countVersions, 1); err != nil {
		return nil, err
	}
	return gone, w.putVersion(f)
}

// removeFile deletes all versions of a file and adds its content files to gone.
func (w *wsTx) removeFile(id string, gone *[]string) error {
	var all []*fileRecord
	if err := w.versions(id, func(f *fileRecord) error { all = append(all, f); return nil }); err != nil {
		return err
	}
	if len(all) == 0 {
		return Errorf(wire.CodeFileNotFound, "file not exist: id=%s", id)
	}
	for _, f := range all {
		if err := w.forget(f.DataID, gone); err != nil {
			return err
		}
		if err := w.files.Delete(versionKey(id, f.Major)); err != nil {
			return err
		}
	}
	last := all[len(all)-1]
	if err := w.names.Delete(w.fileNameKey(last.Dir, last.Name, id)); err != nil {
		return err
	}
	if err := w.addCount(countFiles, -1); err != nil {
		return err
	}
	return w.addCount(countVersions, -int64(len(all)))
}
