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
)

// facts are what the next step depends on; next is pure.
type facts struct {
	sealed, stuck, discard, abandoned bool
	streamable                        bool // whole content, no rewrite, breakpoint files work
	size, acked, increment            int64
	resumeAt                          int64
}

func next(f facts) step {
	switch {
	case f.discard:
		return stepDiscard
	case f.stuck:
		return stepNone
	case f.sealed:
		return stepPublish
	case f.abandoned:
		return stepAbandon
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
		streamable: (!d.mu.partial || d.mu.target.Partial) && !d.mu.up.rewritten && !d.mu.up.completed && !d.q.withoutBreakpoints(d.mu.target.Workspace) && d.dirtyLocked(),
		size:       d.mu.size, acked: d.mu.up.acked, increment: d.q.o.Increment, resumeAt: d.mu.up.resumeAt,
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
	ctx := q.mu.run
	if ctx == nil {
		q.mu.early = append(q.mu.early, d)
	}
	q.mu.Unlock()
	if ctx == nil || ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	if d.mu.working || d.mu.gone {
		d.mu.Unlock()
		return
	}
	d.mu.working = true
	d.mu.Unlock()
	q.workers.Go(func() { d.work(ctx) })
}

// work does steps until there are none. A failed publication is tried again with
// growing pauses until nothing has moved for RetryTimeout.
func (d *Draft) work(ctx context.Context) {
	pause := firstPause
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
		d.mu.Lock()
		moved := d.mu.up.acked != acked
		if moved {
			pause = firstPause
		}
		d.wakeLocked()
		d.mu.Unlock()
		switch {
		case err == nil, errors.Is(err, errAgain):
		case ctx.Err() != nil:
		case d.mayRetry(do, err):
			d.q.o.Logger.WithError(err).WithField("file", d.Target().String()).Debugf("upload: trying again in %v", pause)
			sleep(ctx, pause/2+time.Duration(rand.Int64N(int64(pause))))
			pause = min(2*pause, lastPause)
		default:
			d.fail(do, err)
		}
	}
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

func (d *Draft) mayRetry(do step, err error) bool {
	d.mu.Lock()
	mark := d.mu.up.mark
	promised := d.mu.promised
	d.mu.Unlock()
	transient := client.IsTransient(err)
	if !transient {
		// The record at the server may differ from what we believe; asking settles
		// that, but not for ever.
		switch client.KindOf(err) {
		case client.Invalid, client.NotExist, client.Quota, client.Corrupt:
			if do == stepStream || do == stepPublish {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.mu.up.restarts++
				d.mu.up.doubt = d.mu.up.name != ""
				return d.mu.up.doubt && d.mu.up.restarts <= 3 && !errors.Is(err, errMismatch)
			}
		}
		return false
	}
	if d.q.o.WriteMode == Async && promised {
		return true // nobody waits; an outage must not need a person
	}
	return d.q.o.Now().Sub(mark) < d.q.o.RetryTimeout
}

// fail ends a step that will not succeed by itself.
func (d *Draft) fail(do step, err error) {
	log := d.q.o.Logger.WithError(err).WithField("file", d.Target().String())
	switch do {
	case stepStream:
		// Closing decides; until then the bytes just stay here.
		d.mu.Lock()
		d.mu.up.rewritten = true
		d.mu.Unlock()
		log.Warn("cannot send while the file is written; it will be sent at close")
	case stepDiscard:
		log.Warn("a breakpoint file of a discarded draft stays at the server")
		d.mu.Lock()
		d.mu.up.name = ""
		d.mu.Unlock()
	default:
		d.mu.Lock()
		d.mu.err = err
		d.mu.abandoned = false
		recorded := d.mu.recorded
		d.mu.Unlock()
		log.Error("not published; nothing is lost: see 'scmfs pending list', retry, export or discard it")
		d.q.metrics.stuck.Inc()
		if !recorded {
			if err := d.promise(false); err != nil {
				log.WithError(err).Error("and it would not survive a restart")
			}
		}
		d.tell(Event{Kind: Failed, Err: err})
	}
}

func (d *Draft) do(ctx context.Context, s step) error {
	switch s {
	case stepStream:
		return d.stream(ctx)
	case stepPublish:
		return d.publishSealed(ctx)
	case stepAbandon:
		return d.leave(ctx)
	default:
		return d.clean(ctx)
	}
}

// stream sends one increment of a file that is still being written.
func (d *Draft) stream(ctx context.Context) error {
	d.mu.Lock()
	size := d.mu.size
	if d.mu.up.acked == 0 && d.mu.up.mark.IsZero() {
		d.mu.up.mark = d.q.o.Now()
	}
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
	up := d.mu.up
	ready := !up.doubt && up.name != "" && d.mu.seal == nil && !up.rewritten && d.mu.size-up.acked > d.q.o.Increment
	d.mu.Unlock()
	if !ready {
		return errAgain
	}
	return d.increment(ctx, up.acked+d.q.o.Increment, false)
}

// leave keeps a killed writer's bytes as an incomplete breakpoint file.
func (d *Draft) leave(ctx context.Context) error {
	size := d.Size()
	if size > 0 {
		if err := d.uploadAll(ctx, size, false); err != nil {
			return err
		}
	}
	d.mu.Lock()
	t, name := d.mu.target, d.mu.up.name
	d.mu.abandoned = false
	d.mu.published = d.mu.gen // nothing of it is to be published
	d.mu.up = upload{}
	d.mu.Unlock()
	if name != "" && !t.Partial {
		return d.q.remember(d, t, name)
	}
	return d.unrecord()
}

// clean removes what a discarded draft left at the server.
func (d *Draft) clean(ctx context.Context) error {
	d.mu.Lock()
	name := d.mu.up.name
	d.mu.Unlock()
	if name != "" {
		if err := d.store().DeleteBreakpointFile(ctx, name); err != nil && client.KindOf(err) != client.NotExist {
			return err
		}
	}
	if err := d.unrecord(); err != nil {
		return err
	}
	d.mu.Lock()
	d.mu.discard = false
	d.mu.published = d.mu.gen
	d.mu.up = upload{}
	d.mu.seal, d.mu.err = nil, nil
	d.mu.Unlock()
	return nil
}
