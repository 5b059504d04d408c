package readcache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var _ Source = (*client.Store)(nil)

const (
	kib = int64(1 << 10)
	mib = int64(1 << 20)
)

func TestReadAtRules(t *testing.T) {
	c := newCache(t, Options{})
	f := &fake{}
	r := c.Reader(f, contentOf(100_000))
	defer r.Close()
	tests := []struct {
		name    string
		off     int64
		n, got  int
		wantErr error
	}{
		{"nothing", 5, 0, 0, nil},
		{"start", 0, 10, 10, nil},
		{"to the end", 99_990, 10, 10, nil},
		{"across the end", 99_990, 11, 10, io.EOF},
		{"at the end", 100_000, 1, 0, io.EOF},
		{"behind the end", 1 << 40, 1, 0, io.EOF},
		{"odd", 4095, 70_001, 70_001, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := make([]byte, tt.n)
			n, err := r.ReadAt(t.Context(), p, tt.off)
			assert.Equal(t, tt.got, n)
			assert.ErrorIs(t, err, tt.wantErr)
			assert.Equal(t, want(tt.off, int64(n)), p[:n])
		})
	}
	_, err := r.ReadAt(t.Context(), make([]byte, 1), -1)
	require.Error(t, err)
	require.NotErrorIs(t, err, io.EOF)

	empty := c.Reader(f, client.Content{File: "e"})
	defer empty.Close()
	_, err = empty.ReadAt(t.Context(), make([]byte, 1), 0)
	require.ErrorIs(t, err, io.EOF)
	nameless := c.Reader(f, client.Content{File: "e", Size: 5})
	defer nameless.Close()
	_, err = nameless.ReadAt(t.Context(), make([]byte, 1), 0)
	require.ErrorContains(t, err, "without data id")
}

func TestSequenceIsOneStream(t *testing.T) {
	for _, step := range []int64{128 * kib, 100_001} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, Options{})
			f := &fake{latency: 5 * time.Millisecond, rate: 500 * mib}
			size := 48*mib + 12_345
			r := c.Reader(f, contentOf(size))
			began := time.Now()
			for off := int64(0); off < size; off += step {
				mustRead(t, r, off, step)
			}
			took := time.Since(began)
			opens, ranges, sent, _ := f.counts()
			assert.Equal(t, 1, opens)
			assert.Zero(t, ranges)
			assert.Equal(t, size, sent)
			assert.Less(t, took, 150*time.Millisecond, "one round trip and 97 ms of transfer")
			synctest.Wait()
			_, _, _, open := f.counts()
			assert.Zero(t, open, "the body is closed at the end")
			require.NoError(t, r.Close())
		})
	}
}

func TestKernelReadAheadOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{latency: 5 * time.Millisecond, rate: 400 * mib}
		const size, depth = 64, 8 // MiB
		r := c.Reader(f, contentOf(size*mib))
		defer r.Close()
		rng := rand.New(rand.NewPCG(1, 2))
		for base := range size / depth {
			var wg sync.WaitGroup
			for _, i := range rng.Perm(depth) {
				wg.Go(func() { mustRead(t, r, int64(base*depth+i)*mib, mib) })
				synctest.Wait() // this order of arrival, all at once
			}
			wg.Wait()
		}
		opens, ranges, sent, _ := f.counts()
		assert.LessOrEqual(t, opens, 2, "disorder is no seek: %v", f.opens)
		assert.Zero(t, ranges)
		assert.LessOrEqual(t, sent, (size+8)*mib)
	})
}

func TestOneFetchServesAll(t *testing.T) {
	for _, n := range []int64{4 * kib, mib} {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, Options{})
			f := &fake{latency: 10 * time.Millisecond, rate: 100 * mib}
			var wg sync.WaitGroup
			for range 32 {
				wg.Go(func() {
					r := c.Reader(f, contentOf(100*mib))
					defer r.Close()
					mustRead(t, r, 40*mib, n)
				})
			}
			wg.Wait()
			opens, ranges, sent, _ := f.counts()
			assert.Equal(t, 1, opens+ranges)
			assert.LessOrEqual(t, sent, n+pageSize)
		})
	}
}

func TestReadersShareOneStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{latency: 5 * time.Millisecond, rate: 200 * mib}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				r := c.Reader(f, contentOf(24*mib))
				defer r.Close()
				for off := int64(0); off < 24*mib; off += 256 * kib {
					mustRead(t, r, off, 256*kib)
				}
			})
		}
		wg.Wait()
		opens, _, sent, _ := f.counts()
		assert.Equal(t, 1, opens)
		assert.Equal(t, 24*mib, sent)
	})
}

func TestSeekCancelsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{latency: 5 * time.Millisecond, rate: 50 * mib}
		r := c.Reader(f, contentOf(1000*mib))
		for off := int64(0); off < 16*mib; off += mib {
			mustRead(t, r, off, mib)
		}
		_, _, before, open := f.counts()
		require.Equal(t, 1, open)
		mustRead(t, r, 700*mib, mib)
		opens, _, after, open := f.counts()
		assert.Equal(t, 2, opens)
		assert.Equal(t, 1, open, "the first body is closed")
		assert.LessOrEqual(t, after-before, mib+128*kib, "nothing of it was drained")
		require.NoError(t, r.Close())
		synctest.Wait()
		_, _, _, open = f.counts()
		assert.Zero(t, open, "closing the reader ends its stream")
	})
}

func TestStrayReadKeepsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{latency: time.Millisecond, rate: 100 * mib}
		r := c.Reader(f, contentOf(256*mib))
		defer r.Close()
		for off := int64(0); off < 32*mib; off += mib {
			mustRead(t, r, off, mib)
			if off%(4*mib) == 0 {
				mustRead(t, r, 250*mib-off, 4*kib)
			}
		}
		opens, ranges, _, _ := f.counts()
		assert.Equal(t, 1, opens)
		assert.Equal(t, 8, ranges)
	})
}

func TestWindowBoundsPrefetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{MaxWindow: 4 * mib})
		f := &fake{}
		r := c.Reader(f, contentOf(256*mib))
		for off := int64(0); off < 20*mib; off += mib {
			mustRead(t, r, off, mib)
		}
		synctest.Wait()
		_, _, sent, open := f.counts()
		assert.Equal(t, 24*mib, sent, "20 read, 4 ahead")
		assert.Equal(t, 1, open, "it waits at its limit")
		time.Sleep(streamIdle + time.Second) // synctest's clock
		synctest.Wait()
		_, _, _, open = f.counts()
		assert.Zero(t, open, "an idle stream gives its connection back")
		mustRead(t, r, 20*mib, 8*mib)
		opens, _, _, _ := f.counts()
		assert.Equal(t, 2, opens)
		require.NoError(t, r.Close())
	})
}

func TestSmallReadsAreRanged(t *testing.T) {
	c := newCache(t, Options{})
	f := &fake{}
	r := c.Reader(f, contentOf(100*mib+100))
	defer r.Close()
	mustRead(t, r, 50*mib+4*kib, 4*kib)
	mustRead(t, r, 70*mib+5000, 10)
	mustRead(t, r, 60*mib-4*kib, 8*kib)  // across a block boundary
	mustRead(t, r, 100*mib+50, 50)       // the end of the content
	mustRead(t, r, 50*mib+4*kib, 4*kib)  // a hit
	mustRead(t, r, 50*mib+12*kib, 4*kib) // beside the first: the rest of the page
	mustRead(t, r, 50*mib, 64*kib)       // hits now
	assert.ElementsMatch(t, []span{
		{50*mib + 4*kib, 4 * kib}, {70*mib + 4*kib, 4 * kib},
		{60*mib - 4*kib, 4 * kib}, {60 * mib, 4 * kib}, {100 * mib, 100},
		{50 * mib, 64 * kib},
	}, f.ranges)
	assert.Empty(t, f.opens)
}

func TestSmallFileIsOneRequest(t *testing.T) {
	c := newCache(t, Options{})
	f := &fake{}
	r := c.Reader(f, contentOf(40_000))
	defer r.Close()
	for off := int64(0); off < 40_000; off += 4 * kib {
		mustRead(t, r, off, 4*kib)
	}
	assert.Equal(t, []span{{0, 40_000}}, f.ranges)
	assert.Empty(t, f.opens)
}

func TestMiddlingReadsAreRangedInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{latency: 20 * time.Millisecond}
		r := c.Reader(f, contentOf(100*mib))
		defer r.Close()
		began := time.Now()
		mustRead(t, r, 30*mib, 256*kib)
		assert.Equal(t, 20*time.Millisecond, time.Since(began))
		opens, ranges, _, _ := f.counts()
		assert.Equal(t, 4, ranges)
		assert.Zero(t, opens)
		mustRead(t, r, 90*mib, mib)
		opens, ranges, _, _ = f.counts()
		assert.Equal(t, 1, opens)
		assert.Equal(t, 4, ranges)
	})
}

func TestReadWithoutHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{}
		p := make([]byte, 3*mib)
		n, err := c.ReadAt(t.Context(), f, contentOf(100*mib), p, 0)
		require.NoError(t, err)
		require.Equal(t, want(0, 3*mib), p[:n])
		synctest.Wait()
		_, _, sent, open := f.counts()
		assert.Zero(t, open)
		assert.LessOrEqual(t, sent, 3*mib+pageSize)
	})
}

func TestParallelStreams(t *testing.T) {
	read := func(streams int) (took time.Duration, opens int, sent int64) {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, Options{Streams: streams})
			f := &fake{latency: 2 * time.Millisecond, rate: 100 * mib}
			r := c.Reader(f, contentOf(32*mib))
			defer r.Close()
			began := time.Now()
			for off := int64(0); off < 32*mib; off += mib {
				mustRead(t, r, off, mib)
			}
			took = time.Since(began)
			opens, _, sent, _ = f.counts()
		})
		return took, opens, sent
	}
	one, opens, _ := read(1)
	assert.Equal(t, 1, opens)
	three, opens, sent := read(3)
	assert.Equal(t, 4, opens)
	assert.Equal(t, 32*mib, sent)
	assert.Less(t, three, one*6/10)
}

// Any mix of reads, readers, faults and little memory gives the right bytes, and
// at once: a read that waits for more than the faults explain was forgotten.
func TestRandomMix(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			o := Options{Memory: 3 * mib, BlockSize: 256 * kib, MaxWindow: 2 * mib, Streams: 1 + int(seed%2)}
			if seed%3 == 2 {
				o.Dir = t.TempDir()
			}
			synctest.Test(t, func(t *testing.T) { randomMix(t, newCache(t, o), seed) })
		})
	}
}

func randomMix(t *testing.T, c *Cache, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	size := 8*mib + rng.Int64N(mib)
	f := &fake{chunk: 50_000, latency: time.Millisecond, rate: 1000 * mib}
	for range 50 {
		f.cut(rng.Int64N(size), errCut)
	}
	mixed := func(seq *rand.Rand) {
		r := c.Reader(f, contentOf(size))
		defer r.Close()
		pos := int64(0)
		for range 50 {
			n := seq.Int64N(300 * kib)
			switch seq.IntN(6) {
			case 0:
				pos = seq.Int64N(size)
			case 1:
				n = seq.Int64N(8 * kib)
				pos = seq.Int64N(size)
			}
			n = min(n, size-pos)
			began := time.Now()
			p, err := readSomehow(r, n, pos, seq.IntN(4) == 0)
			if !assert.NoError(t, err) || !assert.True(t, bytes.Equal(want(pos, n), p), "bytes at %d", pos) {
				return
			}
			if !assert.Less(t, time.Since(began), time.Second) {
				return
			}
			if pos += n; pos >= size {
				pos = 0
			}
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		seq := rand.New(rand.NewPCG(seed, rng.Uint64()))
		wg.Go(func() { mixed(seq) })
	}
	wg.Wait()
}

func readSomehow(r *Reader, n, off int64, view bool) ([]byte, error) {
	if !view {
		p := make([]byte, n)
		_, err := r.ReadAt(context.Background(), p, off)
		return p, err
	}
	v, err := r.View(context.Background(), int(n), off)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	var p []byte
	for _, s := range v.Slices() {
		p = append(p, s...)
	}
	return p, nil
}
