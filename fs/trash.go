package fs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

const (
	trashDay   = time.DateOnly // names of the directories in the trash
	trashCheck = time.Hour     // how often the trash is looked through
)

// trash is where a workspace keeps what is unlinked: DIR/<day>/<path>, the day in
// UTC, the path that the file had. What is unlinked in there is gone. A workspace
// without directories has names instead, see flatTrash.
type trash struct {
	ws *workspace

	mu   sync.Mutex
	root client.DirID            // "" = not known yet; guarded by mu
	dirs map[string]client.DirID // by path below root, of today; guarded by mu
}

// enabled tells whether unlink moves instead of deleting.
func (t *trash) enabled() bool { return t.ws.rules.Trash != "" }

// CheckTrash tells whether a path can be the trash of a mount: directory names
// that the store takes, separated by slashes.
func CheckTrash(dir string) bool {
	for name := range strings.SplitSeq(dir, "/") {
		if checkDirectoryName(name) != 0 || name == partialName || name == versionsName {
			return false
		}
	}
	return true
}

// put moves a published file there, unless it is there already: then it answers
// false, and the file is to be deleted.
func (t *trash) put(ctx context.Context, rec client.File) (bool, error) {
	if !t.ws.directories {
		return t.putFlat(ctx, rec)
	}
	path, inside, err := t.origin(ctx, rec.Dir)
	if err != nil || inside {
		return false, err
	}
	err = t.move(ctx, rec, path)
	if client.KindOf(err) != client.NotExist {
		return true, err
	}
	// Either the file is gone, which is as well, or somebody removed the trash.
	if _, err := t.ws.store.File(ctx, rec.ID); client.KindOf(err) == client.NotExist {
		return true, nil
	}
	t.forget()
	return true, t.move(ctx, rec, path)
}

func (t *trash) move(ctx context.Context, rec client.File, path []string) error {
	into, err := t.place(ctx, path)
	if err != nil {
		return err
	}
	// Nodes of its own: nobody's listing is touched by a step in between.
	m := move{from: newDirNode(t.ws, client.Directory{ID: rec.Dir}), to: newDirNode(t.ws, client.Directory{ID: into}), newName: rec.Name}
	_, err = m.published(ctx, rec)
	if client.KindOf(err) == client.Exist {
		m.newName = decorated(rec.Name, rec.ID)
		_, err = m.published(ctx, rec)
	}
	if l := t.ws.listingOf(into); l != nil && err == nil {
		l.forget()
	}
	return err
}

// origin returns the names that lead to a directory, and whether it is the trash
// or in it. The tree that the kernel holds usually knows; what it knows may be
// old, so before something is deleted the store is asked.
func (t *trash) origin(ctx context.Context, dir client.DirID) (path []string, inside bool, err error) {
	root, err := t.find(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, ask := range []bool{false, true} {
		if path, inside, err = t.climb(ctx, dir, root, ask); err != nil || !inside {
			break
		}
	}
	return path, inside, err
}

func (t *trash) climb(ctx context.Context, dir, root client.DirID, ask bool) (path []string, inside bool, err error) {
	for dir != client.RootDir {
		if dir == root {
			return nil, true, nil
		}
		var rec client.Directory
		if d := t.ws.dirs.peek(dir); d != nil && !ask {
			rec = d.record()
		} else if rec, err = t.ws.store.Directory(ctx, dir); err != nil {
			return nil, false, err
		}
		path = append(path, rec.Name)
		dir = rec.Parent
	}
	slices.Reverse(path)
	return path, false, nil
}

func (t *trash) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root, t.dirs = "", nil
}

// find looks the trash up; "" when nothing was put there yet.
func (t *trash) find(ctx context.Context) (client.DirID, error) { return t.walk(ctx, false) }

func (t *trash) walk(ctx context.Context, create bool) (client.DirID, error) {
	t.mu.Lock()
	root := t.root
	t.mu.Unlock()
	if root != "" {
		return root, nil
	}
	dir := client.RootDir
	for name := range strings.SplitSeq(t.ws.rules.Trash, "/") {
		rec, err := t.child(ctx, dir, name, create)
		if client.KindOf(err) == client.NotExist && !create {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		dir = rec.ID
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root = dir
	return dir, nil
}

// child finds or makes a directory.
func (t *trash) child(ctx context.Context, parent client.DirID, name string, create bool) (client.Directory, error) {
	st := t.ws.store
	rec, err := st.LookupDirectory(ctx, parent, name)
	if client.KindOf(err) != client.NotExist || !create {
		return rec, err
	}
	rec, err = st.CreateDirectory(ctx, parent, name)
	if client.KindOf(err) == client.Exist { // another mount was faster
		return st.LookupDirectory(ctx, parent, name)
	}
	if l := t.ws.listingOf(parent); l != nil && err == nil {
		l.forget()
	}
	return rec, err
}

// place finds or makes the directory of today for what was in path.
func (t *trash) place(ctx context.Context, path []string) (client.DirID, error) {
	day := t.ws.fs.opt.Now().UTC().Format(trashDay)
	at, err := t.walk(ctx, true)
	if err != nil {
		return "", err
	}
	below := ""
	for _, name := range append([]string{day}, path...) {
		below += "/" + name
		t.mu.Lock()
		dir, ok := t.dirs[below]
		t.mu.Unlock()
		if !ok {
			rec, err := t.child(ctx, at, name, true)
			if err != nil {
				t.forget()
				return "", err
			}
			dir = rec.ID
			t.know(day, below, dir)
		}
		at = dir
	}
	return at, nil
}

// know remembers a directory of the trash, and forgets those of days before.
func (t *trash) know(day, below string, dir client.DirID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, today := t.dirs["/"+day]; !today {
		t.dirs = map[string]client.DirID{}
	}
	t.dirs[below] = dir
}
