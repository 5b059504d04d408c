package fs

import (
	"context"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// trashStamp is the time in the names of a flat workspace's trash.
const trashStamp = "20060102T150405Z"

// A workspace without directories has its trash between its files, under names:
// DIR~<time>~<name>, the time in UTC.

// flatMark begins every such name.
func (t *trash) flatMark() string { return strings.ReplaceAll(t.ws.rules.Trash, "/", "_") + "~" }

// flatTrash tells whether a stored name is one of the trash, and since when.
func (t *trash) flatTrash(name string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, t.flatMark())
	stamp, _, marked := strings.Cut(rest, "~")
	at, err := time.Parse(trashStamp, stamp)
	return at, ok && marked && err == nil
}

func (t *trash) putFlat(ctx context.Context, rec client.File) (bool, error) {
	if _, inside := t.flatTrash(rec.Name); inside {
		return false, nil
	}
	name := t.flatMark() + t.ws.fs.opt.Now().UTC().Format(trashStamp) + "~" + rec.Name
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
		t.ws.fs.log.WithField("workspace", t.ws.name).WithField("file", rec.Name).WithField("trash", name).
			Warn("trash: the name is cut, because with the time in front of it is too long")
	}
	m := move{from: newDirNode(t.ws, client.Directory{ID: rec.Dir}), to: newDirNode(t.ws, client.Directory{ID: rec.Dir}), newName: name}
	f, err := m.published(ctx, rec)
	if client.KindOf(err) == client.NotExist {
		return true, nil
	}
	if l := t.ws.listingOf(client.RootDir); l != nil && err == nil {
		l.publish(&f)
	}
	return true, err
}

// emptyFlat deletes what was unlinked before a time.
func (t *trash) emptyFlat(ctx context.Context, before time.Time) error {
	var old []client.FileID
	for f, err := range t.ws.store.FlatFiles(ctx, "") {
		if err != nil {
			return err
		}
		if at, ok := t.flatTrash(f.Name); ok && at.Before(before) {
			old = append(old, f.ID)
		}
	}
	for _, id := range old {
		if err := t.ws.store.DeleteFile(ctx, id); err != nil && client.KindOf(err) != client.NotExist {
			return err
		}
	}
	if len(old) == 0 {
		return nil
	}
	t.ws.fs.log.WithField("workspace", t.ws.name).Infof("trash: %d files are over and were deleted", len(old))
	if l := t.ws.listingOf(client.RootDir); l != nil {
		l.forget()
	}
	return nil
}
