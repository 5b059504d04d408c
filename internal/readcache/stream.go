package readcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// streamIdle is how long a stream waits at its limit before it gives its
	// connection back. A reader that is slower than that opens another one.
	streamIdle = 5 * time.Second
	// skipMin is how much of what follows must be there already for a stream to
	// end: opening another one behind it costs a round trip, reading through it
	// its transfer.
	skipMin = 4 << 20
)

// stream fetches from one long body. Its goroutine is the only one to advance
// pos; readers move the limit.
type stream struct {
	o      *object
	src    Source
	ctx    context.Context
	cancel context.CancelFunc
	more   chan struct{} // capacity 1: the limit moved

	// Guarded by Cache.mu.
	pos    int64 // everything from here to limit is going to be installed
	limit  int64 // end of the furthest page a reader wants, at most stop
	stop   int64 // where it ends for good: the end of the content or of its stripe
	wants  []claim
	ending bool // nobody may count on it any more
}

// claim is how far one reader wants a stream to go.
type claim struct {
	r  *Reader
	to int64
}

// startStream fetches from x (a sector boundary) up to limit for r. Called with
// Cache.mu.
func (o *object) startStream(r *Reader, x, limit int64) *stream {
	c := o.c
	s := &stream{o: o, src: r.src, more: make(chan struct{}, 1), pos: x, stop: o.content.Size}
	if c.o.Streams > 1 {
		s.stop = min(s.stop, (x/stripe+1)*stripe)
	}
	s.want(r, limit)
	s.ctx, s.cancel = context.WithCancel(c.ctx)
	o.streams = append(o.streams, s)
	c.streams++
	c.wg.Add(1)
	go s.run()
	return s
}

// want moves the limit for r; it never moves it back. Called with Cache.mu.
func (s *stream) want(r *Reader, to int64) {
	// Whole pages: a stream that paused within a page would hold back the bytes
	// of it that a reader counts on.
	to = min((to+pageSize-1)/pageSize*pageSize, s.stop)
	for i := range s.wants {
		if s.wants[i].r == r {
			s.wants[i].to = max(s.wants[i].to, to)
			s.extend(s.wants[i].to)
			return
		}
	}
	s.wants = append(s.wants, claim{r, to})
	s.extend(to)
}

