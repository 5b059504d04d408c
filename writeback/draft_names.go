package writeback

import (
	"context"

	"github.com/sequoiacm/scmfs/client"
)

// Rename gives the draft another place. Nothing is published yet, so it costs no
// request; a draft that was closed under a temporary name is published now, and
// in sync mode Rename waits for that.
func (d *Draft) Rename(ctx context.Context, to Target) error {
	return d.relocate(ctx, to, nil)
}

// RenameOnto makes the draft the next version of an existing file.
func (d *Draft) RenameOnto(ctx context.Context, to Target, base client.File) error {
	return d.relocate(ctx, to, &base)
}

func (d *Draft) relocate(ctx context.Context, to Target, onto *client.File) error {
	if err := d.settled(ctx, 0); err != nil {
		return err
	}
	wasHeld := d.mu.held
	from := d.mu.target
	fromID := d.mu.fileID
	dirty := d.dirtyLocked()
	d.mu.target = to
	if onto != nil && dirty {
		d.mu.onto, d.mu.fileID, d.mu.metaSet = onto, onto.ID, true
	}
	d.mu.held = wasHeld && held(d.q.o.HeldNames, to.Name) && !to.Partial
	recorded := d.mu.recorded
	publish := wasHeld && !d.mu.held
	d.mu.Unlock()
	d.q.moved(d, from, fromID)
	if recorded {
		if err := d.record(); err != nil {
			return err
		}
	}
	if publish {
		_, err := d.Publish(ctx)
		return err
	}
	return nil
}

// Discard ends a draft whose file was unlinked before publication. Handles go on
// reading and writing; nothing is published any more.
func (d *Draft) Discard() error {
	d.mu.Lock()
	if d.mu.gone || d.mu.dead {
		d.mu.Unlock()
		return nil
	}
	d.mu.discard, d.mu.dead = true, true
	d.wakeLocked()
	busy := d.mu.working
	d.mu.Unlock()
	d.q.forget(d)
	if busy {
		return nil // the worker sees it and cleans up
	}
	d.q.start(d)
	return nil
}

// Abandon keeps what a killed writer left: the bytes become the breakpoint file
// of that name in .partial, incomplete; nothing is published.
func (d *Draft) Abandon(ctx context.Context, reason string) error {
	if err := d.settled(ctx, 0); err != nil {
		return err
	}
	d.mu.abandoned = true
	size := d.mu.size
	d.mu.Unlock()
	d.q.o.Logger.WithField("file", d.Target().String()).WithField("bytes", size).
		Warn("not published: " + reason + "; what was written is kept in .partial")
	d.q.start(d)
	return nil
}
