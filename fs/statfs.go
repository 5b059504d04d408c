package fs

import "github.com/hanwen/go-fuse/v2/fuse"

// roomy answers statfs, the same for every node: go-fuse hands the call to the node
// that the program named, and answers with zeros for a node that has no such
// method, so that a program which asks about the file it has open (LibreOffice, df
// with a file) was told of a full disk with names of no length.
//
// SCM tells no capacity, so the numbers are large and free: programs that check for
// space before they write must not be stopped.
type roomy struct{ fuse.RawFileSystem }

// StatFs implements fuse.RawFileSystem. It makes no request.
func (roomy) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	const block = 4096
	const blocks = 1 << 40 / block * 1024 // 1 PiB
	out.Bsize, out.Frsize = block, block
	out.Blocks, out.Bfree, out.Bavail = blocks, blocks, blocks
	out.Files, out.Ffree = 1<<32, 1<<32
	out.NameLen = maxName
	return fuse.OK
}
