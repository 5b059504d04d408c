package repo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
	Disk          disk.FS          // for content files, disk.OS(); the database is always on the real disk
	Logger        logrus.FieldLogger
	FlushInterval int64 // bytes of a broken increment are kept in steps of it, wire.FlushInterval

	S3Parts       bool // imitate Ceph S3: an increment starts at a multiple of 5 MiB
	NoBreakpoints bool // imitate a storage without breakpoint support
	UpdateTimeNow bool // a content update sets update_time to now instead of create_time

	HashCost int // of bcrypt, 10; tests save time with 4
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
	buf  buffers

	check      CheckReport
	quotaReset atomic.Int64 // how many more increments are refused for quota
	trash      sync.WaitGroup
}

var (
	bucketMeta  = []byte("meta")
	bucketWS    = []byte("workspaces") // name -> wsRecord
	bucketBlobs = []byte("blobs")      // data id of a content file -> workspace id
	bucketAuth  = []byte("auth")
	keyFormat   = []byte("format")
	keyWSSerial = []byte("workspace_serial")
)

// initialMmap is address space, not memory: within it the database grows
// without waiting for readers to finish.
const initialMmap = 1 << 30

// Open opens or creates the store in dir and checks it: content that no record
// refers to is removed, content that is missing is logged and listed in
// [Repo.Checked]. It returns [disk.ErrLocked] when another process has the
// store, and an error for a store of a newer format.
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
		o.AdminPassword = defaultAdminPassword
	}
	if o.HashCost == 0 {
		o.HashCost = 10
	}
	if o.Logger == nil {
		l := logrus.New()
		l.SetOutput(io.Discard)
		o.Logger = l
	}
	if o.FlushInterval <= 0 {
		o.FlushInterval = wire.FlushInterval
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
		// The free list is rebuilt at start; writing it with each commit would
		// cost more the older the store is.
		Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true, InitialMmapSize: initialMmap})
	if err != nil {
		return err
	}
	r.db = db
	r.q.db = db
	r.ids.init(r.o.Now)
	r.buf.init()
	// The database's own entry must survive a power cut, too.
	if err := r.fs.SyncDir("repo.syncdir", r.dir); err != nil {
		return err
	}
	if err := db.Update(checkFormat); err != nil {
		return err
	}
	if err := r.loadAuth(); err != nil {
		return err
	}
	return r.checkStore()
}

func checkFormat(tx *bolt.Tx) error {
	if meta := tx.Bucket(bucketMeta); meta != nil {
		if b := meta.Get(keyFormat); len(b) == 8 {
			if v := binary.BigEndian.Uint64(b); v > formatVersion {
				return fmt.Errorf("has format %d, this program knows up to %d: use a newer one", v, formatVersion)
			}
		}
	}
	for _, name := range [][]byte{bucketMeta, bucketWS, bucketBlobs, bucketAuth} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyFormat, binary.BigEndian.AppendUint64(nil, formatVersion))
}

// Close waits for running commits and removals and closes the store. No other
// method may be called meanwhile or afterwards.
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
