package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

// ErrPowerLost is what every operation on a [Mem] returns after its power cut.
var ErrPowerLost = errors.New("power lost")

// Mem is a file system in memory that can fail and lose power. What was synced
// survives [Mem.Crash]; what was not may survive or not, as on a real disk.
type Mem struct {
	mu struct {
		sync.Mutex
		live    map[string]*memNode // as programs see it
		durable map[string]*memNode // directory entries that a crash keeps
		dirs    map[string]bool
		locks   map[string]bool
		ops     int
		failAt  int
		failErr error
		cutAt   int
		dead    bool
		failed  string
		free    int64
	}
}

// memNode is a file's content: data as written, synced as of the last Sync.
type memNode struct {
	data   []byte
	synced []byte
	mtime  time.Time
}

// NewMem returns an empty disk with plenty of space.
func NewMem() *Mem {
	m := &Mem{}
	m.mu.live = map[string]*memNode{}
	m.mu.durable = map[string]*memNode{}
	m.mu.dirs = map[string]bool{"/": true, ".": true}
	m.mu.locks = map[string]bool{}
	m.mu.free = 1 << 40
	return m
}

// FailNth makes the n-th changing operation from now (the first is 1) fail with
// err, once.
func (m *Mem) FailNth(n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.failAt, m.mu.failErr, m.mu.failed = m.mu.ops+n, err, ""
}

// CutNth loses power right after the n-th changing operation from now: it and
// all before it happen, everything later fails with [ErrPowerLost].
func (m *Mem) CutNth(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.cutAt = m.mu.ops + n
}

// Cut loses power now.
func (m *Mem) Cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.dead = true
}

// Alive reports whether the disk still has power.
func (m *Mem) Alive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.mu.dead
}

// Ops returns the number of changing operations so far.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.ops
}

// Failed returns the name of the operation that [Mem.FailNth] failed, "" if none.
func (m *Mem) Failed() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.failed
}

// SetFree sets what [FS.Free] answers; a write beyond it gives an error.
func (m *Mem) SetFree(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.free = n
}

// Crash returns the disk as it may look after a power cut: synced entries and
// bytes are there, each unsynced entry is kept or lost as rng decides, and of a
// file with unsynced bytes all, none or some of them are there. The old value is
// dead afterwards.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.dead = true
	next := NewMem()
	next.mu.free = m.mu.free
	for d := range m.mu.dirs {
		next.mu.dirs[d] = true
	}
	seen := map[*memNode]*memNode{}
	survive := func(n *memNode) *memNode {
		if c, ok := seen[n]; ok {
			return c
		}
		data := append([]byte(nil), n.synced...)
		switch rng.IntN(4) {
		case 0, 2:
			data = append([]byte(nil), n.data...)
		case 3: // the length and a part of the bytes
			at := rng.IntN(len(n.data) + 1)
			data = append(append([]byte(nil), n.data[:at]...), make([]byte, len(n.data)-at)...)
			if at < len(n.synced) {
				copy(data[at:], n.synced[at:])
			}
		}
		seen[n] = &memNode{data: data, synced: append([]byte(nil), data...), mtime: n.mtime}
		return seen[n]
	}
	names := map[string]bool{}
	for name := range m.mu.live {
		names[name] = true
	}
	for name := range m.mu.durable {
		names[name] = true
	}
	for name := range names {
		node := m.mu.durable[name]
		if m.mu.live[name] != node && rng.IntN(2) == 0 {
			node = m.mu.live[name]
		}
		if node != nil {
			c := survive(node)
			next.mu.live[name], next.mu.durable[name] = c, c
		}
	}
	return next
}

