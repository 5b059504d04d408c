package writeback

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// promised is the content that a draft's record promises: what an fsync or an
// asynchronous close has put on stable storage. It is a snapshot, since writes go
// on while the disk syncs.
type promised struct {
	gen, size int64
	partial   bool
	extents   extents
	origin    client.Content
}

// Fsync puts content and record on stable storage: they survive a crash and are
// published at the next start. It does not publish. ctx bounds the waiting for
// space on the disk.
func (d *Draft) Fsync(ctx context.Context) error {
	if !d.Dirty() {
		return nil
	}
	return d.promise(ctx, false)
}

// promise makes the draft as it is now survive a crash; closed says that it is
// complete and to be published.
func (d *Draft) promise(ctx context.Context, closed bool) error {
	return d.promiseOf(ctx, closed, func() *promised {
		return &promised{d.mu.gen, d.mu.size, d.mu.partial, d.mu.extents, d.mu.origin}
	})
}

// promiseClosed promises what was closed as generation gen, and nothing that was
// written since.
func (d *Draft) promiseClosed(ctx context.Context, gen, size int64) error {
	return d.promiseOf(ctx, false, func() *promised {
		return &promised{gen, size, d.mu.partial, d.mu.extents.clip(size), d.mu.origin}
	})
}

func (d *Draft) promiseOf(ctx context.Context, closed bool, snapshot func() *promised) error {
	for {
		d.mu.Lock()
		if d.mu.gone || d.mu.dead {
			d.mu.Unlock()
			return ErrGone
		}
		p := snapshot()
		cuts := d.mu.cuts
		d.mu.Unlock()
		if err := d.patiently(ctx, func() error { return d.spool.sync(p.size) }); err != nil {
			return err
		}
		d.mu.Lock()
		if d.mu.cuts != cuts {
			d.mu.Unlock()
			continue // shortened meanwhile: what was synced is not what is there
		}
		if p.gen <= d.mu.published {
			d.mu.Unlock()
			return nil // the store has it by now: a record would have it published again
		}
		old := d.mu.promise
		if old == nil || old.gen <= p.gen {
			d.mu.promise = p
		}
		d.mu.Unlock()
		err := d.patiently(ctx, d.journal)
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case err != nil && d.mu.promise == p:
			d.mu.promise = old
		case err == nil && closed:
			d.closeLocked()
		}
		return err
	}
}

// shorten takes back a promise of bytes that are about to be cut off, before
// they are: a crash in between must not find a record of more than there is.
func (d *Draft) shorten(ctx context.Context, size int64) error {
	d.mu.Lock()
	if d.mu.outdated {
		d.mu.Unlock()
		if err := d.patiently(ctx, d.journal); err != nil {
			return err
		}
		d.mu.Lock()
	}
	p := d.mu.promise
	if p == nil || p.size <= size {
		d.mu.Unlock()
		return nil
	}
	s := *p
	s.size, s.extents = size, p.extents.clip(size)
	d.mu.promise = &s
	d.mu.Unlock()
	err := d.patiently(ctx, d.journal)
	if err != nil {
		d.mu.Lock()
		if d.mu.promise == &s {
			d.mu.promise = p
		}
		d.mu.Unlock()
	}
	return err
}

// patiently repeats fn while the disk is full: uploads free the spool. At the
// deadline it says what is full.
func (d *Draft) patiently(ctx context.Context, fn func() error) error {
	deadline := time.Now().Add(d.q.o.OpTimeout)
	for {
		err := fn()
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
			return err
		}
		if time.Now().After(deadline) {
			d.q.o.Logger.WithField("file", d.Target().String()).WithError(err).
				Error("the disk of the state directory is full and uploads do not free it; make room there or use --state-dir on another disk")
			return noSpace(err)
		}
		tick := time.NewTimer(poll)
		select {
		case <-d.q.space.freed():
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
		tick.Stop()
	}
}
