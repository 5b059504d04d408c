package writeback

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

// recover reads the journal: promises are taken up again, unfinished uploads are
// remembered, spool files nobody promised anything for are removed. A record
// that cannot be used harms only its own draft: it is set aside with its bytes
// and listed. One of a newer version is left as it is.
func (q *Queue) recover() error {
	if err := q.identify(); err != nil {
		return err
	}
	names, err := q.fs.ReadDir("recover.list", filepath.Join(q.dir, "journal"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, ".json"); ok {
			err = q.readmit(id)
		} else if id, ok := strings.CutSuffix(name, damagedSuffix); ok {
			q.mu.damaged[id] = errors.New("its journal record was damaged in an earlier run")
		} else if strings.HasSuffix(name, ".tmp") {
			err = q.fs.Remove("recover.remove", filepath.Join(q.dir, "journal", name))
		}
		if err != nil {
			return err
		}
	}
	if err := q.dropDoubles(); err != nil {
		return err
	}
	spools, err := q.fs.ReadDir("recover.list", filepath.Join(q.dir, "spool"))
	if err != nil {
		return err
	}
	for _, id := range spools {
		if d := q.mu.drafts[id]; d != nil && !d.mu.dead || q.mu.damaged[id] != nil {
			continue
		}
		if err := q.fs.Remove("recover.remove", q.spoolPath(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// damagedSuffix marks a record that was set aside.
const damagedSuffix = ".damaged"

// readmit takes up one record, or sets it aside.
func (q *Queue) readmit(id string) error {
	b, err := disk.ReadFile(q.fs, "recover.read", q.journalPath(id))
	var r *record
	if err == nil {
		r, err = parseRecord(id, b)
	}
	if err == nil {
		err = q.take(r)
	}
	if err == nil {
		return nil
	}
	q.mu.damaged[id] = err
	log := q.o.Logger.WithError(err).WithField("record", q.journalPath(id))
	if errors.Is(err, errNewer) {
		log.Error("a journal record is left alone with its bytes: use the newer scmfs for it")
		return nil
	}
	log.Error("a journal record cannot be used and is set aside; if there are bytes, they are in " + q.spoolPath(id))
	return q.fs.Rename("recover.aside", q.journalPath(id), filepath.Join(q.dir, "journal", id+damagedSuffix))
}

// take turns a record into a draft, or into a memory of what is at the server.
func (q *Queue) take(r *record) error {
	if !r.Promised && !r.Discarded {
		if r.BP == "" {
			return q.unrecord(r.ID)
		}
		q.leaveBehind(r)
		return nil
	}
	d := q.newDraft(r.Target, r.Meta)
	d.id = r.ID
	d.spool.path = q.spoolPath(r.ID)
	if !r.Discarded {
		sp, err := q.reopenSpool(r)
		if err != nil {
			return err
		}
		d.spool = sp
	}
	m := &d.mu
	m.fileID, m.size, m.modTime, m.metaSet = r.FileID, r.Size, r.Modified, r.MetaSet
	m.handles, m.gen, m.published = 0, 2, 0
	m.recorded, m.recovered, m.journaled, m.abandoned = true, true, r.BP, r.Abandoned
	// Synced while it was open under a temporary name: still waiting for its real one.
	m.mkstemp = r.Mkstemp
	m.held = r.Held || r.Onto == nil && !r.Abandoned && q.held(r.Target, r.Mkstemp)
	m.partial = r.Partial
	if r.Origin != nil {
		m.origin = *r.Origin
	}
	for _, e := range r.Extents {
		m.extents = m.extents.add(e[0], e[1])
	}
	if r.Onto != nil {
		m.onto = &client.File{ID: r.Onto.File, Version: r.Onto.Version, Data: r.Onto.Data, Size: r.Onto.Size}
	} else {
		m.published = -1
	}
	if r.BP != "" {
		m.up = upload{name: r.BP, data: r.BPData, typ: client.ChecksumCRC32, doubt: true, resume: true, local: true}
	} else if r.Target.Partial {
		m.up = upload{name: r.Target.Name, typ: client.ChecksumCRC32, doubt: true, resume: true, local: true}
	}
	if r.Stuck != "" {
		m.err = errors.New(r.Stuck)
	}
	if r.Commit != nil || !m.held && !r.Abandoned {
		m.closing, m.closedSize = m.gen, m.size
		m.seal = &seal{gen: m.gen, size: m.size, commit: r.Commit}
		if r.Commit != nil && r.Commit.Behind {
			m.seal.gen--
		}
	}
	if r.Discarded {
		m.dead, m.discard, m.unmake = true, true, r.Unmake
		m.partial, m.extents = false, nil
	} else {
		m.promise = &promised{m.gen, m.size, m.partial, m.extents, m.origin}
		m.charged = r.Size
		q.space.force(r.Size)
	}
	q.readopt(d)
	return nil
}

// reopenSpool opens a promised content.
func (q *Queue) reopenSpool(r *record) (*spool, error) {
	sp, err := openSpool(q.fs, q.spoolPath(r.ID), q.memory)
	if err != nil {
		return nil, fmt.Errorf("its spool file: %w", err)
	}
	switch have := sp.size(); {
	case have < r.Size && !r.Partial:
		err = fmt.Errorf("its spool file has %d of %d bytes", have, r.Size)
	case have > r.Size:
		// Bytes behind the promised ones: written, and never synced.
		err = sp.truncate(r.Size)
	}
	if err != nil {
		return nil, errors.Join(err, sp.close())
	}
	return sp, nil
}

// leaveBehind remembers an unfinished upload that nothing was promised for.
func (q *Queue) leaveBehind(r *record) {
	l := &left{id: r.ID, ws: r.Target.Workspace, bp: r.BP}
	if old := q.mu.abandoned[r.Target]; old != nil {
		q.mu.stale = append(q.mu.stale, old)
	}
	q.mu.abandoned[r.Target] = l
}

// dropDoubles removes records of breakpoint files that another record has as
// well: a crash came between a resuming copy's record and the removal of the old.
func (q *Queue) dropDoubles() error {
	taken := map[string]bool{}
	for _, d := range q.mu.drafts {
		taken[d.mu.up.name] = true
	}
	for t, l := range q.mu.abandoned {
		if taken[l.bp] {
			delete(q.mu.abandoned, t)
			if err := q.unrecord(l.id); err != nil {
				return err
			}
		}
		taken[l.bp] = true
	}
	stale := q.mu.stale
	q.mu.stale = nil
	for _, l := range stale {
		if !taken[l.bp] {
			q.mu.stale = append(q.mu.stale, l)
		} else if err := q.unrecord(l.id); err != nil {
			return err
		}
	}
	return nil
}

// readopt files a draft of an earlier run and has its work go on. Two may have
// the same name, when the record of a published one could not be removed: both
// are settled, and the name shows one of them.
func (q *Queue) readopt(d *Draft) {
	q.mu.drafts[d.id] = d
	if !d.mu.dead && !d.mu.abandoned {
		if q.mu.byTarget[d.mu.target] == nil && q.mu.byFile[fileKey{d.mu.target.Workspace, d.mu.fileID}] == nil {
			q.indexLocked(d, d.mu.target, d.mu.fileID)
		}
	}
	q.mu.early = append(q.mu.early, d)
}

// identify gives the state directory a lasting id, which is in the names of our
// breakpoint files.
func (q *Queue) identify() error {
	path := filepath.Join(q.dir, "id")
	b, err := disk.ReadFile(q.fs, "recover.id", path)
	if err == nil && len(b) >= 6 {
		q.mount = string(b[:6])
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	q.mount = newDraftID()[:6]
	return disk.WriteFile(q.fs, "state.id", path, []byte(q.mount+"\n"))
}
