package repo

import (
	"iter"
	"slices"

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

// FilesOf lists the current files of one directory (D10); READ on it. A
// directory that does not exist gives an empty list to a caller who may read the
// whole workspace, -241 to others.
func (r *Repo) FilesOf(c Caller, ws, dir string, q Query) iter.Seq2[wire.Doc, error] {
	err := r.inWorkspace(ws, func(w *wsTx) error {
		if err := w.needDirs(); err != nil {
			return err
		}
		return r.allowDir(c, w, DirRef{ID: dir}, Read)
	})
	if err != nil {
		return failed(err)
	}
	q.Filter = append(wire.Doc{{Key: "directory_id", Value: dir}}, q.Filter...)
	return r.currentFiles(ws, true, q)
}

// Files lists files of the whole workspace in a scope, LOW_LEVEL_READ on it
// (part 2 section 4.1). Scope all cannot be paged (-107); history ignores the
// selector.
func (r *Repo) Files(c Caller, ws string, scope int, q Query) iter.Seq2[wire.Doc, error] {
	directories, err := r.checkFileQuery(c, ws, scope, q)
	if err != nil {
		return failed(err)
	}
	full := q
	full.Selector = nil
	switch scope {
	case wire.ScopeCurrent:
		return r.currentFiles(ws, directories, q)
	case wire.ScopeHistory:
		return r.history(ws, full)
	}
	return func(yield func(wire.Doc, error) bool) {
		for _, part := range []iter.Seq2[wire.Doc, error]{r.currentFiles(ws, directories, q), r.history(ws, full)} {
			for d, err := range part {
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	}
}

func (r *Repo) checkFileQuery(c Caller, ws string, scope int, q Query) (directories bool, err error) {
	err = r.inWorkspace(ws, func(w *wsTx) error {
		directories = w.ws.Directories
		return r.allow(c, ws, "", LowLevelRead)
	})
	switch {
	case err != nil:
		return false, err
	case scope < wire.ScopeCurrent || scope > wire.ScopeAll:
		return false, Errorf(wire.CodeInvalidArgument, "unknown scope: %d", scope)
	case scope == wire.ScopeAll && (q.Skip != 0 || q.Limit != -1):
		return false, Errorf(wire.CodeOperationUnsupported, "scope all cannot be paged")
	}
	return directories, nil
}

// currentFiles lists current versions by the best index the filter allows: ids,
// names in directories, or all files.
func (r *Repo) currentFiles(ws string, directories bool, q Query) iter.Seq2[wire.Doc, error] {
	if len(q.Selector) == 0 {
		q.Selector = defaultSelector
	}
	return r.list(ws, q, currentSource(directories, q))
}

func currentSource(directories bool, q Query) source {
	if ids, ok := wantedIDs(q.Filter); ok {
		return source{order: "id", unique: true, rows: filesByID(ids, true)}
	}
	names := func(w *wsTx) *bolt.Bucket { return w.names }
	current := func(w *wsTx, id []byte) (row, error) { return w.current(string(id)) }
	if !directories {
		// The index holds all files in name order; by id is the other order.
		_, named := wanted(q.Filter, "name")
		if from, _, bounded := bounds(q.Filter, "name"); named || bounded || from != "" || len(q.OrderBy) > 0 && q.OrderBy[0].Key == "name" {
			return source{order: "name", rows: index(names, nameSpans(q.Filter, []string{wire.RootDirID}, false), current)}
		}
		return source{order: "id", unique: true, rows: allCurrent}
	}
	if dirs, ok := wanted(q.Filter, "directory_id"); ok {
		s := source{rows: index(names, nameSpans(q.Filter, dirs, true), current)}
		if len(dirs) == 1 {
			s.order, s.unique = "name", true
		}
		return s
	}
	return source{order: "id", unique: true, rows: allCurrent}
}

// wantedIDs returns the file ids a filter asks for; what is no id names no file.
func wantedIDs(filter wire.Doc) ([]string, bool) {
	ids, ok := wanted(filter, "id")
	return slices.DeleteFunc(ids, func(id string) bool { return !wire.ValidID(id) }), ok
}

// versionsOf is the key range of one file's versions.
func versionsOf(id string) span { return span{versionKey(id, 0), behind([]byte(id))} }

// filesByID reads the current version of each id, or with current false all
// older ones.
func filesByID(ids []string, current bool) func(*wsTx, []byte, bool, func([]byte, row) (bool, error)) (bool, error) {
	return func(w *wsTx, after []byte, desc bool, visit func([]byte, row) (bool, error)) (bool, error) {
		for i := range ids {
			id := ids[i]
			if desc {
				id = ids[len(ids)-1-i]
			}
			end, err := currentOrHistory(w, versionsOf(id), after, desc, current, visit)
			if err != nil || !end {
				return false, err
			}
		}
		return true, nil
	}
}

func allCurrent(w *wsTx, after []byte, desc bool, visit func([]byte, row) (bool, error)) (bool, error) {
	return currentOrHistory(w, span{}, after, desc, true, visit)
}

func allHistory(w *wsTx, after []byte, desc bool, visit func([]byte, row) (bool, error)) (bool, error) {
	return currentOrHistory(w, span{}, after, desc, false, visit)
}

// currentOrHistory walks versions and visits those that are current, or those
// that are not: a version is current when the next key belongs to another file.
// Only what is visited gets decoded.
func currentOrHistory(w *wsTx, s span, after []byte, desc, current bool, visit func([]byte, row) (bool, error)) (bool, error) {
	ahead := w.files.Cursor() // one key ahead of the walk
	newer := ""               // with desc: the id of the key visited before
	first := true
	return s.walk(w.files, after, desc, func(k, v []byte) (bool, error) {
		id := string(k[:len(k)-8])
		isCurrent := id != newer
		if first {
			ahead.Seek(k)
		}
		// Backwards only the first key has an unknown neighbour.
		if first || !desc {
			n, _ := ahead.Next()
			isCurrent = !isVersionOf(n, id)
		}
		first, newer = false, id
		if isCurrent != current {
			return true, nil
		}
		f, err := decodeFile(v)
		if err != nil {
			return false, err
		}
		return visit(k, f)
	})
}

func (r *Repo) history(ws string, q Query) iter.Seq2[wire.Doc, error] {
	src := source{order: "id", rows: allHistory}
	if ids, ok := wantedIDs(q.Filter); ok {
		src.rows = filesByID(ids, false)
	}
	return r.list(ws, q, src)
}

// CountFiles counts files in a scope; without a filter from counters.
func (r *Repo) CountFiles(c Caller, ws string, scope int, filter wire.Doc) (int64, error) {
	q := Query{Filter: filter, Limit: -1, Selector: selectorOf("id")}
	if _, err := r.checkFileQuery(c, ws, scope, q); err != nil {
		return 0, err
	}
	if len(filter) > 0 {
		return Count(r.Files(c, ws, scope, q))
	}
	var n int64
	err := r.inWorkspace(ws, func(w *wsTx) error {
		current, all := w.count(countFiles), w.count(countVersions)
		switch scope {
		case wire.ScopeCurrent:
			n = current
		case wire.ScopeHistory:
			n = all - current
		default:
			n = all
		}
		return nil
	})
	return n, err
}
