package readcache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/require"
)

func benchReader(b *testing.B, o Options, f *fake, content client.Content) *Reader {
	b.Helper()
	c, err := New(o)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, c.Close()) })
	r := c.Reader(f, content)
	b.Cleanup(func() { require.NoError(b, r.Close()) })
	return r
}

// A hit: the copy and what it costs to find the block.
func BenchmarkHit(b *testing.B) {
	for _, n := range []int64{4 * kib, 128 * kib, mib} {
		b.Run(fmt.Sprintf("%dKiB", n/kib), func(b *testing.B) {
			r := benchReader(b, Options{}, &fake{}, contentOf(64*mib))
			p := make([]byte, n)
			for off := int64(0); off < 64*mib; off += mib {
				_, err := r.ReadAt(context.Background(), make([]byte, mib), off)
				require.NoError(b, err)
			}
			b.SetBytes(n)
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				if _, err := r.ReadAt(context.Background(), p, off); err != nil {
					b.Fatal(err)
				}
				if off += n; off+n > 64*mib {
					off = 0
				}
			}
		})
	}
}

// BenchmarkView is a hit without the copy.
func BenchmarkView(b *testing.B) {
	r := benchReader(b, Options{}, &fake{}, contentOf(mib))
	b.SetBytes(mib)
	b.ReportAllocs()
	for b.Loop() {
		v, err := r.View(context.Background(), int(mib), 0)
		if err != nil {
			b.Fatal(err)
		}
		v.Release()
	}
}

// BenchmarkHitParallel shows what the one lock costs.
func BenchmarkHitParallel(b *testing.B) {
	r := benchReader(b, Options{}, &fake{}, contentOf(64*mib))
	for off := int64(0); off < 64*mib; off += mib {
		_, err := r.ReadAt(context.Background(), make([]byte, mib), off)
		require.NoError(b, err)
	}
	b.SetBytes(128 * kib)
	b.RunParallel(func(pb *testing.PB) {
		p := make([]byte, 128*kib)
		for pb.Next() {
			if _, err := r.ReadAt(context.Background(), p, rand.Int64N(64*8)*128*kib); err != nil {
				b.Error(err)
			}
		}
	})
}

// A cold sequence through a source that costs one copy per byte.
func BenchmarkSequential(b *testing.B) {
	for _, n := range []int64{128 * kib, mib} {
		b.Run(fmt.Sprintf("%dKiB", n/kib), func(b *testing.B) {
			r := benchReader(b, Options{Memory: 64 * mib}, &fake{}, contentOf(1<<50))
			p := make([]byte, n)
			b.SetBytes(n)
			b.ReportAllocs()
			off := int64(0)
			for b.Loop() {
				if _, err := r.ReadAt(context.Background(), p, off); err != nil {
					b.Fatal(err)
				}
				off += n
			}
		})
	}
}

// Cold random reads of 4 KiB, with and without a round trip.
func BenchmarkRandom(b *testing.B) {
	for _, latency := range []time.Duration{0, time.Millisecond} {
		b.Run(latency.String(), func(b *testing.B) {
			f := &fake{latency: latency}
			r := benchReader(b, Options{Memory: 64 * mib}, f, contentOf(1<<50))
			p := make([]byte, 4*kib)
			rng := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.ReadAt(context.Background(), p, rng.Int64N(1<<38)*4*kib); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
