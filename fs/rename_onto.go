package fs

import (
	"context"
	"errors"
	"io"
	"syscall"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

// fileOnto renames a file onto an existing one. The target keeps its id and its
// history: the source's content becomes its next version, then the source goes.
// There is no moment without the target.
func (m move) fileOnto(ctx context.Context, n, target *fileNode) syscall.Errno {
	n.mu.Lock()
	rec, d := n.rec, n.liveLocked()
	n.mu.Unlock()
	target.mu.Lock()
	base, under := target.rec, target.liveLocked()
	target.mu.Unlock()

	switch {
	case rec == nil && d == nil:
		return syscall.ESTALE
	case base == nil, n.kind == syscall.S_IFREG && target.kind != syscall.S_IFREG:
		// Nothing of the target can be lost but itself: it was never published, or it
		// is a link or a special file, which a version with content would stay.
		return m.replace(ctx, n, target)
	}
	made, errno := target.loseDraft(ctx, under)
	if errno != 0 {
		return errno
	}
	if made { // or not: what comes next goes onto what is there
		switch f, err := m.to.ws.store.File(ctx, base.ID); {
		case err == nil:
			base = &f
		case client.KindOf(err) != client.NotExist: // which publication settles
			return errnoOf(ctx, err)
		}
	}
	if n.kind != syscall.S_IFREG {
		return m.specialOnto(ctx, n, target, *base)
	}
	if rec == nil {
		return m.draftOnto(ctx, n, target, d, *base)
	}
	return m.copyOnto(ctx, n, target, *base)
}

// loseDraft drops what is being written to a file that another one replaces: it
// has lost its name, and stays for whoever has it open. It tells whether a version
// was just being made of it.
func (n *fileNode) loseDraft(ctx context.Context, d *writeback.Draft) (bool, syscall.Errno) {
	if d == nil {
		return false, 0
	}
	if !d.Dirty() {
		d.Unname() // nobody may join it who writes what replaces the file
		return false, 0
	}
	n.keepDraft(d)
	if err := d.Discard(); err != nil {
		return false, errnoOf(ctx, err)
	}
	return d.Ended(ctx), 0
}

// replace removes the target first.
func (m move) replace(ctx context.Context, n, target *fileNode) syscall.Errno {
	if errno := target.remove(ctx); errno != 0 {
		return errno
	}
	m.to.list.drop(m.newName)
	return m.file(ctx, n)
}

// specialOnto renames a link or a special file onto a published file. All that it
// is are its attributes, so the target gets those, in one request: who swaps a
// link by rename(2) relies on there being no moment without it.
func (m move) specialOnto(ctx context.Context, n, target *fileNode, base client.File) syscall.Errno {
	if d := n.live(); d != nil && d.Dirty() {
		f, err := d.PublishNow(ctx)
		if err != nil {
			return errnoOf(ctx, err)
		}
		n.finished(d, f)
		if errno := n.refetch(ctx); errno != 0 {
			return errno
		}
	}
	n.mu.Lock()
	px, meta := n.ontoLocked(nil, base.Metadata, base.Version.Major)
	n.mu.Unlock()
	f, err := m.from.ws.store.SetMetadata(ctx, base.ID, meta)
	if err != nil {
		return errnoOf(ctx, err)
	}
	if f.Metadata == nil {
		f.Metadata = meta
	}
	if errno := m.removeSource(ctx, n); errno != 0 {
		return errno
	}
	n.mu.Lock()
	n.meta, n.px = meta, px
	n.mu.Unlock()
	m.rebind(n, target, &f)
	return 0
}

// draftOnto makes a draft the next version of base: how rsync and editors save.
// The node of the draft becomes the node of the file, as the kernel expects of a
// rename; the old node keeps the old content for whoever has it open.
func (m move) draftOnto(ctx context.Context, n, target *fileNode, d *writeback.Draft, base client.File) syscall.Errno {
	if err := d.Retain(); err != nil {
		return errnoOf(ctx, err)
	}
	defer func() { _ = d.Release(ctx) }()
	n.stampOnto(d, d, base)
	err := d.RenameOnto(ctx, m.target(), base)
	if errors.Is(err, writeback.ErrPublished) {
		// Its close had begun to publish it, and that came first: a file of its own.
		f, err := d.PublishNow(ctx)
		if err != nil {
			return errnoOf(ctx, err)
		}
		n.finished(d, f)
		if errno := n.refetch(ctx); errno != 0 {
			return errno
		}
		return m.copyOnto(ctx, n, target, base)
	}
	if err != nil {
		return errnoOf(ctx, err)
	}
	// What was held back is published by now, also when somebody has it open again:
	// what that one writes goes onto this version, not onto the one before.
	rec := &base
	if f, ok := d.Published(); ok {
		rec = &f
	}
	m.rebind(n, target, rec)
	n.hear(d) // in async mode it may have come in between
	return n.publishClosed(ctx, d)
}

// publishClosed publishes a draft that nobody writes any more: it was held back
// under a temporary name, and now it has its real one. rename(2) returns when the
// store has it.
func (n *fileNode) publishClosed(ctx context.Context, d *writeback.Draft) syscall.Errno {
	n.mu.Lock()
	writing := n.writers > 0
	n.mu.Unlock()
	if writing {
		return 0
	}
	f, err := d.Publish(ctx) // of a clean draft: what the rename published
	if err != nil {
		return errnoOf(ctx, err)
	}
	n.finished(d, f)
	return 0
}

// rebind lets node n stand for the file that target stood for.
func (m move) rebind(n, target *fileNode, rec *client.File) {
	ws := m.from.ws
	ws.news.Lock()
	defer ws.news.Unlock()
	n.mu.Lock()
	old := n.id
	n.id, n.rec, n.seen, n.local = rec.ID, rec, ws.fs.opt.Now(), ws.fs.opt.Now()
	n.mu.Unlock()
	ws.files.unbind(old, n)
	ws.files.bind(rec.ID, n)
	target.unlink()
	m.from.list.drop(m.name)
	m.to.list.set(row{name: m.newName, file: rec})
}

// stampOnto sets the attributes of a draft that becomes the next version: its
// own mode and time, and the metadata of the file it goes onto with the extended
// attributes of its own, which a program that copied them there expects to find.
// own is the draft that n is written to, if there is one.
func (n *fileNode) stampOnto(own, d *writeback.Draft, base client.File) {
	d.SetMeta(n.metaOnto(own, base.Metadata, base.Version.Major+1))
}

// metaOnto makes n's attributes those of the version major of a file that has
// the metadata base.
func (n *fileNode) metaOnto(own *writeback.Draft, base map[string]string, major int) map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	px, meta := n.ontoLocked(own, base, major)
	n.px, n.meta, n.mtimeAt = px, meta, n.ws.fs.opt.Now()
	return meta
}

