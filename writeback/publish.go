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
	if d.Hold() {
		return client.File{}, d.Held(ctx)
	}
	if d.q.rules(d.Target().Workspace).writeMode == Async && !d.Target().Partial {
		if !d.Dirty() {
			return client.File{}, nil
		}
		if err := d.promise(ctx, true); err != nil {
			return client.File{}, err
		}
		return client.File{}, d.begin()
	}
	if err := d.begin(); err != nil {
		return client.File{}, err
	}
	return d.wait(ctx)
}

// Hold fixes that the present content is what was closed under a temporary name,
// to be published when the draft gets another one unless it is changed before. It
// answers false, and does nothing, under other names and for what is clean. It does
// not wait, and may be called like [Draft.Seal].
func (d *Draft) Hold() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.temporaryLocked() || !d.dirtyLocked() {
		return false
	}
	d.mu.held = true
	return true
}

// Held is the end of a close under a temporary name: in async mode it returns when
// the content is durable here. In sync mode it is a second later, see keepHeld.
func (d *Draft) Held(ctx context.Context) error {
	if d.q.rules(d.Target().Workspace).writeMode == Async {
		return d.promise(ctx, false)
	}
	return nil
}

// Closed tells whether all of the present content was closed: it is on its way, and
// nothing was written since. Any goroutine may call it.
func (d *Draft) Closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.closing == d.mu.gen
}

// Published returns what the draft published last, false when it has not yet. Any
// goroutine may call it.
func (d *Draft) Published() (client.File, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.up.last, d.mu.up.last.ID != ""
}

// Temporary tells whether closing the draft publishes nothing: it is a new file under
// a temporary name. Any goroutine may call it.
func (d *Draft) Temporary() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.temporaryLocked()
}

// MadeByMkstemp says that the draft was created as mkstemp(3) creates: what the end of
// its name spells is chance. Whoever made the draft calls it before anybody can close it.
func (d *Draft) MadeByMkstemp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.mkstemp = true
}

// temporaryLocked tells whether the draft has a name under which nothing is
// published.
func (d *Draft) temporaryLocked() bool {
	t := d.mu.target
	return d.mu.onto == nil && d.q.held(t, d.mu.mkstemp)
}

// Closed names the content that a Seal fixed.
type Closed struct {
	d         *Draft
	gen, size int64
}

// Seal fixes the present content and begins to publish it: a write to it waits
// until it is published, and what is appended belongs to the next version. It
// does not wait and makes no request. It answers false, and does nothing, for
// what is clean, stuck, or held back under a temporary name. Any goroutine may
// call it, also under a lock that is taken before the queue's.
func (d *Draft) Seal() (Closed, bool) {
	d.mu.Lock()
	if d.mu.gone || d.mu.dead || d.temporaryLocked() || d.mu.err != nil || !d.dirtyLocked() {
		d.mu.Unlock()
		return Closed{}, false
	}
	d.closeLocked()
	s := Closed{d, d.mu.closing, d.mu.closedSize}
	d.mu.Unlock()
	d.q.start(d)
	return s, true
}

// Wait returns when the sealed content is published, as [Draft.Publish] does: with
// [Async] that is when it is durable here, and without a record of the file.
// Unlike Publish it has no eye for what was written since. ctx bounds only the
// waiting.
func (s Closed) Wait(ctx context.Context) (client.File, error) {
	t := s.d.Target()
	if s.d.q.rules(t.Workspace).writeMode == Async && !t.Partial {
		s.d.mu.Lock()
		// What was unstuck is being written again: its next close promises it.
		over := s.d.mu.published >= s.gen || s.d.mu.closing < s.gen
		s.d.mu.Unlock()
		if over {
			return client.File{}, nil
		}
		// Seal closed it. To close it here again would forgive a refusal that came
		// meanwhile, and start nothing.
		return client.File{}, s.d.promiseClosed(ctx, s.gen, s.size)
	}
	return s.d.waitFor(ctx, s.gen)
}

// PublishNow publishes the present content and waits until the store has it, also
// with [Async]. ctx bounds only the waiting.
func (d *Draft) PublishNow(ctx context.Context) (client.File, error) {
	if err := d.begin(); err != nil {
		return client.File{}, err
	}
	return d.wait(ctx)
}

// begin asks for the present content to be published.
func (d *Draft) begin() error {
	d.mu.Lock()
	if d.mu.gone || d.mu.dead {
		d.mu.Unlock()
		return ErrGone
	}
	if !d.dirtyLocked() {
		d.mu.Unlock()
		return nil
	}
	d.closeLocked()
	d.mu.Unlock()
	d.q.start(d)
	return nil
}

// closeLocked seals the present content, or has it sealed once an older one is
// published. Asked again after a failure it tries again.
func (d *Draft) closeLocked() {
	d.mu.closing, d.mu.closedSize = d.mu.gen, d.mu.size
	d.mu.held, d.mu.abandoned = false, false
	if d.mu.err != nil && !d.mu.working {
		d.forgiveLocked()
	}
	d.sealLocked()
	d.mu.up.mark = d.q.o.Now()
}

// forgiveLocked forgets a failure. What was closed then may have been changed
// since, so it is not sent any more; whether it had been is still asked.
func (d *Draft) forgiveLocked() {
	d.mu.err = nil
	d.mu.up.refused, d.mu.up.mismatches = 0, 0
	switch s := d.mu.seal; {
	case s == nil || s.gen == d.mu.gen:
	case s.commit == nil:
		d.mu.seal = nil
	default:
		s.stale = true
	}
}

// sealLocked begins a publication of what was closed unless one is under way.
func (d *Draft) sealLocked() {
	if d.mu.seal == nil && d.mu.closing > d.mu.published && d.dirtyLocked() {
		d.mu.seal = &seal{gen: d.mu.closing, size: d.mu.closedSize}
	}
}

// wait returns when everything that was dirty when it was called is published,
// or the draft is stuck.
func (d *Draft) wait(ctx context.Context) (client.File, error) {
	d.mu.Lock()
	want := d.mu.gen
	d.mu.Unlock()
	return d.waitFor(ctx, want)
}

// waitFor is wait for what was dirty at generation want.
func (d *Draft) waitFor(ctx context.Context, want int64) (client.File, error) {
	d.mu.Lock()
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
		ch := d.mu.changed
		d.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return client.File{}, ctx.Err()
		}
		d.mu.Lock()
	}
}
