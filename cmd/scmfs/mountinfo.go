package main

import (
	"os"
	"strings"
)

// mountTable is /proc/self/mountinfo: what the kernel says, asked without
// touching a mount that may hang.
type mountTable string

func readMountTable() mountTable {
	b, _ := os.ReadFile("/proc/self/mountinfo") // empty without /proc: nothing is mounted
	return mountTable(b)
}

// typesAt are the file systems mounted at a directory, the visible one last.
func (t mountTable) typesAt(dir string) (types []string) {
	for line := range strings.Lines(string(t)) {
		head, tail, ok := strings.Cut(line, " - ")
		f, after := strings.Fields(head), strings.Fields(tail)
		if ok && len(f) > 4 && len(after) > 0 && unescapeMount(f[4]) == dir {
			types = append(types, after[0])
		}
	}
	return types
}

// top is the visible file system at a directory, "" when nothing is mounted there.
func (t mountTable) top(dir string) string {
	types := t.typesAt(dir)
	if len(types) == 0 {
		return ""
	}
	return types[len(types)-1]
}

func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// mounted tells whether scmfs is what one sees at a directory.
func mounted(dir string) bool { return readMountTable().top(dir) == "fuse.scmfs" }

// ours are the mount points of scmfs.
func (t mountTable) ours() (dirs []string) {
	for line := range strings.Lines(string(t)) {
		head, tail, _ := strings.Cut(line, " - ")
		if f := strings.Fields(head); len(f) > 4 && strings.HasPrefix(tail, "fuse.scmfs ") {
			dirs = append(dirs, unescapeMount(f[4]))
		}
	}
	return dirs
}
