package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// upload is what is known of a draft's breakpoint file. Guarded by Draft.mu.
type upload struct {
	name      string              // "" = none
	data      client.DataID       // its data object
	typ       client.ChecksumType //
	acked     int64               // bytes the server has confirmed
	sum       uint32              // their checksum
	sent      int64               // bytes sent or being sent: a write below is a rewrite
	completed bool                // by the last increment
	rewritten bool                // a byte below sent was written again
	doubt     bool                // ask the server before going on
	resume    bool                // what the server has is to be compared with what is written
	resumeAt  int64               // bytes to compare with, -1: not asked yet; streaming waits for them
	restarts  int                 // after wrong checksums
	mark      time.Time           // last progress
	last      client.File         // what the last commit made
	local     bool                // false: bytes below acked are not in the spool
}

var (
	errAgain    = errors.New("try again at once")
	errMismatch = errors.New("the server's checksum differs from what was sent")
)

func (d *Draft) store() Store { return d.q.stores(d.Target().Workspace) }

// crcOf is the checksum of the first n bytes of the spool.
func (d *Draft) crcOf(typ client.ChecksumType, n int64) (uint32, error) {
	buf := make([]byte, 256<<10)
	var sum uint32
	for off := int64(0); off < n; {
		p := buf[:min(int64(len(buf)), n-off)]
		k, err := d.spool.ReadAt(p, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		clear(p[k:]) // a hole at the end
		sum = typ.Extend(sum, off, p)
		off += int64(len(p))
	}
	return sum, nil
}

// sectionReader sends a part of the spool and sums what was really sent: the
// writer may change the bytes meanwhile.
type sectionReader struct {
	d        *Draft
	ctx      context.Context
	off, end int64
	typ      client.ChecksumType
	sum      uint32
}

func (r *sectionReader) Read(p []byte) (int, error) {
	if r.off >= r.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.end-r.off)]
	n, err := r.d.spool.ReadAt(p, r.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	clear(p[n:]) // grown by truncate: zeros
	if err := r.d.q.throttle(r.ctx, len(p)); err != nil {
		return 0, err
	}
	r.sum = r.typ.Extend(r.sum, r.off, p)
	r.off += int64(len(p))
	return len(p), nil
}

