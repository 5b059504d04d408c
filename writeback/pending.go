package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"

	"github.com/sequoiacm/scmfs/client"
)

// Pending describes every draft that is not published, oldest first, and every
// record that could not be used.
func (q *Queue) Pending() []Info {
	var out []Info
	for _, d := range q.all() {
		if d.Dirty() {
			out = append(out, d.Info())
		}
	}
	out = append(out, q.setAside()...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Modified.Before(out[j].Modified) })
	return out
}

func (q *Queue) byID(id string) (*Draft, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d := q.mu.drafts[id]
	if d == nil {
		return nil, fmt.Errorf("%s: %w", id, ErrUnknown)
	}
	return d, nil
}

// Retry publishes a stuck or held draft now. One that a conflict holds back is
// published on top: the person who asks has decided. What a killed writer left
// goes to .partial, or where there is none is published as it is.
func (q *Queue) Retry(id string) error {
	if why := q.asideReason(id); why != nil {
		return fmt.Errorf("%s: export its bytes, or discard it: %w", id, why)
	}
	d, err := q.byID(id)
	if err != nil {
		return err
	}
	d.mu.Lock()
	kind := client.KindOf(d.mu.err)
	leave := d.mu.abandoned && !q.withoutBreakpoints(d.mu.target.Workspace)
	d.mu.held = false
	d.mu.forced = d.mu.forced || d.mu.err != nil && (d.mu.recovered || kind == client.VersionMismatch || kind == client.Exist)
	if leave && !d.mu.working {
		d.mu.err = nil
		d.mu.up.refused, d.mu.up.mismatches = 0, 0
	}
	d.mu.Unlock()
	if leave {
		q.start(d)
	} else if err := d.begin(); err != nil {
		return err
	}
	// A restart goes on with it, too.
	return d.journal()
}

// Export writes a draft's content to w, as it would be published.
func (q *Queue) Export(ctx context.Context, id string, w io.Writer) error {
	if q.asideReason(id) != nil {
		return q.exportAside(id, w)
	}
	d, err := q.byID(id)
	if err != nil {
		return err
	}
	buf := make([]byte, 256<<10)
	for off := int64(0); ; {
		n, err := d.ReadAt(ctx, buf, off)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return fmt.Errorf("export: %w", werr)
			}
			off += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Discard throws a draft's content away.
func (q *Queue) Discard(id string) error {
	if q.asideReason(id) != nil {
		return q.discardAside(id)
	}
	d, err := q.byID(id)
	if err != nil {
		return err
	}
	return d.Discard()
}

// Usage is what a queue takes and leaves on this machine.
type Usage struct {
	Spool  int64 `json:"spool"`  // bytes reserved for drafts
	Memory int64 `json:"memory"` // bytes of drafts held in memory
	Free   int64 `json:"free"`   // bytes left on the disk of the state directory; -1: unknown
}

// Usage returns the present figures.
func (q *Queue) Usage() Usage {
	free, err := q.fs.Free(q.dir)
	if err != nil {
		free = -1
	}
	return Usage{Spool: q.space.used(), Memory: q.memory.used(), Free: free}
}

// Roomy returns nil while the disk of the state directory keeps its floor of
// free space, otherwise an error that says what to do.
func (q *Queue) Roomy() error { return q.roomy() }

// WithoutBreakpoints lists the workspaces that turned out to have no breakpoint
// files for this user, sorted.
func (q *Queue) WithoutBreakpoints() []string {
	q.flat.Lock()
	defer q.flat.Unlock()
	return slices.Sorted(maps.Keys(q.flat.names))
}
