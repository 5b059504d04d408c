package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/fs"
)

// statWithin is os.Stat of a directory where something may hang. The kernel
// answers stat of a dead mount from memory until its attributes expire; statfs
// always asks.
func statWithin(dir string, d time.Duration) (os.FileInfo, error) {
	type answer struct {
		fi  os.FileInfo
		err error
	}
	ch := make(chan answer, 1)
	go func() {
		fi, err := os.Stat(dir)
		if err == nil {
			var st unix.Statfs_t
			if serr := unix.Statfs(dir, &st); serr != nil {
				err = &os.PathError{Op: "statfs", Path: dir, Err: serr}
			}
		}
		ch <- answer{fi, err}
	}()
	select {
	case a := <-ch:
		return a.fi, a.err
	case <-time.After(d):
		return nil, fmt.Errorf("%s does not answer: something hung is mounted there; 'umount -l %s' takes it away", dir, dir)
	}
}

// isDead tells a mount whose process is gone: every access fails.
func isDead(err error) bool {
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED)
}

// clearDead takes away what killed mounts left, one upon the other. It tells when
// something living is in the way.
func clearDead(dir string) error {
	for range 8 {
		fi, err := statWithin(dir, 10*time.Second)
		switch {
		case isDead(err):
			if err := fs.Detach(dir); err != nil {
				return fmt.Errorf("a dead mount is in the way: %w", err)
			}
			continue
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("mount point %s does not exist: create it first", dir)
		case err != nil:
			return fmt.Errorf("mount point: %w", err)
		case !fi.IsDir():
			return fmt.Errorf("mount point %s is not a directory", dir)
		case mounted(dir):
			return fmt.Errorf("%s: scmfs is mounted there already", dir)
		}
		return nil
	}
	return fmt.Errorf("%s: dead mounts without end", dir)
}
