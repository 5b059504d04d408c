package repo

import "github.com/sequoiacm/scmfs/internal/wire"

// row is a record as filters, orderby and selectors see it. It owns its memory:
// it may be kept after the transaction it was read in.
type row interface {
	keys() []string               // in the order they are printed
	field(key string) (any, bool) // false: the record lacks the field
}

// docOf prints a whole record.
func docOf(r row) wire.Doc {
	keys := r.keys()
	out := make(wire.Doc, 0, len(keys))
	for _, k := range keys {
		if v, ok := r.field(k); ok {
			out = append(out, wire.Field{Key: k, Value: v})
		}
	}
	return out
}

// project applies a selector: the selected fields in storage order, the absent
// ones with the selector's value.
func project(r row, selector wire.Doc) wire.Doc {
	if len(selector) == 0 {
		return docOf(r)
	}
	out := make(wire.Doc, 0, len(selector))
	for _, k := range r.keys() {
		if !selector.Has(k) {
			continue
		}
		if v, ok := r.field(k); ok {
			out = append(out, wire.Field{Key: k, Value: v})
		}
	}
	for _, s := range selector {
		if _, ok := r.field(s.Key); !ok {
			out = append(out, s)
		}
	}
	return out
}

// docRow makes a printed document a row.
type docRow wire.Doc

func (d docRow) keys() []string {
	out := make([]string, len(d))
	for i := range d {
		out[i] = d[i].Key
	}
	return out
}

func (d docRow) field(key string) (any, bool) { return wire.Doc(d).Get(key) }
