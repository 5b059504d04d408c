// Package repo is a content store's rules and state: workspaces, directories,
// versioned files, breakpoint files, users and privileges, as the protocol
// description has them. It knows no HTTP.
//
// Metadata lives in one bbolt database, content in files beside it; contents of
// at most 16 KiB live in the database, so that a small file costs one
// transaction. What a method has returned for survives a crash.
//
//	DIR/lock          flock of the process that has the store
//	DIR/meta.db       bbolt: records, indexes, small contents
//	DIR/data/xx/ID    one content, xx being the last two digits of its data id
//
// A content file is written and synced before the transaction that refers to
// it, and removed after the transaction that forgets it. A crash in between
// leaves a file without a record, which the next [Open] removes.
//
// Locks, outermost first; a lock further down may be taken while holding one
// above, never the other way round:
//
//	breakpoint lock  keyedLocks, one per (workspace, name), held during a body
//	authTables.write one change of users, roles or grants at a time
//	commitQueue      the group commit, then bbolt's writer lock
//	authTables.mu    the tables themselves, only for reading and swapping them
//
// Reading the database waits for nobody, and nothing is handed to a caller
// inside a database transaction: lists read some rows, end the transaction,
// then yield them.
package repo
