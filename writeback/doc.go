// Package writeback keeps local content until the store has it as a version.
//
// A [Draft] is content on its way to become a version of a file, or a breakpoint
// file. Its bytes are in a spool: memory up to 1 MiB, then a file in the state
// directory. While it is written, whole increments go up to a breakpoint file;
// [Draft.Publish] seals it, sends the rest and commits.
//
//	Open --Publish--> Sealed --> Uploading --> Committing --> Committed
//	 ^ |  (increments stream while Open)  ^          |            |
//	 | |                                  +-- doubt: ask ---------+--> Open again by the next write
//	 | +--> Discarded                     Stuck: kept, shown, retried on demand
//	 +--- the next write after a commit starts the next version
//
// What was closed does not change until it is published; what is appended behind
// it meanwhile belongs to the next version. A commit is in doubt unless the store
// plainly refused it, and a doubt is settled by asking, never by repeating.
//
// Nobody but the queue's goroutines talks to the store about content. Each draft
// with work to do has one worker; Options.Uploads bounds the requests under way.
//
// Locks, outermost first: Draft.journalMu (the record), Queue.mu (tables),
// Draft.mu (state), spool.mu (bytes), and innermost flat and the budgets. Only
// journalMu is held over disk writes, and none across a request to the store, a
// wait, or a callback.
package writeback
