package fs

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// Edits are a map of names laid over sorted rows, which readers keep as they were.
func TestEditsAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("n%02d", rapid.IntRange(0, 30).Draw(t, "name")) })
		model := map[string]row{}
		var rows []row
		for _, n := range slices.Sorted(slices.Values(rapid.SliceOfDistinct(name, rapid.ID).Draw(t, "rows"))) {
			r := row{name: n, file: testFile(n, "old "+n, 1)}
			rows, model[n] = append(rows, r), r
		}
		before := slices.Clone(rows)
		e := edits{}
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			n := name.Draw(t, "changed")
			if rapid.Bool().Draw(t, "gone") {
				e[n] = row{}
				delete(model, n)
				continue
			}
			r := row{name: n, file: testFile(n, "new "+n, 2)}
			e[n], model[n] = r, r
		}
		for i := range 31 {
			n := fmt.Sprintf("n%02d", i)
			got, ok := e.find(rows, n)
			want, exists := model[n]
			if ok != exists || ok && got != want {
				t.Fatalf("%s is %v %v, want %v %v", n, got, ok, want, exists)
			}
		}
		var want []row
		for _, n := range slices.Sorted(maps.Keys(model)) {
			want = append(want, model[n])
		}
		if got := e.into(rows); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
		if !slices.Equal(before, rows) {
			t.Fatalf("the rows of a reader have changed: %v, were %v", rows, before)
		}
	})
}

// What changes cost does not grow with the directory: rows are copied once for
// every eighth of them.
func TestEditsAreCollected(t *testing.T) {
	l, store := newTestListing(t, true)
	var names []string
	for i := range 900 {
		names = append(names, fmt.Sprintf("f%04d", i))
	}
	store.put(t, names...)
	listAll(t, l)
	copies, last := 0, &l.rows[0]
	for i := range 900 {
		l.drop(fmt.Sprintf("f%04d", 899-i))
		l.set(row{name: fmt.Sprintf("g%04d", i), file: testFile("g", "g", 1)})
		if last != &l.rows[0] {
			copies, last = copies+1, &l.rows[0]
		}
	}
	assert.InDelta(t, 1800/113, copies, 2)
	assert.Len(t, listAll(t, l), 900)
}
