package readcache

// How a read relates to the reads before it.
type move int8

const (
	// inSequence: the read goes on where the others were, give or take the
	// disorder of the kernel's read-ahead.
	inSequence move = iota
	// stray: a small read elsewhere that does not end the sequence yet (a
	// program that looks into an index while it reads the body).
	stray
	// seek: the reader went somewhere else.
	seek
)

const (
	// maxStray is the largest read that may be a stray: the kernel sends more
	// only when it reads ahead.
	maxStray = 64 << 10
	// straysToSeek is how many strays in a row make a seek.
	straysToSeek = 3
	// maxDisorder bounds how far from the head a read is still in sequence. The
	// kernel has up to read_ahead_kb (4 MiB as we set it, 16 MiB at most) on its
	// way at once, in any order.
	maxDisorder = 16 << 20
)

// window is the prefetch policy of one reader: a pure value, advanced by next.
// The zero value is a reader that has read nothing and is expected to start at
// the beginning.
//
// size grows by what the sequence advances, so it doubles whenever a whole
// window was consumed; a seek quarters it.
type window struct {
	head   int64 // end of the furthest read of the sequence
	size   int64 // bytes worth having beyond head; 0 while there is no sequence
	strays int   // strays since the last read in sequence
}

// next takes the read [off, off+n) into account. limit bounds the size.
func (w window) next(off, n, limit int64) (window, move) {
	if disorder := min(max(w.size, 8*n), maxDisorder); off >= w.head-disorder && off <= w.head+disorder {
		if advance := off + n - w.head; advance > 0 {
			w.head += advance
			w.size += advance
		}
		w.size = min(w.size, limit)
		w.strays = 0
		return w, inSequence
	}
	if w.size > 0 && n <= maxStray && w.strays+1 < straysToSeek {
		w.strays++
		return w, stray
	}
	size := min(w.size/4, limit)
	if size < maxStray {
		size = 0
	}
	return window{head: off + n, size: size}, seek
}

// streams tells whether the sequence is long enough for a stream. Up to one
// ranged request's worth, a stream that is dropped would cost a connection.
func (w window) streams() bool { return w.size > maxStray }

// end is the offset up to which content is worth having.
func (w window) end() int64 { return w.head + w.size }
