package repo

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// NewBreakpoint is what POST /breakpointfiles asks for.
type NewBreakpoint struct {
	Type       wire.ChecksumType // "" is NONE
	NeedMD5    bool
	CreateTime int64 // ms, taken as it is
	Last       bool
	Body       io.Reader // nil: none
}

// LockBreakpoint takes the exclusive lock of a breakpoint file, which every call
// on it holds for its whole body (part 2 section 7.1). ctx bounds the waiting.
func (r *Repo) LockBreakpoint(ctx context.Context, ws, name string) (unlock func(), err error) {
	return r.bps.lock(ctx, ws+"/"+name)
}

// bpCheck runs the common checks of part 2 section 5.3. An unknown workspace
// comes first: nobody has a privilege on it (C57).
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

// lockedBreakpoint is bpCheck, the lock, then the record.
func (r *Repo) lockedBreakpoint(ctx context.Context, c Caller, ws, name string, need Privilege, change bool) (bp *bpRecord, unlock func(), err error) {
	if err := r.bpCheck(c, ws, need, change); err != nil {
		return nil, nil, err
	}
	if unlock, err = r.LockBreakpoint(ctx, ws, name); err != nil {
		return nil, nil, err
	}
	err = r.inWorkspace(ws, func(w *wsTx) error {
		bp, err = w.breakpoint(name)
		return err
	})
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return bp, unlock, nil
}

func (r *Repo) knownWorkspace(ws string) error {
	return r.inWorkspace(ws, func(*wsTx) error { return nil })
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
	switch {
	case CodeOf(err) == wire.CodeFileNotFound:
		return nil, Errorf(wire.CodeInvalidArgument, "breakpoint file not exist: %s", name)
	case err != nil:
		return nil, err
	case !bp.Completed:
		return nil, Errorf(wire.CodeInvalidArgument, "breakpoint file is not completed: %s", name)
	case needMD5 && bp.MD5 == nil:
		return nil, Errorf(wire.CodeInvalidArgument, "breakpoint file has no md5: %s", name)
	}
	return bp, nil
}

// consume removes the record of a converted breakpoint file; its content goes
// on under the same data id.
func (w *wsTx) consume(bp *bpRecord) error {
	if err := w.adopt(bp.DataID); err != nil {
		return err
	}
	return w.bps.Delete([]byte(bp.Name))
}

