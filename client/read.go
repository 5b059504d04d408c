package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func (s *Store) get(c Content, query wire.Params) *call {
	return &call{op: "read", name: string(c.File), method: http.MethodGet, path: "/files/" + string(c.File), kind: "GET /files/{id}",
		query: append(versionParams(s.ws(), c.Version), query...), handOver: true}
}

// Open streams content from offset to its end (part 2 section 3.5). Bytes are
// counted against what the server announced and against the size: a stream that
// ends early gives [ErrShort], never io.EOF. The caller closes it, at any point,
// and may take his time between reads. READ on the file.
func (s *Store) Open(ctx context.Context, c Content, offset int64) (io.ReadCloser, error) {
	if offset < 0 || offset > c.Size {
		return nil, &Error{Op: "read", Name: string(c.File), Kind: Invalid, Err: fmt.Errorf("offset %d of %d bytes", offset, c.Size)}
	}
	if err := checkedID("read", string(c.File)); err != nil {
		return nil, err
	}
	if offset == c.Size {
		return http.NoBody, nil // never asked: the answer would be -1 or an error
	}
	k := s.get(c, wire.Params{{Name: wire.ParamOffset, Value: offsetParam(offset)}})
	h, err := s.c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	body, want := k.opened, c.Size-offset
	if n, err := strconv.ParseInt(h.Get(wire.HeaderDataLength), 10, 64); err != nil || n != want {
		_ = body.Close()
		return nil, &Error{Op: k.op, Name: k.name, Kind: Corrupt, Err: fmt.Errorf("the server announces %.20q bytes, %d are missing", h.Get(wire.HeaderDataLength), want)}
	}
	return &countedStream{body: body, left: want, k: k}, nil
}

// countedStream turns an early end into an error.
type countedStream struct {
	body *streamBody
	left int64
	k    *call
}

func (r *countedStream) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, r.end()
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err == nil || errors.Is(err, io.EOF) && r.left == 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = ErrShort
	}
	return n, &Error{Op: r.k.op, Name: r.k.name, Kind: transportKind(r.body.ctx, err, false), Err: Plain(why(r.body.ctx, err))}
}

// end looks behind the last byte: more than was announced is not our content.
// Reading to the true end also leaves the connection fit for another request.
func (r *countedStream) end() error {
	var b [1]byte
	if n, _ := io.ReadFull(r.body, b[:]); n > 0 {
		return &Error{Op: r.k.op, Name: r.k.name, Kind: Corrupt, Err: errLong}
	}
	return io.EOF
}

func (r *countedStream) Close() error { return r.body.Close() }

// ReadRange fills p from offset with as few ranged requests as possible; each
// returns at most 64 KiB, so for more than that [Store.Open] is the faster way.
// It returns fewer bytes only at the end of the content, and then no error.
func (s *Store) ReadRange(ctx context.Context, c Content, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, &Error{Op: "read", Name: string(c.File), Kind: Invalid, Err: fmt.Errorf("offset %d", off)}
	}
	if err := checkedID("read", string(c.File)); err != nil {
		return 0, err
	}
	if off >= c.Size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), c.Size-off)]
	total := 0
	for total < len(p) { // an answer may be shorter than asked even before the end
		n, err := s.readOnce(ctx, c, p[total:], off+int64(total))
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

func (s *Store) readOnce(ctx context.Context, c Content, p []byte, off int64) (int, error) {
	p = p[:min(len(p), wire.MaxRangedRead)]
	k := s.get(c, wire.Params{{Name: wire.ParamOffset, Value: offsetParam(off)}, {Name: wire.ParamLength, Value: strconv.Itoa(len(p))}})
	k.handOver = false
	n := 0
	k.each = func(h http.Header, body io.Reader) error {
		announced, err := strconv.Atoi(h.Get(wire.HeaderDataLength))
		if err != nil || announced <= 0 || announced > len(p) {
			return &Error{Op: k.op, Name: k.name, Kind: Corrupt, Err: fmt.Errorf("the server announces %.20q bytes at %d of %d", h.Get(wire.HeaderDataLength), off, c.Size)}
		}
		if n, err = io.ReadFull(body, p[:announced]); err != nil {
			return errors.Join(ErrShort, err)
		}
		var more [1]byte
		if extra, _ := io.ReadFull(body, more[:]); extra > 0 {
			return &Error{Op: k.op, Name: k.name, Kind: Corrupt, Err: errLong}
		}
		return nil
	}
	_, err := s.c.do(ctx, k)
	return n, err
}
