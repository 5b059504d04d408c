package repo

import (
	"context"
	"crypto/md5"
	"errors"
	"io"
	"iter"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// NewBreakpoint is what POST /breakpointfiles asks for.
type NewBreakpoint struct {
	Type       wire.ChecksumType
	NeedMD5    bool
	CreateTime int64 // ms
	Last       bool
	Body       io.Reader // nil: none
}

// LockBreakpoint takes the exclusive lock of a breakpoint file, which every call
// on it holds for its whole body (part 2 section 7.1). ctx bounds the waiting.
func (r *Repo) LockBreakpoint(ctx context.Context, ws, name string) (unlock func(), err error) {
	return r.bps.lock(ctx, ws+"/"+name)
}

// bpCheck runs the common checks of part 2 section 5.3, in their order.
func (r *Repo) bpCheck(c Caller, ws string, need Privilege, change bool) error {
	if err := r.knownWorkspace(ws); err != nil {
		return err
	}
	if err := r.allow(c, ws, "", need); err != nil {
		return err
	}
	if change && r.o.NoBreakpoints {
		return Errorf(wire.CodeOperationUnsupported, "this storage has no breakpoint files")
	}
	return nil
}

func (r *Repo) knownWorkspace(ws string) error {
	return r.db.View(func(tx *bolt.Tx) error {
		_, err := workspace(tx, ws)
		return err
	})
}

func (w *wsTx) breakpoint(name string) (*bpRecord, error) {
	b := w.bps.Get([]byte(name))
	if b == nil {
		return nil, Errorf(wire.CodeFileNotFound, "breakpoint file not exist: %s", name)
	}
	var bp bpRecord
	return &bp, decode(b, &bp)
}

func (w *wsTx) putBreakpoint(bp *bpRecord) error { return w.bps.Put([]byte(bp.Name), encode(bp)) }

// completedBreakpoint returns a breakpoint file that can be converted; missing
// and incomplete ones are -101 here.
func (w *wsTx) completedBreakpoint(name string, needMD5 bool) (*bpRecord, error) {
	bp, err := w.breakpoint(name)
	if err != nil {
		return nil, Errorf(wire.CodeInvalidArgument, "breakpoint file not exist: %s", name)
	}
	if !bp.Completed {
		return nil, Errorf(wire.CodeInvalidArgument, "breakpoint file is not completed: %s", name)
	}
	if needMD5 && bp.MD5 == nil {
		return nil, Errorf(wire.CodeInvalidArgument, "breakpoint file has no md5: %s", name)
	}
	return bp, nil
}

// consume removes the record of a converted breakpoint file; its content goes
// on under the same data id.
func (w *wsTx) consume(tx *bolt.Tx, bp *bpRecord) error {
	if err := tx.Bucket(bucketData).Put([]byte(bp.DataID), []byte{dataInFile}); err != nil {
		return err
	}
	return w.bps.Delete([]byte(bp.Name))
}

// CreateBreakpoint makes a breakpoint file, with a body its first increment
// (part 2 section 5.4). The record stays when the body breaks.
func (r *Repo) CreateBreakpoint(ctx context.Context, c Caller, ws, name string, n NewBreakpoint) (wire.Doc, error) {
	if err := r.bpCheck(c, ws, Create, true); err != nil {
		return nil, err
	}
	unlock, err := r.LockBreakpoint(ctx, ws, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	bp := &bpRecord{Name: name, Type: n.Type, NeedMD5: n.NeedMD5, CreateUser: c.User, UploadUser: c.User,
		CreateTime: n.CreateTime, DataID: r.ids.next()}
	err = r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if w.bps.Get([]byte(name)) != nil {
			return Errorf(wire.CodeFileExist, "breakpoint file exists: %s", name)
		}
		return w.putBreakpoint(bp)
	})
	if err != nil {
		return nil, err
	}
	if n.Body != nil || n.Last {
		if n.Body == nil {
			n.Body = eof{}
		}
		if err := r.appendBody(c, ws, bp, n.Body, n.Last); err != nil {
			return nil, err
		}
	}
	return bp.doc(r.o.Site), nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// AppendBreakpoint appends an increment at offset, which must be the uploaded
// size (part 2 section 5.5).
func (r *Repo) AppendBreakpoint(ctx context.Context, c Caller, ws, name string, offset int64, last bool, body io.Reader) (wire.Doc, error) {
	if err := r.bpCheck(c, ws, Create, true); err != nil {
		return nil, err
	}
	unlock, err := r.LockBreakpoint(ctx, ws, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	bp, err := r.getBreakpoint(ws, name)
	if err != nil {
		return nil, err
	}
	if bp.Completed {
		return nil, Errorf(wire.CodeInvalidArgument, "breakpoint file is completed: %s", name)
	}
	if offset != bp.Size {
		return nil, Errorf(wire.CodeInvalidArgument, "offset %d is not the uploaded size %d: %s", offset, bp.Size, name)
	}
	if err := r.appendBody(c, ws, bp, body, last); err != nil {
		return nil, err
	}
	return bp.doc(r.o.Site), nil
}

func (r *Repo) getBreakpoint(ws, name string) (*bpRecord, error) {
	var bp *bpRecord
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err == nil {
			bp, err = w.breakpoint(name)
		}
		return err
	})
	return bp, err
}