// CreateBreakpoint makes a breakpoint file, with a body its first increment
// (part 2 section 5.4). One of that name is -261. The record stays when the body
// breaks.
func (r *Repo) CreateBreakpoint(ctx context.Context, c Caller, ws, name string, n NewBreakpoint) (wire.Doc, error) {
	if err := r.bpCheck(c, ws, Create, true); err != nil {
		return nil, err
	}
	if err := checkName("breakpoint file name", name); err != nil {
		return nil, err
	}
	if err := CheckTimeRange(n.CreateTime); err != nil {
		return nil, err
	}
	unlock, err := r.LockBreakpoint(ctx, ws, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if n.Type == "" {
		n.Type = wire.ChecksumNone
	}
	bp := &bpRecord{Name: name, Type: n.Type, NeedMD5: n.NeedMD5, CreateUser: c.User, UploadUser: c.User,
		CreateTime: n.CreateTime}
	if n.Body == nil {
		bp.DataID = r.ids.next() // with a body the append decides: until then there is no data
	}
	err = r.changeWorkspace(ws, func(w *wsTx) error {
		if w.bps.Get([]byte(name)) != nil {
			return Errorf(wire.CodeFileExist, "breakpoint file exists: %s", name)
		}
		if err := w.dataFree(bp.DataID); err != nil {
			return err
		}
		return w.putBreakpoint(bp)
	})
	if err != nil {
		return nil, err
	}
	if n.Body == nil && n.Last {
		n.Body = eof{}
	}
	if n.Body != nil {
		if err := r.appendBody(c, ws, bp, n.Body, n.Last); err != nil {
			return nil, err
		}
	}
	return bp.doc(r.o.Site), nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// AppendBreakpoint appends an increment at offset, which must be the uploaded
// size (part 2 section 5.5), and returns the record. The lock is held until the
// body has ended or broken (-601).
func (r *Repo) AppendBreakpoint(ctx context.Context, c Caller, ws, name string, offset int64, last bool, body io.Reader) (wire.Doc, error) {
	bp, unlock, err := r.lockedBreakpoint(ctx, c, ws, name, Create, true)
	if err != nil {
		return nil, err
	}
	defer unlock()
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

// Breakpoint returns one record; it waits for a running increment and so tells
// the truth (part 2 section 5.7). When the recorded bytes are gone it is -409.
func (r *Repo) Breakpoint(ctx context.Context, c Caller, ws, name string) (wire.Doc, error) {
	bp, unlock, err := r.lockedBreakpoint(ctx, c, ws, name, Read, false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if !bp.Completed && bp.Size > 0 {
		info, err := r.fs.Stat("breakpoint.stat", r.dataPath(bp.DataID))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, Errorf(wire.CodeDataReadError, "data of %s: %v", name, err)
		}
		if info.Size < bp.Size {
			return nil, bp.dataLost(info.Size)
		}
	}
	return bp.doc(r.o.Site), nil
}

func (bp *bpRecord) dataLost(have int64) error {
	return Errorf(wire.CodeDataCorrupted, "breakpoint file %s has %d bytes, the record says %d", bp.Name, have, bp.Size)
}

// Breakpoints lists records; it takes no lock.
func (r *Repo) Breakpoints(c Caller, ws string, filter wire.Doc) iter.Seq2[wire.Doc, error] {
	if err := r.bpCheck(c, ws, Read, false); err != nil {
		return failed(err)
	}
	src := source{order: "file_name", unique: true, rows: func(w *wsTx, after []byte, desc bool, visit func([]byte, row) (bool, error)) (bool, error) {
		return span{}.walk(w.bps, after, desc, func(k, v []byte) (bool, error) {
			var bp bpRecord
			if err := decode(v, &bp); err != nil {
				return false, err
			}
			return visit(k, bpRow{docRow(bp.doc(r.o.Site))})
		})
	}}
	return r.list(ws, Query{Filter: filter, Limit: -1}, src)
}

// bpRow is a record in a list: a filter may also name fields that are stored
// but never shown (part 2 section 5.1).
type bpRow struct{ docRow }

func (b bpRow) field(key string) (any, bool) {
	switch key {
	case "site_id", "ws_version":
		return int32(1), true
	case "extra_context", "table_name":
		return nil, true
	}
	return b.docRow.field(key)
}

// DeleteBreakpoint removes a breakpoint file in any state.
func (r *Repo) DeleteBreakpoint(ctx context.Context, c Caller, ws, name string) error {
	bp, unlock, err := r.lockedBreakpoint(ctx, c, ws, name, Delete, true)
	if err != nil {
		return err
	}
	defer unlock()
	err = r.changeWorkspace(ws, func(w *wsTx) error { return w.bps.Delete([]byte(name)) })
	if err == nil {
		r.removeData(bp.DataID)
	}
	return err
}

// CalcBreakpointMD5 computes and stores the md5 of a completed breakpoint file
// (part 2 section 5.10).
func (r *Repo) CalcBreakpointMD5(ctx context.Context, c Caller, ws, name string) (string, error) {
	bp, unlock, err := r.lockedBreakpoint(ctx, c, ws, name, Update, false)
	if err != nil {
		return "", err
	}
	defer unlock()
	if !bp.Completed {
		return "", Errorf(wire.CodeInvalidArgument, "breakpoint file is not completed: %s", name)
	}
	f, err := r.fs.OpenFile("breakpoint.open", r.dataPath(bp.DataID), os.O_RDONLY)
	if err != nil {
		return "", Errorf(wire.CodeDataReadError, "open data of %s: %v", name, err)
	}
	defer f.Close()
	h, err := r.md5Of(io.NewSectionReader(f, 0, bp.Size), bp.Size)
	if err != nil {
		return "", err
	}
	bp.MD5, _ = md5Strings(h)
	bp.NeedMD5 = true
	return *bp.MD5, r.changeWorkspace(ws, func(w *wsTx) error { return w.putBreakpoint(bp) })
}