// step counts a changing operation and decides whether it may happen.
func (m *Mem) step(op string) error {
	if m.mu.dead {
		return ErrPowerLost
	}
	m.mu.ops++
	if m.mu.cutAt > 0 && m.mu.ops > m.mu.cutAt {
		m.mu.dead = true
		return ErrPowerLost
	}
	if m.mu.failAt > 0 && m.mu.ops == m.mu.failAt {
		m.mu.failed = op
		return fmt.Errorf("%s: %w", op, m.mu.failErr)
	}
	return nil
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// OpenFile implements [FS].
func (m *Mem) OpenFile(op, name string, flag int) (File, error) {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.dead {
		return nil, pathError(op, name, ErrPowerLost)
	}
	node, ok := m.mu.live[name]
	switch {
	case ok && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, pathError(op, name, fs.ErrExist)
	case !ok && flag&os.O_CREATE == 0, !ok && !m.mu.dirs[filepath.Dir(name)]:
		return nil, pathError(op, name, fs.ErrNotExist)
	case !ok || flag&os.O_TRUNC != 0:
		if err := m.step(op); err != nil {
			return nil, pathError(op, name, err)
		}
		if !ok {
			node = &memNode{}
			m.mu.live[name] = node
		}
		node.data = nil
	}
	return &memFile{fs: m, name: name, node: node}, nil
}

// Rename implements [FS].
func (m *Mem) Rename(op, from, to string) error {
	from, to = filepath.Clean(from), filepath.Clean(to)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(op); err != nil {
		return pathError(op, from, err)
	}
	node, ok := m.mu.live[from]
	if !ok {
		return pathError(op, from, fs.ErrNotExist)
	}
	delete(m.mu.live, from)
	m.mu.live[to] = node
	return nil
}

// Remove implements [FS].
func (m *Mem) Remove(op, name string) error {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(op); err != nil {
		return pathError(op, name, err)
	}
	if _, ok := m.mu.live[name]; ok {
		delete(m.mu.live, name)
		return nil
	}
	if m.mu.dirs[name] {
		delete(m.mu.dirs, name)
		return nil
	}
	return pathError(op, name, fs.ErrNotExist)
}

// MkdirAll implements [FS]. Directories are durable at once: no code of ours
// depends on losing one.
func (m *Mem) MkdirAll(op, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(op); err != nil {
		return pathError(op, name, err)
	}
	for name = filepath.Clean(name); !m.mu.dirs[name]; name = filepath.Dir(name) {
		m.mu.dirs[name] = true
	}
	return nil
}

// ReadDir implements [FS].
func (m *Mem) ReadDir(op, name string) ([]string, error) {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.dead {
		return nil, pathError(op, name, ErrPowerLost)
	}
	if !m.mu.dirs[name] {
		return nil, pathError(op, name, fs.ErrNotExist)
	}
	var names []string
	for p := range m.mu.live {
		if filepath.Dir(p) == name {
			names = append(names, filepath.Base(p))
		}
	}
	for p := range m.mu.dirs {
		if filepath.Dir(p) == name && p != name && !strings.HasSuffix(p, "/") {
			names = append(names, filepath.Base(p))
		}
	}
	sort.Strings(names)
	return names, nil
}

// Stat implements [FS].
func (m *Mem) Stat(op, name string) (Info, error) {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, ok := m.mu.live[name]; ok {
		return Info{Size: int64(len(n.data)), ModTime: n.mtime}, nil
	}
	if m.mu.dirs[name] {
		return Info{IsDir: true}, nil
	}
	return Info{}, pathError(op, name, fs.ErrNotExist)
}

// SyncDir implements [FS].
func (m *Mem) SyncDir(op, name string) error {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(op); err != nil {
		return pathError(op, name, err)
	}
	for p := range m.mu.durable {
		if filepath.Dir(p) == name && m.mu.live[p] == nil {
			delete(m.mu.durable, p)
		}
	}
	for p, n := range m.mu.live {
		if filepath.Dir(p) == name {
			m.mu.durable[p] = n
		}
	}
	return nil
}

// Free implements [FS].
func (m *Mem) Free(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.free, nil
}

// Lock implements [FS].
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.locks[name] {
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	}
	m.mu.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.mu.locks, l.name)
	return nil
}
