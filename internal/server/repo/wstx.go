package repo

import (
	"encoding/binary"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// wsTx is one workspace inside a transaction.
type wsTx struct {
	ws       *wsRecord
	top      *bolt.Bucket
	dirs     *bolt.Bucket // id -> dirRecord
	dirNames *bolt.Bucket // parent 0 name -> id
	files    *bolt.Bucket // id major -> fileRecord
	names    *bolt.Bucket // directory 0 name [0 id, without directories] -> id
	bps      *bolt.Bucket // name -> bpRecord
}

var wsBuckets = [...]string{"dirs", "dirnames", "files", "names", "breakpoints"}

func wsBucketName(id int64) []byte {
	return binary.BigEndian.AppendUint64([]byte("w"), uint64(id))
}

// workspace opens a workspace; unknown is -205.
func workspace(tx *bolt.Tx, name string) (*wsTx, error) {
	b := tx.Bucket(bucketWS).Get([]byte(name))
	if b == nil {
		return nil, Errorf(wire.CodeWorkspaceNotExist, "workspace not exist: %s", name)
	}
	var rec wsRecord
	if err := decode(b, &rec); err != nil {
		return nil, err
	}
	return openWorkspace(tx, &rec), nil
}

func openWorkspace(tx *bolt.Tx, rec *wsRecord) *wsTx {
	top := tx.Bucket(wsBucketName(rec.ID))
	return &wsTx{ws: rec, top: top,
		dirs: top.Bucket([]byte("dirs")), dirNames: top.Bucket([]byte("dirnames")),
		files: top.Bucket([]byte("files")), names: top.Bucket([]byte("names")), bps: top.Bucket([]byte("breakpoints"))}
}

func forEachWorkspace(tx *bolt.Tx, fn func(*wsTx) error) error {
	return tx.Bucket(bucketWS).ForEach(func(_, v []byte) error {
		var rec wsRecord
		if err := decode(v, &rec); err != nil {
			return err
		}
		return fn(openWorkspace(tx, &rec))
	})
}

// needDirs refuses what a workspace without directories cannot do.
func (w *wsTx) needDirs() error {
	if !w.ws.Directories {
		return Errorf(wire.CodeDirFeatureDisable, "workspace %s has no directories", w.ws.Name)
	}
	return nil
}

// Counters: current files, all versions, directories (the root included).
const (
	countFiles    = "count.files"
	countVersions = "count.versions"
	countDirs     = "count.directories"
)

func (w *wsTx) count(name string) int64 {
	b := w.top.Get([]byte(name))
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

func (w *wsTx) addCount(name string, d int64) error {
	return w.top.Put([]byte(name), binary.BigEndian.AppendUint64(nil, uint64(w.count(name)+d)))
}

func (w *wsTx) dir(id string) (*dirRecord, error) {
	b := w.dirs.Get([]byte(id))
	if b == nil {
		return nil, Errorf(wire.CodeDirNotFound, "directory not exist: id=%s", id)
	}
	var d dirRecord
	return &d, decode(b, &d)
}

func (w *wsTx) putDir(d *dirRecord) error { return w.dirs.Put([]byte(d.ID), encode(d)) }

// bumpRoot counts a rename, move or removal of any directory (part 1 section 5.1).
func (w *wsTx) bumpRoot() error {
	root, err := w.dir(wire.RootDirID)
	if err != nil {
		return err
	}
	root.Version++
	return w.putDir(root)
}

// dirPath returns the absolute path with a trailing slash.
func (w *wsTx) dirPath(id string) (string, error) {
	path := ""
	for id != wire.RootDirID {
		d, err := w.dir(id)
		if err != nil {
			return "", err
		}
		path = d.Name + "/" + path
		id = d.Parent
	}
	return "/" + path, nil
}

// current returns a file's newest version.
func (w *wsTx) current(id string) (*fileRecord, error) {
	c := w.files.Cursor()
	k, v := c.Seek(versionKey(id, -1)) // -1 as unsigned is behind every version
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if len(k) != len(id)+8 || string(k[:len(id)]) != id {
		return nil, Errorf(wire.CodeFileNotFound, "file not exist: id=%s", id)
	}
	var f fileRecord
	return &f, decode(v, &f)
}

// version returns one version of a file; a zero Version means the current one.
func (w *wsTx) version(id string, v Version) (*fileRecord, error) {
	if v.unset() {
		return w.current(id)
	}
	b := w.files.Get(versionKey(id, v.Major))
	if b == nil || v.Minor != 0 {
		return nil, Errorf(wire.CodeFileNotFound, "file not exist: id=%s version=%d.%d", id, v.Major, v.Minor)
	}
	var f fileRecord
	return &f, decode(b, &f)
}

func (w *wsTx) putVersion(f *fileRecord) error {
	return w.files.Put(versionKey(f.ID, f.Major), encode(f))
}

// versions calls fn for every version of a file, oldest first.
func (w *wsTx) versions(id string, fn func(*fileRecord) error) error {
	c := w.files.Cursor()
	for k, v := c.Seek([]byte(id)); k != nil && len(k) == len(id)+8 && string(k[:len(id)]) == id; k, v = c.Next() {
		var f fileRecord
		if err := decode(v, &f); err != nil {
			return err
		}
		if err := fn(&f); err != nil {
			return err
		}
	}
	return nil
}

// fileNameKey is unique per name in a workspace with directories, per file
// without: names may repeat there.
func (w *wsTx) fileNameKey(dir, name, id string) []byte {
	k := nameKey(dir, name)
	if !w.ws.Directories {
		k = append(append(k, 0), id...)
	}
	return k
}

func (w *wsTx) fileByName(dir, name string) (string, bool) {
	if !w.ws.Directories {
		return "", false
	}
	id := w.names.Get(nameKey(dir, name))
	return string(id), id != nil
}

func (w *wsTx) dirByName(parent, name string) (string, bool) {
	id := w.dirNames.Get(nameKey(parent, name))
	return string(id), id != nil
}
