package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
)

// Pending describes every draft that is not published, oldest name first.
func (q *Queue) Pending() []Info {
	var out []Info
	for _, d := range q.all() {
		if d.Dirty() {
			out = append(out, d.Info())
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Modified.Before(out[j].Modified) })
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

// Retry publishes a stuck or held draft now.
func (q *Queue) Retry(id string) error {
	d, err := q.byID(id)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.mu.held = false
	d.mu.up.mark = q.o.Now()
	d.mu.Unlock()
	return d.begin(context.Background())
}

// Export writes a draft's content to w, as it would be published.
func (q *Queue) Export(ctx context.Context, id string, w io.Writer) error {
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
	d, err := q.byID(id)
	if err != nil {
		return err
	}
	return d.Discard()
}
