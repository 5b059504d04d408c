package integration

import (
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	matrixMounts = 2
	matrixSlots  = 24 // workspaces of each
)

// Every endpoint that a deed uses, times every fault, once and for as long as
// the deed goes on: nothing hangs, lies, gets lost or happens twice.
func TestFaultMatrix(t *testing.T) {
	s := newServer(t)
	words := contents()
	var slots []*slot
	for i := range matrixMounts {
		p := newFaultProxy(t, s.addr)
		api := s.api()
		for j := range matrixSlots {
			ws := fmt.Sprintf("m%dw%d", i, j)
			_, err := api.CreateWorkspace(t.Context(), ws, true)
			require.NoError(t, err)
			slots = append(slots, &slot{ctx: t.Context(), p: p, ws: ws, store: api.Workspace(ws), contents: words})
		}
		direct := s.seed
		s.seed = p.addr() + "/rootsite"
		m := newMount(t, s, "--increment-size", "5MiB", "--uploads", "64", "--timeout", opTimeout.String(), "--close-timeout", closeTimeout.String(),
			"--retry-timeout", "2s", "--stall-timeout", stallTimeout.String(), "--expiry", "100ms")
		s.seed = direct
		control, err := controlOf(m)
		require.NoError(t, err)
		for _, sl := range slots[i*matrixSlots:] {
			sl.m, sl.control = m, control
		}
	}

	cells := matrix(t, slots[0])
	start := time.Now()
	work := make(chan *cell)
	var wg sync.WaitGroup
	for _, sl := range slots {
		wg.Go(func() {
			for c := range work {
				for try := 0; try < 3 && c.result.violation == "" && !c.result.reached; try++ {
					*c = cell{slot: sl, deed: c.deed, endpoint: c.endpoint, fault: c.fault, once: c.once, name: fmt.Sprintf("%s-%d", c.name, try)}
					c.run()
				}
				progress(c)
				if c.slow != "" {
					return // its workspace may be blocked
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	for _, c := range cells {
		select {
		case work <- c:
		case <-ended:
			t.Error("every slot hangs")
			return
		}
	}
	close(work)
	<-ended
	t.Logf("%d cells in %v", len(cells), time.Since(start).Round(time.Second))
	report(t, cells)
}

func progress(c *cell) {
	f, err := os.OpenFile("/var/tmp/faults/progress.txt", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %s | %s | %s | once %t | %s | %.1f s | %s | %t | %s\n", time.Now().Format("04:05"), c.deed.name, c.endpoint, c.fault.name, c.once, c.result.saw, c.result.took.Seconds(), c.result.later, c.result.reached, c.result.violation)
}

// matrix finds out which endpoints each deed uses and makes the cells.
func matrix(t *testing.T, sl *slot) []*cell {
	var cells []*cell
	n := 0
	for _, d := range deeds() {
		c := &cell{slot: sl, deed: d, name: fmt.Sprintf("look%d", len(cells))}
		require.NoError(t, c.prepare())
		look := sl.p.watch(sl.ws)
		require.NoError(t, d.do(c), d.name)
		endpoints := look()
		require.Equal(t, d.after, c.holds(), d.name)
		require.NotEmpty(t, endpoints, d.name)
		t.Log(d.name, endpoints)
		for endpoint := range endpoints {
			for _, f := range faults() {
				if f.body && (strings.HasPrefix(endpoint, "GET") || strings.HasPrefix(endpoint, "HEAD") || strings.HasPrefix(endpoint, "DELETE")) {
					continue
				}
				for _, once := range []bool{true, false} {
					n++
					cells = append(cells, &cell{deed: d, endpoint: endpoint, fault: f, once: once, name: fmt.Sprintf("c%d", n)})
				}
			}
		}
	}
	// The slow ones are spread.
	sort.SliceStable(cells, func(i, j int) bool { return cells[i].fault.name < cells[j].fault.name })
	return cells
}

func report(t *testing.T, cells []*cell) {
	var all, bad []string
	unreached := map[string]int{}
	total := map[string]int{}
	for _, c := range cells {
		mode := "persistent"
		if c.once {
			mode = "once"
		}
		key := c.deed.name + " | " + c.endpoint
		total[key]++
		if !c.result.reached {
			unreached[key]++
		}
		line := fmt.Sprintf("%s | %s | %s | %s | %s | %.1f s | %s | %t", c.deed.name, c.endpoint, c.fault.name, mode, c.result.saw, c.result.took.Seconds(), c.result.later, c.result.reached)
		all = append(all, line)
		if c.result.violation != "" {
			bad = append(bad, line+" | "+c.result.violation)
		}
	}
	slices.Sort(all)
	slices.Sort(bad)
	if p := os.Getenv("SCMFS_FAULT_CELLS"); p != "" {
		require.NoError(t, os.WriteFile(p, []byte(strings.Join(all, "\n")+"\n\n"+strings.Join(bad, "\n")+"\n"), 0o644))
	}
	for key, n := range unreached {
		assert.Less(t, n, total[key]/2, "%s: most cells never met their fault", key)
	}
	assert.Empty(t, bad, "%d of %d cells", len(bad), len(cells))
}
