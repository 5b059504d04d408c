package integration

import (
	"context"
	"fmt"
	"path"
	"slices"
	"syscall"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// What others do: another client of the store, and signals.

// killWorker is kill -9 of a program that has files open (2.7).
func (g *game) killWorker(who int) error {
	m := g.models[0]
	for _, h := range m.handles {
		n := m.inodes[h.ino]
		if h.who != who || n.change == clean {
			continue
		}
		others := slices.ContainsFunc(m.handles, func(o handle) bool { return o.ino == h.ino && o.who != who })
		if n.synced != nil || n.gone || heldName(m.pathOf(h.ino)) || others {
			return nil // not said in so many words
		}
	}
	g.figures.steps++
	g.figures.workerKills++
	g.hands[who].kill()
	w, err := newWorker()
	if err != nil {
		return err
	}
	g.hands[who] = w
	for _, m := range g.models {
		var lost []int
		for _, h := range m.handles {
			if n := m.inodes[h.ino]; h.who == who && h.writes() && n.change != clean {
				lost = append(lost, h.ino)
			}
		}
		m.handles = slices.DeleteFunc(slices.Clone(m.handles), func(h handle) bool { return h.who == who })
		for _, ino := range lost {
			n, p := m.inodes[ino], m.pathOf(ino)
			if n.change == clean {
				continue
			}
			n.change, n.data, n.mode, n.mtime, n.anyXattrs = clean, n.stored, anyMode, 0, true
			if !n.published {
				m.detach(p)
			}
		}
	}
	return g.audit(10 * time.Second)
}

// remote changes the store as another client does.
func (g *game) remote(o op) error {
	if g.async { // a conflict with what is still on its way is another matter (7)
		if err := g.audit(0); err != nil {
			return err
		}
	}
	m := g.models[0]
	p := modelPaths[o.a]
	n := m.at(p)
	if m.parent(p) != 0 {
		return nil
	}
	if n != nil && (n.kind != "file" || !n.published || n.held) {
		return nil
	}
	if n != nil && m.opens(m.names[p]) > 0 && (o.kind != "remote-write" || m.opens(m.names[p]) != m.writers(m.names[p]) || n.change != changed) {
		return nil
	}
	to := path.Join(path.Dir(p), fmt.Sprintf("%s%d", "theirs", o.b%2))
	if o.kind == "remote-rename" && m.at(to) != nil || (o.kind == "remote-create") != (n == nil) {
		return nil
	}
	g.figures.steps++
	g.figures.remote++
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b := bytesOf(g.seed, modelSizes[o.n%len(modelSizes)])
	if err := g.remotely(ctx, o.kind, p, to, b); err != nil {
		return fmt.Errorf("the other client: %w", err)
	}
	changed := time.Now()
	for _, m := range g.models {
		n := m.at(p)
		switch o.kind {
		case "remote-create":
			m.add(p, &inode{kind: "file", mode: 0o644, data: b, stored: b, published: true, history: []version{{sumOf(b), true}}})
		case "remote-write":
			n.history, n.stored = append(slices.Clip(n.history), version{sumOf(b), true}), b
			if n.change == clean {
				n.data, n.mtime = b, 0
			}
		case "remote-rename":
			m.names[to] = m.names[p]
			delete(m.names, p)
		case "remote-delete":
			m.detach(p)
		}
	}
	err := g.compare(5 * time.Second)
	// The tree may be right before the kernel has forgotten each name of before,
	// which 1.3 promises only after the expiry.
	time.Sleep(time.Until(changed.Add(modelExpiry + 10*time.Millisecond))) // the kernel counts in jiffies
	return err
}

func (g *game) remotely(ctx context.Context, kind, p, to string, b []byte) error {
	full := "/" + g.root + "/" + p
	if kind == "remote-create" {
		dir, err := g.store.DirectoryByPath(ctx, path.Dir(full))
		if err != nil {
			return err
		}
		_, err = g.store.CreateFile(ctx, client.NewFile{Name: path.Base(p), Dir: dir.ID}, client.BytesBody(b))
		return err
	}
	f, err := g.store.FileByPath(ctx, full, client.Version{})
	if err != nil {
		return err
	}
	switch kind {
	case "remote-write":
		_, err = g.store.UpdateContent(ctx, f.ID, client.Version{}, client.BytesBody(b))
	case "remote-rename":
		_, err = g.store.RenameFile(ctx, f.ID, path.Base(to))
	case "remote-delete":
		err = g.store.DeleteFile(ctx, f.ID)
	default:
		err = syscall.ENOSYS
	}
	return err
}

// midwayRename is a rename that was interrupted between its requests: moved under
// the old name, or the target has the content and the source is still there.
func (m *model) midwayRename(s step) (out []*model) {
	a, b := m.at(s.Path), m.at(s.To)
	if a == nil {
		return nil
	}
	if b == nil {
		if mid := path.Join(path.Dir(s.To), path.Base(s.Path)); mid != s.Path && mid != s.To {
			c := m.clone()
			if c.rename(s.Path, mid, 1) == 0 {
				out = append(out, c)
			}
		}
		return out
	}
	if s.Path == s.To || m.clone().rename(s.Path, s.To, s.Flags) != 0 {
		return nil // refused, or nothing to do: nothing is half done either
	}
	if b.kind != "file" || !b.published {
		c := m.clone()
		c.detach(s.To) // it is replaced: removed first (4.2)
		out = append(out, c)
	} else if a.kind != "dir" && a.published {
		c := m.clone()
		if c.rename(s.Path, s.To, 0) == 0 {
			n := *c.inodes[m.names[s.Path]]
			c.inodes[m.names[s.Path]] = &n
			old := *a
			old.change, old.data, old.anyXattrs, old.mode, old.mtime = clean, old.stored, true, anyMode, 0
			c.next++
			c.inodes[c.next] = &old
			c.names[s.Path] = c.next
			out = append(out, c)
		}
	}
	return out
}
