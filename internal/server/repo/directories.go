package repo

import (
	"iter"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// DirRef names a directory by id, or by absolute path when ID is empty.
type DirRef struct{ ID, Path string }

// checkDirName applies the server's rule of part 1 section 5.3.
func checkDirName(name string) error {
	if name == "" || name == "." || strings.ContainsAny(name, `/\%;:*?"<>|`) {
		return Errorf(wire.CodeInvalidArgument, "invalid directory name: %q", name)
	}
	return nil
}

// splitPath returns the components of an absolute path; repeated and trailing
// slashes collapse.
func splitPath(p string) ([]string, error) {
	if !strings.HasPrefix(p, "/") {
		return nil, Errorf(wire.CodeInvalidArgument, "path does not start with '/': %q", p)
	}
	return strings.FieldsFunc(p, func(r rune) bool { return r == '/' }), nil
}

// resolve returns the directory that ref names; missing is -241.
func (w *wsTx) resolve(ref DirRef) (*dirRecord, error) {
	if ref.ID != "" {
		return w.dir(ref.ID)
	}
	parts, err := splitPath(ref.Path)
	if err != nil {
		return nil, err
	}
	return w.walk(parts, ref.Path)
}

func (w *wsTx) walk(parts []string, path string) (*dirRecord, error) {
	id := wire.RootDirID
	for _, name := range parts {
		next, ok := w.dirByName(id, name)
		if !ok {
			return nil, Errorf(wire.CodeDirNotFound, "directory not exist:path=%s", path)
		}
		id = next
	}
	return w.dir(id)
}

// allowDir checks a privilege on the directory that ref names. A caller with the
// privilege on the whole workspace needs no path; for others a missing id shows
// as -241 here.
func (r *Repo) allowDir(c Caller, w *wsTx, ref DirRef, need Privilege) error {
	if r.allowed(c, w.ws.Name, "", need) {
		return nil
	}
	path := ref.Path
	if ref.ID != "" {
		p, err := w.dirPath(ref.ID)
		if err != nil {
			return err
		}
		path = p
	}
	return r.allow(c, w.ws.Name, path, need)
}

// Directory returns one directory (D1, D2); READ on it.
func (r *Repo) Directory(c Caller, ws string, ref DirRef) (wire.Doc, error) {
	var out wire.Doc
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if err := w.needDirs(); err != nil {
			return err
		}
		if err := r.allowDir(c, w, ref, Read); err != nil {
			return err
		}
		d, err := w.resolve(ref)
		if err == nil {
			out = d.doc()
		}
		return err
	})
	return out, err
}

// DirectoryPath returns the absolute path with a trailing slash (D3).
func (r *Repo) DirectoryPath(c Caller, ws, id string) (string, error) {
	var out string
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if err := w.needDirs(); err != nil {
			return err
		}
		if err := r.allowDir(c, w, DirRef{ID: id}, Read); err != nil {
			return err
		}
		out, err = w.dirPath(id)
		return err
	})
	return out, err
}

// CreateDirectory makes a directory: under parent with name, or by path when
// name or parent is empty (D4).
func (r *Repo) CreateDirectory(c Caller, ws, parent, name, path string) (wire.Doc, error) {
	var out wire.Doc
	err := r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		var up *dirRecord
		switch {
		case name != "" && parent != "":
			if err := w.needDirs(); err != nil {
				return err
			}
			if err := r.allowDir(c, w, DirRef{ID: parent}, Create); err != nil {
				return err
			}
			if err := checkDirName(name); err != nil {
				return err
			}
			if up, err = w.dir(parent); err != nil {
				return err
			}
		case path != "":
			if err := r.allowDir(c, w, DirRef{Path: path}, Create); err != nil {
				return err
			}
			if err := w.needDirs(); err != nil {
				return err
			}
			parts, err := splitPath(path)
			if err != nil {
				return err
			}
			if len(parts) == 0 {
				return Errorf(wire.CodeInvalidArgument, "the root exists")
			}
			name = parts[len(parts)-1]
			if err := checkDirName(name); err != nil {
				return err
			}
			if up, err = w.walk(parts[:len(parts)-1], path); err != nil {
				return err
			}
		default:
			return Errorf(wire.CodeInvalidArgument, "neither name and parent_directory_id nor path is given")
		}
		if err := w.nameFree(up.ID, name); err != nil {
			return err
		}
		now := r.nowMillis()
		d := &dirRecord{ID: r.ids.next(), Name: name, Parent: up.ID, User: c.User, UpdateUser: c.User, CreateTime: now, UpdateTime: now}
		if err := w.addCount(countDirs, 1); err != nil {
			return err
		}
		if err := w.dirNames.Put(nameKey(up.ID, name), []byte(d.ID)); err != nil {
			return err
		}
		out = d.doc()
		return w.putDir(d)
	})
	return out, err
}

// nameFree refuses a directory name that a directory or file of the parent has.
func (w *wsTx) nameFree(parent, name string) error {
	if _, taken := w.dirByName(parent, name); taken {
		return Errorf(wire.CodeDirExist, "directory exists: parent=%s name=%s", parent, name)
	}
	if _, taken := w.fileByName(parent, name); taken {
		return Errorf(wire.CodeFileExist, "a file has this name: parent=%s name=%s", parent, name)
	}
	return nil
}

