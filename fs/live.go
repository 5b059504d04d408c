package fs

import "github.com/sequoiacm/scmfs/writeback"

// live returns the draft that is the file's content at present, nil when the
// store's is.
func (n *fileNode) live() *writeback.Draft {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.liveLocked()
}

func (n *fileNode) liveLocked() *writeback.Draft {
	if n.draft == nil && !n.detached {
		// Closed and not published yet, and the kernel had forgotten the node.
		if d, ok := n.ws.fs.queue.ForFile(n.ws.name, n.id); ok && n.behindLocked(d) {
			n.draft = d
		}
	}
	n.letGoLocked()
	return n.draft
}

// letGoLocked drops a draft that the node has no more use for: a node lives as long
// as the kernel knows the file, and 100,000 files that were just made would hold
// 270 MB of drafts.
func (n *fileNode) letGoLocked() {
	if n.draft != nil && n.opens == 0 && n.rec != nil && !n.behindLocked(n.draft) {
		n.draft = nil
	}
}

// behindLocked tells whether the draft has something that the node does not know
// from the store yet.
func (n *fileNode) behindLocked(d *writeback.Draft) bool {
	if n.rec == nil || d.Dirty() {
		return d.Ahead()
	}
	f, ok := d.Published()
	return ok && d.Ahead() && f.Version.Major > n.rec.Version.Major
}
