package fs

import (
	"maps"
	"slices"
)

// edits are changes of a listing that are not in its rows yet: what each name
// means now, without records when it is gone. Rows are a slice that readers hold,
// so a change of one means a copy of all: in a directory of 100,000 files making
// one took 2.5 ms. Collected until they are an eighth of the rows they cost each
// change a few rows at most, whatever the length.
type edits map[string]row

func (e *edits) put(name string, r row) {
	if *e == nil {
		*e = edits{}
	}
	(*e)[name] = r
}

// fewEdits are never too many.
const fewEdits = 64

func (e edits) tooMany(rows []row) bool { return len(e) > max(fewEdits, len(rows)/8) }

// find is findRow with the edits applied.
func (e edits) find(rows []row, name string) (row, bool) {
	if r, ok := e[name]; ok {
		return r, r.present()
	}
	return findRow(rows, name)
}

// into returns rows with the edits applied; the argument stays as it is.
func (e edits) into(rows []row) []row {
	if len(e) == 0 {
		return rows
	}
	out := make([]row, 0, len(rows)+len(e))
	for _, name := range slices.Sorted(maps.Keys(e)) {
		i, ok := slices.BinarySearchFunc(rows, name, compareRow)
		out = append(out, rows[:i]...)
		if rows = rows[i:]; ok {
			rows = rows[1:]
		}
		if r := e[name]; r.present() {
			out = append(out, r)
		}
	}
	return append(out, rows...)
}
