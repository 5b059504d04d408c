package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// fakeProc is a /proc in a temporary directory.
type fakeProc struct {
	t    *testing.T
	root string
}

func newFakeProc(t *testing.T, lastPID int) *fakeProc {
	p := &fakeProc{t, t.TempDir()}
	p.last(lastPID)
	return p
}

func (p *fakeProc) last(pid int) { p.write("loadavg", fmt.Sprintf("0.1 0.2 0.3 1/99 %d\n", pid)) }

func (p *fakeProc) write(name, text string) {
	path := filepath.Join(p.root, name)
	require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(p.t, os.WriteFile(path, []byte(text), 0o600))
}

// process adds a process, or a thread when tgid differs.
func (p *fakeProc) process(pid, tgid int, flags, exit uint64) {
	p.write(strconv.Itoa(pid)+"/status", fmt.Sprintf("Name:\tx\nTgid:\t%d\nSigPnd:\t0000000000000000\n", tgid))
	fields := ""
	for i := 3; i <= 52; i++ {
		switch i {
		case 3:
			fields += " R"
		case statFlags:
			fields += fmt.Sprintf(" %d", flags)
		case statExitCode:
			fields += fmt.Sprintf(" %d", exit)
		default:
			fields += " 0"
		}
	}
	p.write(strconv.Itoa(pid)+"/stat", fmt.Sprintf("%d (a ) b)%s\n", pid, fields))
	require.NoError(p.t, os.MkdirAll(filepath.Join(p.root, strconv.Itoa(pid), "fd"), 0o755))
}

func (p *fakeProc) fd(pid, fd int, link string, flags string, ino uint64) {
	dir := filepath.Join(p.root, strconv.Itoa(pid))
	require.NoError(p.t, os.Symlink(link, filepath.Join(dir, "fd", strconv.Itoa(fd))))
	p.write(fmt.Sprintf("%d/fdinfo/%d", pid, fd), fmt.Sprintf("pos:\t0\nflags:\t%s\nmnt_id:\t30\nino:\t%d\n", flags, ino))
}

func TestJudgeClose(t *testing.T) {
	const ino = 4711
	const path = "/mnt/scm/ws/report"
	for name, c := range map[string]struct {
		opened opener
		last   int
		tid    uint32
		set    func(*fakeProc)
		want   closing
	}{
		"cp: the opener closes, nobody was started": {
			opener{100, 100}, 100, 100,
			func(p *fakeProc) { p.process(100, 100, 0, 0) }, closeLast,
		},
		"a shell's redirection: the copy on descriptor 1 stays": {
			opener{100, 100}, 100, 100,
			func(p *fakeProc) { p.process(100, 100, 0, 0); p.fd(100, 1, path, "0100001", ino) }, closeShared,
		},
		"a thread closes": {
			opener{100, 100}, 100, 101,
			func(p *fakeProc) { p.process(100, 100, 0, 0); p.process(101, 100, 0, 0) }, closeLast,
		},
		"a descriptor of another file does not count": {
			opener{100, 100}, 100, 100,
			func(p *fakeProc) { p.process(100, 100, 0, 0); p.fd(100, 1, path, "0100001", ino+1) }, closeLast,
		},
		"a reader does not count": {
			opener{100, 100}, 100, 100,
			func(p *fakeProc) { p.process(100, 100, 0, 0); p.fd(100, 3, path, "0100000", ino) }, closeLast,
		},
		"a socket of the same number does not count": {
			opener{100, 100}, 100, 100,
			func(p *fakeProc) { p.process(100, 100, 0, 0); p.fd(100, 3, "socket:[4711]", "02", ino) }, closeLast,
		},
		"{ a; b; } > report: the child ends, the shell goes on": {
			opener{100, 100}, 105, 105,
			func(p *fakeProc) {
				p.process(100, 100, 0, 0)
				p.fd(100, 1, path, "0100001", ino)
				p.process(105, 105, 0, 0)
			}, closeShared,
		},
		"the shell closes, a child in the background goes on": {
			opener{100, 100}, 105, 100,
			func(p *fakeProc) {
				p.process(100, 100, 0, 0)
				p.process(103, 103, 0, 0)
				p.fd(103, 1, path, "0100001", ino)
			}, closeShared,
		},
		"a subshell in the background, which never calls execve": {
			opener{100, 100}, 105, 100,
			func(p *fakeProc) {
				p.process(100, 100, 0, 0)
				p.process(103, 103, pfForkNoExec, 0)
				p.fd(103, 1, path, "0100001", ino)
			}, closeShared,
		},
		"a child between fork and execve drops it": {
			opener{100, 100}, 105, 100,
			func(p *fakeProc) {
				p.process(100, 100, 0, 0)
				p.process(103, 103, pfForkNoExec, 0)
				p.fd(103, 1, path, "0100001", ino)
				time.AfterFunc(holderBudget/5, func() { _ = os.RemoveAll(filepath.Join(p.root, "103", "fd")) })
			}, closeLast,
		},
		"an older process with another open of the file is no holder": {
			opener{100, 100}, 105, 100,
			func(p *fakeProc) {
				p.process(100, 100, 0, 0)
				p.process(50, 50, 0, 0)
				p.fd(50, 1, path, "0100001", ino)
			}, closeLast,
		},
		"many were started: /proc is listed": {
			opener{100, 100}, 30000, 100,
			func(p *fakeProc) {
				p.process(100, 100, 0, 0)
				p.process(20000, 20000, 0, 0)
				p.fd(20000, 1, path, "0100001", ino)
			}, closeShared,
		},
		"the pids have wrapped around": {
			opener{32000, 32000}, 310, 32000,
			func(p *fakeProc) {
				p.process(32000, 32000, 0, 0)
				p.process(305, 305, 0, 0)
				p.fd(305, 1, path, "0100001", ino)
			}, closeShared,
		},
		"killed": {
			opener{100, 100}, 100, 100,
			func(p *fakeProc) { p.process(100, 100, pfSignaled, 9) }, closeKilled,
		},
		"one thread called exit(0): the others carry the flag": {
			opener{100, 100}, 100, 102,
			func(p *fakeProc) { p.process(100, 100, 0, 0); p.process(102, 100, pfSignaled, 0) }, closeLast,
		},
		"exit(3)": {
			opener{100, 100}, 100, 102,
			func(p *fakeProc) { p.process(100, 100, 0, 3<<8); p.process(102, 100, pfSignaled, 3<<8) }, closeLast,
		},
		"a child is killed, the shell goes on": {
			opener{100, 100}, 105, 105,
			func(p *fakeProc) {
				p.process(100, 100, 0, 0)
				p.fd(100, 1, path, "0100001", ino)
				p.process(105, 105, pfSignaled, 15)
			}, closeShared,
		},
		"a program with arguments neither exits nor dies": {
			opener{100, 100}, 100, 100,
			func(p *fakeProc) { p.process(100, 100, pfSignaled, 9); p.write("100/cmdline", "cp\x00a\x00") }, closeLast,
		},
		"a program closes one of two descriptors": {
			opener{100, 100}, 100, 101,
			func(p *fakeProc) {
				p.process(100, 100, 0, 0)
				p.process(101, 100, 0, 0)
				p.write("101/cmdline", "cp\x00a\x00")
				p.fd(100, 1, path, "0100001", ino)
			}, closeShared,
		},
		"another pid namespace": {opener{0, 100}, 100, 0, func(*fakeProc) {}, closeLast},
		"already gone":          {opener{100, 100}, 100, 100, func(*fakeProc) {}, closeLast},
	} {
		t.Run(name, func(t *testing.T) {
			p := newFakeProc(t, c.last)
			c.set(p)
			assert.Equal(t, c.want, newProcFS(p.root).judge(c.opened, c.tid, ino))
		})
	}
}

