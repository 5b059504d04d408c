package writeback

import (
	"context"

	"github.com/sequoiacm/scmfs/client"
)

// Publish seals the content and, in sync mode, waits until the store has it. It
// is a no-op for a clean draft. In async mode it returns when content and promise
// are durable here. Under a temporary name it returns at once and publishes
// nothing. ctx bounds only the waiting.
func (d *Draft) Publish(ctx context.Context) (client.File, error) {
	d.mu.Lock()
	isHeld := !d.mu.target.Partial && d.mu.onto == nil && held(d.q.o.HeldNames, d.mu.target.Name)
	if isHeld && d.dirtyLocked() {
		d.mu.held = true
		d.mu.Unlock()
		return client.File{}, nil
	}
	d.mu.Unlock()
	if d.q.o.WriteMode == Async && !d.Target().Partial {
		if err := d.promise(true); err != nil {
			return client.File{}, err
		}
		return client.File{}, d.begin(ctx)
	}
	if err := d.begin(ctx); err != nil {
		return client.File{}, err
	}
	return d.wait(ctx)
}

// begin seals the present content and starts the worker.
func (d *Draft) begin(context.Context) error {
	d.mu.Lock()
	if d.mu.gone || d.mu.dead {
		d.mu.Unlock()
		return ErrGone
	}
	if !d.dirtyLocked() {
		d.mu.Unlock()
		return nil
	}
	if d.mu.err != nil && !d.mu.working {
		d.mu.err = nil // asked again: try again
		d.mu.up.restarts = 0
	}
	if d.mu.seal == nil {
		d.mu.seal = &seal{gen: d.mu.gen, size: d.mu.size}
		d.mu.up.mark = d.q.o.Now()
	}
	d.mu.abandoned = false
	d.mu.Unlock()
	d.q.start(d)
	return nil
}

// wait returns when everything that was dirty when it was called is published,
// or the draft is stuck.
func (d *Draft) wait(ctx context.Context) (client.File, error) {
	d.mu.Lock()
	want := d.mu.gen
	for {
		switch {
		case d.mu.published >= want:
			f := d.mu.up.last
			d.mu.Unlock()
			return f, nil
		case d.mu.err != nil && !d.mu.working:
			err := d.mu.err
			d.mu.Unlock()
			return client.File{}, err
		case d.mu.gone || d.mu.dead:
			d.mu.Unlock()
			return client.File{}, ErrGone
		}
		again := d.mu.seal == nil && d.dirtyLocked()
		ch := d.mu.changed
		d.mu.Unlock()
		if again {
			// Bytes were appended while an older content was being published.
			if err := d.begin(ctx); err != nil {
				return client.File{}, err
			}
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return client.File{}, ctx.Err()
		}
		d.mu.Lock()
	}
}

// Fsync puts content and record on stable storage: they survive a crash and are
// published at the next start. It does not publish.
func (d *Draft) Fsync(context.Context) error {
	if !d.Dirty() {
		return nil
	}
	return d.promise(false)
}

// promise makes the draft survive a crash. sealed says that it is complete.
func (d *Draft) promise(sealed bool) error {
	d.mu.Lock()
	if d.mu.gone || d.mu.dead {
		d.mu.Unlock()
		return ErrGone
	}
	size := d.mu.size
	d.mu.Unlock()
	if err := d.spool.sync(); err != nil {
		return err
	}
	if have := d.spool.size(); have < size {
		if err := d.spool.truncate(size); err != nil {
			return err
		}
	}
	d.mu.Lock()
	d.mu.promised = true
	if sealed && d.mu.seal == nil && d.dirtyLocked() {
		d.mu.seal = &seal{gen: d.mu.gen, size: d.mu.size}
		d.mu.up.mark = d.q.o.Now()
	}
	d.mu.Unlock()
	return d.record()
}
