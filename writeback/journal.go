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
// not recorded, the store knows it.
type record struct {
	Format   int               `json:"format"`
	ID       string            `json:"id"`
	Target   Target            `json:"target"`
	FileID   client.FileID     `json:"file_id"`
	Onto     *ontoRecord       `json:"onto,omitempty"`
	Origin   *client.Content   `json:"origin,omitempty"`
	Extents  [][2]int64        `json:"extents,omitempty"`
	Partial  bool              `json:"partial_content,omitempty"`
	Size     int64             `json:"size"`
	Meta     map[string]string `json:"meta,omitempty"`
	MetaSet  bool              `json:"meta_set,omitempty"`
	Modified time.Time         `json:"modified"`
	Promised bool              `json:"promised,omitempty"` // content is in the spool file
	Sealed   bool              `json:"sealed,omitempty"`   // closed: publish
	Commit   bool              `json:"commit,omitempty"`   // the commit may have been sent
	Held     bool              `json:"held,omitempty"`
	BP       string            `json:"breakpoint_file,omitempty"`
	BPData   client.DataID     `json:"breakpoint_data,omitempty"`
}

// ontoRecord names the file and version that a draft replaces.
type ontoRecord struct {
	File    client.FileID  `json:"file"`
	Version client.Version `json:"version"`
	Data    client.DataID  `json:"data"`
	Size    int64          `json:"size"`
}

func newDraftID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (q *Queue) spoolPath(id string) string   { return filepath.Join(q.dir, "spool", id) }
func (q *Queue) journalPath(id string) string { return filepath.Join(q.dir, "journal", id+".json") }

// record writes the draft's journal record as it is now.
func (d *Draft) record() error {
	d.journalMu.Lock()
	defer d.journalMu.Unlock()
	d.mu.Lock()
	if d.mu.gone {
		d.mu.Unlock()
		return ErrGone
	}
	r := record{Format: journalFormat, ID: d.id, Target: d.mu.target, FileID: d.mu.fileID, Size: d.mu.size, Meta: d.mu.meta, MetaSet: d.mu.metaSet,
		Modified: d.mu.modTime, Promised: d.mu.promised, Sealed: d.mu.seal != nil, Held: d.mu.held, Partial: d.mu.partial,
		BP: d.mu.up.name, BPData: d.mu.up.data}
	if s := d.mu.seal; s != nil {
		r.Commit = s.committing
	}
	if f := d.mu.onto; f != nil {
		r.Onto = &ontoRecord{f.ID, f.Version, f.Data, f.Size}
	}
	if d.mu.partial {
		o := d.mu.origin
		r.Origin = &o
		for _, e := range d.mu.extents {
			r.Extents = append(r.Extents, [2]int64{e.from, e.to})
		}
	}
	d.mu.recorded = true
	d.mu.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := disk.WriteFile(d.q.fs, "journal", d.q.journalPath(d.id), b); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// unrecord removes the record; a removal that a crash undoes is harmless, since
// recovery asks the store.
func (d *Draft) unrecord() error {
	d.journalMu.Lock()
	defer d.journalMu.Unlock()
	d.mu.Lock()
	had := d.mu.recorded
	d.mu.recorded, d.mu.promised = false, false
	d.mu.Unlock()
	if !had {
		return nil
	}
	err := d.q.fs.Remove("journal.remove", d.q.journalPath(d.id))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return d.q.fs.SyncDir("journal.syncdir", filepath.Join(d.q.dir, "journal"))
}
