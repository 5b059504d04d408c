package repo

import (
	"encoding/binary"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// wsTx is one workspace inside a transaction. Its buckets are its own, so that
// removing a workspace frees pages instead of deleting keys.
type wsTx struct {
	ws       *wsRecord
	tx       *bolt.Tx
	top      *bolt.Bucket // counters
	dirs     *bolt.Bucket // id -> dirRecord
	dirNames *bolt.Bucket // parent 0 name -> id
	files    *bolt.Bucket // id major -> fileRecord
	names    *bolt.Bucket // see fileNameKey -> id
	bps      *bolt.Bucket // name -> bpRecord
	inline   *bolt.Bucket // data id -> content
}

var wsBuckets = [...]string{"dirs", "dirnames", "files", "names", "breakpoints", "inline"}

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
	return &wsTx{ws: rec, tx: tx, top: top,
		dirs: top.Bucket([]byte("dirs")), dirNames: top.Bucket([]byte("dirnames")),
		files: top.Bucket([]byte("files")), names: top.Bucket([]byte("names")),
		bps: top.Bucket([]byte("breakpoints")), inline: top.Bucket([]byte("inline"))}
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

// inWorkspace runs fn in a read transaction on one workspace.
func (r *Repo) inWorkspace(name string, fn func(*wsTx) error) error {
	return r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, name)
		if err != nil {
			return err
		}
		return fn(w)
	})
}

// changeWorkspace runs fn in a durable transaction on one workspace; the rules
// of [commitQueue.run] apply.
func (r *Repo) changeWorkspace(name string, fn func(*wsTx) error) error {
	return r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, name)
		if err != nil {
			return err
		}
		return fn(w)
	})
}

// needDirs refuses what a workspace without directories cannot do.
func (w *wsTx) needDirs() error {
	if !w.ws.Directories {
		return Errorf(wire.CodeDirFeatureDisable, "workspace %s has no directories", w.ws.Name)
	}
	return nil
}

// Counters: current files, all versions, directories (the root included). They
// stand beside the buckets of the workspace, so their names must differ.
const (
	countFiles    = "count.files"
	countVersions = "count.versions"
	countDirs     = "count.directories"
)

func (w *wsTx) count(name string) int64 {
	b := w.top.Get([]byte(name))
	if len(b) != 8 {
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
	var k, v []byte
	if after, _ := c.Seek(versionKey(id, -1)); after == nil { // -1 as unsigned is behind every version
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if k == nil {
		// Prev stops at a leaf that another change of this group has emptied; Next
		// does not.
		for n, b := c.Seek([]byte(id)); isVersionOf(n, id); n, b = c.Next() {
			k, v = n, b
		}
	}
	if !isVersionOf(k, id) {
		return nil, Errorf(wire.CodeFileNotFound, "file not exist: id=%s", id)
	}
	return decodeFile(v)
}

func isVersionOf(key []byte, id string) bool {
	return len(key) == len(id)+8 && string(key[:len(id)]) == id
}

func (w *wsTx) exists(id string) bool {
	k, _ := w.files.Cursor().Seek([]byte(id))
	return isVersionOf(k, id)
}

// version returns one version of a file.
func (w *wsTx) version(id string, v Version) (*fileRecord, error) {
	if v == Current {
		return w.current(id)
	}
	b := w.files.Get(versionKey(id, v.Major))
	if b == nil || v.Minor != 0 {
		return nil, Errorf(wire.CodeFileNotFound, "file not exist: id=%s version=%d.%d", id, v.Major, v.Minor)
	}
	return decodeFile(b)
}

func (w *wsTx) putVersion(f *fileRecord) error {
	return w.files.Put(versionKey(f.ID, f.Major), f.encode())
}

// versions calls fn for every version of a file, oldest first.
func (w *wsTx) versions(id string, fn func(*fileRecord) error) error {
	c := w.files.Cursor()
	for k, v := c.Seek([]byte(id)); isVersionOf(k, id); k, v = c.Next() {
		f, err := decodeFile(v)
		if err != nil {
			return err
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

// fileNameKey is (directory, name) in a workspace with directories, where it is
// unique. Without directories names may repeat, so the id is part of the key,
// and all files are in one place, whatever directory they once had.
func (w *wsTx) fileNameKey(dir, name, id string) []byte {
	if w.ws.Directories {
		return nameKey(dir, name)
	}
	return append(append(nameKey(wire.RootDirID, name), 0), id...)
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

// empty reports whether a directory has neither files nor directories.
func (w *wsTx) empty(dir string) bool {
	prefix := nameKey(dir, "")
	for _, b := range []*bolt.Bucket{w.dirNames, w.names} {
		if k, _ := b.Cursor().Seek(prefix); strings.HasPrefix(string(k), string(prefix)) {
			return false
		}
	}
	return true
}
