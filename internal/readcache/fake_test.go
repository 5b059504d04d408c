package readcache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errCut = errors.New("connection reset")

// span is a part of content.
type span struct{ off, n int64 }

// fake is a Source with computed content, latency and faults.
type fake struct {
	latency time.Duration // before the first byte of each answer
	rate    int64         // bytes per second, 0 is no limit
	chunk   int           // most bytes one Read returns, 0 is no limit

	mu     sync.Mutex
	down   error              // every call fails with it
	cuts   map[int64][]error  // a body or ranged answer breaks before this byte, once per element
	hang   bool               // answers never come
	opens  []int64            // offsets
	ranges []span             //
	sent   int64              // bytes given out
	open   map[*fakeBody]bool // bodies not closed
	onRead func(off int64)    // called before each piece of a body
}

// patternBytes repeats with a period that is no multiple of anything here.
var patternBytes = func() []byte {
	p := make([]byte, 1<<20-3)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(p)
	return p
}()

func pattern(p []byte, off int64) {
	for len(p) > 0 {
		n := copy(p, patternBytes[off%int64(len(patternBytes)):])
		p, off = p[n:], off+int64(n)
	}
}

func want(off, n int64) []byte {
	p := make([]byte, n)
	pattern(p, off)
	return p
}

func contentOf(size int64) client.Content {
	return client.Content{File: "5a0001", Version: client.Version{Major: 1}, Data: "5a0001d", Size: size}
}

func (f *fake) wait(ctx context.Context, d time.Duration) error {
	f.mu.Lock()
	hang := f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
	}
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) cut(off int64, errs ...error) {
	f.set(func() {
		if f.cuts == nil {
			f.cuts = map[int64][]error{}
		}
		f.cuts[off] = append(f.cuts[off], errs...)
	})
}

// serve fills p from off, up to the next cut.
func (f *fake) serve(p []byte, off, size int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(int64(len(p)), size-off)
	var err error
	for at, errs := range f.cuts {
		if len(errs) > 0 && at >= off && at < off+n {
			n = at - off
		}
	}
	if errs := f.cuts[off+n]; len(errs) > 0 && n < int64(len(p)) {
		err = errs[0]
		f.cuts[off+n] = errs[1:]
	}
	pattern(p[:n], off)
	f.sent += n
	return int(n), err
}

func (f *fake) Open(ctx context.Context, c client.Content, off int64) (io.ReadCloser, error) {
	b := &fakeBody{f: f, ctx: ctx, c: c, off: off}
	f.mu.Lock()
	f.opens = append(f.opens, off)
	err := f.down
	if err == nil {
		if f.open == nil {
			f.open = map[*fakeBody]bool{}
		}
		f.open[b] = true
	}
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := f.wait(ctx, f.latency); err != nil {
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

func (f *fake) ReadRange(ctx context.Context, c client.Content, p []byte, off int64) (int, error) {
	f.mu.Lock()
	f.ranges = append(f.ranges, span{off, int64(len(p))})
	err := f.down
	f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if err := f.wait(ctx, f.latency); err != nil {
		return 0, err
	}
	if len(p) > pageSize || off < 0 || off+int64(len(p)) > c.Size {
		return 0, errors.New("bad range")
	}
	return f.serve(p, off, c.Size)
}

type fakeBody struct {
	f   *fake
	ctx context.Context
	c   client.Content
	off int64
}

func (b *fakeBody) Read(p []byte) (int, error) {
	if b.f.onRead != nil {
		b.f.onRead(b.off)
	}
	if b.off == b.c.Size {
		return 0, io.EOF
	}
	if b.f.chunk > 0 {
		p = p[:min(len(p), b.f.chunk)]
	}
	var d time.Duration
	if b.f.rate > 0 {
		d = time.Duration(int64(len(p)) * int64(time.Second) / b.f.rate)
	}
	if err := b.f.wait(b.ctx, d); err != nil {
		return 0, err
	}
	n, err := b.f.serve(p, b.off, b.c.Size)
	b.off += int64(n)
	return n, err
}

func (b *fakeBody) Close() error {
	b.f.set(func() { delete(b.f.open, b) })
	return nil
}

// counts returns the calls made so far.
func (f *fake) counts() (opens, ranges int, sent int64, open int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.opens), len(f.ranges), f.sent, len(f.open)
}

// newCache makes a cache that is checked and closed at the end of the test.
func newCache(t testing.TB, o Options) *Cache {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { closeChecked(t, c) })
	return c
}

// closeChecked closes c and verifies that nothing is left.
func closeChecked(t testing.TB, c *Cache) {
	t.Helper()
	checkInvariants(t, c)
	require.NoError(t, c.Close())
	s := c.Stats()
	assert.Zero(t, s.Memory, "pages lost")
	assert.Zero(t, s.Fetches)
	assert.Zero(t, s.Blocks)
}

// checkInvariants compares what the cache believes with what is there.
func checkInvariants(t testing.TB, c *Cache) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.LessOrEqual(t, int64(c.arena.made)*pageSize, c.o.Memory)
	blocks := 0
	for b := c.blocks.newest; b != nil; b = b.older {
		blocks++
		assert.Same(t, b, b.object.blocks[b.index])
		lo, hi := b.object.bounds(b.index)
		missing := 0
		for x := lo; x < hi; x += sectorSize {
			if !b.has(x-lo, x-lo+1) {
				missing++
				continue
			}
			got := make([]byte, min(sectorSize, hi-x))
			b.copyOut(got, x-lo)
			assert.True(t, bytes.Equal(want(x, int64(len(got))), got), "bytes at %d", x)
		}
		assert.Equal(t, missing, b.missing)
	}
	assert.Equal(t, c.blocks.n, blocks)
	for _, o := range c.objects {
		assert.Empty(t, o.waiters)
	}
}

// mustRead reads [off, off+n) and compares.
func mustRead(t testing.TB, r *Reader, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	m, err := r.ReadAt(context.Background(), p, off)
	n = max(min(n, r.content.Size-off), 0)
	if int64(len(p)) > n {
		require.ErrorIs(t, err, io.EOF)
	} else {
		require.NoError(t, err)
	}
	require.EqualValues(t, n, m)
	require.True(t, bytes.Equal(want(off, n), p[:m]), "bytes at %d", off)
}
