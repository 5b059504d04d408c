package fs

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

// keepReadable copies the content of an open file before the store deletes every
// version of it: a program that has the file open may go on reading. The copy
// has no name and goes with the last handle.
func (n *fileNode) keepReadable(ctx context.Context) {
	n.mu.Lock()
	rec, need := n.rec, n.opens > 0 && n.kept == nil && n.rec != nil && n.rec.Size > 0
	n.mu.Unlock()
	if !need {
		return
	}
	f, err := n.copyOut(ctx)
	if err != nil {
		n.ws.fs.log.WithError(err).WithField("name", rec.Name).Warn("unlinked while open, and its content could not be kept: programs that still have it open read errors; it is deleted, as it was asked for")
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.opens == 0 || n.kept != nil {
		_ = f.Close()
		return
	}
	n.kept = f
}

// keepDraft keeps a draft that is about to be discarded as long as the file is
// open: a handle joins it with its first read or write only.
func (n *fileNode) keepDraft(d *writeback.Draft) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.opens > 0 && n.keptDraft == nil && d.Retain() == nil {
		n.keptDraft = d
	}
}

func (n *fileNode) copyOut(ctx context.Context) (*os.File, error) {
	c, ok := n.content()
	if !ok {
		return nil, os.ErrNotExist
	}
	f, err := os.CreateTemp("", "scmfs-kept-")
	if err != nil {
		return nil, err
	}
	// Without a name it cannot be left behind.
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	r := n.ws.fs.cache.Reader(n.ws.store, c)
	defer r.Close()
	_, err = io.Copy(f, io.NewSectionReader(readerAt{ctx, r}, 0, c.Size))
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// readerAt binds a context to a reader that takes one.
type readerAt struct {
	ctx context.Context
	r   interface {
		ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	}
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.r.ReadAt(r.ctx, p, off) }

// readKept reads from the copy; ok is false when there is none.
func (n *fileNode) readKept(p []byte, off int64) (read int, ok bool, err error) {
	n.mu.Lock()
	f := n.kept
	n.mu.Unlock()
	if f == nil {
		return 0, false, nil
	}
	read, err = f.ReadAt(p, off)
	if errors.Is(err, os.ErrClosed) {
		return 0, false, nil
	}
	return read, true, err
}

func (n *fileNode) lost(d *writeback.Draft) bool {
	n.mu.Lock()
	unlinked := n.unlinked
	n.mu.Unlock()
	return unlinked && !d.Discarded()
}

// editUnlinked returns the draft for what is written to a file after it was
// removed. It is discarded before anybody writes into it, so nothing is published.
func (n *fileNode) editUnlinked(ctx context.Context, truncate bool) (*writeback.Draft, error) {
	d, err := n.unlinkedDraft(ctx, truncate)
	if err != nil || !truncate {
		return d, err
	}
	if err := d.Truncate(ctx, 0); err != nil {
		_ = d.Release(ctx)
		return nil, err
	}
	return d, nil
}

func (n *fileNode) unlinkedDraft(ctx context.Context, empty bool) (*writeback.Draft, error) {
	if d := n.joinUnlinked(nil); d != nil {
		return d, nil
	}
	q := n.ws.fs.queue
	d, err := q.Create(ctx, n.ws.target(client.RootDir, n.ws.fs.unnamed()), nil)
	if err != nil {
		return nil, err
	}
	if !empty {
		err = n.copyInto(ctx, d)
	}
	if err = errors.Join(err, d.Discard()); err != nil {
		_ = d.Release(ctx)
		return nil, err
	}
	if other := n.joinUnlinked(d); other != nil { // another handle was faster
		_ = d.Release(ctx)
		return other, nil
	}
	return d, nil
}

// joinUnlinked holds the draft that the removed file has already, or gives it d.
func (n *fileNode) joinUnlinked(d *writeback.Draft) *writeback.Draft {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, have := range []*writeback.Draft{n.draft, n.keptDraft} {
		if have != nil && have.Discarded() && have.Retain() == nil {
			return have
		}
	}
	if d != nil {
		n.draft = d
	}
	return nil
}

// copyInto copies what a removed file had.
func (n *fileNode) copyInto(ctx context.Context, d *writeback.Draft) error {
	c, ok := n.content()
	if !ok || c.Size == 0 {
		return nil
	}
	r := n.ws.fs.cache.Reader(n.ws.store, c)
	defer r.Close()
	src := io.ReaderAt(readerAt{ctx, r})
	n.mu.Lock()
	if n.kept != nil {
		src = n.kept
	}
	n.mu.Unlock()
	_, err := io.Copy(io.NewOffsetWriter(writerAt{ctx, d}, 0), io.NewSectionReader(src, 0, c.Size))
	return err
}
