package writeback

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// stride thins the sweeps: every n-th point. 1 in CI; 7 with -short.
var only = flag.String("scenario", "", "sweep this scenario only")

func stride() int {
	if testing.Short() {
		return 7
	}
	return 1
}

// run plays a scenario; it reports whether the process died in it.
func (w *world) run(sc scenario) (dead bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(died); !ok {
				panic(r)
			}
			dead = true
		}
	}()
	sc.run(w)
	return false
}

// play runs one scenario in a world of its own and fake time. prepare sets the
// faults after the mount, before the programs.
func play(t *testing.T, sc scenario, label string, prepare func(*world), after func(w *world, dead bool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := Options{}
		if sc.async {
			o.WriteMode = Async
		}
		w := newWorld(t, sc.name+", "+label, o)
		if sc.setup != nil {
			sc.setup(w)
		}
		require.NoError(t, w.mount())
		defer w.stop()
		prepare(w)
		after(w, w.run(sc))
	})
}

// each runs fn as a subtest of every scenario and reports how many points it had.
func each(t *testing.T, fn func(t *testing.T, sc scenario) int) {
	var points atomic.Int64
	n := 0
	for _, sc := range scenarios() {
		if *only != "" && sc.name != *only {
			continue
		}
		n++
		t.Run(sc.name, func(t *testing.T) { points.Add(int64(fn(t, sc))) })
	}
	t.Logf("%d scenarios, %d fault points", n, points.Load())
}

// extent of a run without faults: changing disk operations and requests.
func measure(t *testing.T, sc scenario) (ops, requests int) {
	play(t, sc, "no fault", func(w *world) { ops, requests = w.disk.Ops(), w.store.requests() }, func(w *world, dead bool) {
		require.False(t, dead)
		w.drain()
		ops, requests = w.disk.Ops()-ops, w.store.requests()-requests
		w.finish(false)
	})
	return ops, requests
}

func TestScenarios(t *testing.T) {
	each(t, func(t *testing.T, sc scenario) int { measure(t, sc); return 1 })
}

// Every disk operation fails once. The program hears of it and tries again, or
// it was the queue's own business.
func TestEveryDiskOperationFails(t *testing.T) {
	each(t, func(t *testing.T, sc scenario) int {
		ops, _ := measure(t, sc)
		n := 0
		for at := 1; at <= ops; at += stride() {
			for _, errno := range []error{syscall.EIO, syscall.ENOSPC} {
				n++
				play(t, sc, fmt.Sprintf("disk operation %d: %v", at, errno),
					func(w *world) { w.mayErr = true; w.disk.FailNth(at, errno) },
					func(w *world, dead bool) { w.label += " in " + w.disk.Failed(); w.finish(false) })
			}
		}
		return n
	})
}

// dice are the ways a disk may look after a power cut: nothing that was not
// synced is there, all of it is, some of it is.
func dice(at int) []*rand.Rand {
	return []*rand.Rand{rand.New(constant(1)), rand.New(constant(0)), rand.New(constant(3)), rand.New(rand.NewPCG(uint64(at), 1))}
}

type constant uint64

func (c constant) Uint64() uint64 { return uint64(c) }

// The power fails after every disk operation, and again during the recovery.
func TestPowerFailsAfterEveryDiskOperation(t *testing.T) {
	each(t, func(t *testing.T, sc scenario) int {
		ops, _ := measure(t, sc)
		n := 0
		for at := 0; at <= ops; at += stride() {
			for i, rng := range dice(at) {
				n++
				play(t, sc, fmt.Sprintf("power fails after disk operation %d, dice %d", at, i),
					func(w *world) { w.disk.CutNth(at) },
					func(w *world, _ bool) {
						w.crash(rng)
						files := w.files
						if at%2 == 1 && i > 1 {
							w.disk.CutNth(at%5 + 1)
							if err := w.mount(); err != nil && !w.disk.Alive() || err == nil {
								w.settle()
								w.crash(rand.New(rand.NewPCG(uint64(at), 2)))
							}
						}
						w.files = files
						w.finish(true)
					})
			}
		}
		return n
	})
}

// Every request meets every fault.
func TestEveryRequestFails(t *testing.T) {
	faults := []fault{{faultRefuse, 0}, {faultLose, 0}, {faultGateway, 0}, {faultGarble, 0}, {faultCut, 0}, {faultCut, 1}, {faultCut, 2},
		{faultExpire, 0}, {faultAuth, 0}, {faultStall, 0}, {faultQuota, 0}, {faultFlip, 0}}
	each(t, func(t *testing.T, sc scenario) int {
		_, requests := measure(t, sc)
		n := 0
		for at := 1; at <= requests+2; at += stride() {
			for _, f := range faults {
				n++
				play(t, sc, fmt.Sprintf("request %d: %v", at, f),
					func(w *world) { w.store.fail(at, f) },
					func(w *world, dead bool) { w.finish(false) })
			}
		}
		return n
	})
}

// The process dies before and after every request.
func TestProcessDiesAtEveryRequest(t *testing.T) {
	each(t, func(t *testing.T, sc scenario) int {
		_, requests := measure(t, sc)
		n := 0
		for at := 1; at <= requests; at += stride() {
			for _, k := range []faultKind{faultCrash, faultCrashed} {
				for i, rng := range dice(at)[:2] {
					n++
					play(t, sc, fmt.Sprintf("request %d: %v, dice %d", at, fault{k, 0}, i),
						func(w *world) { w.store.fail(at, fault{k, 0}) },
						func(w *world, _ bool) {
							w.store.calm()
							w.crash(rng)
							w.finish(true)
						})
				}
			}
		}
		return n
	})
}
