package fs

import (
	"bytes"
	"context"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// interruptGrace is how long an operation goes on after somebody asked its caller to
// stop. Most operations end within it, and programs do not expect EINTR from open(2).
// A caller with a fatal signal pending is let go at once.
const interruptGrace = time.Second

// stopSignals are those by which a person, or a supervisor, asks a program to stop.
// Every other handled signal interrupts a FUSE request as well: Go's own SIGURG, a
// timer's, SIGCHLD, SIGWINCH. With EINTR for those, a lookup that took long failed
// the rename or the O_CREAT that it was for, at no one's wish.
const stopSignals = 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) | 1<<(syscall.SIGTERM-1)

// interruptDelay is how old an operation is before anybody looks for its
// interrupt. Most end in microseconds, and a goroutine that waits beside each of
// them cost more than the operation.
const interruptDelay = 5 * time.Millisecond

// opContext returns the context of one operation: detached from the request but
// for its deadline and its interrupt; of a patient one only a fatal signal counts.
// The deadline is what keeps a process out of an endless wait when the store hangs.
func (fs *FS) opContext(ctx context.Context, timeout time.Duration, patient bool) (context.Context, context.CancelFunc) {
	out, cancel := context.WithTimeout(context.Background(), timeout)
	done := ctx.Done()
	if done == nil {
		return out, cancel
	}
	var pid uint32
	if caller, ok := fuse.FromContext(ctx); ok {
		pid = caller.Pid
	}
	late := time.AfterFunc(interruptDelay, func() { fs.heed(out, cancel, done, pid, patient) })
	return out, func() {
		late.Stop()
		cancel()
	}
}

// heed cancels an operation some time after its interrupt. It returns when the
// operation has ended.
func (fs *FS) heed(op context.Context, cancel context.CancelFunc, interrupt <-chan struct{}, pid uint32, patient bool) {
	select {
	case <-op.Done():
		return
	case <-interrupt:
	}
	var grace <-chan time.Time
	poll := time.NewTicker(interruptGrace / 10)
	defer poll.Stop()
	// A second signal may follow a harmless one.
	for !fs.proc.killed(pid) {
		if !patient && grace == nil && fs.proc.told(pid) {
			grace = time.After(interruptGrace)
		}
		select {
		case <-op.Done():
			return
		case <-grace:
			cancel()
			return
		case <-poll.C:
		}
	}
	cancel()
}

// op is the context of an ordinary operation.
func (fs *FS) op(ctx context.Context) (context.Context, context.CancelFunc) {
	return fs.opContext(ctx, fs.opt.OpTimeout, false)
}

// deed is the context of an operation that changes names. A handled signal does not
// end it: programs, Go's runtime among them, do again what gave EINTR, and a change
// that was made all the same then fails with ENOENT or EEXIST. On local disks, and
// with NFS, only a fatal signal ends it.
func (fs *FS) deed(ctx context.Context) (context.Context, context.CancelFunc) {
	return fs.opContext(ctx, fs.opt.OpTimeout, true)
}

// errnoOf maps the error of an operation that ran under its own context: a
// cancelled context is an interrupt, an expired one a time-out, whatever the
// layers below made of it.
func errnoOf(ctx context.Context, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	errno := toErrno(err)
	switch errno {
	case syscall.EIO, syscall.EINTR, syscall.ETIMEDOUT: // what an ended context turns into
	default:
		return errno
	}
	switch ctx.Err() {
	case context.Canceled:
		return syscall.EINTR
	case context.DeadlineExceeded:
		return syscall.ETIMEDOUT
	}
	return errno
}

const sigKillBit = 1 << (9 - 1)

// killed tells whether SIGKILL is pending for a thread. The kernel turns every
// fatal signal into a pending SIGKILL of each thread, so the bit separates fatal
// from handled signals.
func (p procFS) killed(tid uint32) bool {
	if tid == 0 {
		return false
	}
	bits, ok := p.signals(tid, "SigPnd:")
	return ok && bits&sigKillBit != 0
}

// told tells whether a thread, or its process, is to handle one of stopSignals when
// its call returns. One that cannot be looked at, in another PID namespace, may be.
func (p procFS) told(tid uint32) bool {
	if tid == 0 {
		return true
	}
	blocked, _ := p.signals(tid, "SigBlk:")
	own, ok := p.signals(tid, "SigPnd:")
	all, ok2 := p.signals(tid, "ShdPnd:")
	return !ok || !ok2 || (own|all)&^blocked&stopSignals != 0
}

// signals returns a set of signals in /proc/<id>/status.
func (p procFS) signals(id uint32, field string) (bits uint64, ok bool) {
	v, ok := p.statusField(id, field)
	if !ok {
		return 0, false
	}
	bits, err := strconv.ParseUint(v, 16, 64)
	return bits, err == nil
}

// statusField returns one line of /proc/<id>/status.
func (p procFS) statusField(id uint32, field string) (string, bool) {
	b, err := p.read(strconv.FormatUint(uint64(id), 10) + "/status")
	if err != nil {
		return "", false
	}
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte(field)); ok {
			return string(bytes.TrimSpace(v)), true
		}
	}
	return "", false
}
