package client

import (
	"bytes"
	"io"
)

// Body is content to send. Open is called once per attempt; a reader that is an
// io.Closer is closed. The zero Body is empty content.
type Body struct {
	Size int64 // >= 0: sent as Content-Length; -1: unknown, sent chunked
	Open func() (io.Reader, error)
}

// BytesBody sends b, which must not change until the call returns.
func BytesBody(b []byte) Body {
	return Body{Size: int64(len(b)), Open: func() (io.Reader, error) { return bytes.NewReader(b), nil }}
}

// SectionBody sends n bytes of r from off.
//
// net/http would use sendfile only for a whole *os.File: it reads on behind
// Content-Length to see that nothing is left, so a section cannot qualify.
func SectionBody(r io.ReaderAt, off, n int64) Body {
	return Body{Size: n, Open: func() (io.Reader, error) { return io.NewSectionReader(r, off, n), nil }}
}