// A question about a process inside execve is not answered before the FLUSH is.
func TestAskGivesUpOnAThreadThatCannotGoOn(t *testing.T) {
	p := newFakeProc(t, 1)
	proc := newProcFS(p.root)
	state := func(s string) {
		p.write(fmt.Sprintf("self/task/%d/status", unix.Gettid()), "Name:\tx\nState:\t"+s+" (x)\n")
	}
	release := make(chan struct{})
	ended := make(chan struct{})
	p.write("7/cmdline", "")
	p.write("7/status", "Name:\tx\nVmSize:\t1 kB\n")
	_, answered := proc.ask(7, 0, func() bool {
		state("D")
		<-release
		close(ended)
		return true
	})
	assert.False(t, answered)
	close(release)
	<-ended

	more := make(chan struct{})
	time.AfterFunc(10*askTick, func() { close(more) })
	yes, answered := proc.ask(7, 0, func() bool {
		state("S")
		<-more // slow is not blocked
		return true
	})
	assert.True(t, answered)
	assert.True(t, yes)

	more = make(chan struct{})
	time.AfterFunc(10*askTick, func() { close(more) })
	yes, answered = proc.ask(7, time.Minute, func() bool {
		state("D")
		<-more // over within the budget
		return true
	})
	assert.True(t, answered)
	assert.True(t, yes)

	// A thread that has to reclaim memory sleeps in the same way.
	for name, set := range map[string]func(){
		"the process has arguments": func() { p.write("7/cmdline", "cp\x00a\x00") },
		"the process exits":         func() { p.write("7/cmdline", ""); p.write("7/status", "Name:\tx\n") },
	} {
		set()
		more = make(chan struct{})
		time.AfterFunc(10*askTick, func() { close(more) })
		yes, answered = proc.ask(7, 0, func() bool {
			state("D")
			<-more
			return true
		})
		assert.True(t, answered, name)
		assert.True(t, yes, name)
	}
}

func TestProcOpener(t *testing.T) {
	p := newFakeProc(t, 4242)
	p.process(7, 5, 0, 0)
	assert.Equal(t, opener{tgid: 5, lastPID: 4242}, newProcFS(p.root).opener(7))
}

func TestFatalSignalPending(t *testing.T) {
	p := newFakeProc(t, 1)
	p.write("10/status", "SigPnd:\t0000000000000100\n")
	p.write("11/status", "SigPnd:\t0000000000400000\n") // SIGURG
	proc := newProcFS(p.root)
	assert.True(t, proc.killed(10))
	assert.False(t, proc.killed(11))
	assert.False(t, proc.killed(12), "gone")
	assert.False(t, proc.killed(0))
}

func TestProcAgainstTheRealOne(t *testing.T) {
	proc := newProcFS("/proc")
	pid := uint32(os.Getpid())
	assert.Equal(t, pid, proc.tgid(pid))
	thread := make(chan uint32)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		thread <- uint32(unix.Gettid())
		<-t.Context().Done()
	}()
	other := <-thread
	assert.Equal(t, pid, proc.tgid(other))
	assert.True(t, proc.runs(other))
	assert.NotZero(t, proc.lastPID())
	assert.Contains(t, proc.pids(), pid)
	assert.False(t, proc.diedOfSignal(pid, pid))
	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	st, err := f.Stat()
	require.NoError(t, err)
	ino := inodeOf(st)
	assert.True(t, proc.holdsForWriting(pid, ino))
	require.NoError(t, f.Close())
	assert.False(t, proc.holdsForWriting(pid, ino))
}
