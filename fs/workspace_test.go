package fs

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sequoiacm/scmfs/client"
)

// The news of a publication may come while the node it was for loses its name.
func TestPlaceWhileTheNodeLosesItsName(t *testing.T) {
	rec := client.File{ID: "f1", Name: "f", Dir: client.RootDir, Version: client.Version{Major: 1}}
	begin := func(t *testing.T) (*workspace, *dirNode, *fileNode) {
		l, _ := newTestListing(t, true)
		root := l.ws.root()
		root.list.isEmpty()
		n := &fileNode{ws: l.ws, id: rec.ID, rec: &rec}
		l.ws.files.bind(rec.ID, n)
		return l.ws, root, n
	}
	named := func(d *dirNode) bool {
		rows, fresh := d.list.snapshot()
		assert.True(t, fresh)
		_, ok := findRow(rows, "f")
		return ok
	}

	ws, root, n := begin(t)
	ws.place(n, rec)
	assert.True(t, named(root))

	// Removed: it must not come back.
	ws, root, n = begin(t)
	ws.files.unbind(rec.ID, n)
	n.detach()
	ws.place(n, rec)
	assert.False(t, named(root))

	// Another node became the file by a rename onto it: the name stays.
	ws, root, n = begin(t)
	other := &fileNode{ws: ws, id: rec.ID}
	ws.files.bind(rec.ID, other)
	n.detach()
	ws.place(n, rec)
	assert.True(t, named(root))
	assert.Same(t, other, ws.files.peek(rec.ID))
}
