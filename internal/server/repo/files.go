package repo

import (
	"encoding/json"
	"io"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Version names a version of a file; the zero value and -1.-1 mean the current one.
type Version struct{ Major, Minor int64 }

func (v Version) unset() bool { return v == Version{} || v == Version{-1, -1} }

// UploadConfig is the parameter upload_config.
type UploadConfig struct{ Overwrite, NeedMD5 bool }

// newFile is a checked description of a file to create.
type newFile struct {
	rec       fileRecord
	idGiven   bool
	timeGiven bool
}

// describe checks the JSON of the header description (part 2 section 3.1).
func (r *Repo) describe(w *wsTx, c Caller, d wire.Doc) (*newFile, error) {
	n := &newFile{}
	f := &n.rec
	f.Name, _ = docString(d, "name")
	if err := checkFileName(w, f.Name); err != nil {
		return nil, err
	}
	f.Dir, _ = docString(d, "directory_id")
	if f.Dir == "" {
		f.Dir = wire.RootDirID
	}
	if f.Dir != wire.RootDirID {
		if err := w.needDirs(); err != nil {
			return nil, err
		}
	}
	f.Title, f.Author, f.ClassID = docStringPtr(d, "title"), docStringPtr(d, "author"), docStringPtr(d, "class_id")
	f.Mime = "application/octet-stream"
	if m, ok := docString(d, "mime_type"); ok {
		f.Mime = m
	}
	var err error
	if f.Tags, err = tagList(d, "tags"); err != nil {
		return nil, err
	}
	if f.CustomTag, err = customTags(d, "custom_tag"); err != nil {
		return nil, err
	}
	for key, to := range map[string]*json.RawMessage{"custom_metadata": &f.Meta, "external_data": &f.External, "class_properties": &f.ClassProps} {
		v, ok := d.Get(key)
		if !ok || v == nil {
			continue
		}
		obj, ok := v.(wire.Doc)
		if !ok {
			return nil, Errorf(wire.CodeInvalidArgument, "%s is not an object", key)
		}
		*to = wire.AppendJSON(nil, obj)
	}
	f.Major, f.User, f.UpdateUser = 1, c.User, c.User
	if v, ok := d.Get("create_time"); ok && v != nil {
		ms, ok := integer(v)
		if !ok {
			return nil, Errorf(wire.CodeInvalidArgument, "create_time is not a number")
		}
		if err := CheckTimeRange(ms); err != nil {
			return nil, err
		}
		f.CreateTime, n.timeGiven = ms, true
	} else {
		f.CreateTime = r.nowMillis()
	}
	if id, ok := docString(d, "id"); ok && id != "" {
		parsed, err := wire.ParseID(id)
		if err != nil {
			return nil, Errorf(wire.CodeInvalidID, "invalid id: %v", err)
		}
		if n.timeGiven && parsed.Seconds != floorSeconds(f.CreateTime) {
			return nil, Errorf(wire.CodeInvalidArgument, "id and create_time disagree: %s, %d", id, f.CreateTime)
		}
		f.ID, n.idGiven = strings.ToLower(id), true
	} else {
		f.ID = r.ids.at(floorSeconds(f.CreateTime))
	}
	f.UpdateTime, f.DataTime = f.CreateTime, f.CreateTime
	f.DataID = f.ID
	if n.idGiven {
		f.DataID = r.ids.next()
	}
	return n, nil
}

func checkFileName(w *wsTx, name string) error {
	if name == "" || w.ws.Directories && strings.Contains(name, "/") {
		return Errorf(wire.CodeInvalidArgument, "invalid file name: %q", name)
	}
	return nil
}

// prepare runs the checks that come before the body is read.
func (r *Repo) prepare(c Caller, ws string, desc wire.Doc, cfg UploadConfig) (*newFile, error) {
	var n *newFile
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if n, err = r.describe(w, c, desc); err != nil {
			return err
		}
		need := Create
		if cfg.Overwrite {
			need |= Delete
			if w.ws.Directories {
				need |= Update
			}
		}
		if !w.ws.Directories {
			return r.allow(c, ws, "", need)
		}
		return r.allowDir(c, w, DirRef{ID: n.rec.Dir}, need)
	})
	return n, err
}

// CreateFile makes a file from a stream (part 2 section 3.1). A conflict or a
// missing parent shows only after the whole body was read.
func (r *Repo) CreateFile(c Caller, ws string, desc wire.Doc, cfg UploadConfig, body io.Reader) (wire.Doc, error) {
	n, err := r.prepare(c, ws, desc, cfg)
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
	err = r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if gone, err = r.insert(tx, w, n, cfg); err != nil {
			return err
		}
		return data.commit(tx)
	})
	if err != nil {
		r.drop(data)
		return nil, err
	}
	r.removeLater(gone)
	return n.rec.doc(), nil
}

