package repo

import (
	"slices"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Query is what a list call asks for (part 1 section 6). Nil documents mean
// absent. A list that takes no selector ignores it.
type Query struct {
	Filter   wire.Doc
	OrderBy  wire.Doc
	Selector wire.Doc
	Skip     int64
	Limit    int64 // -1: all
}

// All is the query for everything.
var All = Query{Limit: -1}

// conditions calls fn for every top-level condition of a filter and those
// inside $and: each must hold, so each may narrow a scan.
func conditions(filter wire.Doc, fn func(wire.Field)) {
	for _, f := range filter {
		items, ok := f.Value.([]any)
		if f.Key != "$and" || !ok {
			fn(f)
			continue
		}
		for _, it := range items {
			if d, ok := it.(wire.Doc); ok {
				conditions(d, fn)
			}
		}
	}
}

// wanted returns the strings that a field must be one of, sorted and without
// repetition: an equality, $et or $in.
func wanted(filter wire.Doc, key string) (values []string, ok bool) {
	conditions(filter, func(f wire.Field) {
		if f.Key != key || ok {
			return
		}
		switch v := f.Value.(type) {
		case string:
			values, ok = []string{v}, true
		case wire.Doc:
			if s, is := docString(v, "$et"); is {
				values, ok = []string{s}, true
				return
			}
			in, _ := v.Get("$in")
			items, is := in.([]any)
			if !is {
				return
			}
			ok = true
			for _, it := range items {
				if s, is := it.(string); is {
					values = append(values, s)
				}
			}
		}
	})
	slices.Sort(values)
	return slices.Compact(values), ok
}

// bounds returns where a scan by a field can begin and end: the strictest $gt or
// $gte and $lt or $lte, both taken as inclusive since every row is matched
// anyway.
func bounds(filter wire.Doc, key string) (from, to string, bounded bool) {
	conditions(filter, func(f wire.Field) {
		ops, ok := f.Value.(wire.Doc)
		if f.Key != key || !ok {
			return
		}
		for _, op := range ops {
			s, ok := op.Value.(string)
			if !ok {
				continue
			}
			switch op.Key {
			case "$gt", "$gte":
				from = max(from, s)
			case "$lt", "$lte":
				if !bounded || s < to {
					to, bounded = s, true
				}
			}
		}
	})
	return from, to, bounded
}

// nameSpans returns the parts of a name index that can hold rows of the parents:
// single names where the filter gives them, else a range.
func nameSpans(filter wire.Doc, parents []string, unique bool) []span {
	var out []span
	names, exact := wanted(filter, "name")
	from, to, bounded := bounds(filter, "name")
	for _, p := range parents {
		if !exact {
			s := span{nameKey(p, from), behind(nameKey(p, ""))}
			if bounded {
				s.to = behind(nameKey(p, to))
			}
			out = append(out, s)
			continue
		}
		for _, n := range names {
			key := nameKey(p, n)
			if unique {
				out = append(out, span{key, append(slices.Clone(key), 0)})
			} else {
				out = append(out, prefixSpan(append(key, 0)))
			}
		}
	}
	return out
}