// ontoLocked says what metaOnto makes them, and changes nothing.
func (n *fileNode) ontoLocked(own *writeback.Draft, base map[string]string, major int) (posix, map[string]string) {
	px := n.px
	px.MTime, px.Major = n.mtimeLocked(own), major
	return px, px.into(xattrsOnto(base, n.meta))
}

// copyOnto renames a published file onto another: SCM cannot do that, so the
// content is copied into a new version of the target.
func (m move) copyOnto(ctx context.Context, n, target *fileNode, base client.File) syscall.Errno {
	ws := m.from.ws
	open := n.live() // who has the source open goes on writing to the target
	if open != nil && open.Dirty() {
		if _, err := open.PublishNow(ctx); err != nil {
			return errnoOf(ctx, err)
		}
		if errno := n.refetch(ctx); errno != 0 {
			return errno
		}
	}
	c, ok := n.content()
	if !ok {
		return syscall.ESTALE
	}
	f, done, err := m.copiedBefore(ctx, n, c, base.ID)
	switch {
	case client.KindOf(err) == client.NotExist:
		return m.replace(ctx, n, target) // somebody else removed it
	case err != nil:
		return errnoOf(ctx, err)
	}
	target.leave(true)
	var d *writeback.Draft
	if !done {
		d, f, err = m.copied(ctx, n, c, f, open != nil)
	}
	errno := errnoOf(ctx, err)
	if errno == 0 {
		errno = m.removeSource(ctx, n)
	}
	if errno != 0 {
		target.leave(false)
		return errno
	}
	if open != nil {
		if err := open.Follow(ctx, m.target(), f); err != nil && !errors.Is(err, writeback.ErrGone) {
			ws.fs.log.WithError(err).WithField("file", m.target().String()).Warn("renamed at the server, but what is being written to it here would be published under the old name; close it and look (scmfs pending list)")
		}
	}
	if f.ID == "" {
		f = base
	}
	m.rebind(n, target, &f)
	if d != nil {
		n.mu.Lock()
		n.draft = d
		n.mu.Unlock()
		if !d.Dirty() { // the news of it went to the node that was replaced
			n.hear(d)
		}
	}
	return 0
}

// copied makes content c of n the next version of base. In async mode the version
// may be made later than this, unless now asks for it.
func (m move) copied(ctx context.Context, n *fileNode, c client.Content, base client.File, now bool) (*writeback.Draft, client.File, error) {
	ws := m.from.ws
	d, err := ws.fs.queue.Edit(ctx, m.target(), base, true)
	if err != nil {
		return nil, base, err
	}
	ws.watch(d)
	f, err := m.fill(ctx, d, n, c, base)
	if err == nil && now {
		f, err = d.PublishNow(ctx) // what is written next goes onto it
	}
	if err != nil {
		_ = d.Discard()
		_ = d.Release(ctx)
		return nil, f, err
	}
	return d, f, d.Release(ctx)
}

// fill copies content into a draft and publishes it.
func (m move) fill(ctx context.Context, d *writeback.Draft, n *fileNode, c client.Content, base client.File) (client.File, error) {
	r := m.from.ws.fs.cache.Reader(m.from.ws.store, c)
	defer r.Close()
	src := io.NewSectionReader(readerAt{ctx, r}, 0, c.Size)
	if _, err := io.Copy(io.NewOffsetWriter(writerAt{ctx, d}, 0), src); err != nil {
		return client.File{}, err
	}
	n.stampOnto(nil, d, base) // what is written into d was not changed by that
	return d.Publish(ctx)
}

type writerAt struct {
	ctx context.Context
	d   *writeback.Draft
}

func (w writerAt) WriteAt(p []byte, off int64) (int, error) { return w.d.WriteAt(w.ctx, p, off) }

func (m move) removeSource(ctx context.Context, n *fileNode) syscall.Errno {
	n.mu.Lock()
	id := n.id
	n.mu.Unlock()
	err := m.from.ws.store.DeleteFile(ctx, id)
	if err != nil && client.KindOf(err) != client.NotExist {
		return errnoOf(ctx, err)
	}
	return 0
}

// refetch asks for the record again.
func (n *fileNode) refetch(ctx context.Context) syscall.Errno {
	n.mu.Lock()
	id := n.id
	n.mu.Unlock()
	f, err := n.ws.store.File(ctx, id)
	if err != nil {
		return errnoOf(ctx, err)
	}
	n.adopt(f)
	return 0
}
