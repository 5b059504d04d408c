package fs

import (
	"context"
	"errors"
	"io"
	"maps"

	"github.com/sequoiacm/scmfs/client"
)

// copiedBefore tells whether an earlier attempt at this rename, which broke before
// the source was removed, has made content c the current version of the target:
// the same rename, asked for again, must not make one more version of it. If so
// it gives the target n's attributes, which that attempt may not have reached. It
// returns the target's present record in any case.
//
// Only the store knows of attempts before a remount, so it is the store that is
// asked. A target that was written before the source, as when a program saves, is
// not compared, nor is no content: files that are empty are not one the copy of the
// other.
func (m move) copiedBefore(ctx context.Context, n *fileNode, c client.Content, target client.FileID) (client.File, bool, error) {
	ws := m.from.ws
	f, err := ws.store.File(ctx, target)
	if err != nil {
		return f, false, err
	}
	n.mu.Lock()
	rec := n.rec
	n.mu.Unlock()
	if rec == nil || c.Size == 0 || f.Size != c.Size || f.DataCreateTime.Before(rec.DataCreateTime) {
		return f, false, nil
	}
	a, b := ws.fs.cache.Reader(ws.store, c), ws.fs.cache.Reader(ws.store, f.Content())
	defer a.Close()
	defer b.Close()
	same, err := equal(io.NewSectionReader(readerAt{ctx, a}, 0, c.Size), io.NewSectionReader(readerAt{ctx, b}, 0, c.Size))
	if err != nil || !same {
		return f, false, err
	}
	if meta := n.metaOnto(nil, f.Metadata, f.Version.Major); !maps.Equal(meta, f.Metadata) {
		f, err = ws.store.SetMetadata(ctx, f.ID, meta)
	}
	return f, err == nil, err
}

// equal compares two contents.
func equal(a, b io.Reader) (bool, error) {
	p, q := make([]byte, 128<<10), make([]byte, 128<<10)
	for {
		n, errA := io.ReadFull(a, p)
		k, errB := io.ReadFull(b, q)
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return false, err
			}
		}
		if string(p[:n]) != string(q[:k]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			return true, nil
		}
	}
}
