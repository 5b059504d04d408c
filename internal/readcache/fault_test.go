package readcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A body that breaks once, wherever it breaks, is taken up at that byte.
func TestBodyCutAtEveryKindOfOffset(t *testing.T) {
	size := 2*mib + 777
	for _, err := range []error{errCut, io.EOF, io.ErrUnexpectedEOF, &client.Error{Kind: client.Unavailable}} {
		for _, at := range []int64{0, 1, 4095, 4096, 65535, 65536, 65537, mib - 1, mib, mib + 1, 2 * mib, size - 1} {
			t.Run(fmt.Sprint(err, " at ", at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCache(t, Options{})
					f := &fake{chunk: 30_000}
					f.cut(at, err)
					r := c.Reader(f, contentOf(size))
					defer r.Close()
					for off := int64(0); off < size; off += mib {
						mustRead(t, r, off, mib)
					}
					opens, _, sent, _ := f.counts()
					assert.Equal(t, 2, opens)
					assert.Equal(t, at, f.opens[1], "from the byte where it broke")
					assert.Equal(t, size, sent, "no byte twice")
					assert.EqualValues(t, 1, c.Stats().Retries)
				})
			})
		}
	}
}

func TestBodyBreaksTwiceAtOneByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{}
		at := int64(70_001)
		f.cut(at, errCut, errCut)
		r := c.Reader(f, contentOf(8*mib))
		defer r.Close()
		p := make([]byte, 4*mib)
		n, err := r.ReadAt(t.Context(), p, 0)
		require.ErrorIs(t, err, errCut)
		assert.Equal(t, want(0, int64(n)), p[:n], "what is told to be there is right")
		opens, _, _, _ := f.counts()
		assert.Equal(t, 2, opens)
		f.set(func() { f.down = errCut })
		mustRead(t, r, 0, 69_632) // the sectors before it arrived
		synctest.Wait()
		f.set(func() { f.down = nil })
		mustRead(t, r, 0, 4*mib) // nothing of the failure is remembered
	})
}

func TestProgressResetsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{}
		for i := range int64(40) {
			f.cut(i*100_003, errCut)
		}
		r := c.Reader(f, contentOf(4*mib))
		defer r.Close()
		mustRead(t, r, 0, 4*mib)
		opens, _, sent, _ := f.counts()
		assert.Equal(t, 41, opens)
		assert.Equal(t, 4*mib, sent)
	})
}

func TestRangedReadBreaks(t *testing.T) {
	tests := []struct {
		name   string
		at     int64
		errs   []error
		ranges []span
		ok     bool
	}{
		{"once at the start", 40*mib + 0, []error{errCut}, []span{{40 * mib, 8192}, {40 * mib, 8192}}, true},
		{"once within", 40*mib + 5000, []error{io.EOF}, []span{{40 * mib, 8192}, {40*mib + 5000, 3192}}, true},
		{"short without error", 40*mib + 5000, []error{nil}, []span{{40 * mib, 8192}, {40*mib + 5000, 3192}}, true},
		{"twice", 40*mib + 5000, []error{errCut, errCut}, []span{{40 * mib, 8192}, {40*mib + 5000, 3192}}, false},
		{"for good", 40*mib + 5000, []error{&client.Error{Kind: client.NotExist}}, []span{{40 * mib, 8192}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCache(t, Options{})
				f := &fake{}
				f.cut(tt.at, tt.errs...)
				r := c.Reader(f, contentOf(100*mib))
				defer r.Close()
				_, err := r.ReadAt(t.Context(), make([]byte, 8192), 40*mib)
				assert.Equal(t, tt.ok, err == nil)
				assert.Equal(t, tt.ranges, f.ranges)
				if !tt.ok {
					require.ErrorIs(t, err, tt.errs[0])
				}
				mustRead(t, r, 40*mib, 8192)
			})
		})
	}
}

