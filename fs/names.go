package fs

import (
	"regexp"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/sequoiacm/scmfs/client"
)

// Names that the mount adds to the tree. None of them can be created, and a
// stored entry of the same name in the same place is not shown.
const (
	statusDirName = ".scmfs"    // in the root
	partialName   = ".partial"  // in every workspace
	versionsName  = ".versions" // in every workspace
)

const maxName = 255 // NAME_MAX, in bytes

// refused by SCM, part 1 section 5.3.
const (
	badInDirectory  = `/\%;:*?"<>|`
	badInBreakpoint = `/\%;`
)

// checkName tells whether SCM takes a name. Names that lose their bytes in the
// protocol's lists (control characters, invalid UTF-8) are refused as well: the
// file would be stored but never be found again.
func checkName(name, bad string) syscall.Errno {
	switch {
	case len(name) > maxName:
		return syscall.ENAMETOOLONG
	case name == "", name == ".", name == "..":
		return syscall.EINVAL
	case !utf8.ValidString(name), strings.ContainsAny(name, bad):
		return syscall.EINVAL
	}
	for i := range len(name) {
		if name[i] < 0x20 {
			return syscall.EINVAL
		}
	}
	return 0
}

func checkFileName(name string) syscall.Errno       { return checkName(name, "/") }
func checkDirectoryName(name string) syscall.Errno  { return checkName(name, badInDirectory) }
func checkBreakpointName(name string) syscall.Errno { return checkName(name, badInBreakpoint) }

// canExist tells whether a lookup of the name may skip the store: nothing that
// this mount shows has a name that the kernel cannot carry.
func canExist(name string) bool {
	return len(name) <= maxName && name != "" && utf8.ValidString(name)
}

// shownName is the name under which a stored name appears when it is free. A
// name that a path cannot carry (a flat workspace allows "/", and file names
// may be "." or "..") always gets the decorated form.
func shownName(name string, id client.FileID) string {
	if len(name) <= maxName && name != "." && name != ".." && name != "" && !strings.ContainsAny(name, "/\x00") {
		return name
	}
	return decorated(name, id)
}

// decorated is the name of a file whose own name is taken: by a directory, or
// by a newer file of the same name in a workspace without directories.
func decorated(name string, id client.FileID) string {
	name = strings.NewReplacer("/", "_", "\x00", "_").Replace(name)
	suffix := "~" + string(id)
	if len(name)+len(suffix) > maxName {
		name = strings.ToValidUTF8(name[:maxName-len(suffix)], "")
	}
	return name + suffix
}

var decoratedSuffix = regexp.MustCompile(`~([0-9a-f]{24})$`)

// decoratedID returns the file id at the end of a decorated name.
func decoratedID(name string) (client.FileID, bool) {
	m := decoratedSuffix.FindStringSubmatch(name)
	if m == nil || !client.ValidID(m[1]) {
		return "", false
	}
	return client.FileID(m[1]), true
}
