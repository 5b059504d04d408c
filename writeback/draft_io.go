package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
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

// readBase fills p from committed content. Fewer bytes than the version has are
// a broken transfer: worth trying again.
func (q *Queue) readBase(ctx context.Context, ws string, c client.Content, p []byte, off int64) error {
	n, err := 0, error(nil)
	if q.o.Base != nil {
		n, err = q.o.Base.ReadAt(ctx, ws, c, p, off)
	} else {
		var r io.ReadCloser
		if r, err = q.stores(ws).Open(ctx, c, off); err != nil {
			return fmt.Errorf("read base version: %w", err)
		}
		n, err = io.ReadFull(r, p)
		_ = r.Close()
	}
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &client.Error{Op: "read base version", Kind: client.Unavailable, Err: io.ErrUnexpectedEOF}
	}
	return fmt.Errorf("read base version: %w", err)
}

// settled waits until content from off on may change: what is being published, or
// was closed and is about to be, must stay as it is; behind it may be written. -1
// waits until nothing is. On success the draft is locked.
func (d *Draft) settled(ctx context.Context, off int64) error {
	var t *time.Timer
	for {
		d.mu.Lock()
		if d.mu.gone {
			d.mu.Unlock()
			return ErrGone
		}
		if d.mu.err != nil || off >= d.fixedLocked() {
			return nil
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

// fixedLocked is how much of the content must not change, -1 when all may.
func (d *Draft) fixedLocked() int64 {
	if d.mu.filing {
		return math.MaxInt64
	}
	fixed := int64(-1)
	if s := d.mu.seal; s != nil && !s.stale {
		fixed = s.size
	}
	if d.mu.closing > d.mu.published && d.dirtyLocked() {
		fixed = max(fixed, d.mu.closedSize)
	}
	return fixed
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
	if err := d.reserve(ctx, off+int64(len(p))); err != nil {
		return 0, err
	}
	n := 0
	err := d.patiently(ctx, func() error {
		if err := d.settled(ctx, off); err != nil {
			return err
		}
		d.unstickLocked()
		k, err := d.spool.WriteAt(p, off)
		d.mu.sums.wrote(p[:k], off, part(d.q.rules(d.mu.target.Workspace).increment))
		n = max(n, k)
		if k > 0 {
			d.changedLocked(off)
			if d.mu.partial {
				// What lies between the end and here is zeros, and they are in the spool:
				// bytes that a truncate took away do not come back from the origin.
				d.mu.extents = d.mu.extents.add(min(off, d.mu.size), off+int64(k))
			}
			d.mu.size = max(d.mu.size, off+int64(k))
		}
		d.mu.Unlock()
		return err
	})
	d.q.nudge(d)
	return n, err
}

// unstickLocked forgets a failure: the content is about to change, and the next
// close tries again.
func (d *Draft) unstickLocked() {
	if d.mu.err != nil && !d.mu.working {
		d.mu.closing = d.mu.published
		d.mu.gen++
		d.forgiveLocked()
	}
}

// reserve takes the growth up to end from the spool budget.
func (d *Draft) reserve(ctx context.Context, end int64) error {
	for {
		d.mu.Lock()
		have := d.mu.charged
		d.mu.Unlock()
		if end <= have {
			return nil
		}
		// In growing steps, so that small writes do not each look at the disk.
		want := max(end, min(2*have, have+256<<10), 4<<10)
		if limit := d.q.space.limit; limit > 0 {
			want = max(end, min(want, limit))
		}
		if err := d.q.space.wait(ctx, want-have, d.q.o.OpTimeout, d.q.roomy); err != nil {
			if errors.Is(err, ErrNoSpace) {
				d.q.o.Logger.WithField("file", d.Target().String()).WithError(err).Error("a write failed, and the program was told; what was written before is kept; look at the disk of the state directory")
			}
			return err
		}
		d.mu.Lock()
		if d.mu.charged == have && !d.mu.gone {
			d.mu.charged = want
			d.mu.Unlock()
			return nil
		}
		d.mu.Unlock()
		d.q.space.give(want - have) // somebody else was faster
	}
}

// refund gives back what a shorter draft does not need.
func (d *Draft) refund() {
	d.mu.Lock()
	over := max(0, d.mu.charged-max(d.mu.size, 4<<10))
	d.mu.charged -= over
	d.mu.Unlock()
	d.q.space.give(over)
}

// Truncate sets the length.
func (d *Draft) Truncate(ctx context.Context, size int64) error {
	if size < 0 {
		return fmt.Errorf("truncate to %d: %w", size, syscall.EINVAL)
	}
	if err := d.settled(ctx, min(size, d.Size())); err != nil {
		return err
	}
	d.mu.Unlock()
	if err := d.shorten(ctx, size); err != nil {
		return err
	}
	defer d.refund()
	defer d.q.nudge(d)
	return d.patiently(ctx, func() error { return d.truncate(ctx, size) })
}

func (d *Draft) truncate(ctx context.Context, size int64) error {
	if err := d.settled(ctx, min(size, d.Size())); err != nil {
		return err
	}
	defer d.mu.Unlock()
	d.unstickLocked()
	if size == d.mu.size && d.mu.gen != 0 {
		return nil
	}
	d.mu.sums.cut(size)
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
	if size < d.mu.size {
		d.mu.cuts++
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
		if err := d.reserve(ctx, off+n); err != nil {
			return err
		}
		return d.Truncate(ctx, off+n)
	}
	return nil
}
