package writeback

import (
	"encoding/json"
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
// that cannot be read harms only its own draft: it is set aside with its bytes.
func (q *Queue) recover() error {
	if err := q.identify(); err != nil {
		return err
	}
	names, err := q.fs.ReadDir("recover.list", filepath.Join(q.dir, "journal"))
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for _, name := range names {
		id, ok := strings.CutSuffix(name, ".json")
		if !ok {
			if strings.HasSuffix(name, ".tmp") {
				_ = q.fs.Remove("recover.remove", filepath.Join(q.dir, "journal", name))
			}
			if id, ok := strings.CutSuffix(name, ".damaged"); ok {
				keep[id] = true
			}
			continue
		}
		r, err := q.readRecord(id)
		if err == nil && r.Format > journalFormat {
			return fmt.Errorf("journal record %s has format %d, this program knows up to %d: use a newer one", name, r.Format, journalFormat)
		}
		if err == nil {
			err = q.take(r)
		}
		if err != nil {
			q.o.Logger.WithError(err).WithField("record", name).
				Error("a journal record is damaged and set aside; if its spool file is there, the bytes are in " + q.spoolPath(id))
			if rerr := q.fs.Rename("recover.aside", q.journalPath(id), filepath.Join(q.dir, "journal", id+".damaged")); rerr != nil {
				return rerr
			}
		}
		keep[id] = true
	}
	spools, err := q.fs.ReadDir("recover.list", filepath.Join(q.dir, "spool"))
	if err != nil {
		return err
	}
	for _, id := range spools {
		d := q.mu.drafts[id]
		if d != nil || keep[id] && d == nil && q.damaged(id) {
			continue
		}
		if err := q.fs.Remove("recover.remove", q.spoolPath(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (q *Queue) damaged(id string) bool {
	_, err := q.fs.Stat("recover.stat", filepath.Join(q.dir, "journal", id+".damaged"))
	return err == nil
}

func (q *Queue) readRecord(id string) (*record, error) {
	b, err := disk.ReadFile(q.fs, "recover.read", q.journalPath(id))
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if r.ID != id || r.Target.Name == "" || r.Target.Workspace == "" || r.Size < 0 {
		return nil, fmt.Errorf("record is incomplete")
	}
	return &r, nil
}

// take turns a record into a draft, or into a memory of what is at the server.
func (q *Queue) take(r *record) error {
	if !r.Promised {
		if r.BP == "" {
			return q.fs.Remove("recover.remove", q.journalPath(r.ID))
		}
		q.mu.abandoned[r.Target] = &left{id: r.ID, bp: r.BP}
		return nil
	}
	sp, err := openSpool(q.fs, q.spoolPath(r.ID))
	if err != nil {
		return fmt.Errorf("its spool file: %w", err)
	}
	sp.memory = q.memory
	if have := sp.size(); have < r.Size && !r.Partial {
		if err := sp.discardHandle(); err != nil {
			return err
		}
		return fmt.Errorf("its spool file has %d of %d bytes", have, r.Size)
	}
	d := q.newDraft(r.Target, r.Meta)
	d.id, d.spool = r.ID, sp
	m := &d.mu
	m.fileID, m.size, m.modTime, m.metaSet = r.FileID, r.Size, r.Modified, r.MetaSet
	m.handles, m.gen, m.published = 0, 1, 0
	m.recorded, m.promised, m.held = true, true, r.Held
	m.partial = r.Partial
	m.charged = r.Size
	q.space.mu.used += r.Size
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
	}
	m.up.mark = q.o.Now()
	if !r.Held {
		m.seal = &seal{gen: m.gen, size: m.size, committing: r.Commit}
		q.mu.early = append(q.mu.early, d)
	}
	if !q.insert(d) {
		return fmt.Errorf("another record has the same name")
	}
	return nil
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

// remember keeps the name of a breakpoint file that a killed writer left, so
// that the same copy resumes it.
func (q *Queue) remember(d *Draft, t Target, bp string) error {
	d.mu.Lock()
	d.mu.promised = false
	d.mu.up.name = bp
	d.mu.Unlock()
	if err := d.record(); err != nil {
		return err
	}
	d.mu.Lock()
	d.mu.up.name = ""
	d.mu.recorded = false // the record outlives the draft
	d.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.abandoned[t] = &left{id: d.id, bp: bp}
	return nil
}

// forgetAbandoned drops the memory of an interrupted copy once its name was
// published; the breakpoint file stays visible in .partial.
func (q *Queue) forgetAbandoned(t Target) {
	q.mu.Lock()
	l := q.mu.abandoned[t]
	delete(q.mu.abandoned, t)
	q.mu.Unlock()
	if l != nil {
		_ = q.fs.Remove("journal.remove", q.journalPath(l.id))
	}
}

// discardHandle closes the file and leaves it where it is.
func (s *spool) discardHandle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.gone = true
	return s.mu.file.Close()
}
