package writeback

import (
	"context"
	"errors"
	"io"

	"github.com/sequoiacm/scmfs/client"
)

// crcOf extends the checksum sum of the first off bytes to the first end bytes of
// the spool.
func (d *Draft) crcOf(typ client.ChecksumType, sum uint32, off, end int64) (uint32, error) {
	buf := make([]byte, min(256<<10, max(end-off, 0)))
	for off < end {
		p := buf[:min(int64(len(buf)), end-off)]
		k, err := d.spool.ReadAt(p, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		clear(p[k:]) // a hole at the end
		sum = typ.Extend(sum, off, p)
		off += int64(len(p))
	}
	return sum, nil
}

// sectionReader sends a part of the spool and sums what was really sent: the
// writer may change the bytes meanwhile.
type sectionReader struct {
	d        *Draft
	ctx      context.Context
	off, end int64
	typ      client.ChecksumType
	sum      uint32
}

func (r *sectionReader) Read(p []byte) (int, error) {
	if r.off >= r.end {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.end-r.off, r.d.q.chunk())]
	n, err := r.d.spool.ReadAt(p, r.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	clear(p[n:]) // grown by truncate: zeros
	if err := r.d.q.throttle(r.ctx, len(p)); err != nil {
		return 0, err
	}
	r.sum = r.typ.Extend(r.sum, r.off, p)
	r.off += int64(len(p))
	return len(p), nil
}

// section is a body of bytes [off, end) of the spool; sum is set when it was sent.
func (d *Draft) section(ctx context.Context, off, end int64, typ client.ChecksumType, start uint32, sum *uint32) client.Body {
	return client.Body{Size: end - off, Open: func() (io.Reader, error) {
		r := &sectionReader{d: d, ctx: ctx, off: off, end: end, typ: typ, sum: start}
		d.handed.Store(off) // a request that is made again begins again
		return readerFunc(func(p []byte) (int, error) {
			n, err := r.Read(p)
			*sum = r.sum
			d.handed.Store(r.off)
			return n, err
		}), nil
	}}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
