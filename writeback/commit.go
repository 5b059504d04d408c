package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	"github.com/sequoiacm/scmfs/client"
)

// publishSealed brings the sealed content to the store, from whatever state an
// earlier attempt or run left. Each call may be repeated.
func (d *Draft) publishSealed(ctx context.Context) error {
	d.mu.Lock()
	s := d.mu.seal
	if s == nil {
		d.mu.Unlock()
		return nil
	}
	size, gen := s.size, s.gen
	ws, partialName := d.mu.target.Workspace, d.mu.target.Partial
	hasBP := d.mu.up.name != ""
	committing := s.committing
	d.mu.Unlock()
	if partialName {
		if err := d.uploadAll(ctx, size, true); err != nil {
			return err
		}
		return d.finish(ctx, gen, client.File{}, true)
	}
	if err := d.fill(ctx, size); err != nil {
		return err
	}
	if committing {
		f, done, err := d.reconcile(ctx, size)
		if err != nil {
			return err
		}
		if done {
			return d.finish(ctx, gen, f, false)
		}
		d.mu.Lock()
		s.committing = false
		d.mu.Unlock()
		return errAgain
	}
	if !hasBP && (size <= d.q.o.Increment || d.q.withoutBreakpoints(ws)) {
		return d.commit(ctx, s, "")
	}
	if err := d.uploadAll(ctx, size, true); err != nil {
		return err
	}
	d.mu.Lock()
	name := d.mu.up.name
	d.mu.Unlock()
	return d.commit(ctx, s, name)
}

// fill copies what was not written here from the version that was there before.
func (d *Draft) fill(ctx context.Context, size int64) error {
	d.mu.Lock()
	if !d.mu.partial {
		d.mu.Unlock()
		return nil
	}
	origin, ws := d.mu.origin, d.mu.target.Workspace
	gaps := d.mu.extents.gaps(0, min(size, origin.Size))
	d.mu.Unlock()
	if err := d.reserve(ctx, size); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	for _, g := range gaps {
		for at := g.from; at < g.to; {
			p := buf[:min(int64(len(buf)), g.to-at)]
			if err := d.q.readBase(ctx, ws, origin, p, at); err != nil {
				return err
			}
			if _, err := d.spool.WriteAt(p, at); err != nil {
				return err
			}
			at += int64(len(p))
			d.mu.Lock()
			d.mu.extents = d.mu.extents.add(g.from, at)
			d.mu.Unlock()
		}
	}
	d.mu.Lock()
	d.mu.partial, d.mu.extents = false, nil
	d.mu.Unlock()
	return nil
}

// commit sends the one request that makes the content a version; bp "" streams
// it, otherwise the breakpoint file is converted.
func (d *Draft) commit(ctx context.Context, s *seal, bp string) error {
	d.mu.Lock()
	s.committing = true
	t, onto, id := d.mu.target, d.mu.onto, d.mu.fileID
	meta := maps.Clone(d.mu.meta)
	promised := d.mu.promised || d.mu.recorded
	d.mu.Unlock()
	if promised {
		// The intent survives: after a crash the store is asked, not told again.
		if err := d.record(); err != nil {
			return err
		}
	}
	var f client.File
	var err error
	var sum uint32
	if bp == "" {
		if err := d.q.acquire(ctx); err != nil {
			return err
		}
		body := d.section(ctx, 0, s.size, client.ChecksumNone, 0, &sum)
		if onto == nil {
			f, err = d.store().CreateFile(ctx, client.NewFile{ID: id, Name: t.Name, Dir: t.Dir, Metadata: meta}, body)
		} else {
			f, err = d.store().UpdateContent(ctx, onto.ID, onto.Version, body)
		}
		d.q.release()
	} else if onto == nil {
		f, err = d.store().CreateFileFromBreakpoint(ctx, client.NewFile{ID: id, Name: t.Name, Dir: t.Dir, Metadata: meta}, bp)
	} else {
		f, err = d.store().UpdateContentFromBreakpoint(ctx, onto.ID, onto.Version, bp)
	}
	if err != nil {
		return d.commitFailed(ctx, s, t, onto, err)
	}
	if f.Size != s.size {
		return &client.Error{Op: "publish", Name: t.Name, Kind: client.Corrupt, Err: fmt.Errorf("the store made %d bytes of %d", f.Size, s.size)}
	}
	if bp == "" {
		d.q.metrics.sent(s.size)
	}
	if onto != nil && f.Version != onto.Version.Next() {
		d.q.conflict(t, onto.Version, f.Version)
	}
	return d.finish(ctx, s.gen, f, false)
}

// commitFailed decides what a refusal means. Only an unknown outcome leaves the
// intent standing.
func (d *Draft) commitFailed(ctx context.Context, s *seal, t Target, onto *client.File, err error) error {
	kind := client.KindOf(err)
	if kind == client.Uncertain || ctx.Err() != nil {
		return err
	}
	d.mu.Lock()
	s.committing = false
	id := d.mu.fileID
	d.mu.Unlock()
	fail := d.q.o.Conflict == ConflictFail
	switch {
	case kind == client.Exist && onto == nil:
		f, lerr := d.store().LookupFile(ctx, t.Dir, t.Name)
		if lerr != nil || f.ID == id && f.Size == s.size {
			if lerr == nil {
				return d.finish(ctx, s.gen, f, false) // it is ours: an answer was lost
			}
			return errors.Join(err, lerr)
		}
		if fail {
			return err
		}
		d.q.conflict(t, client.Version{}, f.Version)
		d.publishOnto(&f)
		return errAgain
	case kind == client.VersionMismatch && onto != nil:
		f, lerr := d.store().File(ctx, onto.ID)
		if lerr != nil {
			return lerr
		}
		if fail {
			return err
		}
		d.q.conflict(t, onto.Version, f.Version)
		d.publishOnto(&f)
		return errAgain
	case kind == client.NotExist && onto != nil:
		// Deleted by somebody else: the content becomes a new file.
		d.mu.Lock()
		d.mu.onto, d.mu.fileID = nil, client.NewFileID(d.q.o.Now())
		d.mu.Unlock()
		d.q.rekey(d, onto.ID)
		return errAgain
	}
	return err
}

