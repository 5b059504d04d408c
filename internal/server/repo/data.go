package repo

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// inlineMax is the longest content kept in the database. A small create then
// costs one commit, shared by all that commit at the same moment; larger values
// would make the database grow faster than it can reuse pages.
const inlineMax = 16 << 10

// inlineMark stands in front of content in the database, so that empty content
// is not an empty value.
const inlineMark = 'i'

// copySize is the piece in which a body goes to disk.
const copySize = 256 << 10

// syncAhead is how much of a body is written before the disk is told to begin.
// It works while the rest is received; at the end little is left to wait for.
const syncAhead = 8 << 20

// buffers pools memory by use: most bodies fit the small one, and memory grows
// with the number of large uploads only.
type buffers struct{ small, large sync.Pool }

func (b *buffers) init() {
	b.small.New = func() any { p := make([]byte, inlineMax+1); return &p }
	b.large.New = func() any { p := make([]byte, copySize); return &p }
}

// fill reads until p is full or the body ends, which it reports as io.EOF.
// io.ReadFull cannot be used on a request body: it reports a body that ended and
// one that broke off with the same error.
func fill(body io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = body.Read(p[n:])
		n += k
	}
	if n == len(p) && errors.Is(err, io.EOF) && len(p) > 0 {
		err = nil // the next call reports it
	}
	return n, err
}

func (r *Repo) dataPath(id string) string {
	// The last digits are the serial, so consecutive contents spread evenly.
	return filepath.Join(r.dir, "data", id[len(id)-2:], id)
}

// createDataFile makes the file of a new content; one that exists is -408.
func (r *Repo) createDataFile(id string) (disk.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_EXCL
	path := r.dataPath(id)
	f, err := r.fs.OpenFile("data.create", path, flags)
	if errors.Is(err, os.ErrNotExist) {
		dir := filepath.Dir(path)
		if err = r.fs.MkdirAll("data.mkdir", dir); err == nil {
			if err = r.fs.SyncDir("data.syncroot", filepath.Dir(dir)); err == nil {
				f, err = r.fs.OpenFile("data.create", path, flags)
			}
		}
	}
	switch {
	case errors.Is(err, os.ErrExist):
		return nil, Errorf(wire.CodeDataExist, "data exists: %s", id)
	case err != nil:
		return nil, Errorf(wire.CodeDataWriteError, "create data %s: %v", id, err)
	}
	return f, nil
}

// content is a body that has been taken in and waits for its record.
type content struct {
	id     string
	size   int64
	md5    hash.Hash // nil unless asked for
	inline []byte    // inlineMark and the content, unless it is in a file
	file   bool
}

// takeBody reads a whole body. Nothing refers to it until its record is
// committed; on any error nothing of it is kept. A body that breaks is -601.
func (r *Repo) takeBody(id string, body io.Reader, needMD5 bool) (*content, error) {
	c := &content{id: id}
	if needMD5 {
		c.md5 = md5.New()
		body = io.TeeReader(body, c.md5)
	}
	small := r.buf.small.Get().(*[]byte)
	defer r.buf.small.Put(small)
	n, err := fill(body, *small)
	if errors.Is(err, io.EOF) {
		c.inline = append([]byte{inlineMark}, (*small)[:n]...)
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
	c.size, err = r.copyBody(f, 0, (*small)[:n], body, wire.CodeDataWriteError, nil)
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

// copyBody writes first and the rest of body at off and returns how many bytes
// that were. each is told of every piece once it is written; writing that fails
// is reported as code.
func (r *Repo) copyBody(f disk.File, off int64, first []byte, body io.Reader, code wire.Code, each func([]byte) error) (int64, error) {
	var total, begun int64
	put := func(p []byte) error {
		if len(p) == 0 {
			return nil
		}
		if _, err := f.WriteAt(p, off+total); err != nil {
			return Errorf(code, "write data: %v", err)
		}
		total += int64(len(p))
		if total-begun >= syncAhead {
			f.StartSync(off+begun, total-begun)
			begun = total
		}
		if each != nil {
			return each(p)
		}
		return nil
	}
	if err := put(first); err != nil {
		return total, err
	}
	buf := r.buf.large.Get().(*[]byte)
	defer r.buf.large.Put(buf)
	for {
		n, err := fill(body, *buf)
		if err != nil && !errors.Is(err, io.EOF) {
			return total, Errorf(wire.CodeFileIO, "read body: %v", err)
		}
		if werr := put((*buf)[:n]); werr != nil {
			return total, werr
		}
		if err != nil {
			return total, nil
		}
	}
}

// commit records the content in the transaction that records its owner.
func (c *content) commit(w *wsTx) error {
	if c.file {
		return w.adopt(c.id)
	}
	return w.inline.Put([]byte(c.id), c.inline)
}

// dataFree refuses a data id that is taken; only a collision of ids can do that.
func (w *wsTx) dataFree(id string) error {
	if w.inline.Get([]byte(id)) != nil || w.tx.Bucket(bucketBlobs).Get([]byte(id)) != nil {
		return Errorf(wire.CodeDataExist, "data exists: %s", id)
	}
	return nil
}

// adopt records that a content file belongs to this workspace.
func (w *wsTx) adopt(id string) error {
	return w.tx.Bucket(bucketBlobs).Put([]byte(id), binary.BigEndian.AppendUint64(nil, uint64(w.ws.ID)))
}

// forget deletes the record of a content; gone gets the id of a file to remove
// once the transaction is durable.
func (w *wsTx) forget(id string, gone *[]string) error {
	key := []byte(id)
	if w.inline.Get(key) != nil {
		return w.inline.Delete(key)
	}
	*gone = append(*gone, id)
	return w.tx.Bucket(bucketBlobs).Delete(key)
}

// drop removes content whose record was not committed.
func (r *Repo) drop(c *content) {
	if c.file {
		r.removeData(c.id)
	}
}

// removeData removes a content file; failing is no error for the caller, whose
// transaction is done.
func (r *Repo) removeData(id string) {
	if id == "" {
		return // a breakpoint file that never had any
	}
	if err := r.fs.Remove("data.remove", r.dataPath(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.o.Logger.WithError(err).WithField("data_id", id).Warn("content is left behind; the next start removes it")
	}
}

// removeLater removes content files in the background: removing a large file
// takes time, and nobody waits for it.
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

// md5Strings returns a digest as the record's md5 (base64) and etag (hex).
func md5Strings(h hash.Hash) (b64, hexed *string) {
	sum := h.Sum(nil)
	a, b := base64.StdEncoding.EncodeToString(sum), hex.EncodeToString(sum)
	return &a, &b
}

// etagOf returns the hex form of a base64 md5.
func etagOf(md5 *string) *string {
	if md5 == nil {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(*md5)
	if err != nil {
		return nil
	}
	s := hex.EncodeToString(raw)
	return &s
}
