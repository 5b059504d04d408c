package writeback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// upload is what is known of a draft's breakpoint file. Guarded by Draft.mu.
type upload struct {
	name       string              // "" = none
	data       client.DataID       // its data object
	typ        client.ChecksumType //
	acked      int64               // bytes the server has confirmed
	sum        uint32              // their checksum
	sent       int64               // bytes sent or being sent: a write below is a rewrite
	completed  bool                // by the last increment
	rewrites   int                 // writes below sent
	checked    int                 // of them, known to be at the server or not to matter
	stopped    bool                // no streaming until it is sealed: it failed
	fresh      bool                // not created yet
	doubt      bool                // ask the server before going on
	resume     bool                // what the server has is to be compared with what is written
	resumeAt   int64               // bytes to compare with, -1: not asked yet; streaming waits for them
	mismatches int                 // wrong checksums in the life of the upload
	refused    int                 // refusals since the last progress
	best       int64               // most bytes that were ever acked
	mark       time.Time           // last progress
	last       client.File         // what the last commit made
	quick      bool                // the last increment was through soon
	local      bool                // false: bytes below acked are not in the spool
}

func (u *upload) rewritten() bool { return u.rewrites != u.checked }

var errMismatch = errors.New("the server's checksum differs from what was sent")

func (d *Draft) store() Store { return d.q.stores(d.Target().Workspace) }

// ensure makes sure that the breakpoint file exists and that acked is what the
// server has of this content.
func (d *Draft) ensure(ctx context.Context, size int64) error {
	d.mu.Lock()
	if d.mu.up.name == "" {
		u := d.mu.up
		d.mu.up = upload{name: breakpointName(d.q.mount, d.mu.target.Name), typ: client.ChecksumCRC32, doubt: true, fresh: true,
			mark: u.mark, last: u.last, mismatches: u.mismatches, refused: u.refused, local: true}
		if d.mu.target.Partial {
			d.mu.up.name = d.mu.target.Name
		}
	}
	up, known := d.mu.up, d.mu.target.Partial || d.mu.journaled == d.mu.up.name
	d.mu.Unlock()
	// The record comes first: a crash must not leave a breakpoint file of ours
	// that nobody knows of.
	if !known {
		if err := d.patiently(ctx, d.journal); err != nil {
			return err
		}
	}
	if up.fresh {
		return d.create(ctx)
	}
	if up.doubt {
		if err := d.ask(ctx, size); err != nil {
			return err
		}
	}
	d.mu.Lock()
	up = d.mu.up
	d.mu.Unlock()
	if up.rewritten() {
		same, err := d.unchanged(up, size)
		if err != nil {
			return err
		}
		if !same {
			return d.restart(ctx)
		}
		d.mu.Lock()
		d.mu.up.checked = up.rewrites
		d.mu.Unlock()
	}
	if up.completed && up.acked != size {
		return d.restart(ctx)
	}
	return nil
}

// unchanged compares what the server has with what is here now.
func (d *Draft) unchanged(up upload, size int64) (bool, error) {
	if up.acked > size || up.acked > 0 && up.typ == client.ChecksumNone {
		return false, nil
	}
	if !d.has(0, up.acked) {
		return false, ErrNotLocal
	}
	sum, err := d.crcOf(up.typ, 0, 0, up.acked)
	return sum == up.sum, err
}

// advanced tells whether the server has what it had, and bytes of ours behind.
func (d *Draft) advanced(up upload, bp client.BreakpointFile, size int64) (bool, error) {
	if up.resume || up.rewritten() || bp.Size < up.acked || bp.Size > size || bp.ChecksumType != up.typ {
		return false, nil
	}
	if up.typ == client.ChecksumNone {
		return bp.Size <= up.sent, nil // only the size speaks: what was sent and is there is ours
	}
	if !d.has(up.acked, bp.Size) {
		return false, nil
	}
	sum, err := d.crcOf(up.typ, up.sum, up.acked, bp.Size)
	return sum == bp.Checksum, err
}

// has tells whether bytes [from, to) are here: in the spool, or holes behind what
// was there before.
func (d *Draft) has(from, to int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.mu.partial || d.mu.extents.covers(from, min(to, d.mu.origin.Size))
}

