package repo

import (
	"errors"
	"iter"
	"sort"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Query is what a list call asks for. Nil documents mean absent.
type Query struct {
	Filter   wire.Doc
	OrderBy  wire.Doc
	Selector wire.Doc
	Skip     int64
	Limit    int64 // -1: all
}

// All is the query for everything.
var All = Query{Limit: -1}

// errStop ends a scan whose reader has seen enough.
var errStop = errors.New("stop")

// source feeds records in its natural order until yield returns false.
type source func(tx *bolt.Tx, yield func(wire.Doc) bool) error

// list runs a query over a source. Without orderby, or when the source is
// already in the asked order, rows are streamed; otherwise the matching ones are
// sorted in memory.
func (r *Repo) list(q Query, src source) iter.Seq2[wire.Doc, error] {
	return r.listOrdered(q, "", src)
}

func (r *Repo) listOrdered(q Query, natural string, src source) iter.Seq2[wire.Doc, error] {
	return func(yield func(wire.Doc, error) bool) {
		match, err := compile(q.Filter)
		if err != nil {
			yield(nil, err)
			return
		}
		if q.Limit == 0 {
			return
		}
		inOrder := len(q.OrderBy) == 0 || natural != "" && len(q.OrderBy) == 1 && q.OrderBy[0].Key == natural && equal(q.OrderBy[0].Value, int32(1))
		if inOrder {
			err = r.stream(q, match, src, yield)
		} else {
			err = r.sorted(q, match, src, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// streamChunk is how many rows are read in one database transaction before they
// are handed out: a slow reader must not pin old pages.
const streamChunk = 4096

func (r *Repo) stream(q Query, match matcher, src source, yield func(wire.Doc, error) bool) error {
	skip, left := q.Skip, q.Limit
	var rows []wire.Doc
	flush := func() bool {
		for _, d := range rows {
			if !yield(project(d, q.Selector), nil) {
				return false
			}
		}
		rows = rows[:0]
		return true
	}
	stopped := false
	err := r.db.View(func(tx *bolt.Tx) error {
		return src(tx, func(d wire.Doc) bool {
			if !match(d) {
				return true
			}
			if skip > 0 {
				skip--
				return true
			}
			rows = append(rows, d)
			if len(rows) == streamChunk && !flush() {
				stopped = true
				return false
			}
			left--
			return left != 0
		})
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	if !stopped {
		flush()
	}
	return nil
}

func (r *Repo) sorted(q Query, match matcher, src source, yield func(wire.Doc, error) bool) error {
	var rows []wire.Doc
	err := r.db.View(func(tx *bolt.Tx) error {
		return src(tx, func(d wire.Doc) bool {
			if match(d) {
				rows = append(rows, d)
			}
			return true
		})
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	sort.SliceStable(rows, func(i, j int) bool { return less(rows[i], rows[j], q.OrderBy) })
	rows = rows[min(max(q.Skip, 0), int64(len(rows))):]
	if q.Limit >= 0 {
		rows = rows[:min(q.Limit, int64(len(rows)))]
	}
	for _, d := range rows {
		if !yield(project(d, q.Selector), nil) {
			return nil
		}
	}
	return nil
}

func less(a, b wire.Doc, order wire.Doc) bool {
	for _, o := range order {
		x, _ := a.Get(o.Key)
		y, _ := b.Get(o.Key)
		c, same := compare(x, y)
		if !same {
			c = b2i(x != nil) - b2i(y != nil)
		}
		if dir, _ := number(o.Value); dir < 0 {
			c = -c
		}
		if c != 0 {
			return c < 0
		}
	}
	return false
}

// project applies a selector: the selected fields in storage order, the absent
// ones with the selector's value.
func project(d, selector wire.Doc) wire.Doc {
	if len(selector) == 0 {
		return d
	}
	out := make(wire.Doc, 0, len(selector))
	for _, f := range d {
		if selector.Has(f.Key) {
			out = append(out, f)
		}
	}
	for _, s := range selector {
		if !d.Has(s.Key) {
			out = append(out, s)
		}
	}
	return out
}

// Count returns how many records a list yields.
func Count(seq iter.Seq2[wire.Doc, error]) (int64, error) {
	var n int64
	for _, err := range seq {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// wanted returns the value of a top-level equality condition, or one nested in
// $and, so that lists can use an index.
func wanted(filter wire.Doc, key string) (string, bool) {
	for _, f := range filter {
		if f.Key == key {
			s, ok := f.Value.(string)
			return s, ok
		}
		if items, ok := f.Value.([]any); ok && f.Key == "$and" {
			for _, it := range items {
				if d, ok := it.(wire.Doc); ok {
					if s, ok := wanted(d, key); ok {
						return s, true
					}
				}
			}
		}
	}
	return "", false
}

// lowerBound returns the value of name > or >= in a filter, where an ordered
// scan can start.
func lowerBound(filter wire.Doc, key string) string {
	if v, ok := filter.Get(key); ok {
		if ops, ok := v.(wire.Doc); ok {
			if s, ok := docString(ops, "$gt"); ok {
				return s
			}
			if s, ok := docString(ops, "$gte"); ok {
				return s
			}
		}
	}
	if items, ok := filter.Get("$and"); ok {
		arr, _ := items.([]any)
		for _, it := range arr {
			if d, ok := it.(wire.Doc); ok {
				if s := lowerBound(d, key); s != "" {
					return s
				}
			}
		}
	}
	return ""
}
