package writeback

import (
	"context"
	"errors"
	"io"

	"github.com/sequoiacm/scmfs/client"
)

// reconcile finds out whether a commit whose answer was lost was carried out
// (part 2 section 7.4). It never guesses. What has the name and the content, and
// another id than we chose, counts as well: a server may choose the ids itself.
func (d *Draft) reconcile(ctx context.Context, it *intent) (client.File, bool, error) {
	d.mu.Lock()
	t, onto, id, up := d.mu.target, d.mu.onto, d.mu.fileID, d.mu.up
	d.mu.Unlock()
	st := d.q.stores(t.Workspace)
	if onto == nil {
		f, err := st.File(ctx, id)
		switch {
		case err == nil && f.Size == it.Size:
			return f, true, nil
		case err != nil && client.KindOf(err) != client.NotExist:
			return client.File{}, false, err
		}
		// A server that ignores the id we chose: look at what has the name.
		f, err = st.LookupFile(ctx, t.Dir, t.Name)
		if client.KindOf(err) == client.NotExist {
			return client.File{}, false, nil
		}
		if err != nil {
			return client.File{}, false, err
		}
		return d.ours(ctx, []client.File{f}, up, it)
	}
	f, err := st.File(ctx, onto.ID)
	if client.KindOf(err) == client.NotExist {
		return client.File{}, false, nil
	}
	if err != nil {
		return client.File{}, false, err
	}
	if f.Version == onto.Version && f.Data == onto.Data {
		return client.File{}, false, nil
	}
	all, err := st.Versions(ctx, onto.ID)
	if client.KindOf(err) == client.Permission {
		all, err = []client.File{f}, nil // with directory privileges only the current one shows
	}
	if err != nil {
		return client.File{}, false, err
	}
	var later []client.File
	for _, v := range all {
		if v.Version.Major > onto.Version.Major {
			later = append(later, v)
		}
	}
	return d.ours(ctx, later, up, it)
}

// ours finds the version that has our content: by data id for a conversion, by
// the bytes themselves for a stream.
func (d *Draft) ours(ctx context.Context, files []client.File, up upload, it *intent) (client.File, bool, error) {
	for _, f := range files {
		if up.name != "" {
			if f.Data == up.data {
				return f, true, nil
			}
			continue
		}
		if f.Size != it.Size {
			continue
		}
		if it.CRC == nil {
			sum, err := d.crcOf(client.ChecksumCRC32, 0, 0, it.Size)
			if err != nil {
				return client.File{}, false, err
			}
			it.CRC = &sum
		}
		r, err := d.store().Open(ctx, f.Content(), 0)
		if err != nil {
			return client.File{}, false, err
		}
		sum, err := crcOfReader(r)
		_ = r.Close()
		if err != nil {
			return client.File{}, false, err
		}
		if sum == *it.CRC {
			return f, true, nil
		}
	}
	return client.File{}, false, nil
}

func crcOfReader(r io.Reader) (uint32, error) {
	buf := make([]byte, 256<<10)
	var sum uint32
	var off int64
	for {
		n, err := r.Read(buf)
		sum = client.ChecksumCRC32.Extend(sum, off, buf[:n])
		off += int64(n)
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
