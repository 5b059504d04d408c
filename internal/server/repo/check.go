package repo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// CheckReport is what [Open] found out about the store.
type CheckReport struct {
	Contents int      // content files with a record
	Orphans  int      // content files without one, removed
	Missing  []string // data ids whose content file is gone
}

// Checked returns the findings of [Open].
func (r *Repo) Checked() CheckReport { return r.check }

// checkStore compares content files with records. It reads directories and the
// index of content files, no record and no content, so that a store of a
// million small files opens as fast as an empty one.
func (r *Repo) checkStore() error {
	return r.db.View(func(tx *bolt.Tx) error {
		blobs := tx.Bucket(bucketBlobs)
		uploads, err := uploadIDs(tx)
		if err != nil {
			return fmt.Errorf("check: %w", err)
		}
		found := 0
		known := func(id string) bool {
			if blobs.Get([]byte(id)) != nil {
				found++
				return true
			}
			return uploads[id]
		}
		if err := r.sweepFiles(known); err != nil {
			return fmt.Errorf("check: %w", err)
		}
		if found == blobs.Stats().KeyN {
			return nil
		}
		if err := blobs.ForEach(func(k, _ []byte) error {
			_, err := r.fs.Stat("repo.check", r.dataPath(string(k)))
			if errors.Is(err, os.ErrNotExist) {
				r.check.Missing = append(r.check.Missing, string(k))
				return nil
			}
			return err
		}); err != nil {
			return fmt.Errorf("check: %w", err)
		}
		if n := len(r.check.Missing); n > 0 {
			r.o.Logger.WithField("count", n).WithField("first", r.check.Missing[0]).Error("content is missing from the store")
		}
		return nil
	})
}

// uploadIDs returns the data ids of all breakpoint files.
func uploadIDs(tx *bolt.Tx) (map[string]bool, error) {
	ids := map[string]bool{}
	err := forEachWorkspace(tx, func(w *wsTx) error {
		return w.bps.ForEach(func(_, v []byte) error {
			var bp bpRecord
			if err := decode(v, &bp); err != nil {
				return err
			}
			ids[bp.DataID] = true
			return nil
		})
	})
	return ids, err
}

// sweepFiles removes content files that known does not know: what a crash left
// between writing a file and committing its record, or the other way round.
func (r *Repo) sweepFiles(known func(string) bool) error {
	root := filepath.Join(r.dir, "data")
	subs, err := r.fs.ReadDir("repo.sweep", root)
	if err != nil {
		return err
	}
	for _, sub := range subs {
		names, err := r.fs.ReadDir("repo.sweep", filepath.Join(root, sub))
		if err != nil {
			return err
		}
		for _, name := range names {
			if known(name) {
				r.check.Contents++
				continue
			}
			if err := r.fs.Remove("repo.sweep", filepath.Join(root, sub, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			r.check.Orphans++
		}
	}
	if r.check.Orphans > 0 {
		r.o.Logger.WithField("count", r.check.Orphans).Info("removed content without a record")
	}
	return nil
}
