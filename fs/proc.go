package fs

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// procFS reads what the kernel says about other processes. Nothing here ever
// touches a file behind /proc/<pid>/fd: a stat of one could come back to this
// mount and wait for the request that asks.
type procFS struct {
	root    string
	loadavg *os.File // kept open: it is asked for twice a file; nil: cannot be read
}

func newProcFS(root string) procFS {
	f, _ := os.Open(root + "/loadavg") // lastPID says that it is not known then
	return procFS{root: root, loadavg: f}
}

// procSize is more than what is read here ever has; only the beginning counts.
const procSize = 4 << 10

// procBuffers are not on the stack: every request of the kernel comes on a
// goroutine of its own, and growing its stack cost more than the reading.
var procBuffers = sync.Pool{New: func() any { return new([procSize]byte) }}

// read returns the beginning of a file: three system calls, where os.ReadFile
// takes nine because it offers the file to the poller.
func (p procFS) read(name string) ([]byte, error) { return readProc(p.root + "/" + name) }

func readProc(path string) ([]byte, error) {
	fd, err := retryEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := procBuffers.Get().(*[procSize]byte)
	defer procBuffers.Put(b)
	// procfs makes such a file in one piece, so one read has all of it.
	n, err := retryEINTR(func() (int, error) { return unix.Read(fd, b[:]) })
	if err != nil {
		return nil, err
	}
	return bytes.Clone(b[:n]), nil
}

func retryEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// tgid returns the process of a thread; the id in a FUSE request is a thread id.
// 0 means not known: another pid namespace, or gone.
func (p procFS) tgid(tid uint32) uint32 {
	if tid == 0 {
		return 0
	}
	if p.root == "/proc" && leads(tid) {
		return tid
	}
	v, ok := p.statusField(tid, "Tgid:")
	if !ok {
		return 0
	}
	id, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

// leads tells whether a thread is the first of its process, as most are that write:
// one short system call, where the kernel writes 1.5 KiB of text into a status. A
// signal that must not be sent has found its thread all the same.
func leads(tid uint32) bool {
	err := unix.Tgkill(int(tid), int(tid), 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

// runs tells whether a thread is in a program: it has arguments. One that exits has
// no memory any more, one inside execve no arguments yet. Reading them takes none of
// the locks of execve.
func (p procFS) runs(tid uint32) bool {
	b, err := p.read(strconv.FormatUint(uint64(tid), 10) + "/cmdline")
	return err == nil && len(b) > 0
}

// lastPID is the pid given out last, field 5 of /proc/loadavg: while it stays
// the same no process was started.
func (p procFS) lastPID() uint32 {
	if p.loadavg == nil {
		return 0
	}
	var line [64]byte
	n, err := p.loadavg.ReadAt(line[:], 0)
	if err != nil && err != io.EOF {
		return 0
	}
	fields := bytes.Fields(line[:n])
	if len(fields) < 5 {
		return 0
	}
	id, err := strconv.ParseUint(string(fields[4]), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

// Fields of /proc/<pid>/stat, counted as in proc(5).
const (
	statFlags    = 9
	statExitCode = 52

	pfForkNoExec = 0x40  // task flag: forked, no execve yet
	pfSignaled   = 0x400 // task flag: dying of a signal
)

// diedOfSignal tells whether the process of a thread is exiting because of a
// fatal signal. The flag alone is not enough: when one thread calls exit, the
// others are killed too and carry it. The exit code of the group tells them
// apart (its low 7 bits are the signal; shown during the exit by Linux 5.18 and
// later).
func (p procFS) diedOfSignal(tid, tgid uint32) bool {
	flags, ok := p.statField(tid, statFlags)
	if !ok || flags&pfSignaled == 0 {
		return false
	}
	code, ok := p.statField(tgid, statExitCode)
	return ok && code&0x7f != 0
}

func (p procFS) statField(id uint32, n int) (uint64, bool) {
	b, err := p.read(strconv.FormatUint(uint64(id), 10) + "/stat")
	if err != nil {
		return 0, false
	}
	// The command, field 2, is in parentheses and may hold anything.
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, false
	}
	fields := bytes.Fields(b[i+1:])
	if n-3 >= len(fields) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(fields[n-3]), 10, 64)
	return v, err == nil
}

// holdsForWriting tells whether a process has a descriptor, open for writing, on
// the inode. It reads the symbolic links and fdinfo only.
func (p procFS) holdsForWriting(pid uint32, ino uint64) bool {
	dir := p.root + "/" + strconv.FormatUint(uint64(pid), 10)
	fd, err := retryEINTR(func() (int, error) {
		return unix.Open(dir+"/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	list := procBuffers.Get().(*[procSize]byte)
	defer procBuffers.Put(list)
	var names []string
	for {
		n, err := retryEINTR(func() (int, error) { return unix.ReadDirent(fd, list[:]) })
		if err != nil || n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(list[:n], -1, names)
	}
	var link [32]byte // its beginning
	for _, name := range names {
		// Most descriptors are no files; the link tells without another open.
		n, err := unix.Readlinkat(fd, name, link[:])
		if err != nil || n == 0 || link[0] != '/' || bytes.HasPrefix(link[:n], []byte("/dev/")) {
			continue
		}
		if p.writesTo(dir+"/fdinfo/"+name, ino) {
			return true
		}
	}
	return false
}

func (p procFS) writesTo(fdinfo string, ino uint64) bool {
	b, err := readProc(fdinfo)
	if err != nil {
		return false
	}
	var same, writes bool
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte("ino:")); ok {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(v)), 10, 64)
			same = err == nil && n == ino
		}
		if v, ok := bytes.CutPrefix(line, []byte("flags:")); ok {
			n, err := strconv.ParseUint(string(bytes.TrimSpace(v)), 8, 64)
			writes = err == nil && n&uint64(os.O_WRONLY|os.O_RDWR) != 0
		}
	}
	return same && writes
}

// pids lists the processes.
func (p procFS) pids() []uint32 {
	d, err := os.Open(p.root)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	out := make([]uint32, 0, len(names))
	for _, name := range names {
		if id, err := strconv.ParseUint(name, 10, 32); err == nil {
			out = append(out, uint32(id))
		}
	}
	return out
}
