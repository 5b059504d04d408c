package integration

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A worker is a process that does one kernel operation after the other, as it is
// told on its standard input. The test itself never touches the mount: whatever
// hangs there hangs a worker, which has a deadline.

// workerEnv makes the test binary a worker.
const workerEnv = "SCMFS_MODEL_WORKER"

// call is one operation. Paths are absolute.
type call struct {
	Op         string
	Path, To   string `json:",omitempty"`
	Slot       int    `json:",omitempty"` // which of the worker's descriptors
	Flags      int    `json:",omitempty"`
	Off, Size  int64  `json:",omitempty"`
	Seed       uint64 `json:",omitempty"` // of the bytes to write
	Key, Value string `json:",omitempty"`
}

// reply is what came of it.
type reply struct {
	Errno int
	Note  string  `json:",omitempty"` // which system call failed
	Sum   string  `json:",omitempty"`
	Size  int64   `json:",omitempty"`
	Tree  []entry `json:",omitempty"`
}

// entry is what a walk sees of one name.
type entry struct {
	Path, Kind string // file, dir, link
	Size       int64
	Sum, Link  string
	Mode       uint32
	MTime      int64
	Nlink      uint64
	Xattrs     map[string]string
	Err        string // of reading it
}

// bytesOf are n bytes that no other seed has.
func bytesOf(seed uint64, n int64) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = c.Read(b)
	return b
}

func sumOf(b []byte) string {
	s := md5.Sum(b)
	return hex.EncodeToString(s[:])
}

// workerMain serves calls until standard input ends.
func workerMain() {
	syscall.Umask(0o022)
	w := &workerState{files: map[int]*os.File{}}
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	for {
		var c call
		if err := in.Decode(&c); err != nil {
			return
		}
		var r reply
		note, err := w.do(&c, &r)
		if err != nil {
			r.Errno, r.Note = int(syscall.EIO), note+": "+err.Error()
			if e, ok := errors.AsType[syscall.Errno](err); ok {
				r.Errno = int(e)
			}
		}
		if err := out.Encode(r); err != nil {
			return
		}
	}
}

type workerState struct{ files map[int]*os.File }

// do carries out a call; note says which system call an error is of.
func (w *workerState) do(c *call, r *reply) (note string, err error) {
	f := w.files[c.Slot]
	if f == nil && c.Slot != 0 && c.Op != "open" {
		return c.Op, syscall.EINVAL // the mount was killed since, and this program with it
	}
	switch c.Op {
	case "open":
		fd, err := syscall.Open(c.Path, c.Flags|syscall.O_CLOEXEC, uint32(c.Size))
		if err == nil {
			w.files[c.Slot] = os.NewFile(uintptr(fd), c.Path)
		}
		return "open", err
	case "close":
		delete(w.files, c.Slot)
		return "close", f.Close()
	case "write":
		_, err := f.Write(bytesOf(c.Seed, c.Size))
		return "write", err
	case "pwrite":
		_, err := syscall.Pwrite(int(f.Fd()), bytesOf(c.Seed, c.Size), c.Off)
		return "pwrite", err
	case "mmap":
		return mmapWrite(f, c)
	case "ftruncate":
		return "ftruncate", f.Truncate(c.Size)
	case "fallocate":
		return "fallocate", syscall.Fallocate(int(f.Fd()), uint32(c.Flags), c.Off, c.Size)
	case "fsync":
		return "fsync", f.Sync()
	case "fread":
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
		r.Sum, r.Size = sumOf(b), int64(len(b))
		return "read", err
	case "copyrange":
		for {
			n, err := unix.CopyFileRange(int(f.Fd()), nil, int(w.files[int(c.Off)].Fd()), nil, int(c.Size), 0)
			if n <= 0 || err != nil {
				return "copy_file_range", err
			}
		}
	case "tree":
		r.Tree, err = walk(c.Path)
		return "walk", err
	case "lsize":
		st, err := os.Lstat(c.Path)
		if err == nil {
			r.Size = st.Size()
		}
		return "stat", err
	}
	return w.doName(c)
}

