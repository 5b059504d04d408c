// Package client is a Go SDK for SequoiaCM (SCM), a distributed store of
// versioned files, over its REST API.
//
// # Concepts
//
// A [Client] is one login at one gateway, chosen among seeds "host:port/site",
// and shared by all callers. A [Store], from [Client.Workspace], is a handle on
// one workspace: a tree of directories and versioned files. Identities are ids
// ([FileID], [DirID], [DataID]), never paths: they survive renames and moves, and
// a path can name something else a moment later.
//
// Content never changes: an update makes a new [Version] with a new DataID, and
// [Content] names exactly one of them. [Store.Open] streams it, [Store.ReadRange]
// reads parts.
//
// A [BreakpointFile] is a named upload buffer at the store: [BreakpointFile.Upload]
// resumes it after anything, and [BreakpointFile.CreateFile] or
// [BreakpointFile.UpdateContent] turns it into a file or a version without
// moving data. Small files take one request, [Store.CreateFile].
//
// # Errors
//
// Every error is an [*Error]: branch on its [Kind], with [KindOf].
//
// Calls that only read are retried with backoff within Options.RetryTimeout. A
// call that changes something is never sent a second time on a guess: when its
// answer is lost the store is asked first (part 2 section 7.4). What even the
// store cannot tell is [Uncertain]: the request may or may not have been carried
// out, or may still be. A call that ends because the caller's context did,
// [Canceled] or [Timeout], is in the same position.
//
// There are deadlines on connecting and on silence, none on the whole of a
// transfer: bound that with the context.
//
// # Concurrency
//
// Client and Store are safe for concurrent use, records are plain values, and a
// BreakpointFile's uploading methods are for one goroutine at a time. Nothing
// runs in the background except a login that outlives the caller who began it.
//
// Locks: Client.login is a single flight around the network; Client.mu guards the
// session and is never held across a call.
//
// "Part 1" and "part 2" in comments are the sections of the protocol description
// that the code follows.
package client
