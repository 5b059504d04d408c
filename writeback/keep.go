package writeback

import (
	"context"
	"fmt"

	"github.com/sequoiacm/scmfs/client"
)

// Keep makes a draft of the content that base has, under a temporary name: what
// a program has put aside while it saves a file anew. It makes no request. The
// bytes are read from base's version when somebody asks for them, and brought
// here when the name is still there a second later. One handle is held.
// [ErrTaken] when a draft has the name.
func (q *Queue) Keep(t Target, base client.File, meta map[string]string) (*Draft, error) {
	d := q.newDraft(t, meta)
	d.mu.gen, d.mu.held = 1, true
	d.mu.partial, d.mu.origin, d.mu.size = base.Size > 0, base.Content(), base.Size
	if !q.insert(d) {
		return nil, fmt.Errorf("%s: %w", t, ErrTaken)
	}
	return d, nil
}

// Free brings here what kept drafts need of a file that is about to be removed at
// the store. Without such drafts it costs nothing.
func (q *Queue) Free(ctx context.Context, ws string, id client.FileID) error {
	for _, d := range q.all() {
		d.mu.Lock()
		needs := d.mu.partial && d.mu.onto == nil && d.mu.origin.File == id && d.mu.target.Workspace == ws
		d.mu.Unlock()
		if !needs {
			continue
		}
		if err := d.fetchAll(ctx); err != nil {
			return fmt.Errorf("keep what %s was put aside as: %w", id, err)
		}
	}
	return nil
}

// fetch brings the origin's bytes of a kept draft here, so that the draft no
// longer depends on a version that somebody may delete. Programs may write
// meanwhile: what they wrote is looked at under the lock and left alone.
func (d *Draft) fetch(ctx context.Context) {
	err := d.fetchAll(ctx)
	d.mu.Lock()
	d.mu.fetching = false
	over := d.mu.gone || d.mu.dead
	d.mu.Unlock()
	if err != nil && !over && ctx.Err() == nil {
		d.q.o.Logger.WithError(err).WithField("file", d.Target().String()).
			Warn("what a program has put aside is not on this machine yet and depends on the file's version at the store; trying again")
	}
}

func (d *Draft) fetchAll(ctx context.Context) error {
	if err := d.reserve(ctx, d.Size()); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for {
		d.mu.Lock()
		origin, ws := d.mu.origin, d.mu.target.Workspace
		gaps := d.mu.extents.gaps(0, min(d.mu.size, origin.Size))
		if d.mu.gone || d.mu.dead || d.mu.seal != nil || !d.mu.partial {
			d.mu.Unlock()
			return nil // it is here, not needed, or being published: that does it
		}
		if len(gaps) == 0 {
			d.mu.partial, d.mu.extents = false, nil
			// The record, if there is one, says that bytes are missing.
			d.mu.gen++
			d.mu.Unlock()
			return nil
		}
		d.mu.Unlock()
		from := gaps[0].from
		p := buf[:min(int64(len(buf)), gaps[0].to-from)]
		if err := d.q.readBase(ctx, ws, origin, p, from); err != nil {
			return err
		}
		if err := d.patiently(ctx, func() error { return d.place(p, from) }); err != nil {
			return err
		}
	}
}

// place puts bytes of the origin where nobody has written since they were asked for.
func (d *Draft) place(p []byte, from int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.mu.partial || d.mu.gone || d.mu.seal != nil {
		return nil
	}
	for _, g := range d.mu.extents.gaps(from, min(from+int64(len(p)), d.mu.size)) {
		if _, err := d.spool.WriteAt(p[g.from-from:g.to-from], g.from); err != nil {
			return err
		}
		d.mu.extents = d.mu.extents.add(g.from, g.to)
	}
	return nil
}
