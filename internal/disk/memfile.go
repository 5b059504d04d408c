package disk

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// memFile is an open file of a [Mem]. Its node is guarded by the disk's lock.
type memFile struct {
	fs   *Mem
	name string
	node *memNode
}

func (f *memFile) Name() string { return f.name }
func (f *memFile) OS() *os.File { return nil }
func (f *memFile) Close() error { return nil }

// StartSync does nothing: bytes may survive a crash without Sync or not.
func (f *memFile) StartSync(int64, int64) {}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.mu.dead {
		return 0, pathError("read", f.name, ErrPowerLost)
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step("write"); err != nil {
		return 0, pathError("write", f.name, err)
	}
	end := off + int64(len(p))
	if grow := end - int64(len(f.node.data)); grow > 0 {
		if grow > f.fs.mu.free {
			return 0, pathError("write", f.name, unix.ENOSPC)
		}
		f.fs.mu.free -= grow
		f.node.data = append(f.node.data, make([]byte, grow)...)
	}
	copy(f.node.data[off:], p)
	f.node.mtime = time.Now()
	return len(p), nil
}

func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), nil
}

func (f *memFile) Truncate(op string, size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step(op); err != nil {
		return pathError(op, f.name, err)
	}
	if have := int64(len(f.node.data)); size <= have {
		f.fs.mu.free += have - size
		f.node.data = f.node.data[:size:size]
	} else {
		f.node.data = append(f.node.data, make([]byte, size-have)...)
	}
	return nil
}

func (f *memFile) Sync(op string) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.step(op); err != nil {
		return pathError(op, f.name, err)
	}
	f.node.synced = append([]byte(nil), f.node.data...)
	return nil
}
