package fs

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/sequoiacm/scmfs/client"
)

// row is one name in a directory as the store knows it: exactly one of file and
// dir is set. The records behind the pointers never change.
type row struct {
	name string // as shown
	file *client.File
	dir  *client.Directory
}

// mergeRows turns the two lists that make up a directory, both ascending by name
// bytewise, into the names that are shown:
//
//   - a directory has its name; a file of the same name appears as name~<id>;
//   - of several files of one name (a workspace without directories allows it)
//     the newest has the name and the others appear as name~<id>;
//   - a name that a path cannot carry appears as name~<id>.
//
// It holds one group of equal names in memory and stops when the consumer does.
func mergeRows(dirs iter.Seq[*client.Directory], files iter.Seq[*client.File]) iter.Seq[row] {
	return func(yield func(row) bool) {
		nextDir, stopDirs := iter.Pull(dirs)
		defer stopDirs()
		nextFile, stopFiles := iter.Pull(files)
		defer stopFiles()
		d, moreDirs := nextDir()
		f, moreFiles := nextFile()
		for moreDirs || moreFiles {
			var dir *client.Directory
			var group []*client.File
			var name string
			switch {
			case !moreFiles, moreDirs && d.Name <= f.Name:
				name = d.Name
			default:
				name = f.Name
			}
			if moreDirs && d.Name == name {
				dir = d
				d, moreDirs = nextDir()
			}
			for moreFiles && f.Name == name {
				group = append(group, f)
				f, moreFiles = nextFile()
			}
			for _, r := range nameGroup(name, dir, group) {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// nameGroup names the entries that share one stored name.
func nameGroup(name string, dir *client.Directory, files []*client.File) []row {
	out := make([]row, 0, 1+len(files))
	if dir != nil {
		out = append(out, row{name: name, dir: dir})
	}
	slices.SortStableFunc(files, func(a, b *client.File) int {
		return cmp.Or(b.CreateTime.Compare(a.CreateTime), strings.Compare(string(b.ID), string(a.ID)))
	})
	for i, f := range files {
		shown := decorated(name, f.ID)
		if i == 0 && dir == nil {
			shown = shownName(name, f.ID)
		}
		out = append(out, row{name: shown, file: f})
	}
	return out
}

// present tells whether the row stands for something.
func (r row) present() bool { return r.file != nil || r.dir != nil }

func compareRow(r row, name string) int { return strings.Compare(r.name, name) }

func findRow(rows []row, name string) (row, bool) {
	i, ok := slices.BinarySearchFunc(rows, name, compareRow)
	if !ok {
		return row{}, false
	}
	return rows[i], true
}
