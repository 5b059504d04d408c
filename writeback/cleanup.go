package writeback

import (
	"context"
	"fmt"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// left is what an earlier write left at the server: its record in the journal
// and its breakpoint file.
type left struct{ id, ws, bp string }

// leave keeps a killed writer's bytes as an incomplete breakpoint file.
func (d *Draft) leave(ctx context.Context) error {
	d.mu.Lock()
	size, t := d.mu.size, d.mu.target
	d.mu.Unlock()
	ahead, err := d.serverAhead(ctx, size)
	if err != nil {
		return err
	}
	if size > 0 && !ahead {
		if !t.Partial && d.q.withoutBreakpoints(t.Workspace) {
			return &client.Error{Op: "keep in .partial", Name: t.Name, Kind: client.Unsupported,
				Err: fmt.Errorf("the writer was killed, and there are no breakpoint files here: export it, or retry to publish it as it is")}
		}
		if err := d.fill(ctx, size); err != nil {
			return err
		}
		if err := d.uploadAll(ctx, size, false); err != nil {
			return err
		}
	}
	d.mu.Lock()
	name := d.mu.up.name
	d.mu.promise = nil
	if name == "" || t.Partial {
		d.mu.abandoned, d.mu.published, d.mu.up = false, d.mu.gen, upload{}
		d.mu.Unlock()
		return d.journal()
	}
	d.mu.Unlock()
	// The record keeps the name of the breakpoint file, so that the same copy
	// resumes it; it outlives the draft.
	if err := d.patiently(ctx, d.journal); err != nil {
		return err
	}
	d.mu.Lock()
	d.mu.abandoned, d.mu.published, d.mu.up = false, d.mu.gen, upload{}
	d.mu.recorded = false
	d.mu.Unlock()
	d.q.mu.Lock()
	old := d.q.mu.abandoned[t]
	d.q.mu.abandoned[t] = &left{id: d.id, ws: t.Workspace, bp: name}
	d.q.mu.Unlock()
	d.q.tidyLater(old)
	return nil
}

// serverAhead tells whether a copy that was to resume a breakpoint file ended
// before it reached what the server has. That stays as it is then: starting over
// would throw away the bytes that the next attempt needs.
func (d *Draft) serverAhead(ctx context.Context, size int64) (bool, error) {
	d.mu.Lock()
	resume, name := d.mu.up.resume, d.mu.up.name
	d.mu.Unlock()
	if !resume || name == "" {
		return false, nil
	}
	bp, err := d.store().BreakpointFile(ctx, name)
	if client.KindOf(err) == client.NotExist {
		return false, nil
	}
	return err == nil && bp.Size >= size, err
}

// clean removes what a discarded draft left at the server: its breakpoint file,
// and a file that a commit made while it was unlinked.
func (d *Draft) clean(ctx context.Context) error {
	d.mu.Lock()
	name, onto, made, id := d.mu.up.name, d.mu.onto, d.mu.unmake, d.mu.fileID
	var doubt *intent
	if s := d.mu.seal; s != nil {
		doubt = s.commit
	}
	d.mu.Unlock()
	if made != "" {
		if err := d.deleteFile(ctx, made); err != nil {
			return err
		}
	}
	if doubt != nil && onto == nil {
		f, done, err := d.reconcile(ctx, doubt)
		if err != nil {
			return err
		}
		// By the name alone it may be somebody else's, of the same content: an empty
		// file, made again. What came from a breakpoint file is known by its data id.
		if ours := f.ID == id || name != "" || d.q.foreignIDs.Load(); done && ours {
			if err := d.deleteFile(ctx, f.ID); err != nil {
				return err
			}
		}
	}
	if name != "" {
		if err := d.store().DeleteBreakpointFile(ctx, name); err != nil && client.KindOf(err) != client.NotExist {
			return err
		}
	}
	d.mu.Lock()
	d.cleanedLocked()
	d.mu.Unlock()
	return d.journal()
}

// deleteFile removes a file, or finds it gone.
func (d *Draft) deleteFile(ctx context.Context, id client.FileID) error {
	err := d.store().DeleteFile(ctx, id)
	if client.KindOf(err) == client.NotExist {
		return nil
	}
	return err
}

// cleanedLocked notes that nothing of a discarded draft is left to do.
func (d *Draft) cleanedLocked() {
	d.mu.discard, d.mu.abandoned = false, false
	d.mu.published = d.mu.gen
	d.mu.up, d.mu.promise = upload{}, nil
	d.mu.seal, d.mu.err, d.mu.unmake = nil, nil, ""
}

// supersede lets go of what an interrupted copy left once its name was published
// in another way.
func (q *Queue) supersede(t Target) {
	q.mu.Lock()
	l := q.mu.abandoned[t]
	delete(q.mu.abandoned, t)
	q.mu.Unlock()
	q.tidyLater(l)
}

// tidyLater has something of ours removed at the server; its record stays until
// that is done.
func (q *Queue) tidyLater(l *left) {
	if l == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.stale = append(q.mu.stale, l)
	if !q.mu.tidying && q.mu.run != nil && !q.mu.over {
		q.mu.tidying = true
		ctx := q.mu.run
		q.workers.Go(func() { q.tidy(ctx) })
	}
}

// tidyPause is how long after a failure removing is tried again.
const tidyPause = 30 * time.Second

// tidy removes what is stale until nothing is.
func (q *Queue) tidy(ctx context.Context) {
	for {
		q.mu.Lock()
		if len(q.mu.stale) == 0 || ctx.Err() != nil {
			q.mu.tidying = false
			q.mu.Unlock()
			return
		}
		l := q.mu.stale[0]
		q.mu.stale = q.mu.stale[1:]
		q.mu.Unlock()
		if err := q.drop(ctx, l); err != nil {
			q.o.Logger.WithError(err).WithField("breakpoint_file", l.bp).Debug("cannot remove it yet")
			q.mu.Lock()
			q.mu.stale = append(q.mu.stale, l)
			q.mu.Unlock()
			sleep(ctx, tidyPause)
		}
	}
}

func (q *Queue) drop(ctx context.Context, l *left) error {
	if l.bp != "" {
		switch err := q.stores(l.ws).DeleteBreakpointFile(ctx, l.bp); client.KindOf(err) {
		case client.NotExist, client.Unsupported:
		case client.Permission:
			q.o.Logger.WithError(err).WithField("breakpoint_file", l.bp).Warn("not allowed to remove what an upload left; an administrator has to")
		default:
			if err != nil {
				return err
			}
		}
	}
	return q.unrecord(l.id)
}

// review looks at what earlier runs left in .partial: a record whose breakpoint
// file is gone has no use, and a copy under a temporary name never comes back
// under it. The rest waits for the same copy. Foreign ones are never touched.
func (q *Queue) review(ctx context.Context) {
	q.mu.Lock()
	all := make(map[Target]*left, len(q.mu.abandoned))
	for t, l := range q.mu.abandoned {
		all[t] = l
	}
	q.mu.Unlock()
	for t, l := range all {
		if !q.held(t, false) && !q.vanished(ctx, l) {
			continue
		}
		q.mu.Lock()
		mine := q.mu.abandoned[t] == l
		if mine {
			delete(q.mu.abandoned, t)
		}
		q.mu.Unlock()
		if mine {
			q.tidyLater(l)
		}
	}
}

// vanished asks whether a breakpoint file is gone, until it is answered.
func (q *Queue) vanished(ctx context.Context, l *left) bool {
	for ctx.Err() == nil {
		_, err := q.stores(l.ws).BreakpointFile(ctx, l.bp)
		if refused(client.KindOf(err)) || err == nil {
			return client.KindOf(err) == client.NotExist
		}
		sleep(ctx, tidyPause)
	}
	return false
}
