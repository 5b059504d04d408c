package repo

import (
	"encoding/binary"
	"iter"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// CreateWorkspace makes a workspace from its configuration (keys of part 1
// section 4.2); only ROLE_AUTH_ADMIN may. Existing is -208.
func (r *Repo) CreateWorkspace(c Caller, name string, conf wire.Doc) (wire.Doc, error) {
	if !r.isAdmin(c) {
		return nil, Errorf(wire.CodeOperationUnauthorized, "user %s may not create workspaces", c.User)
	}
	if err := checkWorkspaceName(name); err != nil {
		return nil, err
	}
	now := r.nowMillis()
	rec := &wsRecord{Name: name, CreateUser: c.User, UpdateUser: c.User, CreateTime: now, UpdateTime: now, Version: 1}
	if err := rec.configure(conf, r.o.Site); err != nil {
		return nil, err
	}
	err := r.q.run(func(tx *bolt.Tx) error {
		all, meta := tx.Bucket(bucketWS), tx.Bucket(bucketMeta)
		if all.Get([]byte(name)) != nil {
			return Errorf(wire.CodeWorkspaceExist, "workspace exists: %s", name)
		}
		rec.ID = 1
		if b := meta.Get(keyWSSerial); b != nil {
			rec.ID = int64(binary.BigEndian.Uint64(b)) + 1
		}
		if err := meta.Put(keyWSSerial, binary.BigEndian.AppendUint64(nil, uint64(rec.ID))); err != nil {
			return err
		}
		if err := all.Put([]byte(name), encode(rec)); err != nil {
			return err
		}
		top, err := tx.CreateBucket(wsBucketName(rec.ID))
		if err != nil {
			return err
		}
		for _, sub := range wsBuckets {
			if _, err := top.CreateBucket([]byte(sub)); err != nil {
				return err
			}
		}
		w := openWorkspace(tx, rec)
		if err := w.addCount(countDirs, 1); err != nil {
			return err
		}
		return w.putDir(&dirRecord{ID: wire.RootDirID, Name: "/", Parent: wire.RootParentID,
			User: c.User, UpdateUser: c.User, CreateTime: now, UpdateTime: now, Version: 1})
	})
	if err != nil {
		return nil, err
	}
	return rec.doc(r.o.Site, true), nil
}

// UpdateWorkspace makes one logical change (part 1 section 4.1); only
// ROLE_AUTH_ADMIN may. An unknown key is -101, turning directories on -700.
func (r *Repo) UpdateWorkspace(c Caller, name string, updator wire.Doc) (wire.Doc, error) {
	var out wire.Doc
	err := r.changeWorkspace(name, func(w *wsTx) error {
		if !r.isAdmin(c) {
			return Errorf(wire.CodeOperationUnauthorized, "user %s may not change workspaces", c.User)
		}
		changes := updator
		if len(updator) > 1 {
			changes.Delete("merge") // says how a location is updated
		}
		if len(changes) != 1 {
			return Errorf(wire.CodeInvalidArgument, "exactly one change at a time, got %d", len(changes))
		}
		if err := w.reconfigure(changes[0], r.o.Site); err != nil {
			return err
		}
		w.ws.UpdateUser, w.ws.UpdateTime = c.User, r.nowMillis()
		w.ws.Version++
		out = w.ws.doc(r.o.Site, true)
		return w.tx.Bucket(bucketWS).Put([]byte(name), encode(w.ws))
	})
	return out, err
}

func (w *wsTx) reconfigure(f wire.Field, site string) error {
	s, isString := f.Value.(string)
	switch f.Key {
	case "description", "preferred", "site_cache_strategy", "meta_domain":
		if !isString {
			return Errorf(wire.CodeInvalidArgument, "%s is not a string", f.Key)
		}
	}
	switch f.Key {
	case "description":
		w.ws.Description = s
	case "preferred":
		w.ws.Preferred = s
	case "site_cache_strategy":
		w.ws.Cache = s
		return w.ws.checkChoices()
	case "meta_domain":
		meta := location(w.ws.Meta, "", "", false)
		meta.Set("domain", s)
		w.ws.Meta = wire.AppendJSON(nil, meta)
	case "update_data_location":
		list, ok := f.Value.([]any)
		if !ok {
			list = []any{f.Value}
		}
		for _, v := range list {
			if err := w.ws.setLocation(&w.ws.Data, v, site); err != nil {
				return err
			}
		}
	case "add_data_location", "rmove_data_location":
		return Errorf(wire.CodeInvalidArgument, "%s: this store has one site, and the workspace is on it", f.Key)
	case "enable_directory":
		on, ok := f.Value.(bool)
		switch {
		case !ok:
			return Errorf(wire.CodeInvalidArgument, "enable_directory is not a boolean")
		case on && !w.ws.Directories:
			return Errorf(wire.CodeConfigServerError, "directories cannot be turned on")
		case !on && w.ws.Directories:
			return w.disableDirectories()
		}
	case "merge":
	default:
		return Errorf(wire.CodeInvalidArgument, "unknown updator key: %s", f.Key)
	}
	return nil
}

// disableDirectories gives the name index the form it has without directories;
// directories and where files were in them stay recorded.
func (w *wsTx) disableDirectories() error {
	w.ws.Directories = false
	if err := w.top.DeleteBucket([]byte("names")); err != nil {
		return err
	}
	names, err := w.top.CreateBucket([]byte("names"))
	if err != nil {
		return err
	}
	w.names = names
	_, err = allCurrent(w, nil, false, func(_ []byte, r row) (bool, error) {
		f := r.(*fileRecord)
		return true, names.Put(w.fileNameKey(f.Dir, f.Name, f.ID), []byte(f.ID))
	})
	return err
}

// DeleteWorkspace removes a workspace; one that holds files or directories is
// -207 unless enforced. Only ROLE_AUTH_ADMIN may.
func (r *Repo) DeleteWorkspace(c Caller, name string, enforced bool) error {
	var gone []string
	err := r.changeWorkspace(name, func(w *wsTx) error {
		if !r.isAdmin(c) {
			return Errorf(wire.CodeOperationUnauthorized, "user %s may not delete workspaces", c.User)
		}
		if !enforced && (w.count(countFiles) > 0 || w.count(countDirs) > 1) {
			return Errorf(wire.CodeWorkspaceNotEmpty, "workspace is not empty: %s", name)
		}
		var err error
		if gone, err = w.contentFiles(); err != nil {
			return err
		}
		if err := w.tx.DeleteBucket(wsBucketName(w.ws.ID)); err != nil {
			return err
		}
		return w.tx.Bucket(bucketWS).Delete([]byte(name))
	})
	if err != nil {
		return err
	}
	r.removeLater(gone)
	return r.forgetPrivileges(name)
}

// contentFiles takes all content files of the workspace out of the records and
// returns their data ids.
func (w *wsTx) contentFiles() (gone []string, err error) {
	blobs := w.tx.Bucket(bucketBlobs)
	err = blobs.ForEach(func(k, v []byte) error {
		if len(v) == 8 && int64(binary.BigEndian.Uint64(v)) == w.ws.ID {
			gone = append(gone, string(k))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, id := range gone {
		if err := blobs.Delete([]byte(id)); err != nil {
			return nil, err
		}
	}
	err = w.bps.ForEach(func(_, v []byte) error {
		var bp bpRecord
		if err := decode(v, &bp); err != nil {
			return err
		}
		gone = append(gone, bp.DataID)
		return nil
	})
	return gone, err
}

// Workspace returns one workspace as GET one prints it.
func (r *Repo) Workspace(name string) (wire.Doc, error) {
	var out wire.Doc
	err := r.inWorkspace(name, func(w *wsTx) error {
		out = w.ws.doc(r.o.Site, true)
		return nil
	})
	return out, err
}

// Workspaces lists raw records; the selector is ignored.
func (r *Repo) Workspaces(q Query) iter.Seq2[wire.Doc, error] {
	var rows []row
	if err := r.db.View(func(tx *bolt.Tx) error {
		return forEachWorkspace(tx, func(w *wsTx) error {
			rows = append(rows, docRow(w.ws.doc(r.o.Site, false)))
			return nil
		})
	}); err != nil {
		return failed(err)
	}
	q.Selector = nil
	src := source{rows: func(_ *wsTx, after []byte, _ bool, visit func([]byte, row) (bool, error)) (bool, error) {
		start := uint64(0)
		if len(after) == 8 {
			start = binary.BigEndian.Uint64(after) + 1
		}
		for i := start; i < uint64(len(rows)); i++ {
			if more, err := visit(binary.BigEndian.AppendUint64(nil, i), rows[i]); err != nil || !more {
				return false, err
			}
		}
		return true, nil
	}}
	return run(q, src, func(fn func(*wsTx) error) error { return fn(nil) })
}
