package repo

import (
	"iter"
	"slices"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Rows that a list reads in one transaction. A transaction pins old pages and
// the address space of the database, so it must be short, and nothing may be
// yielded inside one: the reader may be slow, or may want to write.
const (
	rowsYielded = 1000
	rowsVisited = 4000
)

// list runs a query over a source in a workspace. When the source is already in
// the order asked for, rows are streamed; otherwise those that match are sorted
// in memory.
func (r *Repo) list(ws string, q Query, src source) iter.Seq2[wire.Doc, error] {
	return run(q, src, func(fn func(*wsTx) error) error { return r.inWorkspace(ws, fn) })
}

// run is list with the transaction as a parameter.
func run(q Query, src source, view func(func(*wsTx) error) error) iter.Seq2[wire.Doc, error] {
	return func(yield func(wire.Doc, error) bool) {
		match, err := compile(q.Filter)
		if err != nil {
			yield(nil, err)
			return
		}
		if q.Limit == 0 {
			return
		}
		l := &listing{view: view, q: q, match: match, src: src}
		if desc, ok := src.gives(q.OrderBy); ok {
			l.desc = desc
			err = l.stream(yield)
		} else {
			err = l.sorted(yield)
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

// gives tells whether the source's own order is the one asked for, and whether
// backwards.
func (s source) gives(orderby wire.Doc) (desc, ok bool) {
	if len(orderby) == 0 {
		return false, true
	}
	if s.order == "" || orderby[0].Key != s.order || len(orderby) > 1 && !s.unique {
		return false, false
	}
	n, _ := number(orderby[0].Value)
	return n < 0, true
}

type listing struct {
	view  func(func(*wsTx) error) error
	q     Query
	match matcher
	src   source
	desc  bool
	pos   []byte // of the last row visited
}

// next reads on in one transaction: rows that match go to take until it returns
// false. It reports whether the source came to its end.
func (l *listing) next(take func(row) bool) (end bool, err error) {
	visited := 0
	err = l.view(func(w *wsTx) error {
		end, err = l.src.rows(w, l.pos, l.desc, func(pos []byte, r row) (bool, error) {
			visited++
			more := visited < rowsVisited
			if l.match(r) && !take(r) {
				more = false
			}
			if !more {
				l.pos = append(l.pos[:0], pos...)
			}
			return more, nil
		})
		return err
	})
	return end, err
}

func (l *listing) stream(yield func(wire.Doc, error) bool) error {
	skip, left := l.q.Skip, l.q.Limit
	var rows []wire.Doc
	for {
		rows = rows[:0]
		end, err := l.next(func(r row) bool {
			if skip > 0 {
				skip--
				return true
			}
			rows = append(rows, project(r, l.q.Selector))
			left--
			return left != 0 && len(rows) < rowsYielded
		})
		if err != nil {
			return err
		}
		for _, d := range rows {
			if !yield(d, nil) {
				return nil
			}
		}
		if end || left == 0 {
			return nil
		}
	}
}

// sortRow is a row and the values it is ordered by.
type sortRow struct {
	row
	order []any
}

func (l *listing) sorted(yield func(wire.Doc, error) bool) error {
	var rows []sortRow
	order := func(a, b sortRow) int { return compareKeys(a.order, b.order, l.q.OrderBy) }
	// With a limit only the first skip+limit rows are kept.
	keep := int64(-1)
	if l.q.Limit > 0 {
		keep = max(l.q.Skip, 0) + l.q.Limit
	}
	cut := func() {
		slices.SortStableFunc(rows, order)
		if keep >= 0 && int64(len(rows)) > keep {
			clear(rows[keep:])
			rows = rows[:keep]
		}
	}
	for {
		end, err := l.next(func(r row) bool {
			s := sortRow{row: r, order: make([]any, len(l.q.OrderBy))}
			for i, o := range l.q.OrderBy {
				s.order[i], _ = r.field(o.Key)
			}
			if rows = append(rows, s); keep >= 0 && int64(len(rows)) >= 2*keep+rowsYielded {
				cut()
			}
			return true
		})
		if err != nil {
			return err
		}
		if end {
			break
		}
	}
	cut()
	for _, s := range rows[min(max(l.q.Skip, 0), int64(len(rows))):] {
		if !yield(project(s.row, l.q.Selector), nil) {
			return nil
		}
	}
	return nil
}

// compareKeys orders two rows; a missing value comes first.
func compareKeys(a, b []any, orderby wire.Doc) int {
	for i, o := range orderby {
		c, same := compare(a[i], b[i])
		if !same {
			c = typeRank(a[i]) - typeRank(b[i])
		}
		if n, _ := number(o.Value); n < 0 {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// typeRank orders values of different types among each other.
func typeRank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case int, int32, int64, float64:
		return 1
	case string:
		return 2
	case wire.Doc:
		return 3
	case []any:
		return 4
	default:
		return 5
	}
}

// failed is a list that gives nothing but an error.
func failed(err error) iter.Seq2[wire.Doc, error] {
	return func(yield func(wire.Doc, error) bool) { yield(nil, err) }
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