func (s *stream) extend(to int64) {
	if to <= s.limit {
		return
	}
	paused := s.pos >= s.limit
	s.limit = to
	if paused {
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
}

// detach takes back all that r wants. Streams that nobody else wants are
// cancelled at once: what is on its way for them is not read. Called with
// Cache.mu.
func (o *object) detach(r *Reader) {
	changed := false
	for _, s := range o.streams {
		kept := s.wants[:0]
		limit := int64(0)
		for _, w := range s.wants {
			if w.r != r {
				kept = append(kept, w)
				limit = max(limit, w.to)
			}
		}
		if len(kept) == len(s.wants) {
			continue
		}
		s.wants = kept
		changed = true
		if len(kept) == 0 {
			s.ending = true
			s.cancel()
		}
		s.limit = limit
	}
	if changed {
		o.wake(0, o.content.Size, nil) // who counted on them looks again
	}
}

// streamsOf counts the streams that r wants something of. Called with Cache.mu.
func (o *object) streamsOf(r *Reader) int {
	n := 0
	for _, s := range o.streams {
		for _, w := range s.wants {
			if w.r == r && !s.ending && s.pos < s.stop {
				n++
			}
		}
	}
	return n
}

// run fetches until nothing more is wanted.
func (s *stream) run() {
	c, o := s.o.c, s.o
	defer c.wg.Done()
	err := s.fetch()
	s.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.ending = true
	c.streams--
	o.streams = without(o.streams, s)
	for _, w := range s.wants {
		w.r.ahead = 0 // what it counted on may not come
	}
	if err != nil {
		o.wake(s.pos, s.limit, err)
	}
	o.wake(0, o.content.Size, nil)
	o.drop()
}

// fetch opens bodies until all that is wanted is installed. A body that breaks
// is opened again at the byte where it broke, once per byte. A cancelled stream
// returns nil.
func (s *stream) fetch() error {
	part := partial{s: s, off: s.pos}
	defer part.release()
	retried := int64(-1)
	for {
		if !s.proceed(part.off) {
			return nil
		}
		err := s.fetchBody(&part)
		if err == nil || s.ctx.Err() != nil {
			return nil // done, or nobody wants it any more
		}
		if !retriable(err) || retried == part.off {
			part.installWhole()
			return err
		}
		retried = part.off
		s.o.c.stats.retries.Add(1)
	}
}

// fetchBody reads one body from part.off on. It returns nil when nothing more is
// wanted.
func (s *stream) fetchBody(part *partial) (err error) {
	body, err := s.src.Open(s.ctx, s.o.content, part.off)
	if err != nil {
		return err
	}
	defer body.Close()
	size := s.o.content.Size
	for {
		if !s.proceed(part.off) {
			return nil
		}
		if err := part.fill(body); err != nil {
			return err
		}
		if part.off == size {
			// The end of the body: after it the connection can be used again.
			// Whether it comes cleanly does not matter for bytes that are here.
			var extra [1]byte
			_, _ = body.Read(extra[:])
			return nil
		}
	}
}

// proceed tells whether the byte at off is wanted. At the limit it waits for the
// limit to move.
func (s *stream) proceed(off int64) bool {
	c := s.o.c
	for {
		c.mu.Lock()
		wanted := !s.ending && off < s.limit
		if wanted && off%c.o.BlockSize == 0 && off > 0 && s.redundant(off) {
			wanted = false
			s.ending = true
		}
		done := s.ending || off >= s.stop
		c.mu.Unlock()
		if wanted || done {
			return wanted
		}
		idle := time.NewTimer(streamIdle)
		select {
		case <-s.more:
		case <-s.ctx.Done():
		case <-idle.C:
			c.mu.Lock()
			if off >= s.limit {
				s.ending = true
			}
			c.mu.Unlock()
		}
		idle.Stop()
	}
}

// redundant tells whether what follows off is there, or on its way by a stream
// that is ahead of this one, as far as it is wanted or for long enough. The
// first block of a stream never is: it was started because something was
// missing. Called with Cache.mu.
func (s *stream) redundant(off int64) bool {
	o := s.o
	hi := min(s.limit, off+skipMin)
	for x := off; x < hi; {
		if v := o.valid(x, hi); v > x {
			x = v
			continue
		}
		if end := o.onDisk(x); end > x {
			x = end
			continue
		}
		next := x
		for _, t := range o.streams {
			if t != s && !t.ending && t.pos > off && t.pos <= x && x < t.limit {
				next = max(next, t.limit)
			}
		}
		if next == x {
			return false
		}
		x = next
	}
	return true
}

// partial is the page that a stream is filling. It survives a broken body.
type partial struct {
	s    *stream
	off  int64  // next byte to receive
	from int64  // first byte in data
	data []byte // nil: none
}

// fill receives up to the end of a page and installs it.
func (p *partial) fill(body io.Reader) error {
	o := p.s.o
	if p.data == nil {
		var err error
		if p.data, err = o.c.takePage(p.s.ctx); err != nil {
			return fatal{err}
		}
		p.from = p.off
	}
	start := p.off / pageSize * pageSize
	end := min(start+pageSize, o.content.Size)
	for p.off < end {
		n, err := body.Read(p.data[p.off-start : end-start])
		p.off += int64(n)
		o.c.stats.fetched.Add(int64(n))
		if err != nil && p.off < end {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("body ended at %d of %d bytes: %w", p.off, o.content.Size, io.ErrUnexpectedEOF)
			}
			return err
		}
	}
	p.install(end)
	return nil
}

// install hands [from, to) over to the cache.
func (p *partial) install(to int64) {
	c := p.s.o.c
	c.mu.Lock()
	defer c.mu.Unlock()
	p.s.pos = to
	data := p.data
	p.data = nil
	p.s.o.install(data, p.from, to)
}

// installWhole saves the sectors that arrived before the stream failed.
func (p *partial) installWhole() {
	if to := p.off / sectorSize * sectorSize; p.data != nil && to > p.from {
		p.install(to)
	}
}

func (p *partial) release() {
	if p.data != nil {
		c := p.s.o.c
		c.mu.Lock()
		defer c.mu.Unlock()
		c.putPage(p.data)
		p.data = nil
	}
}
