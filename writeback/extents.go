package writeback

import "sort"

// extent is the half-open range [from, to).
type extent struct{ from, to int64 }

// extents is a set of bytes as sorted, disjoint, non-touching ranges. A plain
// value without locking.
type extents []extent

// add returns the set with [from, to) in it.
func (e extents) add(from, to int64) extents {
	if from >= to {
		return e
	}
	i := sort.Search(len(e), func(i int) bool { return e[i].to >= from })
	j := i
	for j < len(e) && e[j].from <= to {
		from, to = min(from, e[j].from), max(to, e[j].to)
		j++
	}
	out := make(extents, 0, len(e)-(j-i)+1)
	out = append(out, e[:i]...)
	out = append(out, extent{from, to})
	return append(out, e[j:]...)
}

// clip returns the set without what is at or behind size.
func (e extents) clip(size int64) extents {
	out := make(extents, 0, len(e))
	for _, x := range e {
		if x.from >= size {
			break
		}
		out = append(out, extent{x.from, min(x.to, size)})
	}
	return out
}

// gaps returns what of [from, to) is not in the set.
func (e extents) gaps(from, to int64) []extent {
	var out []extent
	for _, x := range e {
		if x.to <= from {
			continue
		}
		if x.from >= to {
			break
		}
		if x.from > from {
			out = append(out, extent{from, x.from})
		}
		from = x.to
	}
	if from < to {
		out = append(out, extent{from, to})
	}
	return out
}

// covers tells whether all of [from, to) is in the set.
func (e extents) covers(from, to int64) bool { return len(e.gaps(from, to)) == 0 }
