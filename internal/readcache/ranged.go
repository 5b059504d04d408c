package readcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/sequoiacm/scmfs/client"
)

// visits is how many sectors of a page are fetched one by one.
const visits = 4

// ranged fetches [lo, hi) of one page by short requests.
//
// A read that needs one such fetch carries it out itself: with a goroutine for
// it, a random read paid for two more switches and for growing a stack each time,
// a fifth of its processor time. Its context then ends with the read's; others
// who waited for it look again and fetch for themselves.
type ranged struct {
	o      *object
	src    Source
	lo, hi int64
	ctx    context.Context
	cancel context.CancelFunc
}

// startRanged announces a fetch of the missing sector x and what follows up to
// hi, at most to the end of the page. The caller has it run; it ends with ctx.
//
// A read fetches what is wanted and no more: bare requests over loopback reach
// 19,500/s with 4 KiB and 9,900/s with 64 KiB on one connection, 32,000/s and
// 17,600/s on eight. In a page of which visits sectors were wanted already, or in
// the first steps of a sequence (widen), it fetches all that is missing, so that a
// page never costs more than a few requests. (Going by the first sector was worse
// by a third for random reads within 1 GiB: chance visits are too many.) Called
// with Cache.mu.
func (o *object) startRanged(ctx context.Context, r *Reader, x, hi int64, widen bool) *ranged {
	start := x / pageSize * pageSize
	end := min(start+pageSize, o.content.Size)
	lo, hi := x, min((hi+sectorSize-1)/sectorSize*sectorSize, end)
	if widen || o.visited(start) {
		lo = start
		for lo < x && o.covered(lo) {
			lo += sectorSize
		}
		hi = (end + sectorSize - 1) / sectorSize * sectorSize
		for hi > x+sectorSize && o.covered(hi-sectorSize) {
			hi -= sectorSize
		}
		hi = min(hi, end)
	}
	f := &ranged{o: o, src: r.src, lo: lo, hi: hi}
	f.ctx, f.cancel = context.WithCancel(ctx)
	o.ranged = append(o.ranged, f)
	o.c.wg.Add(1)
	return f
}

// visited tells whether enough of a page is valid for the rest to be wanted.
func (o *object) visited(start int64) bool {
	b := o.blocks[start/o.c.o.BlockSize]
	return b != nil && bits.OnesCount16(b.pages[start%o.c.o.BlockSize/pageSize].valid) >= visits
}

func (f *ranged) run() {
	c, o := f.o.c, f.o
	defer c.wg.Done()
	defer f.cancel()
	page, n, err := f.fetch()
	c.mu.Lock()
	defer c.mu.Unlock()
	o.ranged = without(o.ranged, f)
	if err == nil {
		o.install(page, f.lo, f.hi)
	} else {
		if whole := (f.lo + int64(n)) / sectorSize * sectorSize; whole > f.lo {
			o.install(page, f.lo, whole)
			f.lo = whole
		} else if page != nil {
			c.putPage(page)
		}
		if f.ctx.Err() != nil {
			err = nil // cancelled as nobody waited; who came since looks again
			if c.closed {
				err = ErrClosed
			}
		}
		o.wake(f.lo, f.hi, err)
	}
	o.drop()
}

// fetch returns a page with the first n bytes of the range at their place.
func (f *ranged) fetch() (page []byte, n int, err error) {
	c := f.o.c
	if page, err = c.takePage(f.ctx); err != nil {
		return nil, 0, err
	}
	at := f.lo % pageSize
	p := page[at : at+f.hi-f.lo]
	retried := -1
	for n < len(p) {
		m, err := f.src.ReadRange(f.ctx, f.o.content, p[n:], f.lo+int64(n))
		n += m
		c.stats.fetched.Add(int64(m))
		if err == nil && m == 0 || errors.Is(err, io.EOF) {
			err = fmt.Errorf("ranged read ended at %d of %d bytes: %w", f.lo+int64(n), f.o.content.Size, io.ErrUnexpectedEOF)
		}
		if err == nil || n == len(p) {
			continue
		}
		if f.ctx.Err() != nil || !retriable(err) || retried == n {
			return page, n, err
		}
		retried = n
		c.stats.retries.Add(1)
	}
	return page, n, nil
}

// fatal marks an error of the cache itself: asking the source again is no use.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// retriable tells whether the same bytes are worth asking for again: not when
// the store said what is the matter. Corrupt is what a short body is called.
func retriable(err error) bool {
	var f fatal
	if errors.As(err, &f) {
		return false
	}
	switch client.KindOf(err) {
	case client.Other, client.Corrupt, client.Protocol:
		return true
	}
	return client.IsTransient(err)
}
