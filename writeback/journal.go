package writeback

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

// journalFormat is the version of record; a newer one is left alone and reported.
const journalFormat = 1

// record is a draft's entry in the journal: promises and intents. Progress is
// not recorded, the store knows it. Size and what follows it up to Partial
// describe the promised content, which is in the spool file; without a promise
// they only inform.
type record struct {
	Format    int               `json:"format"`
	ID        string            `json:"id"`
	Target    Target            `json:"target"`
	FileID    client.FileID     `json:"file_id"`
	Onto      *ontoRecord       `json:"onto,omitempty"`
	Size      int64             `json:"size"`
	Origin    *client.Content   `json:"origin,omitempty"`
	Extents   [][2]int64        `json:"extents,omitempty"`
	Partial   bool              `json:"partial_content,omitempty"`
	Meta      map[string]string `json:"meta,omitempty"`
	MetaSet   bool              `json:"meta_set,omitempty"`
	Modified  time.Time         `json:"modified"`
	Promised  bool              `json:"promised,omitempty"`  // survive, and publish at the next start
	Commit    *intent           `json:"commit,omitempty"`    // a commit may have been sent
	Held      bool              `json:"held,omitempty"`      // closed under a temporary name
	Mkstemp   bool              `json:"mkstemp,omitempty"`   // made its name, see MadeByMkstemp
	Abandoned bool              `json:"abandoned,omitempty"` // killed writer: to .partial, publish nothing
	Discarded bool              `json:"discarded,omitempty"` // unlinked: remove what the store has
	Unmake    client.FileID     `json:"unmake,omitempty"`    // unlinked: delete this file, which was made
	Stuck     string            `json:"stuck,omitempty"`     // why; publish only on demand
	BP        string            `json:"breakpoint_file,omitempty"`
	BPData    client.DataID     `json:"breakpoint_data,omitempty"`
}

// ontoRecord names the file and version that a draft replaces.
type ontoRecord struct {
	File    client.FileID  `json:"file"`
	Version client.Version `json:"version"`
	Data    client.DataID  `json:"data"`
	Size    int64          `json:"size"`
}

// intent is a commit that may have been carried out. It says enough to
// recognise the result without the bytes.
type intent struct {
	Size   int64   `json:"size"`
	CRC    *uint32 `json:"crc,omitempty"`    // of the content, when it was streamed
	Behind bool    `json:"behind,omitempty"` // the promised content is newer than the committed one
}

func newDraftID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (q *Queue) spoolPath(id string) string   { return filepath.Join(q.dir, "spool", id) }
func (q *Queue) journalPath(id string) string { return filepath.Join(q.dir, "journal", id+".json") }

// journal brings the draft's record on disk in line with the draft: it writes it
// while there is a promise or something at the store to be found again, and
// removes it otherwise. A removal that a crash undoes is harmless, since recovery
// asks the store.
func (d *Draft) journal() error {
	d.journalMu.Lock()
	defer d.journalMu.Unlock()
	d.mu.Lock()
	r, had, inherited := d.recordLocked(), d.mu.recorded, d.mu.inherited
	d.mu.recorded = had || r != nil // even if the writing fails
	d.mu.restamped = false
	d.mu.Unlock()
	switch {
	case r != nil:
		b, err := json.Marshal(r)
		if err == nil {
			err = disk.WriteFile(d.q.fs, "journal", d.q.journalPath(d.id), b)
		}
		if err != nil {
			d.mu.Lock()
			d.mu.restamped = true
			d.mu.Unlock()
			return fmt.Errorf("journal: %w", err)
		}
	case had:
		if err := d.q.unrecord(d.id); err != nil {
			return err
		}
	}
	if inherited != "" {
		// Only now: until ours is there, the other one leads to the breakpoint file.
		if err := d.q.unrecord(inherited); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.recorded, d.mu.journaled, d.mu.inherited, d.mu.outdated = r != nil, "", "", false
	if r != nil {
		d.mu.journaled = r.BP
	}
	return nil
}

// unrecord removes a record durably.
func (q *Queue) unrecord(id string) error {
	err := q.fs.Remove("journal.remove", q.journalPath(id))
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = q.fs.SyncDir("journal.syncdir", filepath.Join(q.dir, "journal"))
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// recordLocked describes the draft; nil when there is nothing to remember.
func (d *Draft) recordLocked() *record {
	m := &d.mu
	bp := m.up.name
	if m.target.Partial {
		bp = "" // it has its name, and stays there whatever happens here
	}
	doomed := m.dead || m.dooming
	if m.gone || m.promise == nil && bp == "" && !(doomed && m.recorded) {
		return nil
	}
	r := &record{Format: journalFormat, ID: d.id, Target: m.target, FileID: m.fileID, Size: m.size, Meta: m.meta, MetaSet: m.metaSet, Modified: m.modTime,
		Held: m.held, Mkstemp: m.mkstemp, Abandoned: m.abandoned, Discarded: doomed, Unmake: m.unmake, BP: bp, BPData: m.up.data}
	if m.err != nil {
		r.Stuck = m.err.Error()
	}
	if f := m.onto; f != nil {
		r.Onto = &ontoRecord{f.ID, f.Version, f.Data, f.Size}
	}
	p := m.promise
	if s := m.seal; s != nil && s.commit != nil {
		it := *s.commit
		it.Behind = p != nil && p.gen > s.gen
		r.Commit = &it
	}
	if p != nil {
		r.Promised, r.Size, r.Partial = true, p.size, p.partial
		if p.partial {
			o := p.origin
			r.Origin = &o
			for _, e := range p.extents {
				r.Extents = append(r.Extents, [2]int64{e.from, e.to})
			}
		}
	}
	return r
}

// parseRecord reads a record and refuses what cannot be one.
func parseRecord(id string, b []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if r.Format > journalFormat {
		return nil, fmt.Errorf("it has format %d, this program knows up to %d: %w", r.Format, journalFormat, errNewer)
	}
	bad := r.ID != id || r.Format < 1 || r.Target.Name == "" || r.Target.Workspace == "" || r.Size < 0 || r.Partial && r.Origin == nil ||
		r.Onto != nil && r.Onto.File == "" || r.Commit != nil && r.Commit.Size < 0
	last := int64(0)
	for _, e := range r.Extents {
		bad = bad || e[0] < last || e[1] <= e[0]
		last = e[1]
	}
	if bad || last > r.Size {
		return nil, errors.New("the record contradicts itself")
	}
	return &r, nil
}

// errNewer marks a record of a later version of this program.
var errNewer = errors.New("written by a newer scmfs")
