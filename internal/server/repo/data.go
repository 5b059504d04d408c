package repo

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// The first byte of a value in bucketData tells where the content is.
const (
	dataInFile byte = 'f'
	dataInline byte = 'i'
)

// inlineMax is the longest content kept in the database. A small create then
// costs one sync, shared by all that commit at the same moment; larger values
// would make the database grow faster than it can reuse pages.
const inlineMax = 16 << 10

// copyBuffers hold one piece of a body on its way to disk.
var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 1<<20); return &b }}

func (r *Repo) dataPath(id string) string {
	// The last digits are the serial, so consecutive contents spread evenly.
	return filepath.Join(r.dir, "data", id[len(id)-2:], id)
}

// dirOf is the directory whose entry makes a data file findable.
func dirOf(path string) string { return filepath.Dir(path) }

func (r *Repo) createDataFile(id string) (disk.File, error) {
	path := r.dataPath(id)
	f, err := r.fs.OpenFile("data.create", path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if errors.Is(err, os.ErrNotExist) {
		if err = r.fs.MkdirAll("data.mkdir", filepath.Dir(path)); err == nil {
			if err = r.fs.SyncDir("data.syncdir", filepath.Dir(filepath.Dir(path))); err == nil {
				f, err = r.fs.OpenFile("data.create", path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
			}
		}
	}
	if err != nil {
		return nil, Errorf(wire.CodeDataWriteError, "create data %s: %v", id, err)
	}
	return f, nil
}

// content is a body that has been taken in and waits for its record.
type content struct {
	id     string
	size   int64
	md5    hash.Hash // nil unless asked for
	inline []byte    // set when it belongs into the database
	file   bool
}

// takeBody reads a whole body. Nothing refers to it until its record is
// committed; on any error nothing of it is kept.
func (r *Repo) takeBody(id string, body io.Reader, needMD5 bool) (*content, error) {
	c := &content{id: id}
	if needMD5 {
		c.md5 = md5.New()
		body = io.TeeReader(body, c.md5)
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	n, err := io.ReadFull(body, (*buf)[:inlineMax+1])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && isEnd(body) {
		c.inline = append([]byte{dataInline}, (*buf)[:n]...)
		c.size = int64(n)
		return c, nil
	}
	if err != nil {
		return nil, Errorf(wire.CodeFileIO, "read body: %v", err)
	}
	f, err := r.createDataFile(id)
	if err != nil {
		return nil, err
	}
	c.file = true
	c.size, err = writeAll(f, 0, (*buf)[:n], body, *buf, nil)
	if err == nil {
		if serr := f.Sync("data.sync"); serr != nil {
			err = Errorf(wire.CodeDataWriteError, "sync data %s: %v", id, serr)
		}
	}
	if cerr := f.Close(); err == nil && cerr != nil {
		err = Errorf(wire.CodeDataWriteError, "close data %s: %v", id, cerr)
	}
	if err == nil {
		if serr := r.fs.SyncDir("data.syncdir", filepath.Dir(r.dataPath(id))); serr != nil {
			err = Errorf(wire.CodeDataWriteError, "sync directory of data %s: %v", id, serr)
		}
	}
	if err != nil {
		r.drop(c)
		return nil, err
	}
	return c, nil
}

// isEnd tells a body that ended from one that broke: io.ReadFull reports both
// as ErrUnexpectedEOF, a broken one does so again when read on.
func isEnd(body io.Reader) bool {
	_, err := body.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// writeAll appends first and the rest of body at off and returns how many bytes
// that were. each is told of every piece.
func writeAll(f disk.File, off int64, first []byte, body io.Reader, buf []byte, each func([]byte) error) (int64, error) {
	var total int64
	put := func(p []byte) error {
		if _, err := f.WriteAt(p, off+total); err != nil {
			return Errorf(wire.CodeDataWriteError, "write data: %v", err)
		}
		total += int64(len(p))
		if each != nil {
			return each(p)
		}
		return nil
	}
	if len(first) > 0 {
		if err := put(first); err != nil {
			return total, err
		}
	}
	for {
		n, err := io.ReadFull(body, buf)
		if n > 0 {
			if werr := put(buf[:n]); werr != nil {
				return total, werr
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && isEnd(body):
			return total, nil
		default:
			return total, Errorf(wire.CodeFileIO, "read body: %v", err)
		}
	}
}

// commitData records the content in the transaction that records its owner.
func (c *content) commit(tx *bolt.Tx) error {
	v := c.inline
	if c.file {
		v = []byte{dataInFile}
	}
	return tx.Bucket(bucketData).Put([]byte(c.id), v)
}

// drop removes content whose record was not committed.
func (r *Repo) drop(c *content) {
	if c.file {
		r.removeData(c.id)
	}
}

func (r *Repo) removeData(id string) {
	if err := r.fs.Remove("data.remove", r.dataPath(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.o.Logger.WithError(err).WithField("data_id", id).Warn("content is left behind; the next start removes it")
	}
}

// forget deletes the record of a content; the returned id, if not empty, is a
// file to remove once the transaction is durable.
func forget(tx *bolt.Tx, id string) (string, error) {
	b := tx.Bucket(bucketData)
	v := b.Get([]byte(id))
	file := ""
	if len(v) > 0 && v[0] == dataInFile {
		file = id
	}
	return file, b.Delete([]byte(id))
}

func (r *Repo) removeLater(ids []string) {
	if len(ids) == 0 {
		return
	}
	r.trash.Go(func() {
		for _, id := range ids {
			r.removeData(id)
		}
	})
}

// Reader is one version's content, open for reading.
type Reader struct {
	io.ReadSeeker
	io.ReaderAt
	io.Closer
	Size int64
	File *os.File // nil for content in the database
}

type noClose struct{}

func (noClose) Close() error { return nil }

func (r *Repo) openData(id string, size int64) (*Reader, error) {
	var inline []byte
	var kind byte
	err := r.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketData).Get([]byte(id))
		if len(v) == 0 {
			return Errorf(wire.CodeDataError, "content %s is missing", id)
		}
		if kind = v[0]; kind == dataInline {
			inline = append(inline, v[1:]...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if kind == dataInline {
		if int64(len(inline)) != size {
			return nil, Errorf(wire.CodeDataCorrupted, "content %s has %d bytes, the record says %d", id, len(inline), size)
		}
		sr := strings.NewReader(string(inline))
		return &Reader{ReadSeeker: sr, ReaderAt: sr, Closer: noClose{}, Size: size}, nil
	}
	f, err := r.fs.OpenFile("data.open", r.dataPath(id), os.O_RDONLY)
	if err != nil {
		return nil, Errorf(wire.CodeDataError, "open content %s: %v", id, err)
	}
	have, err := f.Size()
	if err != nil || have != size {
		return nil, errors.Join(Errorf(wire.CodeDataCorrupted, "content %s has %d bytes, the record says %d", id, have, size), f.Close())
	}
	out := &Reader{ReaderAt: f, Closer: f, Size: size, File: f.OS()}
	out.ReadSeeker = io.NewSectionReader(f, 0, size)
	if out.File != nil {
		out.ReadSeeker = out.File
	}
	return out, nil
}

// md5Strings returns a digest as the record's md5 (base64) and etag (hex).
func md5Strings(h hash.Hash) (b64, hexed *string) {
	sum := h.Sum(nil)
	a, b := base64.StdEncoding.EncodeToString(sum), hex.EncodeToString(sum)
	return &a, &b
}

func (r *Repo) md5Of(dataID string, size int64) (hash.Hash, error) {
	rd, err := r.openData(dataID, size)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	h := md5.New()
	if n, err := io.Copy(h, rd.ReadSeeker); err != nil || n != size {
		return nil, Errorf(wire.CodeDataReadError, "read content %s: %d of %d bytes: %v", dataID, n, size, fmt.Sprint(err))
	}
	return h, nil
}
