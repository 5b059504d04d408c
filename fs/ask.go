package fs

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// askTick is how often ask looks whether the answer is held back.
	askTick = 5 * time.Millisecond
	// askLimit is when it stops waiting for an answer that nothing is known to hold
	// back. The answer is no then: an error at close is worth more than a version too
	// many.
	askLimit = 5 * time.Second
)

// asked tells whether a process holds the inode for writing, and whether that
// could be found out. A positive budget is the time to wait for a process that
// is inside execve.
func (p procFS) asked(pid uint32, ino uint64, budget time.Duration) (holds, known bool) {
	return p.ask(pid, budget, func() bool { return p.holdsForWriting(pid, ino) })
}

// ask puts a question that reads /proc/<pid>/fd, or the like, on a thread of its
// own and gives up when the kernel holds the answer back because pid is inside
// execve.
//
// execve closes the close-on-exec descriptors with its exec_update_lock held, and
// newer kernels (seen with 6.18) take that lock to show /proc/<pid>/fd, stat and
// more. The FLUSH of such a descriptor would wait for the reading, the reading for
// the execve, and the execve for the FLUSH: for ever, and neither kill -9 nor ps
// would return. A thread in uninterruptible sleep is the sign, and that pid has no
// arguments yet; where memory is short a thread sleeps like that as well, to reclaim
// some, and to take that for an execve made close answer before the file was
// published. The thread goes on as soon as the FLUSH is answered.
func (p procFS) ask(pid uint32, budget time.Duration, question func() bool) (yes, answered bool) {
	tid := make(chan int, 1)
	answer := make(chan bool, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- unix.Gettid()
		answer <- question()
	}()
	began := time.Now()
	tick := time.NewTicker(askTick)
	defer tick.Stop()
	for blocked := 0; ; {
		select {
		case yes = <-answer:
			return yes, true
		case <-tick.C:
		}
		waited := time.Since(began)
		if waited > askLimit {
			return false, true
		}
		if !p.uninterruptible(tid) {
			blocked = 0
			continue
		}
		// Once may be a page of this program that has to be read in.
		if blocked++; blocked > 1 && waited >= budget && p.inExecve(pid) {
			return false, false
		}
	}
}

// uninterruptible tells whether the thread of this process whose id comes out of
// tid is in state D. The id is put back.
func (p procFS) uninterruptible(tid chan int) bool {
	select {
	case id := <-tid:
		tid <- id
		b, err := p.read(fmt.Sprintf("self/task/%d/status", id))
		return err == nil && strings.Contains(string(b), "\nState:\tD")
	default:
		return false // not scheduled yet
	}
}

// inExecve tells whether a process is between the old program and the new one: it
// has memory, and no arguments in it yet. One that exits has no memory. Neither is
// behind a lock of execve.
func (p procFS) inExecve(pid uint32) bool {
	args, err := p.read(fmt.Sprintf("%d/cmdline", pid))
	if err != nil || len(args) > 0 {
		return false
	}
	status, err := p.read(fmt.Sprintf("%d/status", pid))
	return err == nil && strings.Contains(string(status), "\nVmSize:")
}
