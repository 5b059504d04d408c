package repo

import (
	"iter"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// dirRow is a directory in a list.
type dirRow struct{ *dirRecord }

func (d dirRow) keys() []string {
	keys := []string{"name", "parent_directory_id", "id", "user", "update_user", "create_time", "update_time", "version"}
	if d.ID != wire.RootDirID {
		keys = keys[:7]
	}
	return keys
}

func (d dirRow) field(key string) (any, bool) {
	switch key {
	case "name":
		return d.Name, true
	case "parent_directory_id":
		return d.Parent, true
	case "id":
		return d.ID, true
	case "user":
		return d.User, true
	case "update_user":
		return d.UpdateUser, true
	case "create_time":
		return d.CreateTime, true
	case "update_time":
		return d.UpdateTime, true
	case "version":
		return d.Version, d.ID == wire.RootDirID
	}
	return nil, false
}

// Directories lists directories of the whole workspace (D8); no privilege is
// needed, and the selector is ignored.
func (r *Repo) Directories(ws string, q Query) iter.Seq2[wire.Doc, error] {
	if err := r.inWorkspace(ws, (*wsTx).needDirs); err != nil {
		return failed(err)
	}
	q.Selector = nil
	return r.list(ws, q, dirSource(q.Filter))
}

func dirSource(filter wire.Doc) source {
	get := func(w *wsTx, id []byte) (row, error) {
		d, err := w.dir(string(id))
		return dirRow{d}, err
	}
	// The root has a parent but is in no index of names.
	parents, ok := wanted(filter, "parent_directory_id")
	if ok && !slices.Contains(parents, wire.RootParentID) {
		s := source{rows: index(func(w *wsTx) *bolt.Bucket { return w.dirNames }, nameSpans(filter, parents, true), get)}
		if len(parents) == 1 {
			s.order, s.unique = "name", true
		}
		return s
	}
	spans := []span{{}}
	if ids, ok := wanted(filter, "id"); ok {
		spans = spans[:0]
		for _, id := range ids {
			spans = append(spans, span{[]byte(id), append([]byte(id), 0)})
		}
	}
	return source{order: "id", unique: true, rows: func(w *wsTx, after []byte, desc bool, visit func([]byte, row) (bool, error)) (bool, error) {
		// The bucket's values are the records themselves.
		decoded := func(_ *wsTx, v []byte) (row, error) {
			var d dirRecord
			return dirRow{&d}, decode(v, &d)
		}
		return index(func(w *wsTx) *bolt.Bucket { return w.dirs }, spans, decoded)(w, after, desc, visit)
	}}
}

// CountDirectories counts directories, the root included (D9); LOW_LEVEL_READ on
// the workspace.
func (r *Repo) CountDirectories(c Caller, ws string, filter wire.Doc) (int64, error) {
	var n int64
	err := r.inWorkspace(ws, func(w *wsTx) error {
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
