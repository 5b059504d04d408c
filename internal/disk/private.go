package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotPrivate reports a directory that others could have prepared or can change.
var ErrNotPrivate = errors.New("not safe from other users")

// Private makes a directory with mode 0700, or makes sure of one that is there:
// it must be a directory and no symbolic link, belong to this process's user, and
// not be writable by others, who could have put anything into it. One that others
// can only read is taken from them (mode 0700). The same holds for the named
// directories directly below, as far as they exist, and what is in those must
// belong to us and be no link; nor may a file directly in dir be one.
//
// The directory is looked at through a descriptor, so that nothing can be
// exchanged between a look and the next. Who may rename it, the owners of the
// directories above, is trusted; those must not be writable by everybody unless
// they are sticky.
func Private(dir string, subs ...string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return fmt.Errorf("%s is a symbolic link or no directory: %w; name the directory itself", dir, ErrNotPrivate)
		}
		return fmt.Errorf("open %s: %w", dir, err)
	}
	d := os.NewFile(uintptr(fd), dir)
	defer d.Close()
	if err := ourDir(fd, dir); err != nil {
		return err
	}
	if err := aboveIsSafe(dir); err != nil {
		return err
	}
	for _, sub := range subs {
		if err := privateBelow(fd, dir, sub); err != nil {
			return err
		}
	}
	// It may have been another's until it was given to us, with a link for the log in
	// it. A directory of another can stay, such as a lost+found: we go into none.
	return oursIn(d, func(kind uint32, ours bool) bool { return kind == unix.S_IFDIR || ours && kind != unix.S_IFLNK })
}

func ourDir(fd int, dir string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("stat %s: %w", dir, err)
	}
	switch {
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d, we are %d: %w; use another directory, or chown it", dir, st.Uid, os.Geteuid(), ErrNotPrivate)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written by others (mode %04o): %w; look at what is in it, then run 'chmod 700 %s'", dir, st.Mode&0o7777, ErrNotPrivate, dir)
	case st.Mode&0o077 != 0:
		if err := unix.Fchmod(fd, 0o700); err != nil {
			return fmt.Errorf("chmod 700 %s: %w", dir, err)
		}
	}
	return nil
}

// aboveIsSafe looks at the directories in which a name on the way can be exchanged.
func aboveIsSafe(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	above, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return err
	}
	for {
		var st unix.Stat_t
		if err := unix.Lstat(above, &st); err != nil {
			return fmt.Errorf("stat %s: %w", above, err)
		}
		if st.Mode&0o002 != 0 && st.Mode&unix.S_ISVTX == 0 {
			return fmt.Errorf("%s: everybody can exchange what is in %s (mode %04o): %w; use another directory", dir, above, st.Mode&0o7777, ErrNotPrivate)
		}
		up := filepath.Dir(above)
		if up == above {
			return nil
		}
		above = up
	}
}

// privateBelow is Private for a directory in one that nobody else can enter any
// more, with all that is in it.
func privateBelow(parent int, dir, sub string) error {
	name := filepath.Join(dir, sub)
	fd, err := unix.Openat(parent, sub, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return fmt.Errorf("%s is a symbolic link or no directory: %w", name, ErrNotPrivate)
	case err != nil:
		return fmt.Errorf("open %s: %w", name, err)
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	if err := ourDir(fd, name); err != nil {
		return err
	}
	return oursIn(d, func(kind uint32, ours bool) bool { return ours && (kind == unix.S_IFREG || kind == unix.S_IFDIR) })
}

// oursIn looks at all that is directly in a directory.
func oursIn(d *os.File, fine func(kind uint32, ours bool) bool) error {
	entries, err := d.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(d.Name(), e.Name())
		var st unix.Stat_t
		if err := unix.Fstatat(int(d.Fd()), e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			return fmt.Errorf("stat %s: %w", name, err)
		}
		kind := st.Mode & unix.S_IFMT
		if !fine(kind, int(st.Uid) == os.Geteuid()) {
			return fmt.Errorf("%s is no file of ours (mode %o, owner %d): %w", name, st.Mode, st.Uid, ErrNotPrivate)
		}
		// A hard link to another file of ours would have it overwritten.
		if kind == unix.S_IFREG && st.Nlink != 1 {
			return fmt.Errorf("%s has another name (%d links): %w", name, st.Nlink, ErrNotPrivate)
		}
	}
	return nil
}
