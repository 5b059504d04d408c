package fs

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

const (
	trashDay   = time.DateOnly // names of the directories in the trash
	trashCheck = time.Hour     // how often the trash is looked through
)

// trash is where a workspace keeps what is unlinked: DIR/<day>/<name>, the day in
// UTC. What is unlinked in there is gone.
type trash struct {
	ws *workspace

	mu    sync.Mutex
	root  client.DirID            // "" = not known yet; guarded by mu
	days  map[string]client.DirID // guarded by mu
	isDay map[client.DirID]bool   // guarded by mu
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

// put moves a published file into the directory of the day.
func (t *trash) put(ctx context.Context, rec client.File) error {
	ws := t.ws
	if !ws.directories {
		ws.fs.log.WithField("workspace", ws.name).Warn("unlink refused: a trash is asked for, and the workspace has no directories to make one")
		return syscall.EPERM
	}
	err := t.move(ctx, rec)
	if client.KindOf(err) != client.NotExist {
		return err
	}
	// Either the file is gone, which is as well, or somebody removed the trash.
	if _, err := ws.store.File(ctx, rec.ID); client.KindOf(err) == client.NotExist {
		return nil
	}
	t.forget()
	return t.move(ctx, rec)
}

func (t *trash) move(ctx context.Context, rec client.File) error {
	day, err := t.today(ctx)
	if err != nil {
		return err
	}
	// Nodes of its own: nobody's listing is touched by a step in between.
	m := move{from: newDirNode(t.ws, client.Directory{ID: rec.Dir}), to: newDirNode(t.ws, client.Directory{ID: day}), newName: rec.Name}
	_, err = m.published(ctx, rec)
	if client.KindOf(err) == client.Exist {
		m.newName = decorated(rec.Name, rec.ID)
		_, err = m.published(ctx, rec)
	}
	if l := t.ws.listingOf(day); l != nil && err == nil {
		l.forget()
	}
	return err
}

// holds tells whether a directory is the trash or a day in it.
func (t *trash) holds(ctx context.Context, dir client.DirID) (bool, error) {
	root, err := t.find(ctx)
	if err != nil || root == "" {
		return false, err
	}
	t.mu.Lock()
	known := dir == root || t.isDay[dir]
	t.mu.Unlock()
	if known || dir == client.RootDir {
		return known, nil
	}
	rec, err := t.ws.store.Directory(ctx, dir)
	return err == nil && rec.Parent == root, err
}

func (t *trash) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root, t.days, t.isDay = "", nil, nil
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

func (t *trash) today(ctx context.Context) (client.DirID, error) {
	name := t.ws.fs.opt.Now().UTC().Format(trashDay)
	root, err := t.walk(ctx, true)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	day, ok := t.days[name]
	t.mu.Unlock()
	if ok {
		return day, nil
	}
	rec, err := t.child(ctx, root, name, true)
	if err != nil {
		t.forget()
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.days == nil {
		t.days, t.isDay = map[string]client.DirID{}, map[client.DirID]bool{}
	}
	t.days[name], t.isDay[rec.ID] = rec.ID, true
	return rec.ID, nil
}
