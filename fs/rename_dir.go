package fs

import (
	"context"
	"syscall"

	"github.com/sequoiacm/scmfs/client"
)

// directory renames, moves, or does both to a directory. An empty target is
// removed first, as rename(2) allows.
func (m move) directory(ctx context.Context, dir, onto *dirNode) syscall.Errno {
	if onto != nil {
		if errno := onto.remove(ctx); errno != 0 {
			return errno
		}
		m.to.list.drop(m.newName)
	}
	rec, err := m.publishedDir(ctx, dir.record())
	if err != nil {
		return errnoOf(ctx, err)
	}
	dir.update(rec)
	m.from.list.drop(m.name)
	m.to.list.set(row{name: m.newName, dir: &rec})
	return 0
}

func (m move) publishedDir(ctx context.Context, d client.Directory) (client.Directory, error) {
	st := m.from.ws.store
	if m.from.id == m.to.id {
		return m.settleDir(ctx, d.ID, d.Parent, m.newName, func() (client.Directory, error) { return st.RenameDirectory(ctx, d.ID, m.newName) })
	}
	if d.Name == m.newName {
		return m.settleDir(ctx, d.ID, m.to.id, d.Name, func() (client.Directory, error) { return st.MoveDirectory(ctx, d.ID, m.to.id) })
	}
	_, err := m.settleDir(ctx, d.ID, m.to.id, d.Name, func() (client.Directory, error) { return st.MoveDirectory(ctx, d.ID, m.to.id) })
	if client.KindOf(err) == client.Exist {
		err = m.betweenDir(ctx, d)
	}
	if err != nil {
		return client.Directory{}, err
	}
	out, err := m.settleDir(ctx, d.ID, m.to.id, m.newName, func() (client.Directory, error) { return st.RenameDirectory(ctx, d.ID, m.newName) })
	if err != nil {
		m.undoDir(ctx, d, true)
	}
	return out, err
}

// betweenDir moves a directory under a name that nobody else has.
func (m move) betweenDir(ctx context.Context, d client.Directory) error {
	st := m.from.ws.store
	name := "." + string(d.ID) + ".moving"
	if _, err := m.settleDir(ctx, d.ID, d.Parent, name, func() (client.Directory, error) { return st.RenameDirectory(ctx, d.ID, name) }); err != nil {
		return err
	}
	_, err := m.settleDir(ctx, d.ID, m.to.id, name, func() (client.Directory, error) { return st.MoveDirectory(ctx, d.ID, m.to.id) })
	if err != nil {
		m.undoDir(ctx, d, false)
	}
	return err
}

func (m move) undoDir(ctx context.Context, d client.Directory, moved bool) {
	ctx, cancel := m.from.ws.fs.op(context.WithoutCancel(ctx))
	defer cancel()
	st := m.from.ws.store
	var err error
	if moved {
		_, err = st.MoveDirectory(ctx, d.ID, d.Parent)
	}
	if now, askErr := st.Directory(ctx, d.ID); err == nil && (askErr != nil || now.Name != d.Name) {
		_, err = st.RenameDirectory(ctx, d.ID, d.Name)
	}
	if err != nil {
		m.from.ws.fs.log.WithError(err).WithField("directory", m.from.ws.name+"/…/"+d.Name).WithField("id", string(d.ID)).
			Error("rename broke in the middle and could not be taken back: the directory has a temporary name; what is in it is untouched, rename it from there when the server answers again")
	}
	m.from.list.forget()
}

func (m move) settleDir(ctx context.Context, id, parent client.DirID, name string, send func() (client.Directory, error)) (client.Directory, error) {
	d, err := send()
	if client.KindOf(err) == client.Uncertain {
		now, askErr := m.from.ws.store.Directory(ctx, id)
		if askErr == nil && now.Name == name && now.Parent == parent {
			return now, nil
		}
	}
	return d, err
}
