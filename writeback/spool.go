package writeback

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/sequoiacm/scmfs/internal/disk"
)

// spool holds a draft's bytes: in memory while short, then in a file. Bytes that
// were never written read as zero. Safe for concurrent use.
type spool struct {
	fs     disk.FS
	path   string
	limit  int64 // longest in memory
	eager  bool  // will be synced: the disk begins while it is written
	memory *budget
	mu     struct {
		sync.RWMutex
		mem      []byte
		file     disk.File
		size     int64
		unsynced int64 // bytes written since the disk was last told to begin
		entry    bool  // the file's name is durable
		gone     bool
	}
}

// syncAhead is how much is written before the disk is told to begin with it. It
// works while the rest is written, and the sync at close finds little left.
const syncAhead = 8 << 20

func newSpool(fs disk.FS, path string, limit int64, memory *budget) *spool {
	return &spool{fs: fs, path: path, limit: limit, memory: memory}
}

// openSpool opens the file of an earlier run.
func openSpool(fs disk.FS, path string, memory *budget) (*spool, error) {
	f, err := fs.OpenFile("spool.open", path, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &spool{fs: fs, path: path, memory: memory}
	s.mu.file, s.mu.size, s.mu.entry = f, size, true
	return s, nil
}

func (s *spool) size() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.size
}

// ReadAt implements io.ReaderAt.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if off >= s.mu.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), s.mu.size-off))
	if s.mu.file == nil {
		n := copy(p[:want], s.mu.mem[min(off, int64(len(s.mu.mem))):])
		clear(p[n:want])
	} else {
		n, err := s.mu.file.ReadAt(p[:want], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return n, fmt.Errorf("read spool: %w", err)
		}
		clear(p[n:want])
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// WriteAt implements io.WriterAt.
func (s *spool) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.gone {
		return 0, ErrGone
	}
	end := off + int64(len(p))
	if s.mu.file == nil && (end > s.limit || !s.growMemory(end)) {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	if s.mu.file == nil {
		copy(s.mu.mem[off:end], p)
	} else if n, err := s.mu.file.WriteAt(p, off); err != nil {
		if n > 0 {
			s.mu.size = max(s.mu.size, off+int64(n))
		}
		return n, fmt.Errorf("write spool: %w", err)
	}
	s.mu.size = max(s.mu.size, end)
	if s.mu.unsynced += int64(len(p)); s.eager && s.mu.file != nil && s.mu.unsynced >= syncAhead {
		s.mu.file.StartSync(0, 0)
		s.mu.unsynced = 0
	}
	return len(p), nil
}

func (s *spool) growMemory(end int64) bool {
	have := int64(len(s.mu.mem))
	if end <= have {
		return true
	}
	// Doubling keeps a stream of small writes from copying its past each time.
	next := min(max(end, 2*have, 4<<10), s.limit)
	if !s.memory.tryTake(next - have) {
		return false
	}
	grown := make([]byte, next)
	copy(grown, s.mu.mem)
	s.mu.mem = grown
	return true
}

// toFile moves the content from memory to a file. When it fails nothing has changed.
func (s *spool) toFile() error {
	f, err := s.fs.OpenFile("spool.create", s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("create spool: %w", err)
	}
	used := min(int64(len(s.mu.mem)), s.mu.size)
	if used > 0 {
		_, err = f.WriteAt(s.mu.mem[:used], 0)
	}
	if err == nil && s.mu.size > used {
		err = f.Truncate("spool.truncate", s.mu.size)
	}
	if err != nil {
		_ = f.Close()
		_ = s.fs.Remove("spool.remove", s.path)
		return fmt.Errorf("move spool to disk: %w", err)
	}
	s.memory.give(int64(len(s.mu.mem)))
	s.mu.mem, s.mu.file, s.mu.entry = nil, f, false
	return nil
}

// truncate sets the length; what is cut off reads as zero if the file grows again.
func (s *spool) truncate(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.file == nil && size > s.limit {
		if err := s.toFile(); err != nil {
			return err
		}
	}
	if s.mu.file != nil {
		if err := s.mu.file.Truncate("spool.truncate", size); err != nil {
			return fmt.Errorf("truncate spool: %w", err)
		}
	} else if size < int64(len(s.mu.mem)) {
		clear(s.mu.mem[size:])
	}
	s.mu.size = size
	return nil
}

// sync makes at least size bytes durable, and the file's name; it moves to a
// file first.
func (s *spool) sync(size int64) error {
	s.mu.Lock()
	err := s.prepareLocked(size)
	f, entry := s.mu.file, s.mu.entry
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.Sync("spool.sync"); err != nil {
		return fmt.Errorf("sync spool: %w", err)
	}
	if entry {
		return nil
	}
	if err := s.fs.SyncDir("spool.syncdir", filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("sync spool: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.entry = s.mu.file == f
	return nil
}

func (s *spool) prepareLocked(size int64) error {
	if s.mu.gone {
		return ErrGone
	}
	if s.mu.file == nil {
		if err := s.toFile(); err != nil {
			return err
		}
	}
	if s.mu.size < size {
		if err := s.mu.file.Truncate("spool.truncate", size); err != nil {
			return fmt.Errorf("sync spool: %w", err)
		}
		s.mu.size = size
	}
	return nil
}

// close closes the file and leaves it where it is.
func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.gone = true
	s.memory.give(int64(len(s.mu.mem)))
	s.mu.mem = nil
	if s.mu.file == nil {
		return nil
	}
	return s.mu.file.Close()
}

// discard drops content and file.
func (s *spool) discard() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.gone {
		return nil
	}
	s.mu.gone = true
	s.memory.give(int64(len(s.mu.mem)))
	s.mu.mem = nil
	if s.mu.file == nil {
		return nil
	}
	err := s.mu.file.Close()
	return errors.Join(err, s.fs.Remove("spool.remove", s.path))
}

// os returns the operating system's file, nil when there is none, and how much of
// the content is in it.
func (s *spool) os() (*os.File, int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.mu.file == nil {
		return nil, 0
	}
	return s.mu.file.OS(), s.mu.size
}