// create makes the breakpoint file; one that exists under our unique name is
// ours, its answer was lost.
func (d *Draft) create(ctx context.Context) error {
	d.mu.Lock()
	name, rewrites := d.mu.up.name, d.mu.up.rewrites
	d.mu.up.doubt, d.mu.up.fresh = true, false
	t := d.mu.target
	d.mu.Unlock()
	bp, err := d.store().CreateBreakpointFile(ctx, name, client.BreakpointOptions{ChecksumType: client.ChecksumCRC32})
	switch kind := client.KindOf(err); {
	case kind == client.Exist:
		return errAgain // doubt is set: ask
	case kind == client.Unsupported || kind == client.Permission:
		if t.Partial {
			return err
		}
		d.withoutBreakpoint(err)
		return errAgain
	case err != nil:
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	u := &d.mu.up
	u.doubt, u.data, u.typ, u.checked = false, bp.Data, bp.ChecksumType, rewrites
	u.acked, u.sum, u.sent, u.completed = bp.Size, bp.Checksum, bp.Size, bp.Completed
	return nil
}

// withoutBreakpoint goes on without one, as all drafts of the workspace will.
func (d *Draft) withoutBreakpoint(why error) {
	d.mu.Lock()
	d.mu.up = upload{mark: d.mu.up.mark, last: d.mu.up.last}
	ws := d.mu.target.Workspace
	d.mu.Unlock()
	d.q.noBreakpoints(ws, why)
}

// ask learns what the server has after a doubt: any size up to what was sent, 0
// included, is believed only if its checksum is that of our bytes.
func (d *Draft) ask(ctx context.Context, size int64) error {
	d.mu.Lock()
	up, partial := d.mu.up, d.mu.target.Partial
	d.mu.Unlock()
	bp, err := d.store().BreakpointFile(ctx, up.name)
	switch kind := client.KindOf(err); {
	case kind == client.NotExist:
		if !up.local {
			return fmt.Errorf("%s was deleted at the server: %w", up.name, ErrNotLocal)
		}
		return d.create(ctx)
	case kind == client.Corrupt:
		return d.restart(ctx)
	case kind == client.Permission && !partial && up.acked == 0:
		d.withoutBreakpoint(err) // may not even look
		return errAgain
	case err != nil:
		return err
	}
	same, err := d.advanced(up, bp, size)
	if err != nil {
		return err
	}
	if !same {
		now := up
		now.acked, now.sum, now.typ = bp.Size, bp.Checksum, bp.ChecksumType
		ok, err := d.unchanged(now, size)
		if err != nil {
			return err
		}
		if !ok {
			return d.restart(ctx)
		}
		if !d.has(bp.Size, size) {
			return ErrNotLocal // the server lost bytes that were never here (section 5.6)
		}
	}
	if bp.Completed && bp.Size != size {
		return d.restart(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	u := &d.mu.up
	if u.resume && bp.Size > 0 {
		d.q.o.Logger.WithField("file", d.mu.target.String()).WithField("bytes", bp.Size).Info("resumed: these bytes are at the server already")
	}
	u.data, u.typ, u.sum, u.completed = bp.Data, bp.ChecksumType, bp.Checksum, bp.Completed
	u.sent, u.doubt, u.resume, u.checked, u.local = bp.Size, false, false, up.rewrites, true
	d.ackedLocked(bp.Size)
	return nil
}

// ackedLocked notes how much the server has.
func (d *Draft) ackedLocked(n int64) {
	u := &d.mu.up
	if n > u.best {
		u.best, u.refused, u.mark = n, 0, d.q.o.Now()
	}
	u.acked = n
}

// restart throws the breakpoint file away and begins again from the first byte.
func (d *Draft) restart(ctx context.Context) error {
	d.mu.Lock()
	name, size := d.mu.up.name, d.mu.size
	d.mu.Unlock()
	if !d.has(0, size) {
		return ErrNotLocal
	}
	d.mu.Lock()
	d.mu.up.doubt = true
	d.mu.Unlock()
	if err := d.store().DeleteBreakpointFile(ctx, name); err != nil && client.KindOf(err) != client.NotExist {
		return err
	}
	d.mu.Lock()
	u := &d.mu.up
	u.acked, u.sum, u.sent, u.completed, u.resume, u.local = 0, 0, 0, false, false, true
	d.mu.Unlock()
	return d.create(ctx)
}

// increment sends one increment ending at end and checks what the server made of it.
func (d *Draft) increment(ctx context.Context, end int64, last bool) error {
	d.mu.Lock()
	u := &d.mu.up
	name, off, typ, start, rewrites := u.name, u.acked, u.typ, u.sum, u.rewrites
	known := typ == client.ChecksumNone // does not matter
	sum := start
	if typ == client.ChecksumCRC32 {
		if s, ok := d.mu.sums.of(end); ok {
			known, sum = true, s
		}
	}
	u.sent = max(u.sent, end)
	u.doubt = true // until the answer is here
	d.mu.Unlock()
	if err := d.q.acquire(ctx); err != nil {
		return err
	}
	began := d.q.o.Now()
	body := d.section(ctx, off, end)
	if !known {
		body = d.summed(ctx, off, end, typ, start, &sum)
	}
	bp, err := d.store().AppendBreakpointFile(ctx, name, off, body, last)
	d.q.release()
	d.handed.Store(0)
	if err != nil {
		if client.KindOf(err) == client.Corrupt && off%part(d.q.rules(d.Target().Workspace).increment) != 0 {
			// Ceph S3 takes increments at multiples of 5 MiB only (section 5.12): what an
			// interrupted copy left cannot be continued there.
			return d.restart(ctx)
		}
		return err
	}
	d.mu.Lock()
	if u.rewrites != rewrites {
		// What was written over meanwhile was sent as it was or as it is. Only the
		// store knows, and ensure compares with what is here by then.
		sum = bp.Checksum
	}
	d.mu.Unlock()
	if bp.Size != end || typ != client.ChecksumNone && bp.Checksum != sum {
		d.mu.Lock()
		d.mu.up.mismatches++
		n := d.mu.up.mismatches
		d.mu.Unlock()
		d.q.o.Logger.WithField("file", d.Target().String()).Warnf("after %d bytes the server has %d with checksum %d, we sent checksum %d: starting over", end, bp.Size, bp.Checksum, sum)
		if n > 1 {
			return &client.Error{Op: "upload", Name: name, Kind: client.Corrupt, Err: errMismatch}
		}
		return d.restart(ctx)
	}
	d.q.metrics.sent(end - off)
	d.mu.Lock()
	u.sum, u.doubt, u.data, u.completed = bp.Checksum, false, bp.Data, bp.Completed
	u.quick = quickly(end-off, d.q.o.Now().Sub(began))
	d.ackedLocked(bp.Size)
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
		end := min(d.q.rules(d.Target().Workspace).end(up.acked, size, up.quick), size)
		if err := d.increment(ctx, end, complete && end == size); err != nil {
			return err
		}
	}
}
