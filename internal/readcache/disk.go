package readcache

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

const (
	// diskQueue is the most blocks that wait to be written, and a quarter of the
	// memory at most: they cannot be evicted. What does not fit in is not
	// written; a disk slower than the store must not slow down its readers.
	diskQueue = 64
	// diskTouch is how exact the recency that survives a restart is.
	diskTouch = time.Minute
	// diskRest is how long nothing is written after a failure.
	diskRest = time.Minute
)

// disk knows which blocks are in the cache directory. Whoever deletes files
// there only makes it forget them when they are read.
type disk struct {
	dir          string
	max, minFree int64
	log          logrus.FieldLogger
	lock         *os.File
	create       func(path string) (io.WriteCloser, error) // createDiskFile, or a test's

	mu      sync.Mutex
	entries map[diskKey]*list.Element // of *diskEntry
	order   list.List                 // newest first
	used    int64
	queue   []*block // complete, pinned, to be written
	saving  bool     // the goroutine that empties the queue runs
	rest    time.Time
}

type diskEntry struct {
	key     diskKey
	size    int64
	touched time.Time // modification time of the file
}

// openDisk takes the directory and reads what is in it.
func openDisk(o Options) (*disk, error) {
	d := &disk{dir: o.Dir, max: o.DirMax, minFree: o.DirMinFree, log: o.Logger, create: createDiskFile, entries: map[diskKey]*list.Element{}}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if d.lock, err = os.OpenFile(filepath.Join(d.dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = d.lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is in use by another process", d.dir)
		}
		return nil, fmt.Errorf("lock %s: %w", d.dir, err)
	}
	if err := d.scan(); err != nil {
		_ = d.lock.Close()
		return nil, err
	}
	d.makeRoom(0)
	return d, nil
}

func (d *disk) close() error { return d.lock.Close() }

// scan fills the index from the names and times of the files. Contents are
// judged when they are read.
func (d *disk) scan() error {
	var found []*diskEntry
	for i := range 256 {
		sub := filepath.Join(d.dir, fmt.Sprintf("%02x", i))
		names, err := os.ReadDir(sub)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, n := range names {
			if strings.HasSuffix(n.Name(), ".tmp") { // of a process that was killed
				_ = os.Remove(filepath.Join(sub, n.Name()))
				continue
			}
			key, ok := parseDiskName(n.Name())
			info, err := n.Info()
			if !ok || err != nil || !info.Mode().IsRegular() {
				continue
			}
			found = append(found, &diskEntry{key, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b *diskEntry) int { return a.touched.Compare(b.touched) })
	for _, e := range found {
		d.add(e)
	}
	return nil
}

// add makes e the newest entry. Called with d.mu, or before d is shared.
func (d *disk) add(e *diskEntry) {
	d.remove(e.key)
	d.entries[e.key] = d.order.PushFront(e)
	d.used += e.size
}

// remove forgets an entry. Called with d.mu, or before d is shared.
func (d *disk) remove(k diskKey) {
	if el := d.entries[k]; el != nil {
		d.used -= d.order.Remove(el).(*diskEntry).size
		delete(d.entries, k)
	}
}

func (d *disk) has(k diskKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entries[k] != nil
}

func (d *disk) size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

func (d *disk) path(k diskKey) string { return filepath.Join(d.dir, k.name()) }

// touch makes the entry the newest, in the file's time too.
func (d *disk) touch(k diskKey) {
	now := time.Now()
	d.mu.Lock()
	el := d.entries[k]
	stale := false
	if el != nil {
		d.order.MoveToFront(el)
		e := el.Value.(*diskEntry)
		if stale = now.Sub(e.touched) > diskTouch; stale {
			e.touched = now
		}
	}
	d.mu.Unlock()
	if stale {
		_ = os.Chtimes(d.path(k), now, now)
	}
}

// discard forgets an entry and deletes its file.
func (d *disk) discard(k diskKey) {
	d.mu.Lock()
	d.remove(k)
	d.mu.Unlock()
	_ = os.Remove(d.path(k))
}

// makeRoom deletes the oldest files until size more bytes respect the bounds,
// and tells whether they do. Only one goroutine writes, so nobody else takes the
// room.
func (d *disk) makeRoom(size int64) bool {
	short := int64(0) // bytes to delete for the sake of others
	if d.minFree > 0 {
		var st unix.Statfs_t
		if err := unix.Statfs(d.dir, &st); err == nil {
			short = d.minFree + size - int64(st.Bavail)*st.Bsize
		}
	}
	for {
		d.mu.Lock()
		if short <= 0 && (d.max == 0 || d.used+size <= d.max) {
			d.mu.Unlock()
			return true
		}
		oldest := d.order.Back()
		if oldest == nil {
			d.mu.Unlock()
			return false
		}
		e := oldest.Value.(*diskEntry)
		d.remove(e.key)
		d.mu.Unlock()
		short -= e.size
		_ = os.Remove(d.path(e.key))
	}
}
