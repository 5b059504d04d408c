package fs

import (
	"context"
	"errors"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

const (
	renameNoReplace = 1
	renameExchange  = 2
)

var _ fusefs.NodeRenamer = (*dirNode)(nil)

// Rename implements fusefs.NodeRenamer. What happens depends on what the two
// names are; every branch leaves either the old or the new state at the store.
func (d *dirNode) Rename(ctx context.Context, name string, newParent fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	fs := d.ws.fs
	if d.ws.rules.ReadOnly {
		return syscall.EROFS
	}
	to, ok := newParent.(*dirNode)
	if !ok {
		return d.renameOut(newParent)
	}
	if to.ws != d.ws {
		return syscall.EXDEV
	}
	if d.reserved(name) {
		return syscall.EBUSY
	}
	octx, cancel := fs.deed(ctx)
	defer cancel()
	from, _, errno := d.find(octx, name)
	if errno != 0 {
		return errno
	}
	check := checkFileName
	if from.dir != nil {
		check = checkDirectoryName
	}
	if errno := to.maySet(newName, check); errno != 0 {
		return errno
	}
	onto, _, errno := to.find(octx, newName)
	if errno != 0 && errno != syscall.ENOENT {
		return errno
	}
	taken := errno == 0
	switch {
	case flags&renameExchange != 0:
		// SCM has no exchange, and two moves would show a moment without either.
		return syscall.EINVAL
	case flags&^renameNoReplace != 0:
		return syscall.EINVAL
	case taken && flags&renameNoReplace != 0:
		return syscall.EEXIST
	case taken && from.dir == nil && onto.dir != nil:
		return syscall.EISDIR
	case taken && from.dir != nil && onto.dir == nil:
		return syscall.ENOTDIR
	}
	for _, n := range []*fileNode{from.file, onto.file} {
		if n != nil && from.file != onto.file {
			if err := n.settleClosed(octx); err != nil {
				return errnoOf(octx, err)
			}
		}
	}
	m := move{from: d, name: name, to: to, newName: newName}
	switch {
	case from.dir != nil:
		if taken && from.dir == onto.dir {
			return 0
		}
		errno = m.directory(octx, from.dir, onto.dir)
	case taken && from.file == onto.file:
		return 0
	case taken:
		errno = m.fileOnto(octx, from.file, onto.file)
	default:
		if back := to.comeBack(octx, newName, from.file); back != nil {
			errno = m.fileOnto(octx, from.file, back)
		} else {
			errno = m.file(octx, from.file)
		}
	}
	if errno == 0 {
		d.touched()
		to.touched()
	}
	return errno
}

// renameOut answers a rename to a place that is not a directory of a workspace:
// the root, .partial, .versions, .scmfs.
func (d *dirNode) renameOut(to fusefs.InodeEmbedder) syscall.Errno {
	if _, ok := to.(*partialDir); ok {
		// Not EXDEV: mv would copy the content into a breakpoint file, from which it
		// cannot be read, and delete the file. Not EINVAL: mv takes that for a move
		// of a directory into itself.
		d.ws.fs.log.WithField("workspace", d.ws.name).Info("rename into .partial refused: a file cannot become a breakpoint file again")
	}
	return syscall.EPERM
}

// move is one rename within a workspace.
type move struct {
	from, to      *dirNode
	name, newName string
}

func (m move) target() writeback.Target { return m.to.ws.target(m.to.id, m.newName) }

// file gives a file a free name.
func (m move) file(ctx context.Context, n *fileNode) syscall.Errno {
	n.mu.Lock()
	rec, d := n.rec, n.liveLocked()
	n.ctime = n.ws.fs.opt.Now()
	n.mu.Unlock()
	if rec == nil {
		if d == nil {
			return syscall.ESTALE
		}
		if err := d.Retain(); err != nil {
			return errnoOf(ctx, err)
		}
		retained := d // d itself is nil at the end of what was published meanwhile
		defer func() { _ = retained.Release(ctx) }()
		n.stamp(d)
		if err := d.Rename(ctx, m.target()); err != nil {
			return errnoOf(ctx, err)
		}
		if errno := n.publishClosed(ctx, d); errno != 0 {
			return errno
		}
		n.hear(d)
		n.mu.Lock()
		rec = n.rec
		n.mu.Unlock()
		if rec == nil || rec.Name == m.newName && (rec.Dir == m.to.id || !m.to.ws.directories) {
			return 0
		}
		// It was published under the old name in the meantime.
		d = nil
	}
	f, err := m.published(ctx, *rec)
	if err != nil {
		return errnoOf(ctx, err)
	}
	if d == nil { // published a moment ago: it would still have the old name
		d, _ = m.from.ws.fs.queue.ForFile(m.from.ws.name, f.ID)
	}
	if d != nil {
		// A draft that is gone by now was clean: there is nothing to follow.
		if err := d.Rename(ctx, m.target()); err != nil && !errors.Is(err, writeback.ErrGone) {
			n.ws.fs.log.WithError(err).WithField("file", m.target().String()).Warn("renamed at the server, but what is being written to it here would be published under the old name; close it and look (scmfs pending list)")
		}
	}
	ws := m.from.ws
	ws.news.Lock()
	defer ws.news.Unlock()
	n.renamed(f)
	m.from.list.drop(m.name)
	m.to.list.set(row{name: m.newName, file: &f})
	m.putAside(n)
	return 0
}

// renamed takes over the record of a rename: new name and place, and the content
// that the node has, which may be newer by now.
func (n *fileNode) renamed(f client.File) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rec != nil && n.rec.Version.Major > f.Version.Major {
		newer := *n.rec
		newer.Name, newer.Dir = f.Name, f.Dir
		f = newer
	}
	n.local = n.ws.fs.opt.Now()
	n.rec, n.seen = &f, n.local
}