func TestSourceSaysNo(t *testing.T) {
	tests := []struct {
		err   error
		opens int
	}{
		{&client.Error{Kind: client.NotExist}, 1},
		{&client.Error{Kind: client.Permission}, 1},
		{&client.Error{Kind: client.Unavailable}, 2},
		{errCut, 2},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, Options{})
			f := &fake{down: tt.err}
			r := c.Reader(f, contentOf(100*mib))
			defer r.Close()
			var wg sync.WaitGroup
			for i := range int64(8) {
				wg.Go(func() {
					_, err := r.ReadAt(t.Context(), make([]byte, mib), i*mib)
					assert.ErrorIs(t, err, tt.err)
					assert.Equal(t, client.KindOf(tt.err), client.KindOf(err))
				})
			}
			wg.Wait()
			synctest.Wait()
			opens, _, _, open := f.counts()
			assert.GreaterOrEqual(t, opens, tt.opens)
			// Each read's own fetch, and one ahead of it.
			assert.LessOrEqual(t, opens, 2*8*tt.opens)
			assert.Zero(t, open)
			f.set(func() { f.down = nil })
			mustRead(t, r, 0, mib)
		})
	}
}

func TestCachedContentWithoutSource(t *testing.T) {
	c := newCache(t, Options{})
	f := &fake{}
	r := c.Reader(f, contentOf(10*mib))
	mustRead(t, r, 0, 10*mib)
	require.NoError(t, r.Close())
	f.set(func() { f.down = &client.Error{Kind: client.Unavailable} })
	r = c.Reader(f, contentOf(10*mib))
	defer r.Close()
	mustRead(t, r, 0, 10*mib)
	mustRead(t, r, 3*mib-5, 10)
}

func TestContextBoundsOnlyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{latency: 10 * time.Second}
		r := c.Reader(f, contentOf(100*mib))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("deadline of the operation"))
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { mustRead(t, r, 0, mib) })
		synctest.Wait()
		began := time.Now()
		_, err := r.ReadAt(ctx, make([]byte, mib), 0)
		require.ErrorContains(t, err, "deadline of the operation")
		assert.Equal(t, time.Second, time.Since(began))
		wg.Wait() // the other reader got its bytes
		opens, _, _, _ := f.counts()
		assert.Equal(t, 1, opens)
		require.NoError(t, r.Close())
	})
}

func TestRangedFetchNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{hang: true}
		r := c.Reader(f, contentOf(100*mib))
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		for range 3 {
			go func() { _, _ = r.ReadAt(ctx, make([]byte, 4096), 50*mib) }()
		}
		synctest.Wait()
		assert.Equal(t, 1, c.Stats().Fetches)
		cancel()
		synctest.Wait()
		assert.Zero(t, c.Stats().Fetches)
		f.set(func() { f.hang = false })
		mustRead(t, r, 50*mib, 4096)
	})
}

func TestCloseWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{hang: true}
		r := c.Reader(f, contentOf(100*mib))
		var wg sync.WaitGroup
		for i := range int64(4) {
			wg.Go(func() {
				_, err := r.ReadAt(t.Context(), make([]byte, 1<<(10+4*i)), i*20*mib)
				assert.ErrorIs(t, err, ErrClosed)
			})
		}
		synctest.Wait()
		require.NoError(t, c.Close())
		wg.Wait()
		_, err := r.ReadAt(t.Context(), make([]byte, 1), 0)
		require.ErrorIs(t, err, ErrClosed)
		_, err = r.View(t.Context(), 1, 0)
		require.ErrorIs(t, err, ErrClosed)
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		require.NoError(t, c.Close())
	})
}

func TestReaderCloseWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options{})
		f := &fake{hang: true}
		r := c.Reader(f, contentOf(100*mib))
		done := make(chan error, 1)
		go func() {
			_, err := r.ReadAt(t.Context(), make([]byte, mib), 0)
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, r.Close())
		require.ErrorIs(t, <-done, ErrClosed)
		synctest.Wait()
		assert.Zero(t, c.Stats().Objects, "nothing is remembered")
	})
}