// appendBody writes the body behind bp.Size and records it. The record is also
// written each time 50 MiB have accumulated (part 2 section 5.6); what is not
// recorded when the body breaks is cut off by the next append.
func (r *Repo) appendBody(c Caller, ws string, bp *bpRecord, body io.Reader, last bool) (err error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	n, rerr := io.ReadFull(body, *buf)
	empty := n == 0 && errors.Is(rerr, io.EOF)
	if rerr != nil && !empty && !(errors.Is(rerr, io.ErrUnexpectedEOF) && isEnd(body)) {
		return Errorf(wire.CodeFileIO, "read increment: %v", rerr)
	}
	bp.UploadUser = c.User
	if empty && !last {
		return nil // the answer shows the caller, nothing is stored
	}
	if !empty && r.quotaReset.Load() > 0 && r.quotaReset.Add(-1) >= 0 {
		return r.resetForQuota(ws, bp)
	}
	if !empty && r.o.S3Parts && bp.Size%wire.PartSize != 0 {
		_, _ = io.Copy(io.Discard, io.LimitReader(body, wire.PartSize))
		return Errorf(wire.CodeDataBreakpointWriteError, "an increment must start at a multiple of 5 MiB, not at %d", bp.Size)
	}
	f, err := r.fs.OpenFile("breakpoint.open", r.dataPath(bp.DataID), os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		f, err = r.createDataFile(bp.DataID)
	}
	if err != nil {
		return Errorf(wire.CodeDataBreakpointWriteError, "open data of %s: %v", bp.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if have, serr := f.Size(); serr != nil || have != bp.Size {
		if err := f.Truncate("breakpoint.truncate", bp.Size); err != nil {
			return Errorf(wire.CodeDataBreakpointWriteError, "cut data of %s: %v", bp.Name, err)
		}
	}
	base := bp.Size
	sum, done, saved := bp.Checksum, base, base
	save := func(complete bool) error {
		if err := f.Sync("breakpoint.sync"); err != nil {
			return Errorf(wire.CodeDataBreakpointWriteError, "sync data of %s: %v", bp.Name, err)
		}
		if err := r.fs.SyncDir("breakpoint.syncdir", dirOf(r.dataPath(bp.DataID))); err != nil {
			return Errorf(wire.CodeDataBreakpointWriteError, "sync directory of %s: %v", bp.Name, err)
		}
		bp.Size, bp.Checksum, bp.UploadTime, bp.Completed = done, sum, r.nowMillis(), complete
		saved = done
		return r.q.run(func(tx *bolt.Tx) error {
			w, err := workspace(tx, ws)
			if err != nil {
				return err
			}
			return w.putBreakpoint(bp)
		})
	}
	_, err = writeAll(f, base, (*buf)[:n], body, *buf, func(p []byte) error {
		sum = bp.Type.Extend(sum, done, p)
		done += int64(len(p))
		if done-saved >= wire.FlushInterval {
			return save(false)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if last && bp.NeedMD5 {
		h := md5.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, 0, done)); err != nil {
			return Errorf(wire.CodeDataReadError, "md5 of %s: %v", bp.Name, err)
		}
		bp.MD5, _ = md5Strings(h)
	}
	return save(last)
}

// resetForQuota imitates part 2 section 5.6: everything uploaded is lost.
func (r *Repo) resetForQuota(ws string, bp *bpRecord) error {
	old := bp.DataID
	bp.Size, bp.Checksum, bp.DataID = 0, 0, r.ids.next()
	err := r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		return w.putBreakpoint(bp)
	})
	if err != nil {
		return err
	}
	r.removeData(old)
	return Errorf(wire.CodeDataStorageQuotaExceeded, "storage quota exceeded: %s", bp.Name)
}

// Breakpoint returns one record; it waits for a running increment and so tells
// the truth (part 2 section 5.7).
func (r *Repo) Breakpoint(ctx context.Context, c Caller, ws, name string) (wire.Doc, error) {
	if err := r.bpCheck(c, ws, Read, false); err != nil {
		return nil, err
	}
	unlock, err := r.LockBreakpoint(ctx, ws, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	bp, err := r.getBreakpoint(ws, name)
	if err != nil {
		return nil, err
	}
	return bp.doc(r.o.Site), nil
}

// Breakpoints lists records; it takes no lock.
func (r *Repo) Breakpoints(c Caller, ws string, filter wire.Doc) iter.Seq2[wire.Doc, error] {
	if err := r.bpCheck(c, ws, Read, false); err != nil {
		return failed(err)
	}
	return r.list(Query{Filter: filter, Limit: -1}, func(tx *bolt.Tx, yield func(wire.Doc) bool) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		return w.bps.ForEach(func(_, v []byte) error {
			var bp bpRecord
			if err := decode(v, &bp); err != nil {
				return err
			}
			if !yield(bp.doc(r.o.Site)) {
				return errStop
			}
			return nil
		})
	})
}

// DeleteBreakpoint removes a breakpoint file in any state.
func (r *Repo) DeleteBreakpoint(ctx context.Context, c Caller, ws, name string) error {
	if err := r.bpCheck(c, ws, Delete, true); err != nil {
		return err
	}
	unlock, err := r.LockBreakpoint(ctx, ws, name)
	if err != nil {
		return err
	}
	defer unlock()
	var bp *bpRecord
	err = r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		if bp, err = w.breakpoint(name); err != nil {
			return err
		}
		return w.bps.Delete([]byte(name))
	})
	if err == nil {
		r.removeData(bp.DataID)
	}
	return err
}

// CalcBreakpointMD5 computes and stores the md5 of a completed breakpoint file.
func (r *Repo) CalcBreakpointMD5(ctx context.Context, c Caller, ws, name string) (string, error) {
	if err := r.bpCheck(c, ws, Update, false); err != nil {
		return "", err
	}
	unlock, err := r.LockBreakpoint(ctx, ws, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	bp, err := r.getBreakpoint(ws, name)
	if err != nil {
		return "", err
	}
	if !bp.Completed {
		return "", Errorf(wire.CodeInvalidArgument, "breakpoint file is not completed: %s", name)
	}
	f, err := r.fs.OpenFile("breakpoint.open", r.dataPath(bp.DataID), os.O_RDONLY)
	if err != nil {
		return "", Errorf(wire.CodeDataReadError, "open data of %s: %v", name, err)
	}
	defer f.Close()
	h := md5.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, bp.Size)); err != nil {
		return "", Errorf(wire.CodeDataReadError, "md5 of %s: %v", name, err)
	}
	bp.MD5, _ = md5Strings(h)
	bp.NeedMD5 = true
	return *bp.MD5, r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		return w.putBreakpoint(bp)
	})
}
