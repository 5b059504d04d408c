package repo

import (
	"strings"
	"unicode/utf8"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// DirRef names a directory by id, or by absolute path when ID is empty.
type DirRef struct{ ID, Path string }

// check refuses a path that is not absolute.
func (d DirRef) check() error {
	if d.ID != "" {
		return nil
	}
	_, err := splitPath(d.Path)
	return err
}

// checkDirName applies the server's rule of part 1 section 5.3.
func checkDirName(name string) error {
	if name == "." || strings.ContainsAny(name, `/\%;:*?"<>|`) {
		return Errorf(wire.CodeInvalidArgument, "invalid directory name: %q", name)
	}
	return checkName("directory name", name)
}

// maxName is the longest name in bytes that the indexes hold. The real server
// has no rule, only the limit of its database's index.
const maxName = 4000

// checkName refuses what no index can hold: nothing, NUL, text that is not
// UTF-8 (JSON would change it), too much.
func checkName(what, name string) error {
	switch {
	case name == "", strings.IndexByte(name, 0) >= 0, !utf8.ValidString(name):
		return Errorf(wire.CodeInvalidArgument, "invalid %s: %q", what, name)
	case len(name) > maxName:
		return Errorf(wire.CodeMetasourceError, "%s is too long: %d bytes", what, len(name))
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
			return nil, Errorf(wire.CodeDirNotFound, "directory not exist:path=%s", cleanDir(path))
		}
		id = next
	}
	return w.dir(id)
}

// enter checks that a call on a directory may go on: by id the feature comes
// before the privilege, by path behind it (part 1 section 2.7).
func (r *Repo) enter(c Caller, w *wsTx, ref DirRef, need Privilege) error {
	if ref.ID != "" {
		if err := w.needDirs(); err != nil {
			return err
		}
	}
	if err := r.allowDir(c, w, ref, need); err != nil {
		return err
	}
	return w.needDirs()
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
	err := r.inWorkspace(ws, func(w *wsTx) error {
		if err := r.enter(c, w, ref, Read); err != nil {
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
	err := r.inWorkspace(ws, func(w *wsTx) (err error) {
		if err := r.enter(c, w, DirRef{ID: id}, Read); err != nil {
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
	err := r.changeWorkspace(ws, func(w *wsTx) error {
		up, name, err := r.newDirPlace(c, w, parent, name, path)
		if err != nil {
			return err
		}
		if err := w.nameFree(up.ID, name); err != nil {
			return err
		}
		now := r.nowMillis()
		d := &dirRecord{ID: r.freshDirID(w), Name: name, Parent: up.ID, User: c.User, UpdateUser: c.User, CreateTime: now, UpdateTime: now}
		out = d.doc()
		if err := w.addCount(countDirs, 1); err != nil {
			return err
		}
		if err := w.dirNames.Put(nameKey(up.ID, name), []byte(d.ID)); err != nil {
			return err
		}
		return w.putDir(d)
	})
	return out, err
}

// freshDirID skips an id that exists: after a restart the serial starts anywhere.
func (r *Repo) freshDirID(w *wsTx) string {
	for {
		if id := r.ids.next(); w.dirs.Get([]byte(id)) == nil {
			return id
		}
	}
}

// newDirPlace checks the two ways to name a new directory, each in its own
// order of checks (part 1 section 2.7), and returns parent and name.
func (r *Repo) newDirPlace(c Caller, w *wsTx, parent, name, path string) (*dirRecord, string, error) {
	if name != "" && parent != "" {
		if err := r.enter(c, w, DirRef{ID: parent}, Create); err != nil {
			return nil, "", err
		}
		if err := checkDirName(name); err != nil {
			return nil, "", err
		}
		up, err := w.dir(parent)
		return up, name, err
	}
	if path == "" {
		return nil, "", Errorf(wire.CodeInvalidArgument, "neither name and parent_directory_id nor path is given")
	}
	if err := r.enter(c, w, DirRef{Path: path}, Create); err != nil {
		return nil, "", err
	}
	parts, err := splitPath(path)
	if err != nil {
		return nil, "", err
	}
	if len(parts) == 0 {
		return nil, "", Errorf(wire.CodeInvalidArgument, "the root exists")
	}
	name = parts[len(parts)-1]
	if err := checkDirName(name); err != nil {
		return nil, "", err
	}
	up, err := w.walk(parts[:len(parts)-1], path)
	return up, name, err
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
	return r.changeDir(c, ws, ref, Delete, nil, func(w *wsTx, d *dirRecord) error {
		if d.ID == wire.RootDirID {
			return Errorf(wire.CodeOperationUnsupported, "the root cannot be deleted")
		}
		if !w.empty(d.ID) {
			return Errorf(wire.CodeDirNotEmpty, "directory is not empty: %s", d.ID)
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
// arguments, unless nil, are checked between the privilege and the existence.
func (r *Repo) changeDir(c Caller, ws string, ref DirRef, need Privilege, arguments func() error, fn func(*wsTx, *dirRecord) error) error {
	return r.changeWorkspace(ws, func(w *wsTx) error {
		if err := r.enter(c, w, ref, need); err != nil {
			return err
		}
		if arguments != nil {
			if err := arguments(); err != nil {
				return err
			}
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
	err := r.changeDir(c, ws, ref, Delete, func() error { return checkDirName(name) }, func(w *wsTx, d *dirRecord) error {
		if d.ID == wire.RootDirID {
			return Errorf(wire.CodeInvalidArgument, "the root cannot be renamed")
		}
		if err := r.allowNewPlace(c, w, DirRef{ID: d.Parent}, name); err != nil {
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
	err := r.changeDir(c, ws, ref, Delete, to.check, func(w *wsTx, d *dirRecord) error {
		if d.ID == wire.RootDirID {
			return Errorf(wire.CodeInvalidArgument, "the root cannot be moved")
		}
		if err := r.allowNewPlace(c, w, to, d.Name); err != nil {
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

// allowNewPlace asks for CREATE on the path that a directory is to have.
func (r *Repo) allowNewPlace(c Caller, w *wsTx, parent DirRef, name string) error {
	if r.allowed(c, w.ws.Name, "", Create) {
		return nil
	}
	path := parent.Path
	if parent.ID != "" {
		p, err := w.dirPath(parent.ID)
		if err != nil {
			return err
		}
		path = p
	}
	return r.allow(c, w.ws.Name, path+"/"+name, Create)
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