// doName does the calls that need no descriptor.
func (w *workerState) doName(c *call) (string, error) {
	switch c.Op {
	case "truncate":
		return c.Op, syscall.Truncate(c.Path, c.Size)
	case "rename":
		return c.Op, unix.Renameat2(unix.AT_FDCWD, c.Path, unix.AT_FDCWD, c.To, uint(c.Flags))
	case "unlink":
		return c.Op, syscall.Unlink(c.Path)
	case "mkdir":
		return c.Op, syscall.Mkdir(c.Path, uint32(c.Size))
	case "rmdir":
		return c.Op, syscall.Rmdir(c.Path)
	case "symlink":
		return c.Op, syscall.Symlink(c.Value, c.Path)
	case "chmod":
		return c.Op, syscall.Chmod(c.Path, uint32(c.Size))
	case "utimens":
		ts := unix.NsecToTimespec(c.Size)
		return c.Op, unix.UtimesNanoAt(unix.AT_FDCWD, c.Path, []unix.Timespec{ts, ts}, 0)
	case "setxattr":
		return c.Op, syscall.Setxattr(c.Path, c.Key, []byte(c.Value), c.Flags)
	case "removexattr":
		return c.Op, syscall.Removexattr(c.Path, c.Key)
	case "put":
		return put(c.Path, bytesOf(c.Seed, c.Size))
	}
	return c.Op, syscall.ENOSYS
}

func put(path string, b []byte) (string, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return "open", err
	}
	if _, err := f.Write(b); err != nil {
		_ = f.Close()
		return "write", err
	}
	return "close", f.Close()
}

func mmapWrite(f *os.File, c *call) (string, error) {
	m, err := syscall.Mmap(int(f.Fd()), 0, int(c.Off+c.Size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return "mmap", err
	}
	copy(m[c.Off:], bytesOf(c.Seed, c.Size))
	err = unix.Msync(m, unix.MS_SYNC)
	if uerr := syscall.Munmap(m); err == nil {
		err = uerr
	}
	return "msync", err
}

// walk looks at everything below root.
func walk(root string) ([]entry, error) {
	var out []entry
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == root {
			return nil
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		e := entry{Path: strings.TrimPrefix(path, root+"/"), Mode: st.Mode & 0o7777, MTime: st.Mtim.Nano(), Nlink: st.Nlink}
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			e.Kind = "dir"
		case syscall.S_IFLNK:
			e.Kind = "link"
			e.Link, err = os.Readlink(path)
		default:
			e.Kind, e.Size = "file", st.Size
			e.Xattrs, err = xattrsOf(path)
			if b, rerr := os.ReadFile(path); rerr != nil {
				err = rerr
			} else {
				e.Sum = sumOf(b)
				if int64(len(b)) != e.Size {
					e.Err = fmt.Sprintf("stat says %d bytes, there are %d", e.Size, len(b))
				}
			}
		}
		if err != nil {
			e.Err = err.Error()
		}
		out = append(out, e)
		return nil
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out, err
}

func xattrsOf(path string) (map[string]string, error) {
	buf := make([]byte, 4096)
	n, err := syscall.Listxattr(path, buf)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, k := range strings.Split(string(buf[:n]), "\x00") {
		if !strings.HasPrefix(k, "user.") {
			continue
		}
		v := make([]byte, 1024)
		m, err := syscall.Getxattr(path, k, v)
		if err != nil {
			return nil, err
		}
		out[k] = string(v[:m])
	}
	return out, nil
}

// worker is the test's side of one.
type worker struct {
	cmd *exec.Cmd
	in  *json.Encoder
	out chan reply
}

func newWorker() (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), workerEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &worker{cmd: cmd, in: json.NewEncoder(in), out: make(chan reply)}
	go func() {
		defer close(w.out)
		for d := json.NewDecoder(bufio.NewReader(out)); ; {
			var r reply
			if d.Decode(&r) != nil {
				return
			}
			w.out <- r
		}
	}()
	return w, nil
}

// do waits for the answer of a call, but not for ever.
func (w *worker) do(c call) (reply, error) {
	if err := w.in.Encode(c); err != nil {
		return reply{}, fmt.Errorf("worker: %w", err)
	}
	select {
	case r, ok := <-w.out:
		if !ok {
			return r, fmt.Errorf("the worker ended during %+v", c)
		}
		return r, nil
	case <-time.After(patience):
		return reply{}, fmt.Errorf("hangs: %+v", c)
	}
}

// kill is kill -9; it does not wait, since a process that hangs in the mount
// cannot be collected.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	go func() {
		for range w.out { // until the pipe ends
		}
		_ = w.cmd.Wait()
	}()
}
