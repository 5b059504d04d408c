package readcache

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"odd block":  {BlockSize: 1000},
		"tiny":       {Memory: mib},
		"negative":   {MaxWindow: -1},
		"no such":    {Dir: "/proc/none/of/this"},
		"neg. max":   {DirMax: -1},
		"neg. block": {BlockSize: -pageSize},
	} {
		_, err := New(o)
		assert.Error(t, err, name)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c := newCache(t, Options{Memory: 8 * mib})
	f := &fake{}
	r := c.Reader(f, contentOf(64*mib))
	defer r.Close()
	for off := int64(0); off < 64*mib; off += mib {
		mustRead(t, r, off, mib)
		assert.LessOrEqual(t, c.Stats().Allocated, 8*mib)
	}
	s := c.Stats()
	assert.Equal(t, 8*mib, s.Memory)
	assert.EqualValues(t, 56, s.Evictions)
	mustRead(t, r, 63*mib, mib)
	assert.Equal(t, s.Fetched, c.Stats().Fetched, "the newest are still there")
}

func TestLeastRecentlyUsedGoes(t *testing.T) {
	c := newCache(t, Options{Memory: 4 * mib})
	f := &fake{}
	read := func(data client.DataID) {
		r := c.Reader(f, client.Content{Data: data, Size: mib})
		defer r.Close()
		mustRead(t, r, 0, mib)
	}
	for _, d := range []client.DataID{"a", "b", "c", "d", "a", "e", "a", "c"} {
		read(d) // e drops b
	}
	opens, _, _, _ := f.counts()
	assert.Equal(t, 5, opens)
	read("b")
	opens, _, _, _ = f.counts()
	assert.Equal(t, 6, opens)
	assert.Equal(t, 4, c.Stats().Objects)
}

// More readers than memory for their blocks: all get on.
func TestStarvation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{Memory: 2 * mib})
		f := &fake{latency: time.Millisecond, rate: 20 * mib}
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				r := c.Reader(f, client.Content{Data: client.DataID(fmt.Sprint("d", i)), Size: 4 * mib})
				defer r.Close()
				for off := int64(0); off < 4*mib; off += mib {
					mustRead(t, r, off, mib)
				}
			})
		}
		wg.Wait()
		s := c.Stats()
		assert.LessOrEqual(t, s.Allocated, 2*mib)
		assert.Less(t, s.Fetched, 2*s.Served, "they do not rob each other all the time")
	})
}

func TestViewsPinMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{Memory: 2 * mib})
		f := &fake{}
		r := c.Reader(f, contentOf(16*mib))
		defer r.Close()
		lent := func(off int64) *View {
			for {
				v, err := r.View(t.Context(), int(mib), off)
				require.NoError(t, err)
				if len(v.blocks) > 0 {
					return v
				}
				v.Release() // a copy: what was read ahead had pushed the block out
			}
		}
		a, b := lent(0), lent(mib)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := r.ReadAt(ctx, make([]byte, mib), 8*mib)
		require.ErrorIs(t, err, context.DeadlineExceeded, "all memory is lent")
		done := make(chan struct{})
		go func() {
			defer close(done)
			mustRead(t, r, 8*mib, mib)
		}()
		synctest.Wait()
		for i, v := range []*View{a, b} {
			at := int64(i) * mib
			assert.EqualValues(t, mib, v.Len())
			for _, s := range v.Slices() {
				require.Equal(t, want(at, int64(len(s))), s, "lent bytes stay")
				at += int64(len(s))
			}
		}
		a.Release()
		<-done
		b.Release()
	})
}

func TestViewAcrossBlocks(t *testing.T) {
	for _, memory := range []int64{16 * mib, 2 * mib} {
		c := newCache(t, Options{Memory: memory})
		f := &fake{}
		r := c.Reader(f, contentOf(16*mib+10))
		defer r.Close()
		for _, s := range []span{{0, 1}, {5000, 200_000}, {3*mib - 100, 200}, {mib - 7, 4*mib + 9}, {16 * mib, 100}, {16*mib + 10, 5}, {40 * mib, 5}} {
			v, err := r.View(t.Context(), int(s.n), s.off)
			require.NoError(t, err)
			var got []byte
			for _, p := range v.Slices() {
				require.LessOrEqual(t, len(p), max(pageSize, v.Len()))
				got = append(got, p...)
			}
			n := max(min(s.n, 16*mib+10-s.off), 0)
			require.EqualValues(t, n, v.Len())
			require.EqualValues(t, n, len(got))
			require.Equal(t, string(want(s.off, n)), string(got))
			v.Release()
		}
	}
}

func TestViewOutlivesClose(t *testing.T) {
	c, err := New(Options{})
	require.NoError(t, err)
	r := c.Reader(&fake{}, contentOf(mib))
	v, err := r.View(t.Context(), 5000, 100)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	assert.Equal(t, want(100, 5000), v.Slices()[0])
	v.Release()
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	c, err := New(Options{Registerer: reg})
	require.NoError(t, err)
	_, err = New(Options{Registerer: reg, Dir: t.TempDir()})
	require.Error(t, err, "twice in one registry")
	r := c.Reader(&fake{}, contentOf(mib))
	mustRead(t, r, 0, mib)
	mustRead(t, r, 0, 4096)
	require.NoError(t, r.Close())
	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	assert.Len(t, got, 12)
	assert.Equal(t, 1.0, got["scmfs_readcache_hits_total"])
	assert.Equal(t, 1.0, got["scmfs_readcache_misses_total"])
	assert.Equal(t, float64(mib), got["scmfs_readcache_fetched_bytes_total"])
	assert.Equal(t, float64(mib+4096), got["scmfs_readcache_served_bytes_total"])
	assert.Equal(t, float64(mib), got["scmfs_readcache_memory_bytes"])
	require.NoError(t, c.Close())
	families, err = reg.Gather()
	require.NoError(t, err)
	assert.Empty(t, families)
}

// What a read that gave up was handed at the same moment is given back.
func TestAbandonAfterSatisfied(t *testing.T) {
	c := newCache(t, Options{})
	r := c.Reader(&fake{}, contentOf(mib))
	defer r.Close()
	mustRead(t, r, 0, mib)
	c.mu.Lock()
	defer c.mu.Unlock()
	o := r.object
	b := o.blocks[0]
	w := o.await(0, 10)
	o.satisfy(w, b)
	assert.EqualValues(t, 1, b.pins.Load())
	o.abandon(w)
	assert.Zero(t, b.pins.Load())
	w = o.await(0, 10)
	o.wake(0, mib, nil)
	o.abandon(w)
	assert.Zero(t, c.waiting)
	assert.Empty(t, o.waiters)
}

func TestLendIsAllOrNothing(t *testing.T) {
	c := newCache(t, Options{})
	r := c.Reader(&fake{}, contentOf(8*mib))
	defer r.Close()
	mustRead(t, r, 5*mib-4096, 4096)
	assert.Nil(t, r.lend(5*mib-4096, 5*mib+4096))
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.Zero(t, r.object.blocks[4].pins.Load())
}
