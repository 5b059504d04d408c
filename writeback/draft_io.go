package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// ReadAt reads content as io.ReaderAt does: what was written from the spool, the
// rest from the version that was there before.
func (d *Draft) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	d.mu.Lock()
	size, whole, ext, origin := d.mu.size, !d.mu.partial, d.mu.extents, d.mu.origin
	ws, isBP := d.mu.target.Workspace, d.mu.target.Partial
	d.mu.Unlock()
	if off >= size {
		return 0, io.EOF
	}
	short := int64(len(p)) > size-off
	if short {
		p = p[:size-off]
	}
	if whole {
		n, err := d.spool.ReadAt(p, off)
		clear(p[n:]) // grown by truncate
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	} else if err := d.readMixed(ctx, ws, isBP, ext, origin, p, off); err != nil {
		return 0, err
	}
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

func (d *Draft) readMixed(ctx context.Context, ws string, isBP bool, ext extents, origin client.Content, p []byte, off int64) error {
	n, err := d.spool.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(p[n:])
	for _, g := range ext.gaps(off, off+int64(len(p))) {
		part := p[g.from-off : g.to-off]
		clear(part)
		if isBP && g.from < origin.Size {
			return ErrNotLocal
		}
		if g.from >= origin.Size {
			continue
		}
		part = part[:min(int64(len(part)), origin.Size-g.from)]
		if err := d.q.readBase(ctx, ws, origin, part, g.from); err != nil {
			return err
		}
	}
	return nil
}

// readBase fills p from committed content.
func (q *Queue) readBase(ctx context.Context, ws string, c client.Content, p []byte, off int64) error {
	if q.o.Base != nil {
		n, err := q.o.Base.ReadAt(ctx, ws, c, p, off)
		if n == len(p) {
			return nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read base version: %w", err)
	}
	r, err := q.stores(ws).Open(ctx, c, off)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.ReadFull(r, p); err != nil {
		return fmt.Errorf("read base version: %w", err)
	}
	return nil
}

// settled waits until content below off may change: while a publication runs,
// what it publishes must stay as it is; what is appended behind it may be written.
func (d *Draft) settled(ctx context.Context, off int64) error {
	var t *time.Timer
	for {
		d.mu.Lock()
		if d.mu.gone {
			d.mu.Unlock()
			return ErrGone
		}
		s := d.mu.seal
		if s == nil || d.mu.err != nil || off >= s.size {
			return nil // with the lock held
		}
		ch := d.mu.changed
		d.mu.Unlock()
		if t == nil {
			t = time.NewTimer(d.q.o.OpTimeout)
			defer t.Stop()
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return ErrBusy
		}
	}
}

// WriteAt writes into the draft. It waits while the spool is full and while the
// same bytes are being published. ctx bounds that waiting.
func (d *Draft) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) < off {
		return 0, fmt.Errorf("write at %d: %w", off, syscall.EFBIG)
	}
	if len(p) == 0 {
		return 0, nil
	}
	end := off + int64(len(p))
	if err := d.reserve(ctx, end); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(d.q.o.OpTimeout)
	for {
		if err := d.settled(ctx, off); err != nil {
			return 0, err
		}
		d.unstickLocked()
		n, err := d.spool.WriteAt(p, off)
		if n > 0 || err == nil {
			d.changedLocked(off)
			if d.mu.partial {
				// What lies between the end and here is zeros, and they are in the spool:
				// bytes that a truncate took away do not come back from the origin.
				d.mu.extents = d.mu.extents.add(min(off, d.mu.size), off+int64(n))
			}
			d.mu.size = max(d.mu.size, off+int64(n))
		}
		d.mu.Unlock()
		d.q.nudge(d)
		if err == nil || !errors.Is(err, ErrNoSpace) || time.Now().After(deadline) {
			if errors.Is(err, ErrNoSpace) {
				d.q.o.Logger.WithField("file", d.Target().String()).Error("the disk of the state directory is full; free space there or use --state-dir on another disk")
			}
			return n, err
		}
		select {
		case <-d.q.space.freed():
		case <-time.After(poll):
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
}

// unstickLocked forgets a failure: the content changes now, and the next
// publication tries again.
func (d *Draft) unstickLocked() {
	if d.mu.err != nil && !d.mu.working {
		d.mu.err, d.mu.seal = nil, nil
	}
}

// reserve takes the growth up to end from the spool budget.
func (d *Draft) reserve(ctx context.Context, end int64) error {
	d.mu.Lock()
	grow := end - d.mu.charged
	d.mu.Unlock()
	if grow <= 0 {
		return nil
	}
	// In steps, so that small writes do not each look at the disk.
	grow = max(grow, 256<<10)
	if err := d.q.space.wait(ctx, grow, d.q.o.OpTimeout, d.q.roomy); err != nil {
		return err
	}
	d.mu.Lock()
	d.mu.charged += grow
	d.mu.Unlock()
	return nil
}

// Truncate sets the length.
func (d *Draft) Truncate(ctx context.Context, size int64) error {
	if size < 0 {
		return fmt.Errorf("truncate to %d: %w", size, syscall.EINVAL)
	}
	if err := d.settled(ctx, min(size, d.Size())); err != nil {
		return err
	}
	defer d.q.nudge(d)
	defer d.mu.Unlock()
	d.unstickLocked()
	if size == d.mu.size && d.mu.gen != 0 {
		return nil
	}
	if err := d.spool.truncate(size); err != nil {
		return err
	}
	if d.mu.partial {
		old := d.mu.size
		d.mu.extents = d.mu.extents.clip(size)
		if size > old {
			d.mu.extents = d.mu.extents.add(old, size) // zeros, and they are in the spool
		}
	}
	d.changedLocked(min(size, d.mu.size))
	d.mu.size = size
	return nil
}

// Modes of Allocate, as the kernel has them.
const (
	allocKeepSize  = 0x01
	allocPunchHole = 0x02
	allocZeroRange = 0x10
)

// Allocate implements fallocate: extend, zero or punch. Other modes are EOPNOTSUPP.
func (d *Draft) Allocate(ctx context.Context, mode uint32, off, n int64) error {
	if mode&^uint32(allocKeepSize|allocPunchHole|allocZeroRange) != 0 {
		return fmt.Errorf("fallocate mode %#x: %w", mode, syscall.EOPNOTSUPP)
	}
	if off < 0 || n <= 0 || off+n < off {
		return fmt.Errorf("fallocate %d bytes at %d: %w", n, off, syscall.EINVAL)
	}
	size := d.Size()
	if mode&(allocPunchHole|allocZeroRange) != 0 {
		zero := make([]byte, 256<<10)
		for at, end := off, min(off+n, size); at < end; {
			k, err := d.WriteAt(ctx, zero[:min(int64(len(zero)), end-at)], at)
			if err != nil {
				return err
			}
			at += int64(k)
		}
	}
	if mode&allocKeepSize == 0 && off+n > size {
		return d.Truncate(ctx, off+n)
	}
	return nil
}
