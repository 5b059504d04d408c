package fs

import "time"

// FLUSH is sent for every close of every copy of a descriptor: after dup, by
// each child that inherited it, by the shell that set up a redirection. Only the
// last one ends the file. The kernel does not say which one is the last, but it
// shows who has descriptors, and which processes can have got a copy: the one
// that opened the file and those that were started since.

// opener is what is remembered when a handle is opened.
type opener struct {
	tgid    uint32 // process that opened; 0 = not known
	lastPID uint32 // the kernel's last pid at that time; 0 = not known
}

func (p procFS) opener(tid uint32) opener {
	return opener{tgid: p.tgid(tid), lastPID: p.lastPID()}
}

// closing is the verdict on one FLUSH.
type closing int

const (
	closeLast   closing = iota // nobody else can write through this handle
	closeShared                // another descriptor is still there
	closeKilled                // the last holder dies of a signal
)

const (
	// holderBudget bounds the search. When it runs out the close counts as the
	// last one: an error at close is worth more than a version too many.
	holderBudget = 50 * time.Millisecond
	// forkPause is how often a process between fork and execve is looked at.
	forkPause = time.Millisecond
	// fewPIDs is how many numbers are tried one by one before /proc is listed.
	fewPIDs = 32
)

// judge decides about a FLUSH that thread tid sends for a handle on inode ino.
//
// The opener is asked about before the closer: a program that starts another one
// makes the child close every close-on-exec descriptor inside execve, and nothing
// can be read about a process in there (see ask).
func (p procFS) judge(o opener, tid uint32, ino uint64) closing {
	closer := p.tgid(tid)
	if closer == 0 {
		return closeLast // another pid namespace, or already reaped: a normal close
	}
	if o.tgid != 0 && o.tgid != closer {
		if holds, known := p.asked(o.tgid, ino, holderBudget); holds && known {
			return closeShared
		}
	}
	// A thread that is in a program waits for us in close(2). So it is not inside
	// execve, nor can another thread be, which would have to end this one first:
	// nothing holds the answer back, and asking on this thread saves the switches to
	// another and back.
	ordinary := p.runs(tid)
	// The descriptor being closed is no longer in the closer's table, and a
	// process that exits has no table at all.
	var holds, known bool
	if ordinary {
		holds, known = p.holdsForWriting(closer, ino), true
	} else {
		holds, known = p.asked(closer, ino, 0)
	}
	if holds || !known {
		// Not known is execve: it reports no error of close, so RELEASE, which
		// comes when this was the last descriptor, is as good a moment.
		return closeShared
	}
	if p.heldByChild(o, closer, ino) {
		return closeShared
	}
	if !ordinary && p.diedOfSignal(tid, closer) {
		return closeKilled
	}
	return closeLast
}

// heldByChild looks at the processes started since the file was opened.
func (p procFS) heldByChild(o opener, closer uint32, ino uint64) bool {
	now := p.lastPID()
	if o.lastPID == 0 || now == 0 || now == o.lastPID {
		return false
	}
	end := time.Now().Add(holderBudget)
	for _, pid := range p.started(o.lastPID, now) {
		if pid == closer || pid == o.tgid {
			continue
		}
		if p.childHolds(pid, ino, end) {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
	return false
}

// childHolds asks about one process. One that was forked and has not called
// execve yet is about to drop its close-on-exec descriptors: a close at that
// moment is the last one all the same, so it is waited for.
func (p procFS) childHolds(pid uint32, ino uint64, end time.Time) bool {
	for {
		left := max(time.Until(end), time.Nanosecond)
		holds, known := p.asked(pid, ino, left)
		if !holds || !known {
			return false
		}
		forked, known := p.ask(pid, left, func() bool {
			flags, ok := p.statField(pid, statFlags)
			return ok && flags&pfForkNoExec != 0
		})
		if known && !forked || time.Now().After(end) {
			return true
		}
		time.Sleep(forkPause)
	}
}

// started lists the processes with pids given out after `from`, up to `to`. The
// numbers wrap around.
func (p procFS) started(from, to uint32) []uint32 {
	if to > from && to-from <= fewPIDs {
		out := make([]uint32, 0, to-from)
		for pid := from + 1; pid <= to; pid++ {
			out = append(out, pid)
		}
		return out
	}
	var out []uint32
	for _, pid := range p.pids() {
		if to > from && pid > from && pid <= to || to < from && (pid > from || pid <= to) {
			out = append(out, pid)
		}
	}
	return out
}
