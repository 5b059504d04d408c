package writeback

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sequoiacm/scmfs/client"
)

// EditPartial makes a draft that continues a breakpoint file. Truncated, it is a
// copy from the start: what the server has already is compared, not sent again.
// Otherwise it goes on at the uploaded size. One handle is held.
func (q *Queue) EditPartial(ctx context.Context, t Target, bp client.BreakpointFile, truncate bool) (*Draft, error) {
	if d, ok := q.Lookup(t); ok {
		if d.Retain() == nil {
			if truncate {
				if err := d.Truncate(ctx, 0); err != nil {
					return nil, errors.Join(err, d.Release(ctx))
				}
				d.mu.Lock()
				if d.mu.gen == d.mu.published {
					d.mu.gen++ // a copy from the start, even of nothing
				}
				d.mu.up.resume, d.mu.up.doubt, d.mu.up.resumeAt = true, true, bp.Size
				d.mu.up.acked, d.mu.up.sum, d.mu.up.sent, d.mu.up.completed = 0, 0, 0, false
				d.mu.Unlock()
			}
			return d, nil
		}
	}
	d := q.newDraft(t, nil)
	d.mu.published = 0
	d.mu.up = upload{name: bp.Name, data: bp.Data, typ: bp.ChecksumType}
	if truncate {
		d.mu.gen = 1
		d.mu.up.doubt, d.mu.up.resume, d.mu.up.local, d.mu.up.resumeAt = true, true, true, bp.Size
	} else {
		d.mu.partial, d.mu.size = bp.Size > 0, bp.Size
		d.mu.origin.Size = bp.Size
		d.mu.up.acked, d.mu.up.sum, d.mu.up.sent, d.mu.up.completed = bp.Size, bp.Checksum, bp.Size, bp.Completed
	}
	if !q.insert(d) {
		return nil, fmt.Errorf("%s: %w", t, ErrTaken)
	}
	return d, nil
}

// Convert turns a completed breakpoint file into the file to, or into the next
// version of onto, in one request. A lost answer is settled by asking.
func (q *Queue) Convert(ctx context.Context, ws, bp string, to Target, meta map[string]string, onto *client.File) (client.File, error) {
	from := Target{Workspace: ws, Partial: true, Name: bp}
	if d, ok := q.Lookup(from); ok {
		if d.Dirty() {
			d.mu.Lock()
			open := d.mu.handles > 0 && d.mu.seal == nil
			d.mu.Unlock()
			if open {
				return client.File{}, fmt.Errorf("%s: %w", from, ErrIncomplete)
			}
			if _, err := d.wait(ctx); err != nil {
				return client.File{}, err
			}
		}
		q.forget(d)
	}
	st := q.stores(ws)
	id := client.NewFileID(q.o.Now())
	for attempt, pause := 0, firstPause; ; attempt++ {
		if attempt > 1 {
			sleep(ctx, pause)
			pause = min(2*pause, lastPause)
		}
		var f client.File
		var err error
		if onto == nil {
			f, err = st.CreateFileFromBreakpoint(ctx, client.NewFile{ID: id, Name: to.Name, Dir: to.Dir, Metadata: meta}, bp)
		} else {
			f, err = st.UpdateContentFromBreakpoint(ctx, onto.ID, onto.Version, bp)
		}
		switch kind := client.KindOf(err); {
		case err == nil:
			if onto != nil && f.Version != onto.Version.Next() {
				q.conflict(to, onto.Version, f.Version)
			}
			return f, nil
		case attempt >= 8 || ctx.Err() != nil:
			return client.File{}, err
		case kind == client.Invalid:
			return client.File{}, q.whyNot(ctx, st, from, err)
		case kind == client.Exist && onto == nil && q.rules(to.Workspace).conflict == ConflictVersion:
			f, lerr := st.LookupFile(ctx, to.Dir, to.Name)
			if lerr != nil {
				return client.File{}, errors.Join(err, lerr)
			}
			onto = &f
		case kind == client.VersionMismatch && q.rules(to.Workspace).conflict == ConflictVersion:
			f, lerr := st.File(ctx, onto.ID)
			if lerr != nil {
				return client.File{}, lerr
			}
			q.conflict(to, onto.Version, f.Version)
			onto = &f
		case !refused(kind):
			f, done, rerr := converted(ctx, st, bp, id, to, onto)
			if done || rerr != nil && refused(client.KindOf(rerr)) {
				return f, rerr
			}
		case kind == client.Auth: // a session that was lost twice
		default:
			return client.File{}, err
		}
	}
}

// whyNot explains a refused conversion: missing and incomplete look alike.
func (q *Queue) whyNot(ctx context.Context, st Store, from Target, err error) error {
	b, herr := st.BreakpointFile(ctx, from.Name)
	switch {
	case herr != nil:
		return herr
	case !b.Completed:
		q.o.Logger.WithField("file", from.String()).Warnf("cannot become a file yet: %d bytes are uploaded and the last increment is missing", b.Size)
		return fmt.Errorf("%s: %w", from, ErrIncomplete)
	}
	return err
}

// converted finds out after a lost answer whether the conversion happened: the
// breakpoint file is gone then, in the same transaction.
func converted(ctx context.Context, st Store, bp string, id client.FileID, to Target, onto *client.File) (client.File, bool, error) {
	_, err := st.BreakpointFile(ctx, bp)
	if err == nil {
		return client.File{}, false, nil
	}
	if client.KindOf(err) != client.NotExist {
		return client.File{}, false, err
	}
	if onto != nil {
		f, err := st.File(ctx, onto.ID)
		return f, err == nil && f.Version != onto.Version, err
	}
	f, err := st.File(ctx, id)
	if client.KindOf(err) == client.NotExist {
		f, err = st.LookupFile(ctx, to.Dir, to.Name) // a server that ignores our id
	}
	return f, err == nil, err
}

// Owns tells whether a breakpoint file is how a draft of this mount is on its way
// into the tree at the moment.
func (q *Queue) Owns(ws, name string) bool {
	if !strings.Contains(name, "."+q.mount+"-") {
		return false // spares a walk for every foreign one
	}
	for _, d := range q.all() {
		d.mu.Lock()
		mine := d.mu.up.name == name && d.mu.target.Workspace == ws && !d.mu.target.Partial
		d.mu.Unlock()
		if mine {
			return true
		}
	}
	return false
}
