package fs

import (
	"hash/fnv"

	"github.com/sequoiacm/scmfs/client"
)

// rootIno is the inode number of the mount's root.
const rootIno = 1

// inoOf derives an inode number from what names a thing for ever: its workspace,
// its kind and its id. It is the same in every mount and after a restart. Two
// ids may share a number without harm: nodes are told apart by their object, see
// table.go. Numbers stay below 2^63 because some programs read them signed.
func inoOf(workspace, kind, id string) uint64 {
	h := fnv.New64a()
	for _, s := range []string{workspace, kind, id} {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	n := h.Sum64() >> 1
	if n <= rootIno {
		n += 2
	}
	return n
}

func fileIno(workspace string, id client.FileID) uint64 { return inoOf(workspace, "file", string(id)) }
func dirIno(workspace string, id client.DirID) uint64   { return inoOf(workspace, "dir", string(id)) }
