package writeback

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// step is what a draft's worker does next.
type step int

const (
	stepNone step = iota
	stepStream
	stepPublish
	stepAbandon
	stepDiscard
	stepSeal
)

// facts are what the next step depends on; next is pure.
type facts struct {
	sealed, stuck, discard, abandoned bool
	dooming                           bool // a discard is being recorded
	closed                            bool // there is newer content to publish
	streamable                        bool // whole content, no rewrite, breakpoint files work
	size, acked, increment            int64
	resumeAt                          int64
}

func next(f facts) step {
	switch {
	case f.discard:
		return stepDiscard
	case f.stuck, f.dooming:
		return stepNone
	case f.sealed:
		return stepPublish
	case f.abandoned:
		return stepAbandon
	case f.closed:
		return stepSeal
	// More than one increment: what fits into one goes up in one request at close,
	// and the last increment is never empty.
	// An upload that may be resumed waits until there is as much to compare.
	case f.streamable && f.size-f.acked > f.increment && f.size >= f.resumeAt:
		return stepStream
	}
	return stepNone
}

func (d *Draft) factsLocked() facts {
	return facts{
		sealed: d.mu.seal != nil && !d.mu.dead, stuck: d.mu.err != nil, discard: d.mu.discard, abandoned: d.mu.abandoned,
		dooming: d.mu.dooming,
		closed:  d.mu.closing > d.mu.published && d.dirtyLocked(),
		streamable: (!d.mu.partial || d.mu.target.Partial) && !d.mu.up.rewritten() && !d.mu.up.stopped && !d.mu.up.completed &&
			!d.q.withoutBreakpoints(d.mu.target.Workspace) && d.dirtyLocked(),
		size: d.mu.size, acked: d.mu.up.acked, increment: d.q.rules(d.mu.target.Workspace).increment, resumeAt: d.mu.up.resumeAt,
	}
}

// nudge starts the worker if a write gave it something to do.
func (q *Queue) nudge(d *Draft) {
	d.mu.Lock()
	idle := !d.mu.working && !d.mu.gone && next(d.factsLocked()) != stepNone
	d.mu.Unlock()
	if idle {
		q.start(d)
	}
}

// start runs a worker for the draft unless one runs.
func (q *Queue) start(d *Draft) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch ctx := q.mu.run; {
	case q.mu.over:
	case ctx == nil:
		q.mu.early = append(q.mu.early, d)
	default:
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.mu.working || d.mu.gone {
			return
		}
		d.mu.working = true
		d.mu.up.mark = q.o.Now() // the time without work does not count as time without progress
		select {
		case q.idle <- d:
		default:
			q.workers.Go(func() { q.serve(ctx, d) })
		}
	}
}

// idleWorker is how long a worker waits for another draft. With a goroutine for
// each draft every small file grew a stack three times on the way to its request.
const idleWorker = time.Second

