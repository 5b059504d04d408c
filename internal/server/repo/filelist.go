package repo

import (
	"iter"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// defaultSelector is what a file list prints without a selector (part 1 section 5.6).
var defaultSelector = selectorOf("id", "name", "major_version", "minor_version", "mime_type", "user", "create_time", "delete_marker", "version_serial")

func selectorOf(keys ...string) wire.Doc {
	d := make(wire.Doc, len(keys))
	for i, k := range keys {
		d[i].Key = k
	}
	return d
}

// FilesOf lists the current files of one directory (D10). A directory that does
// not exist gives an empty list to a caller who may read the whole workspace.
func (r *Repo) FilesOf(c Caller, ws, dir string, q Query) iter.Seq2[wire.Doc, error] {
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if err := w.needDirs(); err != nil {
			return err
		}
		return r.allowDir(c, w, DirRef{ID: dir}, Read)
	})
	if err != nil {
		return failed(err)
	}
	q.Filter = append(wire.Doc{{Key: "directory_id", Value: dir}}, q.Filter...)
	return r.currentFiles(ws, q)
}

func failed(err error) iter.Seq2[wire.Doc, error] {
	return func(yield func(wire.Doc, error) bool) { yield(nil, err) }
}

// Files lists files of the whole workspace in a scope (part 2 section 4.1).
func (r *Repo) Files(c Caller, ws string, scope int, q Query) iter.Seq2[wire.Doc, error] {
	if err := r.checkFileQuery(c, ws, scope, q); err != nil {
		return failed(err)
	}
	switch scope {
	case wire.ScopeCurrent:
		return r.currentFiles(ws, q)
	case wire.ScopeHistory:
		q.Selector = nil
		return r.history(ws, q)
	default:
		return func(yield func(wire.Doc, error) bool) {
			for d, err := range r.currentFiles(ws, q) {
				if !yield(d, err) {
					return
				}
			}
			q.Selector = nil
			for d, err := range r.history(ws, q) {
				if !yield(d, err) {
					return
				}
			}
		}
	}
}

func (r *Repo) checkFileQuery(c Caller, ws string, scope int, q Query) error {
	if err := r.db.View(func(tx *bolt.Tx) error {
		_, err := workspace(tx, ws)
		return err
	}); err != nil {
		return err
	}
	if err := r.allow(c, ws, "", LowLevelRead); err != nil {
		return err
	}
	if scope < wire.ScopeCurrent || scope > wire.ScopeAll {
		return Errorf(wire.CodeInvalidArgument, "unknown scope: %d", scope)
	}
	if scope == wire.ScopeAll && (q.Skip != 0 || q.Limit != -1) {
		return Errorf(wire.CodeOperationUnsupported, "scope all cannot be paged")
	}
	return nil
}

// currentFiles lists current versions. A filter on directory_id scans the name
// index in name order, one on id or id $in reads just those files.
func (r *Repo) currentFiles(ws string, q Query) iter.Seq2[wire.Doc, error] {
	if len(q.Selector) == 0 {
		q.Selector = defaultSelector
	}
	dir, byDir := wanted(q.Filter, "directory_id")
	ids, byID := wantedIDs(q.Filter)
	natural := ""
	if byDir && !byID {
		natural = "name"
	}
	return r.listOrdered(q, natural, func(tx *bolt.Tx, yield func(wire.Doc) bool) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		one := func(id string) error {
			f, err := w.current(id)
			if err != nil {
				return err
			}
			if !yield(f.doc()) {
				return errStop
			}
			return nil
		}
		switch {
		case byID:
			for _, id := range ids {
				if err := one(id); err != nil && CodeOf(err) != wire.CodeFileNotFound {
					return err
				}
			}
			return nil
		case byDir && w.ws.Directories:
			if name, ok := wanted(q.Filter, "name"); ok {
				if id, ok := w.fileByName(dir, name); ok {
					return one(id)
				}
				return nil
			}
			return scanPrefix(w.names, nameKey(dir, ""), nameKey(dir, lowerBound(q.Filter, "name")), func(_, id []byte) error { return one(string(id)) })
		case byDir:
			if name, ok := wanted(q.Filter, "name"); ok {
				return scanPrefix(w.names, append(nameKey(dir, name), 0), append(nameKey(dir, name), 0), func(_, id []byte) error { return one(string(id)) })
			}
			return scanPrefix(w.names, nameKey(dir, ""), nameKey(dir, lowerBound(q.Filter, "name")), func(_, id []byte) error { return one(string(id)) })
		}
		return w.eachFile(func(f *fileRecord, current bool) error {
			if current && !yield(f.doc()) {
				return errStop
			}
			return nil
		})
	})
}

// wantedIDs returns the ids of an equality or $in condition on id.
func wantedIDs(filter wire.Doc) ([]string, bool) {
	if id, ok := wanted(filter, "id"); ok {
		return []string{id}, true
	}
	v, _ := filter.Get("id")
	ops, _ := v.(wire.Doc)
	in, _ := ops.Get("$in")
	items, ok := in.([]any)
	if !ok {
		return nil, false
	}
	var ids []string
	for _, it := range items {
		if s, ok := it.(string); ok {
			ids = append(ids, s)
		}
	}
	return ids, true
}

// eachFile walks all versions in order of id and version and tells which is the
// current one.
func (w *wsTx) eachFile(fn func(f *fileRecord, current bool) error) error {
	c := w.files.Cursor()
	for k, v := c.First(); k != nil; {
		nk, nv := c.Next()
		id := k[:len(k)-8]
		current := nk == nil || !strings.HasPrefix(string(nk), string(id))
		var f fileRecord
		if err := decode(v, &f); err != nil {
			return err
		}
		if err := fn(&f, current); err != nil {
			return err
		}
		k, v = nk, nv
	}
	return nil
}

func (r *Repo) history(ws string, q Query) iter.Seq2[wire.Doc, error] {
	return r.list(q, func(tx *bolt.Tx, yield func(wire.Doc) bool) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		visit := func(f *fileRecord, current bool) error {
			if !current && !yield(f.doc()) {
				return errStop
			}
			return nil
		}
		id, ok := wanted(q.Filter, "id")
		if !ok {
			return w.eachFile(visit)
		}
		cur, err := w.current(id)
		if err != nil {
			return nil //nolint:nilerr // no such file: an empty list
		}
		return w.versions(id, func(f *fileRecord) error { return visit(f, f.Major == cur.Major) })
	})
}

// CountFiles counts files in a scope.
func (r *Repo) CountFiles(c Caller, ws string, scope int, filter wire.Doc) (int64, error) {
	q := Query{Filter: filter, Limit: -1}
	if err := r.checkFileQuery(c, ws, scope, q); err != nil {
		return 0, err
	}
	if len(filter) > 0 {
		return Count(r.Files(c, ws, scope, q))
	}
	var n int64
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		cur, all := w.count(countFiles), w.count(countVersions)
		n = map[int]int64{wire.ScopeCurrent: cur, wire.ScopeHistory: all - cur, wire.ScopeAll: all}[scope]
		return nil
	})
	return n, err
}
