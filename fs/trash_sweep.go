package fs

import (
	"context"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// sweepTrash deletes what has been in the trash for longer than its TrashDays,
// now and once an hour, until ctx ends.
func (fs *FS) sweepTrash(ctx context.Context) {
	if !fs.sweeps() {
		return
	}
	tick := time.NewTicker(trashCheck)
	defer tick.Stop()
	for {
		fs.emptyTrashes(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweeps tells whether there may be anything to do.
func (fs *FS) sweeps() bool {
	any := fs.opt.Trash != "" && fs.opt.TrashDays > 0
	for _, p := range fs.opt.Policies {
		any = any || p.sweeps()
	}
	return any && !fs.opt.ReadOnly
}

func (p Policy) sweeps() bool { return p.Trash != "" && p.TrashDays > 0 && !p.ReadOnly }

func (fs *FS) emptyTrashes(ctx context.Context) {
	for info, err := range fs.stores.Workspaces(ctx) {
		if err != nil {
			fs.log.WithError(err).Warn("trash: the workspaces cannot be listed; tried again in an hour")
			return
		}
		ws := fs.workspace(info)
		if !ws.rules.sweeps() {
			continue
		}
		if err := ws.trash.empty(ctx, fs.opt.Now().UTC().AddDate(0, 0, -ws.rules.TrashDays)); err != nil {
			fs.log.WithError(err).WithField("workspace", info.Name).Warn("trash: not all of it could be emptied; tried again in an hour")
		}
	}
}

// empty deletes the days that ended before a time. A name that is not a day was
// made by somebody else and stays.
func (t *trash) empty(ctx context.Context, before time.Time) error {
	if !t.ws.directories {
		return t.emptyFlat(ctx, before)
	}
	root, err := t.find(ctx)
	if err != nil || root == "" {
		return err
	}
	var old []client.Directory
	for d, err := range t.ws.store.Directories(ctx, root, "") {
		if err != nil {
			return err
		}
		if day, err := time.Parse(trashDay, d.Name); err == nil && day.AddDate(0, 0, 1).Before(before) {
			old = append(old, d)
		}
	}
	for _, d := range old {
		if err := t.emptyDir(ctx, d.ID); err != nil {
			return err
		}
		t.ws.fs.log.WithField("workspace", t.ws.name).Infof("trash: %s is over and was deleted", d.Name)
	}
	if l := t.ws.listingOf(root); l != nil && len(old) > 0 {
		l.forget()
	}
	return nil
}

// emptyDir deletes a directory and all in it.
func (t *trash) emptyDir(ctx context.Context, dir client.DirID) error {
	var dirs []client.DirID
	for d, err := range t.ws.store.Directories(ctx, dir, "") {
		if err != nil {
			return err
		}
		dirs = append(dirs, d.ID)
	}
	for _, d := range dirs {
		if err := t.emptyDir(ctx, d); err != nil {
			return err
		}
	}
	var ids []client.FileID
	for f, err := range t.ws.store.Files(ctx, dir, "") {
		if err != nil {
			return err
		}
		ids = append(ids, f.ID)
	}
	for _, id := range ids {
		if err := t.ws.store.DeleteFile(ctx, id); err != nil && client.KindOf(err) != client.NotExist {
			return err
		}
	}
	err := t.ws.store.DeleteDirectory(ctx, dir)
	if client.KindOf(err) == client.NotExist {
		return nil // another mount was faster
	}
	return err
}
