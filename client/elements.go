package client

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxRecord bounds one row of a list and an answer that is no list, in bytes of
// JSON. A gateway takes 8 KiB of a request's header (part 1 section 1.6), so that
// no record of a file comes near it.
const maxRecord = 256 << 10

// elements takes a JSON array from a stream apart, one element at a time, so that
// each is judged before the next takes any memory, and nothing is kept of those
// before. It finds where elements end; whether they are JSON is for their reader
// to say. Blanks are skipped as they come: json.Decoder looks at all of them again
// whenever more arrive.
type elements struct {
	r     io.Reader
	err   error   // of r, once buf is used up
	buf   []byte  // buf[i:] is not taken yet
	own   *[]byte // buf as it was at first
	i     int
	begun bool
	// whole, if not nil, knows a row at the start of a text and returns its length;
	// 0 when it does not, and where the row ends is found by brackets and quotes. So
	// nearly all of a list is looked at once, not twice.
	whole func([]byte) int
	usual int // length of the row before: with less in buf it is not tried
}

// buffers are those of lists that were read. Most lists are of one row or none, and
// a buffer for each, in a directory too long to be kept, made half of the mount's
// time that of the garbage collector.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

func newElements(r io.Reader) *elements {
	b := buffers.Get().(*[]byte)
	return &elements{r: r, buf: *b, own: b}
}

// release ends the use of e and of the last element.
func (e *elements) release() {
	e.buf, e.err = nil, io.ErrClosedPipe
	if e.own != nil {
		buffers.Put(e.own)
		e.own = nil
	}
}

// fill reads more behind buf[i:], which moves to the start of the buffer.
func (e *elements) fill() error {
	if e.err != nil {
		return e.err
	}
	e.buf, e.i = e.buf[:copy(e.buf, e.buf[e.i:])], 0
	if len(e.buf) == cap(e.buf) {
		if len(e.buf) >= maxRecord {
			return fmt.Errorf("a row takes more than %d bytes: %w", maxRecord, errTooLong)
		}
		e.buf = append(make([]byte, 0, 2*cap(e.buf)), e.buf...)
	}
	for range 100 {
		n, err := e.r.Read(e.buf[len(e.buf):cap(e.buf)])
		e.buf, e.err = e.buf[:len(e.buf)+n], err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// peek returns the next character that is not blank.
func (e *elements) peek() (byte, error) {
	for {
		for ; e.i < len(e.buf); e.i++ {
			switch c := e.buf[e.i]; c {
			case ' ', '\t', '\r', '\n':
			default:
				return c, nil
			}
		}
		if err := e.fill(); err != nil {
			return 0, err
		}
	}
}

// next returns an element, which is valid until the next call; io.EOF when the
// array and with it the text is over. Anything but one whole array is errCutOff.
func (e *elements) next() ([]byte, error) {
	c, err := e.peek()
	if err == nil && !e.begun {
		if c != '[' {
			return nil, errors.New("the answer is not a list")
		}
		e.begun = true
		e.i++
		if c, err = e.peek(); c != ']' {
			return e.element(err)
		}
	}
	switch {
	case err != nil:
		return nil, cutOff(err)
	case c == ',':
		e.i++
		_, err = e.peek()
		return e.element(err)
	case c == ']':
		e.i++
		return nil, e.over()
	}
	return nil, fmt.Errorf("%w: %q between two rows", errCutOff, c)
}

// element reads up to the comma or bracket behind an element.
func (e *elements) element(err error) ([]byte, error) {
	if err == nil && e.whole != nil && len(e.buf)-e.i >= e.usual {
		if n := e.whole(e.buf[e.i:]); n > 0 {
			e.i, e.usual = e.i+n, n
			return e.buf[e.i-n : e.i], nil
		}
	}
	quoted, depth := false, 0
	for j := e.i; err == nil; {
		for ; j < len(e.buf); j++ {
			c := e.buf[j]
			switch {
			case quoted && c == '\\':
				j++ // whatever follows, a quote for one
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '{' || c == '[':
				depth++
			case depth > 0 && (c == '}' || c == ']'):
				depth--
			case depth == 0 && (c == ',' || c == ']'):
				row := e.buf[e.i:j]
				e.i = j
				return row, nil
			}
		}
		j -= e.i
		err = e.fill()
	}
	return nil, cutOff(err)
}

// over makes sure that nothing is behind the array.
func (e *elements) over() error {
	_, err := e.peek()
	if err == nil {
		return fmt.Errorf("%w: there is more behind its end", errCutOff)
	}
	return err
}
