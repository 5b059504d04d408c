package writeback

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Records that cannot be used are set aside with their bytes. They are listed
// with the state "damaged"; a person exports or discards them.

func (q *Queue) asideReason(id string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.damaged[id]
}

// setAside describes them; what their target was is not known for sure.
func (q *Queue) setAside() []Info {
	q.mu.Lock()
	why := make(map[string]error, len(q.mu.damaged))
	for id, err := range q.mu.damaged {
		why[id] = err
	}
	q.mu.Unlock()
	var out []Info
	for id, err := range why {
		in := Info{ID: id, Target: Target{Name: "?"}, State: "damaged", Error: err.Error()}
		if st, serr := q.fs.Stat("aside.stat", q.spoolPath(id)); serr == nil {
			in.Size, in.Modified = st.Size, st.ModTime
		}
		out = append(out, in)
	}
	slices.SortFunc(out, func(a, b Info) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return out
}

// exportAside copies the bytes as they are.
func (q *Queue) exportAside(id string, w io.Writer) error {
	f, err := q.fs.OpenFile("aside.open", q.spoolPath(id), os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("export: there are no bytes: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil {
		_, err = io.Copy(w, io.NewSectionReader(f, 0, size))
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func (q *Queue) discardAside(id string) error {
	for _, name := range []string{q.spoolPath(id), q.journalPath(id), filepath.Join(q.dir, "journal", id+damagedSuffix)} {
		if err := q.fs.Remove("aside.remove", name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("discard: %w", err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.mu.damaged, id)
	return nil
}
