package repo

import (
	"encoding/binary"
	"errors"
)

// errDamaged reports a record that this program did not write.
var errDamaged = errors.New("damaged record")

// writer appends the fields of a record: integers as signed varints, strings
// with their length in front. File records are binary because a scan decodes
// one per row; all others are JSON.
type writer []byte

func (w *writer) int(n int64)  { *w = binary.AppendVarint(*w, n) }
func (w *writer) str(s string) { *w = append(binary.AppendUvarint(*w, uint64(len(s))), s...) }

// opt writes a string that may be absent: 0, or the length plus one.
func (w *writer) opt(s *string) {
	if s == nil {
		*w = append(*w, 0)
		return
	}
	*w = append(binary.AppendUvarint(*w, uint64(len(*s))+1), *s...)
}

// reader reads what a writer wrote. After an error it returns zero values, so
// that only the end needs a check. It reads from a string: every field of the
// record is a part of that one allocation.
type reader struct {
	s   string
	err error
}

func (r *reader) uvarint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		if len(r.s) == 0 {
			break
		}
		c := r.s[0]
		r.s = r.s[1:]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	r.err = errDamaged
	return 0
}

func (r *reader) int() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) take(n uint64) string {
	if n > uint64(len(r.s)) {
		r.err = errDamaged
		r.s = ""
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *reader) str() string { return r.take(r.uvarint()) }

func (r *reader) opt() *string {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	s := r.take(n - 1)
	return &s
}

// list reads the number of elements that follow; each has at least one byte.
func (r *reader) list() int {
	n := r.int()
	if n < 0 || n > int64(len(r.s)) {
		r.err = errDamaged
		return 0
	}
	return int(n)
}
