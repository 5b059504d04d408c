package repo

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// span is the keys of a bucket from (inclusive) to to (exclusive, nil: the end).
type span struct{ from, to []byte }

// prefixSpan covers all keys that start with prefix.
func prefixSpan(prefix []byte) span { return span{prefix, behind(prefix)} }

// walk visits the keys of a span in order, or backwards with desc, behind the
// position after (nil: from the beginning). visit returns false to stop; walk
// reports whether it came to the end.
func (s span) walk(b *bolt.Bucket, after []byte, desc bool, visit func(k, v []byte) (bool, error)) (bool, error) {
	c := b.Cursor()
	var k, v []byte
	next := c.Next
	if desc {
		next = c.Prev
		k, v = s.last(c, after)
	} else {
		k, v = c.Seek(s.from)
		if after != nil && bytes.Compare(after, s.from) >= 0 {
			if k, v = c.Seek(after); bytes.Equal(k, after) {
				k, v = c.Next()
			}
		}
	}
	for ; k != nil && s.contains(k); k, v = next() {
		more, err := visit(k, v)
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// last finds the highest key of the span that lies before the position.
func (s span) last(c *bolt.Cursor, before []byte) (k, v []byte) {
	bound := s.to
	if before != nil && (bound == nil || bytes.Compare(before, bound) < 0) {
		bound = before
	}
	if bound == nil {
		return c.Last()
	}
	if k, _ := c.Seek(bound); k == nil {
		return c.Last()
	}
	return c.Prev()
}

func (s span) contains(k []byte) bool {
	return bytes.Compare(k, s.from) >= 0 && (s.to == nil || bytes.Compare(k, s.to) < 0)
}

// source feeds the rows of a list. It must be able to start again behind any
// row, because a list ends its transaction before it hands rows out.
type source struct {
	// order names the field by which visit proceeds; "" is no order that a
	// query could ask for. unique tells that no two rows are equal in it.
	order  string
	unique bool
	// rows visits the rows behind the position after, backwards with desc, and
	// reports whether it came to the end. desc is only asked of an order.
	rows func(w *wsTx, after []byte, desc bool, visit func(pos []byte, r row) (bool, error)) (bool, error)
}

// index is a source over a bucket whose values are ids of records in get.
func index(bucket func(*wsTx) *bolt.Bucket, spans []span, get func(w *wsTx, id []byte) (row, error)) func(*wsTx, []byte, bool, func([]byte, row) (bool, error)) (bool, error) {
	return func(w *wsTx, after []byte, desc bool, visit func([]byte, row) (bool, error)) (bool, error) {
		for i := range spans {
			s := spans[i]
			if desc {
				s = spans[len(spans)-1-i]
			}
			if after != nil && !desc && s.to != nil && bytes.Compare(after, s.to) >= 0 {
				continue // read in an earlier transaction
			}
			end, err := s.walk(bucket(w), after, desc, func(k, id []byte) (bool, error) {
				r, err := get(w, id)
				if err != nil {
					return false, err
				}
				return visit(k, r)
			})
			if err != nil || !end {
				return false, err
			}
		}
		return true, nil
	}
}
