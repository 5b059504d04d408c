package repo

import (
	"bytes"
	"crypto/md5"
	"errors"
	"hash"
	"io"
	"os"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Reader is one version's content, open for reading. It stays readable when the
// version is deleted.
type Reader struct {
	io.ReadSeeker
	io.ReaderAt
	io.Closer
	Size int64    // bytes
	File *os.File // what ReadSeeker reads, for sendfile; nil for content in the database
}

type noClose struct{}

func (noClose) Close() error { return nil }

// openData opens a record's content. get looks the record up again: between it
// and the opening the version can be deleted, which is -262 then, not lost data.
func (r *Repo) openData(ws string, get func(*wsTx) (*fileRecord, error)) (*fileRecord, *Reader, error) {
	for {
		f, small, err := r.readInline(ws, get)
		if err != nil {
			return nil, nil, err
		}
		if small != nil {
			if int64(len(small)) != f.Size {
				return nil, nil, sizeError(f, int64(len(small)))
			}
			rd := bytes.NewReader(small)
			return f, &Reader{ReadSeeker: rd, ReaderAt: rd, Closer: noClose{}, Size: f.Size}, nil
		}
		rd, err := r.openFile(f)
		if !errors.Is(err, os.ErrNotExist) {
			return f, rd, err
		}
		again, _, err := r.readInline(ws, get)
		if err != nil {
			return nil, nil, err
		}
		if again.DataID == f.DataID {
			return nil, nil, Errorf(wire.CodeDataError, "content %s is missing", f.DataID)
		}
	}
}

// readInline returns the record and, if it is in the database, its content.
func (r *Repo) readInline(ws string, get func(*wsTx) (*fileRecord, error)) (f *fileRecord, small []byte, err error) {
	err = r.inWorkspace(ws, func(w *wsTx) (err error) {
		if f, err = get(w); err != nil {
			return err
		}
		if v := w.inline.Get([]byte(f.DataID)); len(v) > 0 {
			small = append(make([]byte, 0, len(v)-1), v[1:]...)
		}
		return nil
	})
	return f, small, err
}

func sizeError(f *fileRecord, have int64) error {
	return Errorf(wire.CodeDataCorrupted, "content %s has %d bytes, the record says %d", f.DataID, have, f.Size)
}

func (r *Repo) openFile(f *fileRecord) (*Reader, error) {
	file, err := r.fs.OpenFile("data.open", r.dataPath(f.DataID), os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, Errorf(wire.CodeDataReadError, "open content %s: %v", f.DataID, err)
	}
	have, err := file.Size()
	if err == nil && have != f.Size {
		err = sizeError(f, have)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	rd := &Reader{ReaderAt: file, Closer: file, Size: f.Size, File: file.OS()}
	if rd.ReadSeeker = rd.File; rd.File == nil {
		rd.ReadSeeker = io.NewSectionReader(file, 0, f.Size)
	}
	return rd, nil
}

// md5Of reads size bytes.
func (r *Repo) md5Of(rd io.Reader, size int64) (hash.Hash, error) {
	h := md5.New()
	buf := r.buf.large.Get().(*[]byte)
	defer r.buf.large.Put(buf)
	// The wrapping keeps an *os.File from taking its own, slower way.
	n, err := io.CopyBuffer(h, struct{ io.Reader }{rd}, *buf)
	if err != nil || n != size {
		return nil, Errorf(wire.CodeDataReadError, "read %d of %d bytes: %v", n, size, err)
	}
	return h, nil
}
