package repo

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// increment is one body on its way into a breakpoint file, whose lock is held.
type increment struct {
	repo    *Repo
	ws      string
	bp      *bpRecord // what is recorded
	f       disk.File
	entry   bool  // the directory entry is not durable yet
	written int64 // size of the data, recorded or not
	sum     uint32
}

// appendBody writes the body behind bp.Size and records it in bp. The record is
// also written each time 50 MiB have accumulated (part 2 section 5.6); what is
// not recorded when the body breaks is cut off by the next append.
func (r *Repo) appendBody(c Caller, ws string, bp *bpRecord, body io.Reader, last bool) (err error) {
	small := r.buf.small.Get().(*[]byte)
	defer r.buf.small.Put(small)
	n, rerr := fill(body, *small)
	if rerr != nil && !errors.Is(rerr, io.EOF) {
		return Errorf(wire.CodeFileIO, "read increment: %v", rerr)
	}
	bp.UploadUser = c.User
	if n == 0 && !last {
		return nil // the answer shows the caller, nothing is stored
	}
	if bp.DataID == "" {
		bp.DataID = r.ids.next()
		defer func() {
			// The record still names no data, so the next attempt would not find
			// and cut what this one left. After a commit of unknown outcome it may
			// name it: that error has no code of ours, and the data stays.
			if c := CodeOf(err); bp.Size == 0 && (c == wire.CodeFileIO || c == wire.CodeDataBreakpointWriteError) {
				r.removeData(bp.DataID)
			}
		}()
	}
	if n > 0 {
		if err := r.imitateFaults(ws, bp, body); err != nil {
			return err
		}
	}
	in, err := r.openIncrement(ws, bp)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := in.f.Close(); err == nil && cerr != nil {
			err = Errorf(wire.CodeDataBreakpointWriteError, "close data of %s: %v", bp.Name, cerr)
		}
	}()
	if errors.Is(rerr, io.EOF) {
		body = eof{}
	}
	if _, err := r.copyBody(in.f, bp.Size, (*small)[:n], body, wire.CodeDataBreakpointWriteError, in.wrote); err != nil {
		return err
	}
	if last && bp.NeedMD5 {
		h, err := r.md5Of(io.NewSectionReader(in.f, 0, in.written), in.written)
		if err != nil {
			return err
		}
		bp.MD5, _ = md5Strings(h)
	}
	return in.record(last)
}

// imitateFaults answers for the storages of [Options] and [Repo.RefuseForQuota].
func (r *Repo) imitateFaults(ws string, bp *bpRecord, body io.Reader) error {
	for n := r.quotaReset.Load(); n > 0; n = r.quotaReset.Load() {
		if r.quotaReset.CompareAndSwap(n, n-1) {
			return r.resetForQuota(ws, bp)
		}
	}
	if r.o.S3Parts && bp.Size%wire.PartSize != 0 {
		// Noticed when the first part is sent, that is after 5 MiB of body.
		_, _ = io.Copy(io.Discard, io.LimitReader(body, wire.PartSize))
		return Errorf(wire.CodeDataBreakpointWriteError, "an increment must start at a multiple of 5 MiB, not at %d", bp.Size)
	}
	return nil
}

// resetForQuota imitates part 2 section 5.6: everything uploaded is lost.
func (r *Repo) resetForQuota(ws string, bp *bpRecord) error {
	old := bp.DataID
	bp.Size, bp.Checksum, bp.DataID = 0, 0, r.ids.next()
	if err := r.changeWorkspace(ws, func(w *wsTx) error { return w.putBreakpoint(bp) }); err != nil {
		return err
	}
	r.removeData(old)
	return Errorf(wire.CodeDataStorageQuotaExceeded, "storage quota exceeded: %s", bp.Name)
}

// openIncrement opens the data and cuts off what an earlier increment left
// behind. Data that is shorter than recorded is -409: it must not be filled up.
func (r *Repo) openIncrement(ws string, bp *bpRecord) (*increment, error) {
	in := &increment{repo: r, ws: ws, bp: bp, written: bp.Size, sum: bp.Checksum, entry: bp.Size == 0}
	f, err := r.fs.OpenFile("breakpoint.open", r.dataPath(bp.DataID), os.O_RDWR)
	if errors.Is(err, os.ErrNotExist) {
		if bp.Size > 0 {
			return nil, bp.dataLost(0)
		}
		f, err = r.createDataFile(bp.DataID)
	}
	if err != nil {
		return nil, Errorf(wire.CodeDataBreakpointWriteError, "open data of %s: %v", bp.Name, err)
	}
	in.f = f
	have, err := f.Size()
	switch {
	case err != nil:
		err = Errorf(wire.CodeDataBreakpointWriteError, "data of %s: %v", bp.Name, err)
	case have < bp.Size:
		err = bp.dataLost(have)
	case have > bp.Size:
		if terr := f.Truncate("breakpoint.truncate", bp.Size); terr != nil {
			err = Errorf(wire.CodeDataBreakpointWriteError, "cut data of %s: %v", bp.Name, terr)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return in, nil
}

// wrote is told of every piece that is in the file.
func (in *increment) wrote(p []byte) error {
	in.sum = in.bp.Type.Extend(in.sum, in.written, p)
	in.written += int64(len(p))
	if in.written-in.bp.Size >= in.repo.o.FlushInterval {
		return in.record(false)
	}
	return nil
}

// record makes everything written so far durable, then says so in the record.
func (in *increment) record(complete bool) error {
	r, bp := in.repo, in.bp
	if err := in.f.Sync("breakpoint.sync"); err != nil {
		return Errorf(wire.CodeDataBreakpointWriteError, "sync data of %s: %v", bp.Name, err)
	}
	if in.entry {
		if err := r.fs.SyncDir("breakpoint.syncdir", filepath.Dir(r.dataPath(bp.DataID))); err != nil {
			return Errorf(wire.CodeDataBreakpointWriteError, "sync directory of %s: %v", bp.Name, err)
		}
		in.entry = false
	}
	bp.Size, bp.Checksum, bp.UploadTime, bp.Completed = in.written, in.sum, r.nowMillis(), complete
	err := r.changeWorkspace(in.ws, func(w *wsTx) error { return w.putBreakpoint(bp) })
	if CodeOf(err) == wire.CodeWorkspaceNotExist {
		r.removeData(bp.DataID) // the workspace was removed under the upload
	}
	return err
}
