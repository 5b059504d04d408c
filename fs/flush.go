package fs

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

func callerOf(ctx context.Context) fuse.Caller {
	if c, ok := fuse.FromContext(ctx); ok {
		return *c
	}
	return fuse.Caller{}
}

// Flush implements fusefs.FileFlusher. It is the close that a program sees: its
// answer is the answer of close(2), so what can fail has to fail here.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	if !h.writable {
		return 0
	}
	h.mu.Lock()
	d := h.draft
	h.mu.Unlock()
	if d == nil || !d.Dirty() {
		return 0
	}
	fs := h.on.tree()
	tid := callerOf(ctx).Pid
	switch fs.proc.judge(h.who, tid, h.on.number()) {
	case closeShared:
		return 0
	case closeKilled:
		if h.on.shared() {
			return 0 // another handle decides what becomes of the content
		}
		octx, cancel := fs.op(ctx)
		defer cancel()
		if err := d.Abandon(octx, "its writer was killed by a signal"); err != nil {
			return errnoOf(octx, err)
		}
		h.mu.Lock()
		h.over = true
		h.mu.Unlock()
		h.on.abandoned()
		return 0
	}
	return h.publish(ctx, d, tid)
}

// publish sends the draft and waits. A signal does not end the waiting: close
// must not report a failure that did not happen. A fatal one does, and so does
// an upload that makes no progress; both leave the upload going on.
func (h *handle) publish(ctx context.Context, d *writeback.Draft, tid uint32) syscall.Errno {
	fs := h.on.tree()
	h.on.stamp(d)
	wait, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go fs.watchClose(wait, cancel, ctx.Done(), tid, d)
	f, err := d.Publish(wait)
	if err != nil {
		if cause := context.Cause(wait); cause != nil {
			return toErrno(cause)
		}
		return toErrno(err)
	}
	h.on.finished(d, f)
	return 0
}

// watchClose ends the waiting of a close: at a fatal signal, or when nothing more
// was acknowledged for Options.CloseTimeout.
func (fs *FS) watchClose(wait context.Context, cancel context.CancelCauseFunc, interrupt <-chan struct{}, tid uint32, d *writeback.Draft) {
	tick := time.NewTicker(interruptGrace / 2)
	defer tick.Stop()
	acked := d.Info().Acked
	last := time.Now()
	for {
		select {
		case <-wait.Done():
			return
		case <-interrupt:
			interrupt = nil
			tick.Reset(interruptGrace / 20)
		case <-tick.C:
		}
		if interrupt == nil && fs.proc.killed(tid) {
			cancel(context.Canceled)
			return
		}
		if now := d.Info().Acked; now != acked {
			acked, last = now, time.Now()
		} else if time.Since(last) > fs.opt.CloseTimeout {
			cancel(context.DeadlineExceeded)
			return
		}
	}
}

// Release implements fusefs.FileReleaser. Its answer is lost, so it only ends
// what FLUSH could not know to be the end.
func (h *handle) Release(ctx context.Context) syscall.Errno {
	fs := h.on.tree()
	h.mu.Lock()
	d, r, over := h.draft, h.reader, h.over
	h.draft, h.reader = nil, nil
	h.mu.Unlock()
	publish := h.writable && d != nil && !over && d.Dirty() && d.State() != writeback.Stuck
	if publish {
		h.on.stamp(d)
	}
	// What is sealed here stays what it is, whoever opens the file meanwhile.
	var sealed writeback.Closed
	var ok, held bool
	lastWriter := h.on.closed(h, func() {
		if publish {
			if sealed, ok = d.Seal(); !ok {
				held = d.Hold()
			}
		}
	})
	if r != nil {
		r.Close()
	}
	if d == nil {
		return 0
	}
	octx, cancel := context.WithTimeout(context.Background(), fs.opt.OpTimeout)
	defer cancel()
	// What is stuck was told of by close. It is not tried again behind the back of
	// a program that was told so.
	// What could neither be sealed nor held is clean or gone: to publish it now would
	// publish what another program has begun to write since.
	if lastWriter && (ok || held) {
		// Readers may hold the draft for long; the writing is over now.
		fs.spawn(func(ctx context.Context) {
			var f client.File
			var err error
			if ok {
				f, err = sealed.Wait(ctx)
			} else {
				err = d.Held(ctx)
			}
			if errors.Is(err, writeback.ErrGone) {
				return // removed meanwhile
			}
			if err != nil {
				fs.log.WithError(err).WithField("file", d.Target().String()).Error("not published, and the program that wrote it was not told: it had closed the file before; nothing is lost, retry, export or discard it (scmfs pending list)")
				return
			}
			h.on.finished(d, f)
		})
	}
	if err := d.Release(octx); err != nil {
		fs.log.WithError(err).WithField("file", d.Target().String()).Warn("the end of a file's last use could not be recorded; what was written is still here (scmfs pending list)")
	}
	return 0
}
