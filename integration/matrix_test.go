package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	matrixMounts = 6
	matrixSlots  = 7 // workspaces of each
)

// Every endpoint that a deed uses, times every fault, once and for as long as
// the deed goes on: nothing hangs, lies, gets lost or happens twice.
//
// A run takes every fourth cell: of each request every second fault, once or
// lasting. SCMFS_MATRIX=all takes them all.
func TestFaultMatrix(t *testing.T) {
	s := newServer(t)
	words := contents()
	var slots []*slot
	for i := range matrixMounts {
		p := newMatrixProxy(t, s.addr)
		crossing := &sync.Mutex{}
		api := s.api()
		for j := range matrixSlots {
			ws := fmt.Sprintf("m%dw%d", i, j)
			_, err := api.CreateWorkspace(t.Context(), ws, true)
			require.NoError(t, err)
			slots = append(slots, &slot{ctx: t.Context(), p: p, ws: ws, store: api.Workspace(ws), contents: words, crossing: crossing})
		}
		direct := s.seed
		s.seed = p.addr() + "/rootsite"
		m := newMount(t, s, "--increment-size", "5MiB", "--uploads", "64", "--timeout", opTimeout.String(), "--close-timeout", closeTimeout.String(),
			"--retry-timeout", "2s", "--stall-timeout", stallTimeout.String(), "--expiry", expiry.String())
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
				if c.result.violation != "" {
					t.Log(c)
				}
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

// matrix finds out which endpoints each deed uses and makes the cells.
func matrix(t *testing.T, sl *slot) []*cell {
	var cells []*cell
	all := os.Getenv("SCMFS_MATRIX") == "all"
	n := 0
	for di, d := range deeds() {
		c := &cell{slot: sl, deed: d, name: fmt.Sprintf("look%d", len(cells))}
		require.NoError(t, c.prepare())
		look := sl.p.watch(sl.ws)
		require.NoError(t, d.do(c), d.name)
		endpoints := look()
		require.Equal(t, d.after, c.holds(), d.name)
		require.NotEmpty(t, endpoints, d.name)
		for ei, endpoint := range slices.Sorted(maps.Keys(endpoints)) {
			for fi, f := range faults() {
				if f.body && (strings.HasPrefix(endpoint, "GET") || strings.HasPrefix(endpoint, "HEAD") || strings.HasPrefix(endpoint, "DELETE")) {
					continue
				}
				for i, once := range []bool{true, false} {
					if n++; !all && (di+ei+fi+2*i)%4 != 0 {
						continue
					}
					cells = append(cells, &cell{deed: d, endpoint: endpoint, fault: f, once: once, name: fmt.Sprintf("c%d", n)})
				}
			}
		}
	}
	// The slow ones are spread, in every run alike.
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(cells), func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
	return cells
}
