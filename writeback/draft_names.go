package writeback

import (
	"context"
	"maps"

	"github.com/sequoiacm/scmfs/client"
)

// Rename gives the draft another place. Nothing is published yet, so it costs no
// request; a draft that was closed under a temporary name is published now, and
// in sync mode Rename waits for that.
func (d *Draft) Rename(ctx context.Context, to Target) error {
	return d.relocate(ctx, to, nil)
}

// RenameOnto makes the draft the next version of an existing file. It answers
// [ErrPublished], and does nothing, when the draft was published as a file of its own
// in the meantime: a close in the background had begun that.
func (d *Draft) RenameOnto(ctx context.Context, to Target, base client.File) error {
	return d.relocate(ctx, to, &base)
}

// Follow makes a draft that is being written go on as the next version of f, which
// has the content that the draft published last: a copy, made for a rename onto
// an existing file. The file that the draft was of may be gone.
func (d *Draft) Follow(ctx context.Context, to Target, f client.File) error {
	if err := d.settled(ctx, -1); err != nil {
		return err
	}
	old := d.placeLocked()
	d.putLocked(place{target: to, onto: &f, fileID: f.ID, metaSet: old.metaSet})
	size := d.mu.origin.Size // what was cut off does not come back
	d.mu.origin = f.Content()
	d.mu.origin.Size = min(size, f.Size)
	if !d.mu.metaSet {
		d.mu.meta = maps.Clone(f.Metadata)
	}
	d.mu.created = false
	recorded := d.mu.recorded
	d.mu.Unlock()
	d.q.moved(d, old.target, old.fileID)
	if recorded {
		return d.patiently(ctx, d.journal)
	}
	return nil
}

func (d *Draft) relocate(ctx context.Context, to Target, onto *client.File) error {
	if err := d.settled(ctx, -1); err != nil {
		return err
	}
	if onto != nil && (!d.dirtyLocked() || d.mu.created) && d.mu.fileID != onto.ID {
		d.mu.Unlock()
		return ErrPublished
	}
	old := d.placeLocked()
	now := old
	now.target, now.mkstemp = to, false
	if onto != nil && d.dirtyLocked() {
		now.onto, now.fileID, now.metaSet = onto, onto.ID, true
	}
	now.held = old.held && d.q.held(to, false)
	d.putLocked(now)
	// What was closed under the old name, or could not be published under it.
	publish := (old.held || d.mu.err != nil) && !now.held
	recorded := d.mu.recorded
	d.mu.Unlock()
	d.q.moved(d, old.target, old.fileID)
	if recorded {
		if err := d.patiently(ctx, d.journal); err != nil {
			d.mu.Lock()
			back := d.mu.target == to && d.mu.seal == nil
			if back {
				d.putLocked(old)
			}
			d.mu.Unlock()
			if back {
				d.q.moved(d, now.target, now.fileID)
				_ = d.journal() // it may have been written all the same
			}
			return err
		}
	}
	if publish {
		if _, err := d.Publish(ctx); err != nil {
			d.mu.Lock()
			if d.mu.seal == nil && d.mu.err == nil && d.dirtyLocked() && ctx.Err() == nil {
				d.mu.err = err // shown, and tried again by the next rename
			}
			d.mu.Unlock()
			return err
		}
	}
	return nil
}

// place is where a draft is to be published, as what.
type place struct {
	target                 Target
	onto                   *client.File
	fileID                 client.FileID
	metaSet, held, mkstemp bool
}

func (d *Draft) placeLocked() place {
	return place{d.mu.target, d.mu.onto, d.mu.fileID, d.mu.metaSet, d.mu.held, d.mu.mkstemp}
}

func (d *Draft) putLocked(p place) {
	d.mu.target, d.mu.onto, d.mu.fileID = p.target, p.onto, p.fileID
	d.mu.metaSet, d.mu.held, d.mu.mkstemp = p.metaSet, p.held, p.mkstemp
}

// Unname takes a clean draft out of the tables: its file is gone, or gets other
// content, which is not to be written into this one. Handles go on reading. The end of
// a publication, which its waiters know before, does not bring it back.
func (d *Draft) Unname() {
	d.mu.Lock()
	d.mu.unnamed = true
	d.mu.Unlock()
	d.q.forget(d)
}

// Discarded tells whether nothing of the draft is ever published.
func (d *Draft) Discarded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.dead || d.mu.gone
}

// Discard ends a draft whose file was unlinked before publication, or that another
// one replaces. Handles go on reading and writing; nothing is published any more. A
// commit under way that makes the file is undone, an earlier publication is not. When
// it returns nil, no crash brings the file back.
func (d *Draft) Discard() error { return d.doom(false) }

// Remove is Discard for a caller who knows of no publication and deletes nothing
// himself: a file that the draft made just now goes too, see [Draft.Ended].
func (d *Draft) Remove() error { return d.doom(true) }

func (d *Draft) doom(made bool) error {
	d.mu.Lock()
	made = made && d.mu.created
	if d.mu.gone || d.mu.dead || d.mu.gen == d.mu.published && !made {
		d.mu.Unlock()
		return nil
	}
	if made {
		d.mu.unmake = d.mu.fileID
	}
	if made || d.mu.seal != nil && d.mu.seal.commit != nil && d.mu.onto == nil {
		d.mu.recorded = true // what is being made has to go, whatever happens here
	}
	d.mu.dooming = true
	recorded := d.mu.recorded
	d.mu.Unlock()
	if recorded {
		if err := d.journal(); err != nil {
			d.mu.Lock()
			d.mu.dooming, d.mu.unmake = false, ""
			d.mu.Unlock()
			_ = d.journal()
			d.q.nudge(d) // the worker stood back
			return err
		}
	}
	d.mu.Lock()
	d.mu.discard, d.mu.dead = true, true
	d.wakeLocked()
	d.mu.Unlock()
	d.q.forget(d)
	d.q.start(d) // a worker that runs sees it
	return nil
}

// Ended waits, after Discard or Remove, while a commit that was under way may still
// make a file or a version at the store, and while a file that Remove is to take away
// is there; not longer than ctx. It tells whether there was one.
func (d *Draft) Ended(ctx context.Context) bool {
	for was := false; ; was = true {
		d.mu.Lock()
		may := d.mu.discard && !d.mu.gone && (d.mu.unmake != "" || d.mu.seal != nil && d.mu.seal.commit != nil)
		ch := d.mu.changed
		d.mu.Unlock()
		if !may {
			return was
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return true
		}
	}
}

// Abandon keeps what a killed writer left: the bytes become the breakpoint file
// of that name in .partial, incomplete; nothing is published.
func (d *Draft) Abandon(ctx context.Context, reason string) error {
	if err := d.settled(ctx, -1); err != nil {
		return err
	}
	if !d.dirtyLocked() || d.mu.seal != nil && d.mu.seal.gen == d.mu.gen {
		d.mu.Unlock()
		return nil // closed before
	}
	d.mu.abandoned = true
	size, recorded := d.mu.size, d.mu.recorded
	d.mu.Unlock()
	if recorded {
		// An fsync promised to publish it; the record must say otherwise.
		if err := d.patiently(ctx, d.journal); err != nil {
			return err
		}
	}
	d.q.o.Logger.WithField("file", d.Target().String()).WithField("bytes", size).
		Warn("not published: " + reason + "; what was written is kept in .partial")
	d.q.forget(d) // the same copy may begin again at once
	d.q.start(d)
	return nil
}
