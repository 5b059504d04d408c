package writeback

import (
	"context"
	"errors"
	"io"
	"os"

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

// sum is the CRC32 of the first size bytes.
func (d *Draft) sum(size int64) (uint32, error) {
	d.mu.Lock()
	sum, known := d.mu.sums.of(size)
	d.mu.Unlock()
	if known {
		return sum, nil
	}
	return d.crcOf(client.ChecksumCRC32, 0, 0, size)
}

// section is a body of bytes [off, end) of the spool.
func (d *Draft) section(ctx context.Context, off, end int64) client.Body {
	return client.Body{Size: end - off, Open: func() (io.Reader, error) {
		d.handed.Store(off) // a request that is made again begins again
		return &sectionReader{d: d, ctx: ctx, off: off, end: end}, nil
	}}
}

// sectionReader reads a part of the spool, or lets the kernel send it.
type sectionReader struct {
	d        *Draft
	ctx      context.Context
	off, end int64
}

// Read implements io.Reader.
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
	r.Skip(int64(len(p)))
	return len(p), nil
}

// Next implements client.FileReader. A throttled upload is read: the kernel takes
// as much as fits into the socket.
func (r *sectionReader) Next() (f *os.File, off, n int64) {
	if r.d.q.limiter != nil {
		return nil, 0, 0
	}
	f, size := r.d.spool.os()
	if f == nil {
		return nil, 0, 0
	}
	return f, r.off, min(r.end, size) - r.off
}

// Skip implements client.FileReader.
func (r *sectionReader) Skip(n int64) {
	r.off += n
	r.d.handed.Store(r.off)
}

// summed is a section for which no checksum is known: sum is that of what was
// really sent, and of the bytes before, whose sum is start. The writer may change
// the bytes meanwhile.
func (d *Draft) summed(ctx context.Context, off, end int64, typ client.ChecksumType, start uint32, sum *uint32) client.Body {
	body := d.section(ctx, off, end)
	open := body.Open
	body.Open = func() (io.Reader, error) {
		r, err := open()
		*sum = start
		at := off
		return readerFunc(func(p []byte) (int, error) {
			n, err := r.Read(p)
			*sum = typ.Extend(*sum, at, p[:n])
			at += int64(n)
			return n, err
		}), err
	}
	return body
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
