package integration

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	tableBegin = "<!-- The fault matrix, generated: begin -->\n"
	tableEnd   = "<!-- The fault matrix, generated: end -->\n"
)

// tally counts the outcomes of a set of cells.
type tally struct {
	cells, reached, retried, again, twice, violations int
	saw                                               map[string]int
	longest                                           time.Duration
}

func (t *tally) add(c *cell) {
	if t.saw == nil {
		t.saw = map[string]int{}
	}
	r := c.result
	t.cells++
	t.saw[r.saw]++
	t.longest = max(t.longest, r.took)
	if r.reached {
		t.reached++
	}
	switch r.later {
	case "retry":
		t.retried++
	case "again":
		t.again++
	}
	if r.violation != "" {
		t.violations++
	}
	if r.twice {
		t.twice++
	}
}

// String says what the programs saw, the most frequent first.
func (t *tally) String() string {
	if t == nil {
		return "–"
	}
	names := slices.SortedFunc(maps.Keys(t.saw), func(a, b string) int {
		if d := t.saw[b] - t.saw[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, n := range names {
		names[i] = fmt.Sprintf("%s %d", n, t.saw[n])
	}
	return strings.Join(names, ", ")
}

// bound is the longest system call, in whole seconds: tenths would be noise.
func (t *tally) bound() string {
	return fmt.Sprintf("%d s", int((t.longest+time.Second-1)/time.Second))
}

func tallies(cells []*cell, key func(*cell) string) map[string]*tally {
	out := map[string]*tally{}
	for _, c := range cells {
		k := key(c)
		if out[k] == nil {
			out[k] = &tally{}
		}
		out[k].add(c)
	}
	return out
}

// matrixTable writes the cells as docs/RELIABILITY.md shows them.
func matrixTable(cells []*cell) string {
	var b strings.Builder
	all := tallies(cells, func(*cell) string { return "" })[""]
	fmt.Fprintf(&b, "%d cells, %d of them met their fault; violations: %d. The same content twice, as said above: %d.\n\n", all.cells, all.reached, all.violations, all.twice)
	var groups []string
	for _, d := range deeds() {
		if !slices.Contains(groups, d.group) {
			groups = append(groups, d.group)
		}
	}
	fmt.Fprintf(&b, "What programs saw, by fault:\n\n| Fault | %s | Longest |\n|---|%s---|\n", strings.Join(groups, " | "), strings.Repeat("---|", len(groups)))
	met := tallies(cells, func(c *cell) string { return c.fault.name + "/" + c.deed.group })
	byFault := tallies(cells, func(c *cell) string { return c.fault.name })
	for _, f := range faults() {
		fmt.Fprintf(&b, "| %s |", f.name)
		for _, g := range groups {
			fmt.Fprintf(&b, " %s |", met[f.name+"/"+g])
		}
		fmt.Fprintf(&b, " %s |\n", byFault[f.name].bound())
	}
	b.WriteString("\nWhat it took, by request:\n\n| Deed | Request | Cells | Programs saw | Longest | Done again | Retried | Violations |\n|---|---|---|---|---|---|---|---|\n")
	byRequest := tallies(cells, func(c *cell) string { return c.deed.name + " | `" + c.endpoint + "`" })
	for _, d := range deeds() {
		for _, k := range slices.Sorted(maps.Keys(byRequest)) {
			if strings.HasPrefix(k, d.name+" | ") {
				t := byRequest[k]
				fmt.Fprintf(&b, "| %s | %d | %s | %s | %d | %d | %d |\n", k, t.cells, t, t.bound(), t.again, t.retried, t.violations)
			}
		}
	}
	return b.String()
}

// report fails for every violation; with SCMFS_MATRIX_CELLS=<file> it lists every
// cell there, with SCMFS_MATRIX_TABLE=<file of the repository> it writes the table
// between that file's markers.
func report(t *testing.T, cells []*cell) {
	var lines, bad []string
	for _, c := range cells {
		lines = append(lines, c.String())
		if c.result.violation != "" {
			bad = append(bad, c.String())
		}
	}
	slices.Sort(lines)
	slices.Sort(bad)
	if p := os.Getenv("SCMFS_MATRIX_CELLS"); p != "" {
		require.NoError(t, os.WriteFile(p, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	}
	if p := os.Getenv("SCMFS_MATRIX_TABLE"); p != "" {
		p = filepath.Join("..", p)
		doc, err := os.ReadFile(p)
		require.NoError(t, err)
		head, rest, ok := strings.Cut(string(doc), tableBegin)
		require.True(t, ok, "%s has no marker", p)
		_, tail, ok := strings.Cut(rest, tableEnd)
		require.True(t, ok, "%s has no second marker", p)
		require.NoError(t, os.WriteFile(p, []byte(head+tableBegin+"\n"+matrixTable(cells)+"\n"+tableEnd+tail), 0o644))
	}
	for key, of := range tallies(cells, func(c *cell) string { return c.deed.name + " | " + c.endpoint }) {
		assert.GreaterOrEqual(t, 2*of.reached, of.cells, "%s: most cells never met their fault", key)
	}
	assert.Empty(t, bad, "%d of %d cells", len(bad), len(cells))
}

// The table in the document is of this matrix: it has every deed, every fault and
// no violation.
func TestMatrixTableIsCurrent(t *testing.T) {
	doc, err := os.ReadFile("../docs/RELIABILITY.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(doc), tableBegin)
	require.True(t, ok)
	table, _, ok = strings.Cut(table, tableEnd)
	require.True(t, ok)
	for _, f := range faults() {
		assert.Contains(t, table, "\n| "+f.name+" |")
	}
	for _, d := range deeds() {
		assert.Contains(t, table, "\n| "+d.name+" | `")
	}
	assert.Contains(t, table, "violations: 0.")
	assert.NotRegexp(t, `(?m)\| [1-9]\d* \|$`, table)
}
