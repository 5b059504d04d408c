// Package fs shows the workspaces of a store as a tree: names, nodes, handles,
// attributes and errnos. Content that is written is package writeback's, content
// that is read is package readcache's, and requests are package client's.
//
// # Nodes
//
// There is one node object per file or directory id, found through a table of
// weak references (table.go). A node never holds a path. Names are in listings
// (listing.go): what the store lists, changed in place by what this mount does,
// believed for an expiry. Drafts, files that the store does not have yet, are
// found through the queue and laid over the listing.
//
// # Locks
//
// Every lock is small and none is held across a request, a call into the kernel
// or a callback. "A < B" means that B may be taken while A is held:
//
//	handle.mu    < readcache
//	fileNode.mu  < writeback's locks
//	partialNode.mu < writeback's locks
//	workspace.news < fileNode.mu, listing.mu, table.mu
//	listing.mu, fetch.mu, rowBudget.mu, rootNode.mu, dirNode.mu,
//	workspace.attrMu, trash.mu, table.mu, FS.mu, FS.inodeMu: nothing is taken under them,
//	except FS.inodeMu < go-fuse's locks
//
// writeback calls back (workspace.happened) with no lock held.
//
// # Goroutines
//
// Listings, the publication after a last close that FLUSH could not recognise and
// the kernel notifications run in goroutines of the FS; Close ends and waits for
// them. The watchers of an operation's context end with the operation.
package fs
