// Package disk is the few file operations that durable state needs.
//
// Every operation that changes something names the step that asks for it
// ("journal.rename"). The name is the fail point: tests run the same code on
// [Mem], which can fail the n-th operation and lose power after any of them.
//
// All values are safe for concurrent use.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// ErrLocked reports that another process holds the lock of a directory.
var ErrLocked = errors.New("in use by another process")

// FS is a file system for durable state. Names are slash-separated paths; what
// they are relative to is the implementation's business.
type FS interface {
	// OpenFile opens name with os.O_* flags and mode 0600. It never follows a
	// symbolic link in the last component.
	OpenFile(op, name string, flag int) (File, error)
	// Rename replaces to by from. It is durable after SyncDir of the directory.
	Rename(op, from, to string) error
	// Remove deletes a file or an empty directory.
	Remove(op, name string) error
	// MkdirAll makes a directory and its parents with mode 0700.
	MkdirAll(op, name string) error
	// ReadDir returns the sorted base names in a directory.
	ReadDir(op, name string) ([]string, error)
	// Stat describes a file without following a link.
	Stat(op, name string) (Info, error)
	// SyncDir makes the entries of a directory durable.
	SyncDir(op, name string) error
	// Free returns the bytes available to this process on the file system of name.
	Free(name string) (int64, error)
	// Lock takes an exclusive lock that ends with the process. It returns
	// [ErrLocked] when another process has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file of an [FS].
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	// Size returns the present length in bytes.
	Size() (int64, error)
	Truncate(op string, size int64) error
	// Sync makes content and length durable; the entry in its directory needs
	// SyncDir too.
	Sync(op string) error
	// StartSync begins to write n bytes at off, 0: all from there, to the disk
	// without waiting for them, so that the Sync that follows has less to wait for.
	// It promises nothing.
	StartSync(off, n int64)
	// OS returns the operating system's file, nil when there is none.
	OS() *os.File
}

// Info is what [FS.Stat] tells.
type Info struct {
	Size    int64
	ModTime time.Time
	IsDir   bool
}

// WriteFile replaces the content of name so that after a crash at any step
// either the old or the new content is there, whole: write a temporary file,
// sync it, rename it, sync the directory. Without the first sync the rename may
// reach the disk before the bytes; without the last one the rename may be lost.
func WriteFile(fs FS, op, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := writeTemp(fs, op, tmp, data); err != nil {
		_ = fs.Remove(op+".clean", tmp)
		return err
	}
	if err := fs.Rename(op+".rename", tmp, name); err != nil {
		_ = fs.Remove(op+".clean", tmp)
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := fs.SyncDir(op+".syncdir", filepath.Dir(name)); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

func writeTemp(fs FS, op, tmp string, data []byte) (err error) {
	f, err := fs.OpenFile(op+".create", tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close %s: %w", tmp, cerr)
		}
	}()
	if _, err := f.WriteAt(data, 0); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := f.Sync(op + ".sync"); err != nil {
		return fmt.Errorf("sync %s: %w", tmp, err)
	}
	return nil
}

// maxReadFile bounds what [ReadFile] takes into memory: records are small, a
// larger file is not one of ours.
const maxReadFile = 16 << 20

// ReadFile returns the content of a small file.
func ReadFile(fs FS, op, name string) ([]byte, error) {
	f, err := fs.OpenFile(op, name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxReadFile {
		return nil, fmt.Errorf("%s: %d bytes is too long for a record", name, size)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !(errors.Is(err, io.EOF) && int64(n) == size) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
