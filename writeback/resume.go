package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/sequoiacm/scmfs/client"
)

// ErrOtherSource: what is to be resumed began with other bytes.
var ErrOtherSource = fmt.Errorf("the source does not begin with what was uploaded: %w", syscall.EINVAL)

// Resume continues the unfinished breakpoint file t from the source it was copied
// from, read from its first byte: what the store has already is compared by
// checksum, the rest is sent, and the file is completed. It returns when the store
// has it. Unlike a program that copies again, it changes nothing when the source
// is another one ([ErrOtherSource]) or breaks off.
func (q *Queue) Resume(ctx context.Context, t Target, src io.Reader) error {
	bp, err := q.stores(t.Workspace).BreakpointFile(ctx, t.Name)
	if err != nil {
		return err
	}
	switch {
	case bp.Completed:
		return fmt.Errorf("%s is complete already: %w", t, ErrTaken)
	case bp.ChecksumType == client.ChecksumNone && bp.Size > 0:
		return fmt.Errorf("%s: the store keeps no checksum of it, so nothing can be compared; delete it and copy again: %w", t, syscall.EINVAL)
	}
	if d, ok := q.Lookup(t); ok && d.Info().Handles > 0 {
		return fmt.Errorf("%s is being written: %w", t, ErrBusy)
	}
	d, err := q.EditPartial(ctx, t, bp, true)
	if err != nil {
		return err
	}
	after := context.WithoutCancel(ctx)
	if err := d.copyFrom(ctx, src, bp); err != nil {
		return errors.Join(err, d.Abandon(after, "what it was copied from broke off or is another file"), d.Release(after))
	}
	_, err = d.Publish(ctx)
	return errors.Join(err, d.Release(after))
}

// copyFrom writes src from the first byte on. Nothing is sent before the bytes
// that the store has are there; they are compared at that point.
func (d *Draft) copyFrom(ctx context.Context, src io.Reader, bp client.BreakpointFile) error {
	buf := make([]byte, 1<<20)
	var off int64
	var sum uint32
	for {
		p := buf
		if off < bp.Size {
			p = buf[:min(int64(len(buf)), bp.Size-off)]
		}
		n, rerr := src.Read(p)
		if n > 0 {
			if off < bp.Size {
				sum = bp.ChecksumType.Extend(sum, off, p[:n])
				if off+int64(n) == bp.Size && sum != bp.Checksum {
					return fmt.Errorf("%s: %w", d.Target(), ErrOtherSource)
				}
			}
			if _, err := d.WriteAt(ctx, p[:n], off); err != nil {
				return err
			}
			off += int64(n)
		}
		switch {
		case errors.Is(rerr, io.EOF) && off < bp.Size:
			return fmt.Errorf("%s: %d bytes, the store has %d: %w", d.Target(), off, bp.Size, ErrOtherSource)
		case errors.Is(rerr, io.EOF):
			return nil
		case rerr != nil:
			return fmt.Errorf("resume %s: after %d bytes: %w", d.Target(), off, rerr)
		}
	}
}
