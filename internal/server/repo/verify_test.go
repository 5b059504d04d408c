package repo

import (
	"errors"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// problems compares records, indexes, counters and content files with each other.
func (r *Repo) problems() (out []string) {
	err := r.db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			problemf(&out, "database: %v", err)
		}
		blobs := map[string]bool{}
		if err := tx.Bucket(bucketBlobs).ForEach(func(k, _ []byte) error { blobs[string(k)] = true; return nil }); err != nil {
			return err
		}
		err := forEachWorkspace(tx, func(w *wsTx) error { return r.workspaceProblems(w, blobs, &out) })
		for id := range blobs {
			problemf(&out, "content file %s belongs to no version", id)
		}
		return err
	})
	if err != nil {
		problemf(&out, "%v", err)
	}
	return out
}

func (r *Repo) workspaceProblems(w *wsTx, blobs map[string]bool, out *[]string) error {
	files, versions, names, inline := 0, 0, 0, 0
	err := w.files.ForEach(func(k, v []byte) error {
		f, err := decodeFile(v)
		if err != nil {
			return err
		}
		versions++
		cur, err := w.current(f.ID)
		if err != nil {
			return err
		}
		if cur.Major == f.Major {
			files++
		}
		if cur.Name != f.Name || cur.Dir != f.Dir {
			problemf(out, "versions of %s disagree about the name", f.ID)
		}
		if string(w.names.Get(w.fileNameKey(f.Dir, f.Name, f.ID))) != f.ID {
			problemf(out, "file %s is not in the name index", f.ID)
		}
		if _, err := w.dir(f.Dir); err != nil {
			problemf(out, "file %s: %v", f.ID, err)
		}
		if data := w.inline.Get([]byte(f.DataID)); data != nil {
			inline++
			if int64(len(data)-1) != f.Size {
				problemf(out, "content of %s has %d bytes, want %d", f.ID, len(data)-1, f.Size)
			}
			return nil
		}
		if !blobs[f.DataID] {
			problemf(out, "content of %s has no record", f.ID)
		}
		delete(blobs, f.DataID)
		info, err := r.fs.Stat("test", r.dataPath(f.DataID))
		if err != nil || info.Size != f.Size {
			problemf(out, "content file of %s has %d bytes, want %d (%v)", f.ID, info.Size, f.Size, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.names.ForEach(func(_, _ []byte) error { names++; return nil }); err != nil {
		return err
	}
	if err := w.inline.ForEach(func(_, _ []byte) error { inline--; return nil }); err != nil {
		return err
	}
	if inline != 0 {
		problemf(out, "%d contents in the database belong to no version", -inline)
	}
	dirs := 0
	err = w.dirs.ForEach(func(_, v []byte) error {
		var d dirRecord
		dirs++
		if err := decode(v, &d); err != nil || d.ID == wire.RootDirID {
			return err
		}
		if string(w.dirNames.Get(nameKey(d.Parent, d.Name))) != d.ID {
			problemf(out, "directory %s is not in the name index", d.ID)
		}
		if _, err := w.dirPath(d.ID); err != nil {
			problemf(out, "directory %s: %v", d.ID, err)
		}
		return nil
	})
	for counter, n := range map[string]int{countFiles: files, countVersions: versions, countDirs: dirs} {
		if w.count(counter) != int64(n) {
			problemf(out, "counter %s of %s is %d, want %d", counter, w.ws.Name, w.count(counter), n)
		}
	}
	if names != files {
		problemf(out, "%d names for %d files", names, files)
	}
	return errors.Join(err, r.uploadProblems(w, out))
}

func (r *Repo) uploadProblems(w *wsTx, out *[]string) error {
	return w.bps.ForEach(func(_, v []byte) error {
		var bp bpRecord
		if err := decode(v, &bp); err != nil {
			return err
		}
		if bp.DataID == "" { // created with a body that broke
			if bp.Size != 0 || bp.Completed {
				problemf(out, "breakpoint file %s has %d bytes but no data", bp.Name, bp.Size)
			}
			return nil
		}
		info, err := r.fs.Stat("test", r.dataPath(bp.DataID))
		if errors.Is(err, os.ErrNotExist) && bp.Size == 0 {
			return nil
		}
		if err != nil || info.Size < bp.Size {
			problemf(out, "breakpoint file %s has %d bytes, want %d (%v)", bp.Name, info.Size, bp.Size, err)
		}
		return nil
	})
}
