// Package readcache keeps blocks of committed content near the reader.
//
// Content never changes under its DataID, so blocks are never invalidated, only
// evicted by bytes. Memory is divided:
//
//	object  everything cached or on its way for one DataID
//	block   1 MiB of it: unit of recency, eviction and of the disk cache
//	page    64 KiB: unit of memory; what one ranged request may return
//	sector  4 KiB: unit of validity, so that a small random read fetches itself
//
// Bytes arrive by three kinds of fetch, each a goroutine of the cache:
//
//	stream   one long body from an offset on, for sequences and large reads. It
//	         pauses at the furthest offset a reader wants, and ends when no reader
//	         wants anything of it (seek, close) or when others have what follows.
//	ranged   one short request within one page, for small random reads.
//	load     pages from the disk cache.
//
// A read takes what is valid, works out what is neither valid nor on its way,
// starts fetches for that (demand.go) and waits. So one fetch serves all readers.
// A fetch receives into a page nobody else sees and installs it under the lock;
// valid sectors are therefore read without it, under a pin. How far to fetch
// ahead is a pure value per reader (window.go).
//
// Nothing that waits for memory holds any: a fetch takes one page, fills and
// installs it before it takes the next, installed pages can be evicted, and a
// read pins a block only to copy from it. So the bound of Options.Memory is
// strict and cannot deadlock.
//
// What goes first is what is oldest, but for a large content that one reader goes
// through: what it has left behind is used again at once (spent.go).
//
// Small contents that this process has just sent are kept apart from all that, by
// bytes, for programs that read back what they wrote (recent.go).
//
// Errors. A body that breaks is opened again at the byte where it broke; a
// second break at the same byte is the error of every read that waits there.
// Nothing is remembered of a failure: the next read tries again. A read returns
// correct bytes or an error, never fewer bytes.
//
// The context of a read bounds its waiting only. A ranged fetch nobody waits for
// any more is cancelled; a stream lives as long as a reader wants it.
//
// Lock order: Cache.mu, then disk.mu or recent.mu. None is held across a call of
// Source, file operations, or a channel operation that could block.
package readcache
