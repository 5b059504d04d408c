package readcache

import "context"

const (
	// rangedMax is how much one read gets by ranged requests, one per page and
	// all at once. Beyond it, a stream that is dropped costs less than they do.
	rangedMax = 256 << 10
	// tail is how near the end of the content a stream reads on to it: a body
	// read to its end leaves a connection that can be used again.
	tail = 256 << 10
	// reach is how far behind a stream may be for a read to wait for it; a
	// sequence waits for as much as its window.
	reach = 2 << 20
	// maxGap is how much a stream fetches ahead of the read it is started for.
	maxGap = 4 << 20
	// stripe is what one of several parallel streams of a reader fetches.
	stripe = 8 << 20
)

// plan is what one read wants fetched.
type plan struct {
	from   int64 // where the sequence had come to; the read's offset when it is no sequence
	end    int64 // end of the read
	ahead  int64 // end of what is worth having; end when there is no sequence
	stream bool  // the reads form a sequence: fetch ahead
	widen  bool  // fetch whole pages: a sequence begins
}

// advance takes a read into the window. A seek gives up the reader's streams.
// Called with c.mu.
func (r *Reader) advance(off, end int64) plan {
	if r.noAhead {
		return plan{from: off, end: end, ahead: end}
	}
	head := r.window.head
	var m move
	if r.window, m = r.window.next(off, end-off, r.c.maxWindow()); m == stray {
		return plan{from: off, end: end, ahead: end}
	}
	if m == seek {
		r.object.detach(r)
		r.ahead, r.spent = 0, off/r.c.o.BlockSize
		head = off
	}
	p := plan{from: min(head, off), end: end, ahead: end, widen: r.window.size > 0}
	if r.window.streams() {
		p.stream = true
		p.ahead = max(end, min(r.window.end(), r.content.Size))
		if r.content.Size-p.ahead < tail {
			p.ahead = r.content.Size
		}
		r.spend()
	}
	return p
}

// demand makes sure that all of [off, plan.end) is valid or on its way. A short
// fetch that is all there is to do is left to the caller, who runs it without
// c.mu. Called with c.mu.
func (r *Reader) demand(ctx context.Context, off int64, plan plan) (own *ranged) {
	o := r.object
	for x := off; x < plan.end; {
		if v := o.valid(x, plan.end); v > x {
			x = v
			continue
		}
		x = x / sectorSize * sectorSize
		if end := r.join(x, plan); end > x {
			x = end
			continue
		}
		if end := o.onDisk(x); end > x {
			end = min(end, plan.end)
			o.startLoad(x, end)
			x = end
			continue
		}
		run := o.lacking(x+sectorSize, min(plan.end, x+rangedMax+sectorSize))
		if plan.stream || run-x > rangedMax {
			x = o.startStream(r, o.gap(plan.from, x), plan.ahead).stop
		} else if x <= off && run >= plan.end && run <= (x/pageSize+1)*pageSize {
			return o.startRanged(ctx, r, x, run, plan.widen)
		} else {
			f := o.startRanged(o.c.ctx, r, x, run, plan.widen)
			go f.run()
			x = f.hi
		}
	}
	return nil
}

// gap returns where a stream for x begins: where the sequence left off, if that
// is near and missing. A read that skips a little is the first to arrive of
// several that the kernel sent; with a stream from x on, those behind it would
// need streams of their own.
func (o *object) gap(from, x int64) int64 {
	from = max(from, x-maxGap) / sectorSize * sectorSize
	if v := o.valid(from, x); v > from || o.c.o.Streams > 1 {
		return x
	}
	return min(from, x)
}

// prefetch extends or starts streams so that what the plan wants from off on is
// on its way. Called with c.mu.
func (r *Reader) prefetch(off int64, plan plan) {
	o := r.object
	x := max(off, r.ahead)
	for x < plan.ahead {
		if v := o.valid(x, plan.ahead); v > x {
			x = v
			continue
		}
		if end := o.onDisk(x); end > x {
			x = end // near enough as it is
			continue
		}
		x = x / sectorSize * sectorSize
		if end := r.join(x, plan); end > x {
			x = end
			continue
		}
		// A new stream may begin when half of the window is left, not at every
		// byte that the window advances.
		if x-plan.end > r.window.size/2 && r.c.o.Streams == 1 || o.streamsOf(r) >= r.c.o.Streams {
			break
		}
		x = o.startStream(r, x, plan.ahead).stop
	}
	r.ahead = min(x, plan.ahead)
}

// join returns the end of what some fetch is going to bring from x on, x when
// there is none. A stream is extended to what the plan wants, and kept alive by
// this reader too. Called with c.mu.
func (r *Reader) join(x int64, plan plan) int64 {
	o := r.object
	for _, f := range o.ranged {
		if f.lo <= x && x < f.hi {
			return f.hi
		}
	}
	for _, l := range o.loads {
		if l.lo <= x && x < l.hi {
			return l.hi
		}
	}
	// A stream that is far behind is no help, wherever its limit is: what it
	// has to read first costs more than another request.
	far := int64(reach)
	if plan.stream {
		far = min(max(r.window.size, reach), maxDisorder)
	}
	for _, s := range o.streams {
		if s.ending || x < s.pos || x >= s.stop || x-s.pos > far || x >= s.limit && !plan.stream {
			continue
		}
		s.want(r, plan.ahead)
		return max(x, s.limit)
	}
	return x
}

// lacking returns the end of the run from x on, at most hi, that is neither
// valid nor on disk nor being fetched already; streams do not count, see join.
// x is a sector boundary. Called with c.mu.
func (o *object) lacking(x, hi int64) int64 {
	for x < hi && !o.covered(x) && o.onDisk(x) == x {
		x += sectorSize
	}
	return min(x, hi)
}

// covered tells whether the sector at x is valid or part of a short fetch.
// Called with c.mu.
func (o *object) covered(x int64) bool {
	if o.valid(x, x+1) > x {
		return true
	}
	for _, f := range o.ranged {
		if f.lo <= x && x < f.hi {
			return true
		}
	}
	for _, l := range o.loads {
		if l.lo <= x && x < l.hi {
			return true
		}
	}
	return false
}
