package repo

import (
	"github.com/sequoiacm/scmfs/internal/wire"
)

// Version names a version of a file. The zero value names none that exists.
type Version struct{ Major, Minor int64 }

// Current is the version that a request without major_version and
// minor_version means.
var Current = Version{-1, -1}

// FileRef names a file by id, or by absolute path when ID is empty.
type FileRef struct{ ID, Path string }

// fileID resolves a reference; whatever is wrong with a path is -262.
func (w *wsTx) fileID(ref FileRef) (string, error) {
	if ref.ID != "" {
		if !wire.ValidID(ref.ID) {
			return "", Errorf(wire.CodeInvalidID, "invalid id: %q", ref.ID)
		}
		return ref.ID, nil
	}
	if err := w.needDirs(); err != nil {
		return "", err
	}
	missing := Errorf(wire.CodeFileNotFound, "file not exist: path=%s", ref.Path)
	parts, err := splitPath(ref.Path)
	if err != nil || len(parts) == 0 {
		return "", missing
	}
	dir, err := w.walk(parts[:len(parts)-1], ref.Path)
	if err != nil {
		return "", missing
	}
	id, ok := w.fileByName(dir.ID, parts[len(parts)-1])
	if !ok {
		return "", missing
	}
	return id, nil
}

// allowFile checks a privilege on a file's directory.
func (r *Repo) allowFile(c Caller, w *wsTx, f *fileRecord, need Privilege) error {
	if !w.ws.Directories {
		return r.allow(c, w.ws.Name, "", need)
	}
	return r.allowDir(c, w, DirRef{ID: f.Dir}, need)
}

// findFile returns a version of a file after checking the privilege: by path on
// the path itself, by id on the directory the record tells.
func (r *Repo) findFile(c Caller, w *wsTx, ref FileRef, v Version, need Privilege) (*fileRecord, error) {
	if ref.ID == "" && !r.allowed(c, w.ws.Name, "", need) {
		if err := r.allow(c, w.ws.Name, ref.Path, need); err != nil {
			return nil, err
		}
	}
	id, err := w.fileID(ref)
	if err != nil {
		return nil, err
	}
	f, err := w.version(id, v)
	if err != nil {
		return nil, err
	}
	return f, r.allowFile(c, w, f, need)
}

// File returns one version's record (part 2 sections 3.3 and 3.4).
func (r *Repo) File(c Caller, ws string, ref FileRef, v Version) (wire.Doc, error) {
	var out wire.Doc
	err := r.inWorkspace(ws, func(w *wsTx) error {
		f, err := r.findFile(c, w, ref, v, Read)
		if err == nil {
			out = f.doc()
		}
		return err
	})
	return out, err
}

// FileInfo is what a download needs beside the bytes.
type FileInfo struct{ Name, Mime string }

// OpenFile opens a version's content for reading; READ on its directory. Content
// whose length differs from the record is -409.
func (r *Repo) OpenFile(c Caller, ws, id string, v Version) (*Reader, FileInfo, error) {
	f, rd, err := r.openData(ws, func(w *wsTx) (*fileRecord, error) {
		if !wire.ValidID(id) { // an empty id must not be taken for a path
			return nil, Errorf(wire.CodeInvalidID, "invalid id: %q", id)
		}
		return r.findFile(c, w, FileRef{ID: id}, v, Read)
	})
	if err != nil {
		return nil, FileInfo{}, err
	}
	return rd, FileInfo{Name: f.Name, Mime: f.Mime}, nil
}

// DeleteFile removes all versions of a file (part 2 section 3.6).
func (r *Repo) DeleteFile(c Caller, ws string, ref FileRef) error {
	var gone []string
	err := r.changeWorkspace(ws, func(w *wsTx) error {
		gone = nil
		f, err := r.findFile(c, w, ref, Current, Delete)
		if err != nil {
			return err
		}
		return w.removeFile(f.ID, &gone)
	})
	if err == nil {
		r.removeLater(gone)
	}
	return err
}

// DeleteVersion removes one version. When it is the current one the newest of
// the others becomes current; when it is the only one the file is gone. A
// version or file that does not exist is no error, and no privilege is asked
// for: both are the real server's behaviour (part 2 section 3.6).
func (r *Repo) DeleteVersion(ws, id string, v Version) error {
	if !wire.ValidID(id) {
		return Errorf(wire.CodeInvalidID, "invalid id: %q", id)
	}
	var gone []string
	err := r.changeWorkspace(ws, func(w *wsTx) error {
		gone = nil
		f, err := w.version(id, v)
		if CodeOf(err) == wire.CodeFileNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		n := 0
		if err := w.versions(id, func(*fileRecord) error { n++; return nil }); err != nil {
			return err
		}
		if n == 1 {
			return w.removeFile(id, &gone)
		}
		if err := w.forget(f.DataID, &gone); err != nil {
			return err
		}
		if err := w.addCount(countVersions, -1); err != nil {
			return err
		}
		return w.files.Delete(versionKey(id, f.Major))
	})
	if err == nil {
		r.removeLater(gone)
	}
	return err
}
