// Package repo is a content store's rules and state: workspaces, directories,
// versioned files, breakpoint files, users and privileges, as the protocol
// description has them. It knows no HTTP.
//
// Metadata lives in one bbolt database, content in files beside it; contents of
// at most 16 KiB live in the database, so that a small file costs one
// transaction. What a method has returned for survives a crash.
//
// Locks, outermost first: a breakpoint file's lock (held during a body), the
// commit queue, the database. Reads of the database wait for nobody.
package repo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// formatVersion is that of the database; a newer one is refused.
const formatVersion = 1

// Options configures a [Repo]. The zero value is a store as SequoiaDB backs it.
type Options struct {
	Site          string           // name of the one site, "rootsite"
	Now           func() time.Time // clock, time.Now
	AdminPassword string           // of the built-in user admin when the store is created, "admin"
	Disk          disk.FS          // for content files, disk.OS()
	Logger        logrus.FieldLogger

	S3Parts       bool // imitate Ceph S3: an increment starts at a multiple of 5 MiB
	NoBreakpoints bool // imitate a storage without breakpoint support
	UpdateTimeNow bool // a content update sets update_time to now instead of create_time
}

// Repo is one store in one directory. All methods are safe for concurrent use.
type Repo struct {
	dir  string
	o    Options
	fs   disk.FS
	db   *bolt.DB
	lock io.Closer
	ids  idSource
	q    commitQueue
	bps  keyedLocks
	auth authTables

	quotaReset atomic.Int64 // how many more increments are refused for quota
	trash      sync.WaitGroup
}

var (
	bucketMeta  = []byte("meta")
	bucketWS    = []byte("workspaces")
	bucketData  = []byte("data")
	bucketAuth  = []byte("auth")
	keyFormat   = []byte("format")
	keyWSSerial = []byte("workspace_serial")
)

// Open opens or creates the store in dir. It returns [disk.ErrLocked] when
// another process has it, and an error for a store of a newer format.
func Open(dir string, o Options) (*Repo, error) {
	if o.Site == "" {
		o.Site = "rootsite"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Disk == nil {
		o.Disk = disk.OS()
	}
	if o.AdminPassword == "" {
		o.AdminPassword = "admin"
	}
	if o.Logger == nil {
		l := logrus.New()
		l.SetOutput(io.Discard)
		o.Logger = l
	}
	r := &Repo{dir: dir, o: o, fs: o.Disk}
	if err := r.fs.MkdirAll("repo.mkdir", filepath.Join(dir, "data")); err != nil {
		return nil, fmt.Errorf("store %s: %w", dir, err)
	}
	lock, err := r.fs.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", dir, err)
	}
	r.lock = lock
	if err := r.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", dir, err), r.Close())
	}
	return r, nil
}

func (r *Repo) open() error {
	db, err := bolt.Open(filepath.Join(r.dir, "meta.db"), 0o600, &bolt.Options{
		Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return err
	}
	r.db = db
	r.q.db = db
	r.ids.init(r.o.Now)
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketWS, bucketData, bucketAuth} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		if b := meta.Get(keyFormat); b != nil {
			if v := binary.BigEndian.Uint64(b); v > formatVersion {
				return fmt.Errorf("has format %d, this program knows up to %d: use a newer one", v, formatVersion)
			}
			return nil
		}
		return meta.Put(keyFormat, binary.BigEndian.AppendUint64(nil, formatVersion))
	})
	if err != nil {
		return err
	}
	if err := r.loadAuth(); err != nil {
		return err
	}
	return r.sweep()
}

// Close waits for running commits and closes the store.
func (r *Repo) Close() error {
	r.trash.Wait()
	var errs []error
	if r.db != nil {
		errs = append(errs, r.db.Close())
	}
	if r.lock != nil {
		errs = append(errs, r.lock.Close())
	}
	return errors.Join(errs...)
}

// Site returns the name of the site this store plays.
func (r *Repo) Site() string { return r.o.Site }

// RefuseForQuota makes the next n increments fail as a full Ceph S3 storage
// does: -414, and the breakpoint file starts again from 0 with a new data id.
func (r *Repo) RefuseForQuota(n int64) { r.quotaReset.Store(n) }

func (r *Repo) nowMillis() int64 { return r.o.Now().UnixMilli() }

// keyedLocks is one exclusive lock per key, waiting bounded by a context.
type keyedLocks struct {
	mu   sync.Mutex
	held map[string]*keyedLock
}

type keyedLock struct {
	ch   chan struct{} // holds one token while free
	refs int
}

func (k *keyedLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*keyedLock{}
	}
	l := k.held[key]
	if l == nil {
		l = &keyedLock{ch: make(chan struct{}, 1)}
		l.ch <- struct{}{}
		k.held[key] = l
	}
	l.refs++
	k.mu.Unlock()
	release := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.refs--; l.refs == 0 {
			delete(k.held, key)
		}
	}
	select {
	case <-l.ch:
		return func() { l.ch <- struct{}{}; release() }, nil
	case <-ctx.Done():
		release()
		return nil, Errorf(wire.CodeLockError, "waiting for %s: %v", key, ctx.Err())
	}
}

// sweep removes content that no record refers to: what a crash left between
// writing a file and committing its record.
func (r *Repo) sweep() error {
	used := map[string]bool{}
	err := r.db.View(func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketData).ForEach(func(k, v []byte) error {
			if len(v) > 0 && v[0] == dataInFile {
				used[string(k)] = true
			}
			return nil
		}); err != nil {
			return err
		}
		return forEachWorkspace(tx, func(w *wsTx) error {
			return w.bps.ForEach(func(_, v []byte) error {
				var bp bpRecord
				if err := decode(v, &bp); err != nil {
					return err
				}
				used[bp.DataID] = true
				return nil
			})
		})
	})
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	root := filepath.Join(r.dir, "data")
	subs, err := r.fs.ReadDir("repo.sweep", root)
	if err != nil {
		return err
	}
	for _, sub := range subs {
		names, err := r.fs.ReadDir("repo.sweep", filepath.Join(root, sub))
		if err != nil {
			return err
		}
		for _, name := range names {
			if used[name] {
				delete(used, name)
				continue
			}
			if err := r.fs.Remove("repo.sweep", filepath.Join(root, sub, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