// publishOnto makes the draft the next version of f.
func (d *Draft) publishOnto(f *client.File) {
	d.mu.Lock()
	old := d.mu.fileID
	d.mu.onto, d.mu.fileID = f, f.ID
	d.mu.Unlock()
	d.q.rekey(d, old)
}

// reconcile finds out whether a commit whose answer was lost was carried out
// (part 2 section 7.4). It never guesses.
func (d *Draft) reconcile(ctx context.Context, size int64) (client.File, bool, error) {
	d.mu.Lock()
	t, onto, id, up := d.mu.target, d.mu.onto, d.mu.fileID, d.mu.up
	d.mu.Unlock()
	st := d.store()
	if onto == nil {
		f, err := st.File(ctx, id)
		switch {
		case err == nil && f.Size == size:
			return f, true, nil
		case err != nil && client.KindOf(err) != client.NotExist:
			return client.File{}, false, err
		}
		// A server that ignores the id we chose: look at what has the name.
		f, err = st.LookupFile(ctx, t.Dir, t.Name)
		if client.KindOf(err) == client.NotExist {
			return client.File{}, false, d.again()
		}
		if err != nil {
			return client.File{}, false, err
		}
		return d.ours(ctx, []client.File{f}, up, size)
	}
	f, err := st.File(ctx, onto.ID)
	if client.KindOf(err) == client.NotExist {
		return client.File{}, false, d.again()
	}
	if err != nil {
		return client.File{}, false, err
	}
	if f.Version == onto.Version && f.Data == onto.Data {
		return client.File{}, false, d.again()
	}
	all, err := st.Versions(ctx, onto.ID)
	if client.KindOf(err) == client.Permission {
		all, err = []client.File{f}, nil // with directory privileges only the current one shows
	}
	if err != nil {
		return client.File{}, false, err
	}
	var later []client.File
	for _, v := range all {
		if v.Version.Major > onto.Version.Major {
			later = append(later, v)
		}
	}
	return d.ours(ctx, later, up, size)
}

// again makes the next attempt ask for the breakpoint file, which may be gone.
func (d *Draft) again() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.up.doubt = d.mu.up.name != ""
	return nil
}

// ours finds the version that has our content: by data id for a conversion, by
// the bytes themselves for a stream.
func (d *Draft) ours(ctx context.Context, files []client.File, up upload, size int64) (client.File, bool, error) {
	for _, f := range files {
		if up.name != "" {
			if f.Data == up.data {
				return f, true, nil
			}
			continue
		}
		if f.Size != size {
			continue
		}
		want, err := d.crcOf(client.ChecksumCRC32, size)
		if err != nil {
			return client.File{}, false, err
		}
		r, err := d.store().Open(ctx, f.Content(), 0)
		if err != nil {
			return client.File{}, false, err
		}
		sum, err := crcOfReader(r)
		_ = r.Close()
		if err != nil {
			return client.File{}, false, err
		}
		if sum == want {
			return f, true, nil
		}
	}
	return client.File{}, false, d.again()
}

func crcOfReader(r io.Reader) (uint32, error) {
	buf := make([]byte, 256<<10)
	var sum uint32
	var off int64
	for {
		n, err := r.Read(buf)
		sum = client.ChecksumCRC32.Extend(sum, off, buf[:n])
		off += int64(n)
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// finish notes that gen is at the store. Attributes that could not travel with a
// new version are sent now; losing them loses no content.
func (d *Draft) finish(ctx context.Context, gen int64, f client.File, partial bool) error {
	d.mu.Lock()
	meta, set, onto := maps.Clone(d.mu.meta), d.mu.metaSet, d.mu.onto
	t := d.mu.target
	d.mu.Unlock()
	if !partial && onto != nil && set && !maps.Equal(meta, f.Metadata) {
		if g, err := d.store().SetMetadata(ctx, f.ID, meta); err == nil {
			f = g
		} else {
			d.q.o.Logger.WithError(err).WithField("file", t.String()).Warn("published, but its attributes were not stored")
		}
	}
	d.mu.Lock()
	old := d.mu.fileID
	d.mu.published, d.mu.seal, d.mu.held = gen, nil, false
	mark := d.mu.up.mark
	d.mu.up = upload{last: f, mark: mark}
	d.mu.metaSet, d.mu.untold = false, true
	if partial {
		d.mu.up.name, d.mu.up.completed, d.mu.up.doubt = t.Name, true, true
		d.mu.up.acked, d.mu.up.sent, d.mu.up.local = d.mu.size, d.mu.size, true
	} else {
		d.mu.onto, d.mu.fileID = &f, f.ID
	}
	d.wakeLocked()
	d.mu.Unlock()
	if !partial {
		d.q.rekey(d, old)
		d.q.forgetAbandoned(t)
	}
	d.q.metrics.published.Inc()
	if err := d.unrecord(); err != nil {
		d.q.o.Logger.WithError(err).Warn("a finished draft's record stays; the next start removes it")
	}
	d.tell(Event{Kind: Published, File: f})
	d.mu.Lock()
	d.mu.untold = false
	d.mu.Unlock()
	return nil
}
