package integration

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// modelSteps is how many steps the test takes; with SCMFS_SOAK=DURATION it goes on
// for that long.
const modelSteps = 10_000

// 2, 4, 5 and 6 Random operations of several programs, other clients, faults and
// kills: what is there is what docs/SEMANTICS.md says.
func TestModel(t *testing.T) {
	g := newGame(t)
	soak, err := time.ParseDuration(os.Getenv("SCMFS_SOAK"))
	if err != nil && os.Getenv("SCMFS_SOAK") != "" {
		t.Fatal(err)
	}
	steps := modelSteps
	if s := os.Getenv("SCMFS_MODEL_STEPS"); s != "" {
		steps, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	require.NoError(t, flag.Set("rapid.checks", "20"))
	require.NoError(t, flag.Set("rapid.nofailfile", "true"))
	start, told := time.Now(), time.Now()
	seed := rand.Uint64() >> 1
	if s := os.Getenv("SCMFS_MODEL_SEED"); s != "" {
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
	}
	more := func() bool { return time.Since(start) < soak || soak == 0 && g.figures.steps < steps }
	for ; more() && !t.Failed(); seed++ {
		t.Logf("seed %d (SCMFS_MODEL_SEED=%d)", seed, seed)
		require.NoError(t, flag.Set("rapid.seed", strconv.FormatUint(seed, 10)))
		t.Run("rapid", func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				ops := drawOps(rt, 5, 60)
				if err := g.play(ops); err != nil {
					rt.Fatalf("%v\noperations:\n%s", err, opsText(ops))
				}
			})
		})
		if time.Since(told) > time.Minute {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%s %s\n", time.Since(start).Round(time.Second), g.summary())
		}
	}
	t.Logf("in %s: %s", time.Since(start).Round(time.Second), g.summary())
}

func (g *game) summary() string {
	f := &g.figures
	return fmt.Sprintf("%d steps in %d runs, %d crashes (mount %d, server %d, programs %d), %d remounts, %d faults, %d changes by others, %d looks at the store, %d versions checked, lost 0, duplicated 0",
		f.steps, f.runs, f.mountKills+f.serverKills+f.workerKills, f.mountKills, f.serverKills, f.workerKills, f.remounts, g.proxy.counts(), f.remote, f.audits, f.versions)
}

func opsText(ops []op) string {
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// Lists of operations that once failed, in testdata/model/*.ops.
func TestModelCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/model/*.ops")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	g := newGame(t)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".ops"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			ops, err := parseOps(string(text))
			require.NoError(t, err)
			require.NoError(t, g.play(ops))
		})
	}
}
