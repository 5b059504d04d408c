package client

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync/atomic"
)

// Body is content to send. Open is called once per attempt, when the first byte
// is needed; a reader that is an io.Closer is closed, one that is a [FileReader]
// may be sent from its file. No Read is running any more when the call returns. An
// Open that gives the same bytes each time lets a call be sent again after an
// expired session and lets a lost answer be settled by comparison. The zero Body is
// empty content.
//
// A server must never see a body that ends early by mistake, it would take it
// for the whole: fewer than Size bytes, or an error of the reader, break the
// connection instead.
type Body struct {
	Size int64 // >= 0: sent as Content-Length; -1: unknown, sent chunked
	Open func() (io.Reader, error)
}

// FileReader is a [Body]'s reader whose next bytes may be a part of an open file.
// On Linux, over a connection without TLS, the kernel sends them from there, and this
// process does not touch them: a quarter of what sending a large file costs
// otherwise. It is called by one goroutine at a time.
type FileReader interface {
	io.Reader
	// Next returns where the next n bytes are. With n = 0 they are to be Read.
	Next() (f *os.File, off, n int64)
	// Skip says that n bytes of those were sent.
	Skip(n int64)
}

// BytesBody sends b, which must not change until the call returns.
func BytesBody(b []byte) Body {
	return Body{Size: int64(len(b)), Open: func() (io.Reader, error) { return bytes.NewReader(b), nil }}
}

// ReaderBody sends all of r, whose length need not be known. It can be sent once:
// if the session turns out to have expired the call fails with [Unavailable].
func ReaderBody(r io.Reader) Body {
	spent := &atomic.Bool{}
	return Body{Size: -1, Open: func() (io.Reader, error) {
		if spent.Swap(true) {
			return nil, errSpent
		}
		return struct{ io.Reader }{r}, nil // closing r is the caller's
	}}
}

// errSpent reports a one-time source that would have to be read again.
var errSpent = errors.New("the content cannot be read a second time")