// insert puts the first version of a file in place; with overwrite a file of
// the same name or id goes in the same transaction.
func (r *Repo) insert(tx *bolt.Tx, w *wsTx, n *newFile, cfg UploadConfig) (gone []string, err error) {
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
	if n.idGiven {
		if _, err := w.current(f.ID); err == nil && (len(clash) == 0 || clash[0] != f.ID) {
			clash = append(clash, f.ID)
		}
	}
	if len(clash) > 0 && !cfg.Overwrite {
		return nil, &Error{Code: wire.CodeFileExist, Msg: "file exists: directory=" + f.Dir + " name=" + f.Name,
			Extra: wire.Doc{{Key: "id", Value: clash[0]}}}
	}
	for _, id := range clash {
		g, err := w.removeFile(tx, id)
		if err != nil {
			return nil, err
		}
		gone = append(gone, g...)
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

// removeFile deletes all versions of a file and returns data files to remove.
func (w *wsTx) removeFile(tx *bolt.Tx, id string) (gone []string, err error) {
	var last *fileRecord
	var keys [][]byte
	err = w.versions(id, func(f *fileRecord) error {
		last = f
		keys = append(keys, versionKey(id, f.Major))
		file, err := forget(tx, f.DataID)
		if file != "" {
			gone = append(gone, file)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if last == nil {
		return nil, Errorf(wire.CodeFileNotFound, "file not exist: id=%s", id)
	}
	for _, k := range keys {
		if err := w.files.Delete(k); err != nil {
			return nil, err
		}
	}
	if err := w.names.Delete(w.fileNameKey(last.Dir, last.Name, id)); err != nil {
		return nil, err
	}
	if err := w.addCount(countFiles, -1); err != nil {
		return nil, err
	}
	return gone, w.addCount(countVersions, -int64(len(keys)))
}

// CreateFileFromBreakpoint makes a file that takes over a completed breakpoint
// file's content (part 2 section 3.2).
func (r *Repo) CreateFileFromBreakpoint(c Caller, ws string, desc wire.Doc, cfg UploadConfig, bp string, unlock func()) (wire.Doc, error) {
	defer unlock()
	n, err := r.prepare(c, ws, desc, cfg)
	if err != nil {
		return nil, err
	}
	var gone []string
	err = r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if !w.ws.Directories {
			if err := r.allow(c, ws, "", Update); err != nil {
				return err
			}
		}
		b, err := w.completedBreakpoint(bp, cfg.NeedMD5)
		if err != nil {
			return err
		}
		n.rec.DataID, n.rec.DataTime, n.rec.Size, n.rec.MD5 = b.DataID, b.CreateTime, b.Size, b.MD5
		n.rec.ETag = etagOf(b.MD5)
		if gone, err = r.insert(tx, w, n, cfg); err != nil {
			return err
		}
		return w.consume(tx, b)
	})
	if err != nil {
		return nil, err
	}
	r.removeLater(gone)
	return n.rec.doc(), nil
}

// FileRef names a file by id, or by absolute path when ID is empty.
type FileRef struct{ ID, Path string }

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

// findFile returns a version of a file after checking the privilege.
func (r *Repo) findFile(c Caller, w *wsTx, ref FileRef, v Version, need Privilege) (*fileRecord, error) {
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
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
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

// OpenFile opens a version's content for reading; READ on its directory.
func (r *Repo) OpenFile(c Caller, ws, id string, v Version) (*Reader, FileInfo, error) {
	var f *fileRecord
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err == nil {
			f, err = r.findFile(c, w, FileRef{ID: id}, v, Read)
		}
		return err
	})
	if err != nil {
		return nil, FileInfo{}, err
	}
	rd, err := r.openData(f.DataID, f.Size)
	return rd, FileInfo{Name: f.Name, Mime: f.Mime}, err
}

// DeleteFile removes all versions of a file (part 2 section 3.6).
func (r *Repo) DeleteFile(c Caller, ws string, ref FileRef) error {
	var gone []string
	err := r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		f, err := r.findFile(c, w, ref, Version{}, Delete)
		if err != nil {
			return err
		}
		gone, err = w.removeFile(tx, f.ID)
		return err
	})
	if err == nil {
		r.removeLater(gone)
	}
	return err
}

// DeleteVersion removes one version; one that does not exist is no error.
func (r *Repo) DeleteVersion(ws, id string, v Version) error {
	if !wire.ValidID(id) {
		return Errorf(wire.CodeInvalidID, "invalid id: %q", id)
	}
	var gone []string
	err := r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		f, err := w.version(id, v)
		if err != nil {
			return nil //nolint:nilerr // a not-found is swallowed (part 2 section 3.6)
		}
		n := 0
		if err := w.versions(id, func(*fileRecord) error { n++; return nil }); err != nil {
			return err
		}
		if n == 1 {
			gone, err = w.removeFile(tx, id)
			return err
		}
		file, err := forget(tx, f.DataID)
		if file != "" {
			gone = append(gone, file)
		}
		if err != nil {
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