// published renames, moves, or does both to a file at the store. Each step is
// idempotent, so an answer that was lost is settled by asking for the record.
func (m move) published(ctx context.Context, f client.File) (client.File, error) {
	st := m.from.ws.store
	if !m.from.ws.directories || m.from.id == m.to.id {
		return m.settle(ctx, f.ID, f.Dir, m.newName, func() (client.File, error) { return st.RenameFile(ctx, f.ID, m.newName) })
	}
	if m.newName == f.Name {
		return m.settle(ctx, f.ID, m.to.id, f.Name, func() (client.File, error) { return st.MoveFile(ctx, f.ID, m.to.id) })
	}
	// Both. Usually the old name is free in the new place, and two requests do it;
	// otherwise the file goes by a name that is free on both sides.
	_, err := m.settle(ctx, f.ID, m.to.id, f.Name, func() (client.File, error) { return st.MoveFile(ctx, f.ID, m.to.id) })
	if client.KindOf(err) == client.Exist {
		err = m.between(ctx, f)
	}
	if err != nil {
		return client.File{}, err
	}
	out, err := m.settle(ctx, f.ID, m.to.id, m.newName, func() (client.File, error) { return st.RenameFile(ctx, f.ID, m.newName) })
	if err != nil {
		m.undoFile(ctx, f, true)
	}
	return out, err
}

// between moves a file under a name that nobody else has.
func (m move) between(ctx context.Context, f client.File) error {
	st := m.from.ws.store
	name := "." + string(f.ID) + ".moving"
	if _, err := m.settle(ctx, f.ID, f.Dir, name, func() (client.File, error) { return st.RenameFile(ctx, f.ID, name) }); err != nil {
		return err
	}
	_, err := m.settle(ctx, f.ID, m.to.id, name, func() (client.File, error) { return st.MoveFile(ctx, f.ID, m.to.id) })
	if err != nil {
		m.undoFile(ctx, f, false)
	}
	return err
}

// undoFile brings a file back to where it was after a rename broke in the middle.
func (m move) undoFile(ctx context.Context, f client.File, moved bool) {
	ctx, cancel := m.from.ws.fs.op(context.WithoutCancel(ctx))
	defer cancel()
	st := m.from.ws.store
	var err error
	if moved {
		_, err = st.MoveFile(ctx, f.ID, f.Dir)
	}
	if now, askErr := st.File(ctx, f.ID); err == nil && (askErr != nil || now.Name != f.Name) {
		_, err = st.RenameFile(ctx, f.ID, f.Name)
	}
	if err != nil {
		m.from.ws.fs.log.WithError(err).WithField("file", m.from.ws.name+"/…/"+f.Name).WithField("id", string(f.ID)).
			Error("rename broke in the middle and could not be taken back: the file has a temporary name; its content is untouched, rename it from there when the server answers again")
	}
	m.from.list.forget()
}

// settle sends one step and, when its answer was lost, asks whether it happened.
func (m move) settle(ctx context.Context, id client.FileID, dir client.DirID, name string, send func() (client.File, error)) (client.File, error) {
	f, err := send()
	if client.KindOf(err) == client.Uncertain {
		now, askErr := m.from.ws.store.File(ctx, id)
		if askErr == nil && now.Name == name && (now.Dir == dir || !m.from.ws.directories) {
			return now, nil
		}
	}
	return f, err
}
