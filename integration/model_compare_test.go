package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/sequoiacm/scmfs/client"
)

// differs says how what a walk saw differs from the model, "" if it does not.
// What the model did not know it learns.
func (m *model) differs(tree []entry) string {
	seen := map[string]bool{}
	for _, e := range tree {
		seen[e.Path] = true
		n := m.at(e.Path)
		if n == nil {
			return fmt.Sprintf("%s is there and must not be: %+v", e.Path, e)
		}
		if s := n.differs(e); s != "" {
			return fmt.Sprintf("%s: %s", e.Path, s)
		}
	}
	for p := range m.names {
		if !seen[p] {
			return fmt.Sprintf("%s is missing", p)
		}
	}
	for _, e := range tree {
		n := m.at(e.Path)
		if n.mode == anyMode {
			n.mode = e.Mode
		}
		if n.anyXattrs {
			n.xattrs, n.anyXattrs = e.Xattrs, false
		}
	}
	return ""
}

func (n *inode) differs(e entry) string {
	switch {
	case e.Err != "":
		return e.Err
	case e.Kind != n.kind:
		return fmt.Sprintf("is a %s, want a %s", e.Kind, n.kind)
	case e.Link != n.link:
		return fmt.Sprintf("leads to %q, want %q", e.Link, n.link)
	case n.kind == "link":
		return ""
	case n.mode != anyMode && e.Mode != n.mode:
		return fmt.Sprintf("mode %o, want %o", e.Mode, n.mode)
	case n.kind == "dir":
		return ""
	case e.Size != int64(len(n.data)) || e.Sum != sumOf(n.data):
		return fmt.Sprintf("%d bytes %s, want %d bytes %s", e.Size, e.Sum, len(n.data), sumOf(n.data))
	case n.mtime != 0 && e.MTime != n.mtime:
		return fmt.Sprintf("modified at %d, want %d", e.MTime, n.mtime)
	case !n.anyXattrs && !maps.Equal(e.Xattrs, n.xattrs):
		return fmt.Sprintf("attributes %v, want %v", e.Xattrs, n.xattrs)
	case e.Nlink != 1:
		return fmt.Sprintf("%d links", e.Nlink)
	}
	return ""
}

// stored is a file at the store: the contents of its versions, oldest first.
type stored struct{ sums []string }

// storeTree reads a directory of the store, as another client sees it.
func storeTree(ctx context.Context, st *client.Store, dir string) (map[string]stored, error) {
	out := map[string]stored{}
	root, err := st.DirectoryByPath(ctx, dir)
	if err != nil {
		return nil, err
	}
	var visit func(id client.DirID, at string) error
	visit = func(id client.DirID, at string) error {
		for f, err := range st.Files(ctx, id, "") {
			if err != nil {
				return err
			}
			vs, err := st.Versions(ctx, f.ID)
			if err != nil {
				return err
			}
			slices.SortFunc(vs, func(a, b client.File) int { return a.Version.Major - b.Version.Major })
			var s stored
			for _, v := range vs {
				sum, err := sumAt(ctx, st, v.Content())
				if err != nil {
					return fmt.Errorf("%s version %v: %w", f.Name, v.Version, err)
				}
				s.sums = append(s.sums, sum)
			}
			out[path.Join(at, f.Name)] = s
		}
		for d, err := range st.Directories(ctx, id, "") {
			if err != nil {
				return err
			}
			if err := visit(d.ID, path.Join(at, d.Name)); err != nil {
				return err
			}
		}
		return nil
	}
	return out, visit(root.ID, "")
}

func sumAt(ctx context.Context, st *client.Store, c client.Content) (string, error) {
	if c.Size == 0 {
		return sumOf(nil), nil
	}
	r, err := st.Open(ctx, c, 0)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return sumOf(b), err
}

// audit holds what the store has against what was acknowledged: nothing lost,
// nothing twice, nothing that nobody wrote.
func (m *model) audit(store map[string]stored, figures *figures) string {
	want := map[string]bool{}
	for p, ino := range m.names {
		n := m.inodes[ino]
		if n.kind == "dir" || !n.published {
			continue
		}
		want[p] = true
		s, ok := store[p]
		switch {
		case !ok:
			return fmt.Sprintf("%s: LOST, the store does not have it", p)
		case n.historyOff:
			continue
		case !explains(m.due(n), s.sums):
			return fmt.Sprintf("%s: the store has the versions\n  %s\nbut what was written is\n  %s", p, strings.Join(s.sums, "\n  "), historyText(n.history))
		}
		figures.versions += len(s.sums)
		if m.async {
			n.settle(s.sums)
		}
	}
	for p := range store {
		if !want[p] {
			return fmt.Sprintf("%s: the store has it, it must not", p)
		}
	}
	return ""
}

// due are the versions of a file, of which async mode may leave out those that
// followed each other faster than the uploads (2.1).
func (m *model) due(n *inode) []version {
	if !m.async {
		return n.history
	}
	h := slices.Clone(n.history)
	for i := n.settled; i < len(h)-1; i++ {
		h[i].must = false
	}
	return h
}

// settle notes which of the versions are at the store: those stay. One that may or
// may not be made can still come.
func (n *inode) settle(sums []string) {
	n.history, n.settled = slices.Clone(n.history), len(n.history)
	for i := range n.history {
		v := &n.history[i]
		if v.must = len(sums) > 0 && v.sum == sums[0]; v.must {
			sums = sums[1:]
		}
	}
}

func historyText(h []version) string {
	var out []string
	for _, v := range h {
		out = append(out, fmt.Sprintf("%s must=%t", v.sum, v.must))
	}
	return strings.Join(out, "\n  ")
}

// explains tells whether sums are the history without some of what need not be.
func explains(h []version, sums []string) bool {
	if len(h) == 0 {
		return len(sums) == 0
	}
	if len(sums) > 0 && h[0].sum == sums[0] && explains(h[1:], sums[1:]) {
		return true
	}
	return !h[0].must && explains(h[1:], sums)
}

// figures are what a run comes to.
type figures struct {
	steps, runs, mountKills, workerKills, remounts, versions, audits, remote int
	errnos                                                                   int
}
