package writeback

import (
	"sort"

	"github.com/sequoiacm/scmfs/client"
)

// sums knows the checksums of beginnings of a draft's content. They are taken
// from the bytes as they are written: the processor has them at hand then, so an
// increment need not pass through this process again to be summed, and what the
// store has is compared with what the program wrote, not with what the spool's
// disk made of it. A plain value without locking; the zero value is of no content.
type sums struct {
	head  mark   // of all that was written from the first byte on, one after the other
	marks []mark // at multiples of the grid, ascending, none behind head
}

// mark is the checksum of the first at bytes.
type mark struct {
	at  int64
	sum uint32
}

// wrote notes that p is at off now.
func (s *sums) wrote(p []byte, off, grid int64) {
	s.cut(off)
	for s.head.at == off && len(p) > 0 {
		n := min(int64(len(p)), grid-off%grid)
		s.head = mark{off + n, client.ChecksumCRC32.Extend(s.head.sum, off, p[:n])}
		if s.head.at%grid == 0 {
			s.marks = append(s.marks, s.head)
		}
		p, off = p[n:], off+n
	}
}

// cut forgets what depends on bytes from off on.
func (s *sums) cut(off int64) {
	if off >= s.head.at {
		return
	}
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].at > off })
	s.marks, s.head = s.marks[:i], mark{}
	if i > 0 {
		s.head = s.marks[i-1]
	}
}

// of returns the checksum of the first n bytes, if it is known.
func (s *sums) of(n int64) (sum uint32, known bool) {
	if n == s.head.at {
		return s.head.sum, true
	}
	i := sort.Search(len(s.marks), func(i int) bool { return s.marks[i].at >= n })
	if i == len(s.marks) || s.marks[i].at != n {
		return 0, false
	}
	return s.marks[i].sum, true
}
