package fs

import (
	"github.com/sequoiacm/scmfs/writeback"
)

// watch lets the tree hear of what becomes of a draft in the background: an
// upload that a close did not wait for. Call it once per draft.
func (ws *workspace) watch(d *writeback.Draft) {
	d.OnChange(func(e writeback.Event) { ws.happened(e) })
}

func (ws *workspace) happened(e writeback.Event) {
	if e.Kind != writeback.Published || e.File.ID == "" {
		return
	}
	n := ws.files.peek(e.File.ID)
	switch {
	case n == nil:
		// The kernel has forgotten the node, or the file was removed meanwhile: the
		// next look at the directory asks.
		if l := ws.listingOf(e.File.Dir); l != nil {
			l.forget()
		}
	case !n.knows(e.File):
		ws.announced(e.File)
		if !n.open() {
			ws.fs.attributesChanged(n)
		}
	}
}
