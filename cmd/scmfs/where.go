package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mounts lists the mount points of scmfs on this machine from the kernel's table,
// without touching a mount that may hang.
func mounts() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return mountsIn(string(b)), nil
}

func mountsIn(table string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []string
	for line := range strings.Lines(table) {
		left, right, _ := strings.Cut(line, " - ")
		f := strings.Fields(left)
		if len(f) > 4 && strings.HasPrefix(right, "fuse.scmfs ") {
			out = append(out, unescape.Replace(f[4]))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// place is a path of a mount.
type place struct {
	mount string
	rel   string // below it: "workspace/dir/name", "" for the mount point
	// narrow: the mount was made with --root, so that rel is "dir/name".
	narrow bool
}

// placeOf finds the mount that a path is on.
func placeOf(path string) (place, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return place{}, err
	}
	// The directory may be a symbolic link; a link itself is a file of the mount.
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		abs = filepath.Join(dir, filepath.Base(abs))
	}
	all, err := mounts()
	if err != nil {
		return place{}, err
	}
	at, err := placeIn(all, abs)
	if err != nil {
		return place{}, err
	}
	// The mount's names are in each workspace, or in the root that --root chose. Asking
	// the tree works also for those who may not read the mount's status.
	_, err = os.Lstat(filepath.Join(at.mount, ".versions"))
	at.narrow = err == nil
	return at, nil
}

func placeIn(mounts []string, abs string) (place, error) {
	best := place{}
	for _, m := range mounts {
		rel, err := filepath.Rel(m, abs)
		if err != nil || rel == ".." || strings.HasPrefix(rel, "../") || len(m) < len(best.mount) {
			continue
		}
		best = place{mount: m}
		if rel != "." {
			best.rel = rel
		}
	}
	if best.mount == "" {
		return place{}, failure(exitMount, fmt.Errorf("%s is not on an scmfs mount", abs))
	}
	return best, nil
}

// split divides the path into the directory that has .partial and .versions in it,
// "" when the place is above all of these, and the rest.
func (p place) split() (top, below string) {
	if p.narrow {
		return p.mount, p.rel
	}
	ws, below, _ := strings.Cut(p.rel, "/")
	if ws == "" {
		return "", ""
	}
	return filepath.Join(p.mount, ws), below
}

// workspace is the one that the place is in, "" when it is above all of them. Root
// is what the mount's status says of --root.
func (p place) workspace(root string) string {
	from := p.rel
	if p.narrow {
		from = root
	}
	ws, _, _ := strings.Cut(from, "/")
	return ws
}

// partial names the breakpoint file that the path is, "" if it is none.
func (p place) partial() string {
	_, below := p.split()
	name, ok := strings.CutPrefix(below, ".partial/")
	if !ok || strings.Contains(name, "/") {
		return ""
	}
	return name
}

// versionsDir is where the versions of a file are.
func (p place) versionsDir() (string, error) {
	top, below := p.split()
	if below == "" || strings.HasPrefix(below, ".partial/") || strings.HasPrefix(below, ".versions/") {
		return "", fmt.Errorf("%s is not a file with versions", filepath.Join(p.mount, p.rel))
	}
	return filepath.Join(top, ".versions", below), nil
}

// attribute reads what the mount says about a file, "" when it says nothing.
func attribute(path, name string) string {
	buf := make([]byte, 1024)
	n, err := unix.Lgetxattr(path, "user.scm."+name, buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// notOwner tells that a mount's control is not for this user.
func notOwner(err error) bool { return errors.Is(err, os.ErrPermission) }
