package writeback

import (
	"context"
	"errors"
	"fmt"
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
	size, gen, doubt := s.size, s.gen, s.commit
	t := d.mu.target
	d.mu.Unlock()
	if doubt != nil {
		f, done, err := d.reconcile(ctx, doubt)
		if err != nil {
			return err
		}
		if done {
			return d.finish(ctx, gen, f, false)
		}
		d.notCommitted(s)
		return errAgain
	}
	if t.Partial {
		if err := d.uploadAll(ctx, size, true); err != nil {
			return err
		}
		return d.finish(ctx, gen, client.File{}, true)
	}
	if err := d.fill(ctx, size); err != nil {
		return err
	}
	d.mu.Lock()
	hasBP := d.mu.up.name != ""
	d.mu.Unlock()
	if !hasBP && (size <= d.q.rules(t.Workspace).increment || d.q.withoutBreakpoints(t.Workspace)) {
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

// notCommitted notes that a commit in doubt was not carried out: it is sent
// again, unless there is other content by now.
func (d *Draft) notCommitted(s *seal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.up.doubt = d.mu.up.name != "" // the breakpoint file may be gone
	s.commit = nil
	switch p := d.mu.promise; {
	case s.stale:
		d.mu.seal = nil
	case d.mu.recovered && p != nil:
		s.gen, s.size = p.gen, p.size // what is here may be more, or less, than was sent
	}
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
			err := d.patiently(ctx, func() error { _, err := d.spool.WriteAt(p, at); return err })
			if err != nil {
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
	if bp == "" {
		if err := d.q.acquire(ctx); err != nil {
			return err
		}
		defer d.q.release()
	}
	it := &intent{Size: s.size}
	d.mu.Lock()
	if d.mu.dead || d.mu.dooming {
		d.mu.Unlock()
		return errAgain // unlinked meanwhile
	}
	recorded := d.mu.recorded || d.mu.promise != nil
	d.mu.Unlock()
	if recorded && bp == "" {
		sum, err := d.sum(s.size)
		if err != nil {
			return err
		}
		it.CRC = &sum
	}
	d.mu.Lock()
	if d.mu.dead || d.mu.dooming { // unlinked since: nobody waits for what begins now
		d.mu.Unlock()
		return errAgain
	}
	s.commit = it
	t, onto, id := d.mu.target, d.mu.onto, d.mu.fileID
	meta := maps.Clone(d.mu.meta)
	if onto == nil {
		d.mu.metaSet = false // they travel with it
	}
	d.mu.Unlock()
	if recorded {
		// The intent survives: after a crash the store is asked, not told again.
		if err := d.patiently(ctx, d.journal); err != nil {
			d.mu.Lock()
			s.commit = nil
			d.mu.Unlock()
			return err
		}
	}
	f, err := d.send(ctx, t, onto, client.NewFile{ID: id, Name: t.Name, Dir: t.Dir, Metadata: meta}, s.size, bp)
	if err != nil {
		return d.commitFailed(ctx, s, t, onto, err)
	}
	if f.Size != s.size {
		return &client.Error{Op: "publish", Name: t.Name, Kind: client.Corrupt, Err: fmt.Errorf("the store made %d bytes of %d", f.Size, s.size)}
	}
	if onto == nil && f.ID != id {
		d.q.foreignIDs.Store(true)
	}
	if bp == "" {
		d.q.metrics.sent(s.size)
		d.keep(f)
	}
	if onto != nil && f.Version != onto.Version.Next() {
		d.q.conflict(t, onto.Version, f.Version)
	}
	return d.finish(ctx, s.gen, f, false)
}

func (d *Draft) send(ctx context.Context, t Target, onto *client.File, nf client.NewFile, size int64, bp string) (client.File, error) {
	st := d.q.stores(t.Workspace)
	switch {
	case bp != "" && onto == nil:
		return st.CreateFileFromBreakpoint(ctx, nf, bp)
	case bp != "":
		return st.UpdateContentFromBreakpoint(ctx, onto.ID, onto.Version, bp)
	}
	body := d.section(ctx, 0, size)
	defer d.handed.Store(0)
	if onto == nil {
		return st.CreateFile(ctx, nf, body)
	}
	return st.UpdateContent(ctx, onto.ID, onto.Version, body)
}

// keep hands on what was just sent, while nobody may change it yet.
func (d *Draft) keep(f client.File) {
	if d.q.o.Keep == nil || f.Size == 0 || f.Size > keepMax {
		return
	}
	p := make([]byte, f.Size)
	if n, _ := d.spool.ReadAt(p, 0); n == len(p) { // less of it: it ends in a hole
		d.q.o.Keep(f.Content(), p)
	}
}

// refused reports whether an answer surely means that nothing was done. A
// gateway's 5xx, an unreadable answer and a lost one all leave it open.
func refused(k client.Kind) bool {
	switch k {
	case client.NotExist, client.Exist, client.NotEmpty, client.Permission, client.Auth, client.Invalid, client.Unsupported,
		client.VersionMismatch, client.MoveIntoSelf, client.Quota, client.TooLarge, client.Corrupt, client.DirectoriesDisabled, client.NoWorkspace:
		return true
	}
	return false
}

// commitFailed decides what a refusal means. An unknown outcome leaves the
// intent standing.
func (d *Draft) commitFailed(ctx context.Context, s *seal, t Target, onto *client.File, err error) error {
	kind := client.KindOf(err)
	if !refused(kind) || ctx.Err() != nil {
		return err
	}
	d.mu.Lock()
	s.commit = nil
	dead := d.mu.dead || d.mu.dooming
	fail := d.q.rules(t.Workspace).conflict == ConflictFail && !d.mu.forced
	d.mu.Unlock()
	if dead {
		return errAgain
	}
	switch {
	case kind == client.Exist && onto == nil:
		f, lerr := d.store().LookupFile(ctx, t.Dir, t.Name)
		if client.KindOf(lerr) == client.NotExist {
			return errAgain // gone again
		}
		if lerr != nil {
			return lerr
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
	if d.mu.onto == nil {
		d.mu.metaSet = true // a new version keeps the old attributes unless told
	}
	d.mu.created = d.mu.created && old == f.ID
	d.mu.onto, d.mu.fileID = f, f.ID
	d.mu.Unlock()
	d.q.rekey(d, old)
}

// finish notes that gen is at the store. Attributes that could not travel with a
// new version are sent first, while the commit still counts as in doubt: an
// outage makes the next attempt find the version and come back here.
func (d *Draft) finish(ctx context.Context, gen int64, f client.File, partial bool) error {
	for {
		if !partial {
			g, err := d.attributes(ctx, f)
			if err != nil {
				return err
			}
			f = g
		}
		d.mu.Lock()
		if partial || !d.mu.metaSet {
			break
		}
		d.mu.Unlock() // set meanwhile, by somebody who counts on this publication
	}
	if d.mu.dead || d.mu.dooming {
		d.mu.Unlock()
		return errAgain // unlinked while it was under way: clean removes what was made
	}
	old, t := d.mu.fileID, d.mu.target
	d.mu.published, d.mu.seal = gen, nil
	d.mu.created = d.mu.created || !partial && d.mu.onto == nil
	if p := d.mu.promise; p != nil && p.gen <= gen {
		d.mu.promise = nil // kept
	}
	d.mu.recovered = d.mu.recovered && d.mu.promise != nil
	mark := d.mu.up.mark
	d.mu.up = upload{last: f, mark: mark}
	d.mu.untold = true
	if partial {
		d.mu.up.name, d.mu.up.completed, d.mu.up.doubt = t.Name, true, true
		d.mu.up.acked, d.mu.up.sent, d.mu.up.local = d.mu.size, d.mu.size, true
	} else {
		d.mu.onto, d.mu.fileID = &f, f.ID
	}
	// Who waits for the publication may go; who wants to change the content waits
	// until the record of the old one is gone.
	d.mu.filing = true
	d.wakeLocked()
	d.mu.Unlock()
	if !partial {
		d.q.rekey(d, old)
		d.q.supersede(t)
	}
	d.q.metrics.published.Inc()
	err := d.journal()
	d.mu.Lock()
	d.mu.filing, d.mu.outdated = false, err != nil
	d.wakeLocked()
	d.mu.Unlock()
	if err != nil {
		d.q.o.Logger.WithError(err).Warn("a finished draft's record stays for now; a start finds the version and removes it")
	}
	d.tell(Event{Kind: Published, File: f})
	d.mu.Lock()
	d.mu.untold = false
	d.mu.Unlock()
	return nil
}

// attributes sends what differs from what the store has.
func (d *Draft) attributes(ctx context.Context, f client.File) (client.File, error) {
	d.mu.Lock()
	meta, send := maps.Clone(d.mu.meta), d.mu.metaSet && !d.mu.dead
	d.mu.Unlock()
	if send && !maps.Equal(meta, f.Metadata) {
		g, err := d.store().SetMetadata(ctx, f.ID, meta)
		if err != nil {
			if d.mayRetry(stepPublish, err) || ctx.Err() != nil {
				return f, err
			}
			d.q.o.Logger.WithError(err).WithField("file", d.Target().String()).Warn("published, but its mode, owner, time or extended attributes were not stored; set them again")
		} else {
			f = g
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if maps.Equal(meta, d.mu.meta) {
		d.mu.metaSet = false
	}
	return f, nil
}

var errAgain = errors.New("try again at once")
