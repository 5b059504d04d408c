package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// modelSteps is how many steps the test takes; SCMFS_MODEL_STEPS=N is another
// number, and with SCMFS_SOAK=DURATION it goes on for that long.
const (
	modelSteps      = 10_000
	modelStepsAsync = 1_000
)

// shrinkTime is how long a failing list of operations is made shorter.
const shrinkTime = 2 * time.Minute

// 2, 4, 5 and 6 Random operations of several programs, other clients, faults and
// kills: what is there is what this document says.
//
// The lists are made and shortened here and not by pgregory.net/rapid: a run takes
// seconds, which rapid's hundreds of tries for each failure do not suit, and its
// preference for small numbers would open the same file over and over.
func TestModel(t *testing.T) {
	playLists(t, envDuration(t, "SCMFS_SOAK"), int(envNumber(t, "SCMFS_MODEL_STEPS", modelSteps)))
}

// 2.1, 2.8 The same with --write-mode async, for a quarter of a soak: a close is
// durable here at once, and at the store a little later.
func TestModelAsync(t *testing.T) {
	playLists(t, envDuration(t, "SCMFS_SOAK")/4, int(envNumber(t, "SCMFS_MODEL_STEPS", modelStepsAsync)), "--write-mode", "async")
}

// playLists plays lists until so many steps were taken, or for as long as soak.
func playLists(t *testing.T, soak time.Duration, steps int, flags ...string) {
	seed := uint64(1) // the same lists for everybody's change; a soak looks for new ones
	if soak > 0 {
		seed = rand.Uint64() >> 32
	}
	seed = envNumber(t, "SCMFS_MODEL_SEED", seed)
	g := newGame(t, flags...)
	start, told := time.Now(), time.Now()
	for soak > 0 && time.Since(start) < soak || soak == 0 && g.figures.steps < steps {
		ops := randomOps(rand.New(rand.NewPCG(seed, 0)))
		if err := g.play(ops); err != nil {
			t.Logf("SCMFS_MODEL_SEED=%d: %v\nshortening %d operations", seed, err, len(ops))
			ops, err = g.shrink(ops, err)
			t.Fatalf("%v\nafter %s\nSCMFS_MODEL_SEED=%d, or the last %d operations as a file of testdata/model:\n%s", err, g.trace.String(), seed, len(ops), opsText(ops))
		}
		seed++
		if soak > 0 && time.Since(told) > time.Minute {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%s: %s\n", time.Since(start).Round(time.Second), g.summary())
		}
	}
	t.Logf("in %s, to seed %d: %s", time.Since(start).Round(time.Second), seed, g.summary())
}

func envDuration(t *testing.T, name string) time.Duration {
	if os.Getenv(name) == "" {
		return 0
	}
	d, err := time.ParseDuration(os.Getenv(name))
	require.NoError(t, err, name)
	return d
}

func envNumber(t *testing.T, name string, or uint64) uint64 {
	if os.Getenv(name) == "" {
		return or
	}
	n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	require.NoError(t, err, name)
	return n
}

// shrink leaves operations out as long as it fails all the same.
func (g *game) shrink(ops []op, err error) ([]op, error) {
	end := time.Now().Add(shrinkTime)
	for size := len(ops) / 2; size > 0; size /= 2 {
		for at := 0; at < len(ops); {
			if time.Now().After(end) {
				return ops, err
			}
			less := slices.Concat(ops[:at], ops[min(at+size, len(ops)):])
			if e := g.play(less); e != nil {
				ops, err = less, e
			} else {
				at += size
			}
		}
	}
	if e := g.play(ops); e != nil { // for its trace
		err = e
	}
	return ops, err
}

func (g *game) summary() string {
	f, serverKills := &g.figures, int(g.serverKills.Load())
	return fmt.Sprintf("%d steps in %d runs, %d crashes (mount %d, server %d, programs %d), %d remounts, %d faults, %d changes by others, %d looks at the store, %d versions checked, lost 0, duplicated 0",
		f.steps, f.runs, f.mountKills+serverKills+f.workerKills, f.mountKills, serverKills, f.workerKills, f.remounts, g.proxy.counts(), f.remote, f.audits, f.versions)
}

// Lists of operations that once failed, in testdata/model/*.ops.
func TestModelCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/model/*.ops")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, mode := range []string{"sync", "async"} {
		t.Run(mode, func(t *testing.T) {
			g := newGame(t, "--write-mode", mode)
			for _, f := range files {
				t.Run(strings.TrimSuffix(filepath.Base(f), ".ops"), func(t *testing.T) {
					text, err := os.ReadFile(f)
					require.NoError(t, err)
					ops, err := parseOps(string(text))
					require.NoError(t, err)
					if err := g.play(ops); err != nil {
						t.Fatalf("%v\nafter %s", err, g.trace.String())
					}
				})
			}
		})
	}
}