// DeleteDirectory removes an empty directory (D5).
func (r *Repo) DeleteDirectory(c Caller, ws string, ref DirRef) error {
	return r.changeDir(c, ws, ref, Delete, func(w *wsTx, d *dirRecord) error {
		if d.ID == wire.RootDirID {
			return Errorf(wire.CodeOperationUnsupported, "the root cannot be deleted")
		}
		prefix := nameKey(d.ID, "")
		for _, b := range []*bolt.Bucket{w.dirNames, w.names} {
			if k, _ := b.Cursor().Seek(prefix); strings.HasPrefix(string(k), string(prefix)) {
				return Errorf(wire.CodeDirNotEmpty, "directory is not empty: %s", d.ID)
			}
		}
		if err := w.dirNames.Delete(nameKey(d.Parent, d.Name)); err != nil {
			return err
		}
		if err := w.dirs.Delete([]byte(d.ID)); err != nil {
			return err
		}
		return w.addCount(countDirs, -1)
	})
}

// changeDir runs a change of an existing directory and bumps the root's version.
func (r *Repo) changeDir(c Caller, ws string, ref DirRef, need Privilege, fn func(*wsTx, *dirRecord) error) error {
	return r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if err := w.needDirs(); err != nil {
			return err
		}
		if err := r.allowDir(c, w, ref, need); err != nil {
			return err
		}
		d, err := w.resolve(ref)
		if err != nil {
			return err
		}
		if err := fn(w, d); err != nil {
			return err
		}
		return w.bumpRoot()
	})
}

// RenameDirectory gives a directory another name (D6) and returns the new
// update_time.
func (r *Repo) RenameDirectory(c Caller, ws string, ref DirRef, name string) (int64, error) {
	now := r.nowMillis()
	err := r.changeDir(c, ws, ref, Delete, func(w *wsTx, d *dirRecord) error {
		if d.ID == wire.RootDirID {
			return Errorf(wire.CodeInvalidArgument, "the root cannot be renamed")
		}
		if err := checkDirName(name); err != nil {
			return err
		}
		if err := r.allowDir(c, w, DirRef{ID: d.Parent}, Create); err != nil {
			return err
		}
		return w.relocate(d, d.Parent, name, c.User, now)
	})
	return now, err
}

// MoveDirectory gives a directory another parent (D7) and returns the new
// update_time.
func (r *Repo) MoveDirectory(c Caller, ws string, ref, to DirRef) (int64, error) {
	now := r.nowMillis()
	err := r.changeDir(c, ws, ref, Delete, func(w *wsTx, d *dirRecord) error {
		if d.ID == wire.RootDirID {
			return Errorf(wire.CodeInvalidArgument, "the root cannot be moved")
		}
		if err := r.allowDir(c, w, to, Create); err != nil {
			return err
		}
		up, err := w.resolve(to)
		if err != nil {
			return err
		}
		for at := up; at.ID != wire.RootDirID; {
			if at.ID == d.ID {
				return Errorf(wire.CodeDirMoveToSubdir, "%s cannot move into itself", d.ID)
			}
			if at, err = w.dir(at.Parent); err != nil {
				return err
			}
		}
		return w.relocate(d, up.ID, d.Name, c.User, now)
	})
	return now, err
}

func (w *wsTx) relocate(d *dirRecord, parent, name, user string, now int64) error {
	if parent != d.Parent || name != d.Name {
		if err := w.nameFree(parent, name); err != nil {
			return err
		}
		if err := w.dirNames.Delete(nameKey(d.Parent, d.Name)); err != nil {
			return err
		}
		d.Parent, d.Name = parent, name
		if err := w.dirNames.Put(nameKey(parent, name), []byte(d.ID)); err != nil {
			return err
		}
	}
	d.UpdateUser, d.UpdateTime = user, now
	return w.putDir(d)
}

// Directories lists directories of the whole workspace (D8); no privilege is
// needed. A filter on parent_directory_id uses the index, in name order.
func (r *Repo) Directories(ws string, q Query) iter.Seq2[wire.Doc, error] {
	parent, indexed := wanted(q.Filter, "parent_directory_id")
	natural := ""
	if indexed {
		natural = "name"
	}
	q.Selector = nil
	return r.listOrdered(q, natural, func(tx *bolt.Tx, yield func(wire.Doc) bool) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if err := w.needDirs(); err != nil {
			return err
		}
		if !indexed {
			return w.dirs.ForEach(func(_, v []byte) error { return yieldDir(v, yield) })
		}
		from := lowerBound(q.Filter, "name")
		if name, ok := wanted(q.Filter, "name"); ok {
			id, ok := w.dirByName(parent, name)
			if !ok {
				return nil
			}
			return yieldDir(w.dirs.Get([]byte(id)), yield)
		}
		return scanPrefix(w.dirNames, nameKey(parent, ""), nameKey(parent, from), func(_, id []byte) error {
			return yieldDir(w.dirs.Get(id), yield)
		})
	})
}

func yieldDir(v []byte, yield func(wire.Doc) bool) error {
	var d dirRecord
	if err := decode(v, &d); err != nil {
		return err
	}
	if !yield(d.doc()) {
		return errStop
	}
	return nil
}

func scanPrefix(b *bolt.Bucket, prefix, from []byte, fn func(k, v []byte) error) error {
	c := b.Cursor()
	for k, v := c.Seek(from); k != nil && strings.HasPrefix(string(k), string(prefix)); k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// CountDirectories counts directories, the root included (D9).
func (r *Repo) CountDirectories(c Caller, ws string, filter wire.Doc) (int64, error) {
	var n int64
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if err := r.allow(c, ws, "", LowLevelRead); err != nil {
			return err
		}
		n = w.count(countDirs)
		return w.needDirs()
	})
	if err != nil || len(filter) == 0 {
		return n, err
	}
	return Count(r.Directories(ws, Query{Filter: filter, Limit: -1}))
}