// section is a body of bytes [off, end) of the spool; sum is set when it was sent.
func (d *Draft) section(ctx context.Context, off, end int64, typ client.ChecksumType, start uint32, sum *uint32) client.Body {
	return client.Body{Size: end - off, Open: func() (io.Reader, error) {
		r := &sectionReader{d: d, ctx: ctx, off: off, end: end, typ: typ, sum: start}
		return readerFunc(func(p []byte) (int, error) {
			n, err := r.Read(p)
			*sum = r.sum
			return n, err
		}), nil
	}}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// ensure makes sure that the breakpoint file exists and that acked is what the
// server has of this content.
func (d *Draft) ensure(ctx context.Context, size int64) error {
	d.mu.Lock()
	if d.mu.up.name == "" {
		d.mu.up = upload{name: breakpointName(d.q.mount, d.mu.target.Name), typ: client.ChecksumCRC32, doubt: true,
			mark: d.mu.up.mark, last: d.mu.up.last, restarts: d.mu.up.restarts, local: true}
		partial := d.mu.target.Partial
		if partial {
			d.mu.up.name = d.mu.target.Name
		}
		d.mu.Unlock()
		// The record comes first: a crash must not leave a breakpoint file of ours
		// that nobody knows of.
		if !partial {
			if err := d.record(); err != nil {
				return err
			}
		}
		return d.create(ctx)
	}
	up := d.mu.up
	d.mu.Unlock()
	if up.doubt {
		if err := d.ask(ctx, size); err != nil {
			return err
		}
	}
	d.mu.Lock()
	up = d.mu.up
	local := d.mu.extents
	whole := !d.mu.partial
	d.mu.Unlock()
	if up.rewritten {
		if !whole && !local.covers(0, up.acked) {
			return ErrNotLocal
		}
		sum, err := d.crcOf(up.typ, up.acked)
		if err != nil {
			return err
		}
		if sum != up.sum || up.acked > size || up.completed && up.acked != size {
			return d.restart(ctx)
		}
		d.mu.Lock()
		d.mu.up.rewritten = false
		d.mu.Unlock()
	}
	if up.completed && up.acked != size {
		if !whole && !local.covers(0, size) {
			return ErrNotLocal
		}
		return d.restart(ctx)
	}
	return nil
}

// create makes the breakpoint file; one that exists under our unique name is
// ours, its answer was lost.
func (d *Draft) create(ctx context.Context) error {
	d.mu.Lock()
	name := d.mu.up.name
	d.mu.Unlock()
	bp, err := d.store().CreateBreakpointFile(ctx, name, client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
	switch client.KindOf(err) {
	case client.Exist, client.Uncertain:
		return errAgain // doubt is set: ask
	case client.Unsupported, client.Permission:
		d.mu.Lock()
		partial := d.mu.target.Partial
		if !partial {
			d.mu.up = upload{mark: d.mu.up.mark, last: d.mu.up.last}
		}
		ws := d.mu.target.Workspace
		d.mu.Unlock()
		if partial {
			return err
		}
		d.q.noBreakpoints(ws, err)
		return errAgain
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.up.doubt, d.mu.up.data, d.mu.up.typ = false, bp.Data, bp.ChecksumType
	d.mu.up.acked, d.mu.up.sum, d.mu.up.sent, d.mu.up.completed = bp.Size, bp.Checksum, bp.Size, bp.Completed
	return nil
}

// ask learns what the server has after a doubt: any size up to what was sent, 0
// included, is believed only if its checksum is that of our bytes.
func (d *Draft) ask(ctx context.Context, size int64) error {
	d.mu.Lock()
	up := d.mu.up
	whole, ext := !d.mu.partial, d.mu.extents
	d.mu.Unlock()
	bp, err := d.store().BreakpointFile(ctx, up.name)
	switch client.KindOf(err) {
	case client.NotExist:
		if !up.local {
			return fmt.Errorf("%s was deleted at the server: %w", up.name, ErrNotLocal)
		}
		return d.create(ctx)
	case client.Corrupt:
		return d.restart(ctx)
	}
	if err != nil {
		return err
	}
	same := bp.Size == up.acked && bp.Checksum == up.sum && !up.resume
	if !same {
		if bp.Size > size || bp.ChecksumType == client.ChecksumNone && bp.Size > 0 {
			return d.restart(ctx)
		}
		if !whole && !ext.covers(0, bp.Size) {
			return ErrNotLocal
		}
		sum, err := d.crcOf(bp.ChecksumType, bp.Size)
		if err != nil {
			return err
		}
		if sum != bp.Checksum {
			return d.restart(ctx)
		}
	}
	if bp.Completed && bp.Size != size {
		return d.restart(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	u := &d.mu.up
	if bp.Size > u.acked {
		u.mark = d.q.o.Now()
	}
	if u.resume && bp.Size > 0 {
		d.q.o.Logger.WithField("file", d.mu.target.String()).WithField("bytes", bp.Size).Info("resumed: these bytes are at the server already")
	}
	u.data, u.typ, u.acked, u.sum, u.completed = bp.Data, bp.ChecksumType, bp.Size, bp.Checksum, bp.Completed
	u.sent, u.doubt, u.resume, u.rewritten, u.local = bp.Size, false, false, false, true
	return nil
}

// restart throws the breakpoint file away and begins again from the first byte.
func (d *Draft) restart(ctx context.Context) error {
	d.mu.Lock()
	name := d.mu.up.name
	whole, ext, size := !d.mu.partial, d.mu.extents, d.mu.size
	d.mu.Unlock()
	if !whole && !ext.covers(0, size) && d.Target().Partial {
		return ErrNotLocal
	}
	if err := d.store().DeleteBreakpointFile(ctx, name); err != nil && client.KindOf(err) != client.NotExist {
		return err
	}
	d.mu.Lock()
	u := &d.mu.up
	u.acked, u.sum, u.sent, u.completed, u.rewritten, u.resume, u.local = 0, 0, 0, false, false, false, true
	d.mu.Unlock()
	return d.create(ctx)
}

// increment sends one increment ending at end and checks what the server made of it.
func (d *Draft) increment(ctx context.Context, end int64, last bool) error {
	d.mu.Lock()
	u := &d.mu.up
	name, off, typ, start := u.name, u.acked, u.typ, u.sum
	u.sent = max(u.sent, end)
	u.doubt = true // until the answer is here
	d.mu.Unlock()
	if err := d.q.acquire(ctx); err != nil {
		return err
	}
	sum := start
	bp, err := d.store().AppendBreakpointFile(ctx, name, off, d.section(ctx, off, end, typ, start, &sum), last)
	d.q.release()
	if err != nil {
		return err
	}
	if bp.Size != end || typ != client.ChecksumNone && bp.Checksum != sum {
		d.mu.Lock()
		d.mu.up.restarts++
		n := d.mu.up.restarts
		d.mu.Unlock()
		d.q.o.Logger.WithField("file", d.Target().String()).Warnf("after %d bytes the server has %d with checksum %d, we sent checksum %d: starting over", end, bp.Size, bp.Checksum, sum)
		if n > 1 {
			return &client.Error{Op: "upload", Name: name, Kind: client.Corrupt, Err: errMismatch}
		}
		return d.restart(ctx)
	}
	d.q.metrics.sent(end - off)
	d.mu.Lock()
	u.acked, u.sum, u.doubt, u.data, u.completed = bp.Size, bp.Checksum, false, bp.Data, bp.Completed
	u.mark = d.q.o.Now()
	d.wakeLocked()
	d.mu.Unlock()
	return nil
}

// uploadAll brings the first size bytes to the breakpoint file; complete marks
// the last increment.
func (d *Draft) uploadAll(ctx context.Context, size int64, complete bool) error {
	for {
		if err := d.ensure(ctx, size); err != nil {
			return err
		}
		d.mu.Lock()
		up := d.mu.up
		d.mu.Unlock()
		if up.doubt || up.name == "" {
			return errAgain
		}
		if up.completed || !complete && up.acked == size {
			return nil
		}
		end := min(up.acked+d.q.o.Increment, size)
		if err := d.increment(ctx, end, complete && end == size); err != nil {
			return err
		}
	}
}
