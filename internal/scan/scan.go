// Package scan reads JSON whose shape is known beforehand, without reflection:
// encoding/json took 40 % of the processor time of listing a directory, and as
// much again of that for the attributes in each row.
//
// It knows only what servers print day in, day out. Whatever else it meets, be it
// wrong or merely unusual, is for encoding/json to judge: a [Scan] then reports
// that it did not understand, never a value that encoding/json would not have read.
package scan

import (
	"encoding/json"
	"unicode/utf8"
)

// Scan is a position in a text. After the first thing that it does not
// understand every method returns a zero value and End is false for good. Not safe
// for concurrent use.
type Scan struct {
	b   []byte
	i   int
	bad bool
}

// New begins at the start of b, which must not change meanwhile.
func New(b []byte) *Scan { return &Scan{b: b} }

// End tells whether all of the text was read and understood.
func (s *Scan) End() bool {
	s.blanks()
	return !s.bad && s.i == len(s.b)
}

// Read is how many bytes were read; 0 when something was not understood.
func (s *Scan) Read() int {
	if s.bad {
		return 0
	}
	return s.i
}

func (s *Scan) blanks() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// is consumes the character c, blanks before it included, if it is next.
func (s *Scan) is(c byte) bool {
	s.blanks()
	if s.bad || s.i == len(s.b) || s.b[s.i] != c {
		return false
	}
	s.i++
	return true
}

// must consumes c.
func (s *Scan) must(c byte) {
	if !s.is(c) {
		s.bad = true
	}
}

// Fail says that the caller does not understand what was read.
func (s *Scan) Fail() { s.bad = true }

// Object calls member with each key of an object. member reads the value; the key
// is valid until then.
func (s *Scan) Object(member func(key []byte)) {
	s.list('{', '}', func() {
		key := s.Text()
		s.must(':')
		member(key)
	})
}

// Array calls element, which reads it, for each element of an array.
func (s *Scan) Array(element func()) { s.list('[', ']', element) }

func (s *Scan) list(first, last byte, item func()) {
	s.must(first)
	if s.bad || s.is(last) {
		return
	}
	for !s.bad {
		item()
		if s.is(last) {
			return
		}
		s.must(',')
	}
}

// Null consumes null if it is next.
func (s *Scan) Null() bool {
	s.blanks()
	if s.bad || len(s.b)-s.i < 4 || string(s.b[s.i:s.i+4]) != "null" {
		return false
	}
	s.i += 4
	return true
}

// Bool reads true or false.
func (s *Scan) Bool() bool {
	s.blanks()
	for _, word := range [...]string{"true", "false"} {
		if !s.bad && len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
			s.i += len(word)
			return word == "true"
		}
	}
	s.bad = true
	return false
}

// maxDepth bounds how deep Skip goes.
const maxDepth = 8

// Skip reads a value of any kind, whole numbers as Int does, at most eight arrays or
// objects deep. Whoever skips a member knows its name: encoding/json takes one that
// differs in case for the same.
func (s *Scan) Skip() { s.skip(maxDepth) }

func (s *Scan) skip(depth int) {
	s.blanks()
	switch {
	case s.bad || s.i == len(s.b) || depth == 0:
		s.bad = true
	case s.b[s.i] == '"':
		s.Text()
	case s.b[s.i] == '{':
		s.Object(func([]byte) { s.skip(depth - 1) })
	case s.b[s.i] == '[':
		s.Array(func() { s.skip(depth - 1) })
	case s.b[s.i] == 't', s.b[s.i] == 'f':
		s.Bool()
	case !s.Null():
		s.Int()
	}
}

// Int reads a whole number of at most 18 digits; no fraction, no exponent.
func (s *Scan) Int() int64 {
	minus := s.is('-')
	start, v := s.i, int64(0)
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		v = 10*v + int64(s.b[s.i]-'0')
		if s.i++; s.i-start > 18 {
			break
		}
	}
	n := s.i - start
	if n == 0 || n > 18 || n > 1 && s.b[start] == '0' || s.i < len(s.b) && (s.b[s.i] == '.' || s.b[s.i]|0x20 == 'e') {
		s.bad = true
	}
	if s.bad {
		return 0
	}
	if minus {
		return -v
	}
	return v
}

// Text reads a string. The bytes are part of the text that is scanned unless
// there are escapes in them.
func (s *Scan) Text() []byte {
	s.must('"')
	if s.bad {
		return nil
	}
	start, ascii, escapes := s.i, true, false
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			raw := s.b[start:s.i]
			s.i++
			if !ascii && !utf8.Valid(raw) {
				break // encoding/json puts something else in its place
			}
			if escapes {
				return s.unescape(raw)
			}
			return raw
		case c == '\\':
			escapes = true
			s.i++ // whatever follows, a quote for one
			continue
		case c < ' ':
		case c >= utf8.RuneSelf:
			ascii = false
			continue
		default:
			continue
		}
		break
	}
	s.bad = true
	return nil
}

// unescape decodes the inside of a string that has a backslash in it.
func (s *Scan) unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		default: // the rare ones
			var text string
			if json.Unmarshal(append(append([]byte{'"'}, raw...), '"'), &text) != nil {
				s.bad = true
				return nil
			}
			return []byte(text)
		}
	}
	return out
}