// serve works on a draft, and then on others that are in need of a worker.
func (q *Queue) serve(ctx context.Context, d *Draft) {
	idle := time.NewTimer(idleWorker)
	defer idle.Stop()
	for {
		d.work(ctx)
		idle.Reset(idleWorker)
		select {
		case d = <-q.idle:
		case <-idle.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// maxAgain bounds how often in a row a step may ask to be repeated at once. A
// server whose answers contradict each other must not keep us busy.
const maxAgain = 10

// work does steps until there are none. A failed publication is tried again with
// growing pauses until nothing has moved for RetryTimeout.
func (d *Draft) work(ctx context.Context) {
	pause, again := firstPause, 0
	for {
		d.mu.Lock()
		do := next(d.factsLocked())
		if do == stepNone || ctx.Err() != nil {
			d.mu.working = false
			d.wakeLocked()
			free := d.mu.handles == 0 && !d.dirtyLocked() && ctx.Err() == nil
			d.mu.Unlock()
			if free {
				d.q.free(d)
			}
			d.q.progress()
			return
		}
		acked := d.mu.up.acked
		d.mu.Unlock()
		err := d.do(ctx, do)
		if errors.Is(err, errAgain) {
			if again++; again > maxAgain {
				err = &client.Error{Op: "upload", Kind: client.Unavailable, Err: errors.New("the server contradicts itself")}
			}
		} else {
			again = 0
		}
		d.mu.Lock()
		if d.mu.up.acked != acked {
			pause = firstPause
		}
		d.wakeLocked()
		d.mu.Unlock()
		switch {
		case err == nil, errors.Is(err, errAgain):
		case ctx.Err() != nil:
		case do != stepDiscard && d.doomed(): // unlinked meanwhile: that it fails is no news
		case d.mayRetry(do, err):
			d.q.o.Logger.WithError(err).WithField("file", d.Target().String()).Debugf("upload: trying again in %v", pause)
			sleep(ctx, pause/2+time.Duration(rand.Int64N(int64(pause))))
			pause = min(2*pause, lastPause)
		default:
			d.fail(ctx, do, err)
		}
	}
}

func (d *Draft) doomed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.discard
}

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// maxRefused is how often a refusal that asking may settle is met without
// progress in between.
const maxRefused = 3

// mayRetry decides whether a failed step is tried again.
func (d *Draft) mayRetry(do step, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := &d.mu.up
	late := d.q.o.Now().Sub(u.mark) >= d.q.o.RetryTimeout
	switch kind := client.KindOf(err); {
	case client.IsTransient(err):
		// Nobody waits for what was promised and closed long ago: an outage must not
		// need a person.
		patient := d.mu.promise != nil && (d.q.rules(d.mu.target.Workspace).writeMode == Async || d.mu.recovered)
		return patient || !late
	case kind == client.Auth, kind == client.Protocol:
		// A session that could not be renewed, an answer from something in between.
		return !late
	case do != stepStream && do != stepPublish && do != stepAbandon, errors.Is(err, errMismatch):
		return false
	case kind == client.Invalid, kind == client.NotExist, kind == client.Quota, kind == client.Corrupt:
		// The record at the server may differ from what we believe; asking settles
		// that, but not for ever.
		u.refused++
		u.doubt = u.name != ""
		return u.doubt && u.refused <= maxRefused
	}
	return false
}

// fail ends a step that will not succeed by itself.
func (d *Draft) fail(ctx context.Context, do step, err error) {
	log := d.q.o.Logger.WithError(err).WithField("file", d.Target().String())
	switch do {
	case stepStream:
		// Closing decides; until then the bytes just stay here.
		d.mu.Lock()
		d.mu.up.stopped = true
		d.mu.Unlock()
		log.Warn("cannot send while the file is written; nothing is lost, it will be sent at close")
		return
	case stepDiscard:
		log.Warn("what the server has of a discarded draft stays there for now; it is removed later")
		d.mu.Lock()
		l := &left{id: d.id, ws: d.mu.target.Workspace, bp: d.mu.up.name}
		d.mu.recorded = false // the record outlives the draft
		d.cleanedLocked()
		d.mu.Unlock()
		d.q.tidyLater(l)
		return
	}
	d.mu.Lock()
	s, stream := d.mu.seal, d.mu.up.name == ""
	d.mu.Unlock()
	if s != nil && s.commit != nil && s.commit.CRC == nil && stream {
		// The content may change from now on; what was sent must stay recognisable.
		if sum, cerr := d.sum(s.commit.Size); cerr == nil {
			s.commit.CRC = &sum
		}
	}
	d.mu.Lock()
	d.mu.err = err
	d.mu.Unlock()
	log.Error("not published; nothing is lost: see 'scmfs pending list', retry, export or discard it")
	d.q.metrics.stuck.Inc()
	if err := d.promise(ctx, false); err != nil && !errors.Is(err, ErrGone) {
		log.WithError(err).Error("and it would not survive a restart")
	}
	d.tell(Event{Kind: Failed, Err: err})
}

func (d *Draft) do(ctx context.Context, s step) error {
	switch s {
	case stepStream:
		return d.stream(ctx)
	case stepPublish:
		return d.publishSealed(ctx)
	case stepAbandon:
		return d.leave(ctx)
	case stepSeal:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sealLocked()
		return nil
	default:
		return d.clean(ctx)
	}
}

// stream sends one increment of a file that is still being written.
func (d *Draft) stream(ctx context.Context) error {
	d.mu.Lock()
	size := d.mu.size
	name, learn := d.mu.up.name, d.mu.up.resume && d.mu.up.resumeAt < 0
	d.mu.Unlock()
	if learn {
		bp, err := d.store().BreakpointFile(ctx, name)
		if err != nil && client.KindOf(err) != client.NotExist {
			return err
		}
		d.mu.Lock()
		d.mu.up.resumeAt = bp.Size
		d.mu.Unlock()
		return errAgain
	}
	if err := d.ensure(ctx, size); err != nil {
		return err
	}
	d.mu.Lock()
	up, rules := d.mu.up, d.q.rules(d.mu.target.Workspace)
	ready := !up.doubt && up.name != "" && d.mu.seal == nil && !up.rewritten() && d.mu.size-up.acked > rules.increment
	end := rules.end(up.acked, d.mu.size, up.quick)
	d.mu.Unlock()
	if !ready {
		return errAgain
	}
	return d.increment(ctx, end, false)
}
