package server

import (
	"io"
	"net/http"
	"strconv"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// download answers GET /files/{id} (part 2 section 3.5): always 200, bytes
// announced in data_length, ranged reads of at most 64 KiB.
func (s *Server) download(w http.ResponseWriter, q *request, ws, id string) error {
	v, err := q.version()
	if err != nil {
		return err
	}
	if _, err := q.integer(wire.ParamReadFlag, 0, 32); err != nil {
		return err
	}
	offset, err := q.integer(wire.ParamOffset, 0, 64)
	if err != nil {
		return err
	}
	length, err := q.integer(wire.ParamLength, -1, 32)
	if err != nil {
		return err
	}
	if offset < 0 || length < -1 {
		return repo.Errorf(wire.CodeInvalidArgument, "offset %d or length %d is negative", offset, length)
	}
	rd, info, err := s.repo.OpenFile(q.caller, ws, id, v)
	if err != nil {
		return err
	}
	defer rd.Close()
	if offset > rd.Size {
		return repo.Errorf(wire.CodeDataReadError, "offset %d is behind the end %d", offset, rd.Size)
	}
	n := rd.Size - offset
	if length >= 0 {
		n = min(n, length)
		if !s.o.NoRangedCap {
			n = min(n, wire.MaxRangedRead)
		}
		if short := shortRead(q.Request); short >= 0 {
			n = min(n, short)
		}
	}
	h := w.Header()
	h["Content-Type"] = []string{info.Mime}
	h.Set("Content-Disposition", "attachment; filename="+headerSafe(info.Name))
	announced := n
	if length >= 0 && offset == rd.Size {
		announced = -1
	}
	h[http.CanonicalHeaderKey(wire.HeaderDataLength)] = []string{strconv.FormatInt(announced, 10)}
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	w.WriteHeader(http.StatusOK)
	if n == 0 {
		return nil
	}
	if _, err := rd.Seek(offset, io.SeekStart); err != nil {
		panic(http.ErrAbortHandler)
	}
	// A LimitedReader over the *os.File is what net/http hands to sendfile.
	if sent, err := io.Copy(w, &io.LimitedReader{R: rd.ReadSeeker, N: n}); err != nil || sent != n {
		panic(http.ErrAbortHandler) // the answer has begun: only a cut tells
	}
	return nil
}

// headerSafe drops what would break a header line; the value is not for parsing.
func headerSafe(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] >= 0x20 && s[i] != 0x7f {
			b = append(b, s[i])
		}
	}
	return string(b)
}
