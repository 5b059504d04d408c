package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// op is one random choice; what its numbers mean depends on what there is when it
// runs, so that any part of a failing list is a list as well.
type op struct {
	kind            string
	who, a, b, n, m int
}

func (o op) String() string {
	return fmt.Sprintf("%s %d %d %d %d %d", o.kind, o.who, o.a, o.b, o.n, o.m)
}

// parseOps reads what String wrote, one a line; "#" begins a comment.
func parseOps(text string) (ops []op, err error) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		var o op
		if _, err := fmt.Sscan(line, &o.kind, &o.who, &o.a, &o.b, &o.n, &o.m); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		ops = append(ops, o)
	}
	return ops, nil
}

var modelPaths = []string{"a", "b", "d", "d/a", "d/b", "e", "e/a", ".a.AbC123", "d/x.part", "l", "d/e", "d/e/a"}

var modelSizes = []int64{1, 10, 100, 4095, 4096, 4097, 30_000, 200_000}

const bigSize = 5<<20 + 1234 // more than an increment

// weights say how often each kind of operation is chosen.
var weights = []struct {
	kind string
	n    int
}{
	{"open", 22}, {"close", 18}, {"write", 14}, {"pwrite", 8}, {"ftruncate", 4}, {"truncate", 3}, {"fsync", 4}, {"mmap", 3},
	{"fallocate", 3}, {"fread", 3}, {"rename", 10}, {"unlink", 4}, {"mkdir", 6}, {"rmdir", 2}, {"symlink", 2}, {"chmod", 4},
	{"utimens", 4}, {"setxattr", 4}, {"removexattr", 2}, {"save", 5}, {"copy", 3}, {"put", 2}, {"take", 3}, {"drop", 1},
	{"remote-create", 3}, {"remote-write", 4}, {"remote-rename", 2}, {"remote-delete", 2}, {"fault", 16}, {"kill-worker", 2},
	{"kill-server", 1}, {"kill-mount", 1}, {"remount", 1},
}

// randomOps is one run.
func randomOps(r *rand.Rand) []op {
	var kinds []string
	for _, w := range weights {
		kinds = append(kinds, slices.Repeat([]string{w.kind}, w.n)...)
	}
	ops := make([]op, 20+r.IntN(100))
	for i := range ops {
		ops[i] = op{kinds[r.IntN(len(kinds))], r.IntN(6), r.IntN(len(modelPaths)), r.IntN(len(modelPaths)), r.IntN(100), r.IntN(100)}
	}
	return ops
}

