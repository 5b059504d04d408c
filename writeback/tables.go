package writeback

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/sequoiacm/scmfs/client"
)

// Create makes a draft of a new file, or of a new breakpoint file. One handle is
// held. [ErrTaken] when a draft has the name.
func (q *Queue) Create(_ context.Context, t Target, meta map[string]string) (*Draft, error) {
	d := q.newDraft(t, meta)
	q.adopt(d, t)
	if !q.insert(d) {
		return nil, fmt.Errorf("%s: %w", t, ErrTaken)
	}
	return d, nil
}

// Edit makes a draft of new content of an existing file, or joins the one there
// is. One handle is held. Unless truncated it starts with the base's content.
func (q *Queue) Edit(ctx context.Context, t Target, base client.File, truncate bool) (*Draft, error) {
	if d, ok := q.ForFile(t.Workspace, base.ID); ok {
		if d.Retain() == nil {
			if truncate {
				if err := d.Truncate(ctx, 0); err != nil {
					return nil, errors.Join(err, d.Release(ctx))
				}
			}
			return d, nil
		}
	}
	d := q.newDraft(t, base.Metadata)
	d.mu.fileID, d.mu.onto, d.mu.published = base.ID, &base, 0
	if truncate {
		d.mu.gen = 1
		q.adopt(d, t)
	} else {
		d.mu.partial, d.mu.origin, d.mu.size = base.Size > 0, base.Content(), base.Size
	}
	if !q.insert(d) {
		return nil, fmt.Errorf("%s: %w", t, ErrTaken)
	}
	return d, nil
}

// adopt lets a new draft resume what an interrupted copy to the same name left.
func (q *Queue) adopt(d *Draft, t Target) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.mu.abandoned[t]; l != nil && !t.Partial {
		delete(q.mu.abandoned, t)
		d.mu.up = upload{name: l.bp, typ: client.ChecksumCRC32, doubt: true, resume: true, resumeAt: -1, local: true}
		d.mu.inherited = l.id
	}
}

// insert puts a draft into the tables; false when its name is taken.
func (q *Queue) insert(d *Draft) bool {
	d.mu.Lock()
	t, id := d.mu.target, d.mu.fileID
	d.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if old := q.mu.byTarget[t]; old != nil && old.Dirty() {
		return false
	}
	q.mu.drafts[d.id] = d
	q.indexLocked(d, t, id)
	return true
}

func (q *Queue) indexLocked(d *Draft, t Target, id client.FileID) {
	q.mu.byTarget[t] = d
	if !t.Partial {
		q.mu.byFile[fileKey{t.Workspace, id}] = d
	}
	k := keyOfTarget(t)
	if q.mu.byDir[k] == nil {
		q.mu.byDir[k] = map[*Draft]struct{}{}
	}
	q.mu.byDir[k][d] = struct{}{}
}

func (q *Queue) unindexLocked(d *Draft, t Target, id client.FileID) {
	if q.mu.byTarget[t] == d {
		delete(q.mu.byTarget, t)
	}
	if k := (fileKey{t.Workspace, id}); q.mu.byFile[k] == d {
		delete(q.mu.byFile, k)
	}
	k := keyOfTarget(t)
	delete(q.mu.byDir[k], d)
	if len(q.mu.byDir[k]) == 0 {
		delete(q.mu.byDir, k)
	}
}

// moved updates the tables after a change of target or file id.
func (q *Queue) moved(d *Draft, from Target, fromID client.FileID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d.mu.Lock()
	t, id, unnamed := d.mu.target, d.mu.fileID, d.mu.unnamed
	d.mu.Unlock()
	if q.mu.drafts[d.id] == nil || unnamed {
		return
	}
	q.unindexLocked(d, from, fromID)
	q.indexLocked(d, t, id)
}

func (q *Queue) rekey(d *Draft, old client.FileID) { q.moved(d, d.Target(), old) }

// forget takes a draft's names out of the tables; its handles go on.
func (q *Queue) forget(d *Draft) {
	d.mu.Lock()
	t, id := d.mu.target, d.mu.fileID
	d.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unindexLocked(d, t, id)
}

// free ends a draft that is clean and has no handle.
func (q *Queue) free(d *Draft) {
	q.mu.Lock()
	d.mu.Lock()
	if d.mu.gone || d.mu.handles > 0 || d.dirtyLocked() || d.mu.working || d.mu.discard {
		d.mu.Unlock()
		q.mu.Unlock()
		return
	}
	d.mu.gone = true
	t, id, charged := d.mu.target, d.mu.fileID, d.mu.charged
	recorded := d.mu.recorded || d.mu.inherited != ""
	d.mu.charged = 0
	d.wakeLocked()
	d.mu.Unlock()
	delete(q.mu.drafts, d.id)
	q.unindexLocked(d, t, id)
	q.mu.Unlock()
	q.space.give(charged)
	if recorded {
		// Its removal failed before. While the record is there, the spool stays with it.
		if err := d.journal(); err != nil {
			q.o.Logger.WithError(err).WithField("file", d.Target().String()).Warn("a finished draft's record and spool file stay; nothing is lost, the next start removes them")
			_ = d.spool.close()
			return
		}
	}
	if err := d.spool.discard(); err != nil {
		q.o.Logger.WithError(err).WithField("file", d.Target().String()).Warn("its spool file is no longer needed and could not be removed; only space is lost, until the next start removes it")
	}
}

// Lookup finds the live draft of a name.
func (q *Queue) Lookup(t Target) (*Draft, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d, ok := q.mu.byTarget[t]
	return d, ok
}

// ForFile finds the live draft of a file.
func (q *Queue) ForFile(ws string, id client.FileID) (*Draft, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d, ok := q.mu.byFile[fileKey{ws, id}]
	return d, ok
}

// InDir returns the drafts of a directory that are not published yet, or so
// recently that the watchers have not heard: a name is never in neither place.
func (q *Queue) InDir(ws string, dir client.DirID) []*Draft {
	return q.dirty(dirKey{ws: ws, dir: dir})
}

// Partials returns the drafts of a workspace's breakpoint files.
func (q *Queue) Partials(ws string) []*Draft { return q.dirty(dirKey{ws: ws, partial: true}) }

func (q *Queue) dirty(k dirKey) []*Draft {
	q.mu.Lock()
	var out []*Draft
	for d := range q.mu.byDir[k] {
		out = append(out, d)
	}
	q.mu.Unlock()
	kept := out[:0]
	for _, d := range out {
		if d.Ahead() {
			kept = append(kept, d)
		}
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].id < kept[j].id })
	return kept
}