func opsText(ops []op) string {
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// some is a path: one that is there most of the time.
func some(m *model, n, m100 int) string {
	if there := slices.Sorted(maps.Keys(m.names)); len(there) > 0 && m100%4 > 0 {
		return there[n%len(there)]
	}
	return modelPaths[n]
}

// step is an operation of a worker, with paths below the directory of the run.
type step struct {
	call
	who    int
	handle int // index in model.handles, -1: none
}

var openFlags = []int{
	syscall.O_RDONLY, syscall.O_RDONLY, syscall.O_WRONLY, syscall.O_RDWR, syscall.O_WRONLY | syscall.O_CREAT, syscall.O_RDWR | syscall.O_CREAT,
	syscall.O_WRONLY | syscall.O_CREAT | syscall.O_TRUNC, syscall.O_RDWR | syscall.O_CREAT | syscall.O_EXCL,
	syscall.O_WRONLY | syscall.O_CREAT | syscall.O_APPEND, syscall.O_RDWR | syscall.O_TRUNC, syscall.O_WRONLY | syscall.O_APPEND,
	syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_TRUNC,
}

func sizeOf(n, rare int) int64 {
	if rare == 99 {
		return bigSize
	}
	return modelSizes[n%len(modelSizes)]
}

// plan turns a choice into steps of workers. m decides what is possible.
func plan(m *model, o op, seed uint64) []step {
	s := step{call: call{Op: o.kind, Path: modelPaths[o.a], Seed: seed}, who: o.who % workers, handle: -1}
	switch o.kind {
	case "open":
		if len(m.handles) >= 6 || m.at(s.Path) != nil && m.at(s.Path).kind == "dir" && openFlags[o.n%len(openFlags)] == 0 {
			return nil
		}
		if openFlags[o.n%len(openFlags)]&(syscall.O_WRONLY|syscall.O_RDWR) != 0 && m.written(s.Path) {
			return nil
		}
		s.Flags, s.Size, s.Slot = openFlags[o.n%len(openFlags)], 0o644, m.freeSlot(s.who)
	case "truncate":
		s.Path = some(m, o.a, o.b)
		if m.written(s.Path) {
			return nil
		}
		s.Size = sizeOf(o.n, o.m) * int64(o.b%2)
	case "rename":
		s.Path, s.To = some(m, o.a, o.m), modelPaths[o.b]
		if a := m.at(s.Path); a != nil && a.again && !heldName(s.To) {
			return nil // published when it is closed, or after a crash as closed before: TestTemporaryThatIsWrittenAgain
		}
		if o.n%4 == 0 {
			s.Flags = unix.RENAME_NOREPLACE
		}
	case "mkdir":
		s.Size = 0o755
	case "symlink":
		s.Value = fmt.Sprintf("/proc/self/nowhere/%d", o.n)
	case "chmod":
		s.Path = some(m, o.a, o.m)
		s.Size = []int64{0o600, 0o644, 0o755, 0o444, 0o4755}[o.n%5]
	case "utimens":
		s.Path = some(m, o.a, o.m)
		s.Size = 1_600_000_000_000_000_000 + int64(o.n)*1_000_000_123
	case "setxattr", "removexattr":
		s.Path = some(m, o.a, o.n)
		s.Key, s.Value = fmt.Sprintf("user.k%d", o.n%3), fmt.Sprintf("value %d", o.m)
		s.Flags = []int{0, 0, unix.XATTR_CREATE, unix.XATTR_REPLACE}[o.b%4]
	case "unlink", "rmdir":
		s.Path = some(m, o.a, o.m)
	case "save":
		return planSave(m, o, s)
	case "copy":
		return planCopy(m, o, s)
	case "put", "take", "drop":
		return planPartial(m, o, s)
	default:
		return planHandle(m, o, s)
	}
	return []step{s}
}

// written tells whether somebody has a file open for writing. Such files are left
// alone by others: 2.1 speaks of the last one that has the file open, but a close
// publishes what another, unrelated program has written up to then as well.
func (m *model) written(p string) bool { return m.writers(m.names[p]) > 0 }

func (m *model) freeSlot(who int) int {
	for slot := 1; ; slot++ {
		if !slices.ContainsFunc(m.handles, func(h handle) bool { return h.who == who && h.slot == slot }) {
			return slot
		}
	}
}

// planHandle is for operations on descriptors.
func planHandle(m *model, o op, s step) []step {
	if len(m.handles) == 0 {
		return nil
	}
	s.handle = o.who % len(m.handles)
	h := m.handles[s.handle]
	s.who, s.Slot = h.who, h.slot
	size := int64(len(m.inodes[h.ino].data))
	s.Size = sizeOf(o.n, o.m)
	readable := h.flags&syscall.O_WRONLY == 0
	switch {
	case o.kind == "fread":
		if !readable {
			return nil
		}
	case o.kind == "close":
	case !h.writes():
		return nil
	case o.kind == "write":
	case o.kind == "pwrite":
		s.Off = []int64{0, size / 2, size, size + 10, max(size-5, 0)}[o.b%5]
	case o.kind == "mmap":
		if size == 0 || !readable {
			return nil
		}
		s.Off = size / int64(2+o.b)
		s.Size = min(s.Size, size-s.Off)
	case o.kind == "ftruncate":
		s.Size = []int64{0, size / 2, size, size + 100, s.Size}[o.b%5]
	case o.kind == "fallocate":
		s.Flags = []int{0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE}[o.b%4]
		s.Off = []int64{0, size / 3, size}[o.n%3]
	}
	return []step{s}
}

// planSave writes as editors do: a file beside it, maybe synced, renamed over it.
func planSave(m *model, o op, s step) []step {
	tmp := []string{".a.AbC123", "save.tmp"}[o.b%2]
	slot := m.freeSlot(s.who)
	at := func(c call) step {
		c.Slot = slot
		return step{call: c, who: s.who, handle: len(m.handles)}
	}
	out := []step{at(call{Op: "open", Path: tmp, Flags: syscall.O_CREAT | syscall.O_EXCL | syscall.O_WRONLY, Size: 0o644})}
	out = append(out, at(call{Op: "write", Size: sizeOf(o.n, o.m), Seed: s.Seed}))
	if o.n%3 == 0 {
		out = append(out, at(call{Op: "fsync"}))
	}
	if o.m%3 == 0 {
		out = append(out, step{call: call{Op: "utimens", Path: tmp, Size: 1_500_000_000_000_000_000 + int64(o.n)}, who: s.who, handle: -1})
	}
	if o.m%4 == 0 {
		out = append(out, step{call: call{Op: "setxattr", Path: tmp, Key: "user.saved", Value: fmt.Sprint(o.n)}, who: s.who, handle: -1})
	}
	return append(out, at(call{Op: "close"}), step{call: call{Op: "rename", Path: tmp, To: s.Path}, who: s.who, handle: -1})
}

// planCopy copies as cp does.
func planCopy(m *model, o op, s step) []step {
	to := modelPaths[o.b]
	s.Path = some(m, o.a, o.m)
	src := m.at(s.Path)
	if src == nil || src.kind != "file" || m.parent(s.Path) != 0 || to == s.Path || len(m.handles) > 4 {
		return nil
	}
	if d := m.at(to); m.written(to) || m.parent(to) != 0 || d != nil && d.kind != "file" {
		return nil
	}
	from := m.freeSlot(s.who)
	into := 100 + from
	h := len(m.handles)
	return []step{
		{call: call{Op: "open", Path: s.Path, Slot: from}, who: s.who, handle: h},
		{call: call{Op: "open", Path: to, Slot: into, Flags: syscall.O_CREAT | syscall.O_TRUNC | syscall.O_WRONLY, Size: 0o644}, who: s.who, handle: h + 1},
		{call: call{Op: "copyrange", Slot: from, Off: int64(into), Size: 64 << 20}, who: s.who, handle: h},
		{call: call{Op: "close", Slot: into}, who: s.who, handle: h + 1},
		{call: call{Op: "close", Slot: from}, who: s.who, handle: h},
	}
}

// planPartial is for breakpoint files: put writes one, take moves it into the
// tree, drop removes it.
func planPartial(m *model, o op, s step) []step {
	name := fmt.Sprintf("p%d", o.b%2)
	_, there := m.partial[name]
	switch o.kind {
	case "put":
		s.Path, s.Size = partialPrefix+name, sizeOf(o.n, o.m)
	case "take":
		if !there {
			return nil
		}
		s.Op, s.Path, s.To = "rename", partialPrefix+name, s.Path
	case "drop":
		if !there {
			return nil
		}
		s.Op, s.Path = "unlink", partialPrefix+name
	}
	return []step{s}
}

// partialPrefix marks paths of .partial, where every run has names of its own.
const partialPrefix = ".partial/"
