package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/client"
)

// renameMatrix says what rename(2) of a source (line) onto a target (column) does.
//
//	moved    the source has the target's name, with its id and all its versions
//	version  the target has the source's content as its next version, with its own
//	         id and history; the source is gone
//	two      likewise, and the close of the source makes one more: what was written
//	         to it before the rename is the first
//	becomes  the target is what the source was; id and versions are the target's
//	same     nothing happens
//
// A source and a target are what they are made as in [renaming.make].
const renameMatrix = `
       none   noreplace  file     read     idle     dirty    draft    link     empty   held    full       self
file   moved  moved      version  version  version  version  moved    moved    EISDIR  EISDIR  EISDIR     same
read   moved  moved      version  version  version  version  moved    moved    EISDIR  EISDIR  EISDIR     same
idle   moved  moved      two      two      two      two      moved    moved    EISDIR  EISDIR  EISDIR     same
dirty  moved  moved      two      two      two      two      moved    moved    EISDIR  EISDIR  EISDIR     same
draft  moved  moved      version  version  version  version  moved    moved    EISDIR  EISDIR  EISDIR     same
link   moved  moved      becomes  becomes  becomes  becomes  moved    becomes  EISDIR  EISDIR  EISDIR     same
empty  moved  moved      ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  moved   moved   ENOTEMPTY  same
held   moved  moved      ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  moved   moved   ENOTEMPTY  same
full   moved  moved      ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  ENOTDIR  moved   moved   ENOTEMPTY  same
`

// places are where the two names of a rename are.
var places = []struct{ name, from, to string }{
	{"same directory", "%s/a/s", "%s/a/t"},
	{"other directory", "%s/a/s", "%s/b/s"},
	{"other directory and name", "%s/a/s", "%s/b/t"},
	{"other directory, the old name is taken there", "%s/a/s", "%s/b/t"},
	{"flat workspace", "../flat/%s-s", "../flat/%s-t"},
}

var errnos = map[string]unix.Errno{"EISDIR": unix.EISDIR, "ENOTDIR": unix.ENOTDIR, "ENOTEMPTY": unix.ENOTEMPTY}

// 4.1, 4.2, 4.6 What rename(2) does with everything that can be named.
func TestRenameTable(t *testing.T) {
	s := newServer(t)
	api := s.api()
	_, err := api.CreateWorkspace(t.Context(), "flat", false)
	require.NoError(t, err)
	m := newMount(t, s)
	lines := strings.Split(strings.TrimSpace(renameMatrix), "\n")
	targets := strings.Fields(lines[0])
	n := 0
	for _, line := range lines[1:] {
		source, wants := strings.Fields(line)[0], strings.Fields(line)[1:]
		require.Len(t, wants, len(targets), line)
		for i, target := range targets {
			for _, place := range places {
				flat := place.name == "flat workspace"
				if directory := "empty held full"; flat && (strings.Contains(directory, source) || strings.Contains(directory, target)) {
					continue
				}
				if target == "self" && place.name != "same directory" {
					continue
				}
				n++
				dir := fmt.Sprintf("%s-%s-%d", source, target, n)
				c := renaming{t: t, m: m, api: api, source: source, target: target, want: wants[i],
					from: m.ws(fmt.Sprintf(place.from, dir)), to: m.ws(fmt.Sprintf(place.to, dir))}
				if target == "self" {
					c.to = c.from
				}
				if !flat {
					sh(t, "mkdir -p %s %s", m.ws(dir, "a"), m.ws(dir, "b"))
				}
				if strings.Contains(place.name, "taken") {
					sh(t, "echo other > %s", m.ws(dir, "b/s"))
					defer func() { assert.Equal(t, "other\n", read(t, m.ws(dir, "b/s")), "%s: a bystander", dir) }()
				}
				t.Run(source+" onto "+target+", "+place.name, func(t *testing.T) { c.t = t; c.run() })
			}
		}
	}
}

// renaming is one field of the matrix in one place.
type renaming struct {
	t              *testing.T
	m              *mount
	api            *client.Client
	source, target string
	want           string
	from, to       string
}

// thing is what was made to be renamed, or to be renamed onto.
type thing struct {
	open     *os.File // nil when nobody has it open
	id       string
	versions []string
	content  string
}

// make makes a source or a target and says what it is.
func (c renaming) make(kind, path, content string) (x thing) {
	x.content = content
	write := func() { require.NoError(c.t, os.WriteFile(path, []byte(content), 0o644)) }
	open := func(flags int) {
		f, err := os.OpenFile(path, flags, 0o644)
		require.NoError(c.t, err)
		x.open = f
	}
	switch kind {
	case "none", "noreplace", "self":
		return x
	case "file":
		write()
	case "read": // open for reading
		write()
		open(os.O_RDONLY)
	case "idle": // open for writing, and not written to yet
		write()
		open(os.O_RDWR | os.O_APPEND)
	case "dirty": // published, and open with content that is not
		write()
		open(os.O_RDWR | os.O_APPEND)
		_, err := x.open.WriteString("dirty\n")
		require.NoError(c.t, err)
		x.content += "dirty\n"
	case "draft": // open, and never published
		open(os.O_RDWR | os.O_CREATE | os.O_EXCL)
		_, err := x.open.WriteString(content)
		require.NoError(c.t, err)
	case "link":
		require.NoError(c.t, os.Symlink(content, path))
	case "empty":
		require.NoError(c.t, os.Mkdir(path, 0o755))
	case "held": // empty, and open
		require.NoError(c.t, os.Mkdir(path, 0o755))
		open(os.O_RDONLY)
	case "full":
		require.NoError(c.t, os.Mkdir(path, 0o755))
		require.NoError(c.t, os.WriteFile(filepath.Join(path, "in"), []byte(content), 0o644))
	default:
		c.t.Fatalf("no such kind: %s", kind)
	}
	x.id = c.id(path)
	x.versions = c.versions(path)
	return x
}

// id is what the store calls a file or directory; "" when it does not know it yet.
func (c renaming) id(path string) string {
	rel, err := filepath.Rel(c.m.dir, path)
	require.NoError(c.t, err)
	parts := strings.Split(rel, "/")
	ws, dir := c.api.Workspace(parts[0]), client.RootDir
	for i, name := range parts[1:] {
		d, err := ws.LookupDirectory(c.t.Context(), dir, name)
		if client.KindOf(err) == client.NotExist || parts[0] == "flat" {
			f, err := ws.LookupFile(c.t.Context(), dir, name)
			if client.KindOf(err) == client.NotExist {
				return ""
			}
			require.NoError(c.t, err)
			require.Equal(c.t, len(parts)-2, i, "a file on the way to %s", path)
			return string(f.ID)
		}
		require.NoError(c.t, err)
		dir = d.ID
	}
	return string(dir)
}

// versions lists the versions of a published file; nil of everything else.
func (c renaming) versions(path string) []string {
	rel, err := filepath.Rel(c.m.dir, path)
	require.NoError(c.t, err)
	ws, name, _ := strings.Cut(rel, "/")
	entries, err := os.ReadDir(filepath.Join(c.m.dir, ws, ".versions", name))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			return nil
		}
		names = append(names, e.Name())
	}
	return names
}

// look says what a name leads to.
func look(path string) string {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return strings.TrimPrefix(err.Error(), "lstat "+path+": ")
	case info.Mode()&os.ModeSymlink != 0:
		to, _ := os.Readlink(path)
		return "link to " + to
	case info.IsDir():
		b, err := os.ReadFile(filepath.Join(path, "in"))
		if err != nil {
			return "empty directory"
		}
		return "directory of " + string(b)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (c renaming) run() {
	t := c.t
	src := c.make(c.source, c.from, "source\n")
	dst := c.make(c.target, c.to, "target\n")
	rename := func(flags uint) error { return unix.Renameat2(unix.AT_FDCWD, c.from, unix.AT_FDCWD, c.to, flags) }
	from, to := look(c.from), look(c.to)
	unchanged := func(why string) {
		assert.Equal(t, from, look(c.from), why)
		assert.Equal(t, to, look(c.to), why)
	}

	var flags uint
	switch c.target {
	case "none":
		assert.Equal(t, unix.ENOENT, rename(unix.RENAME_EXCHANGE))
	case "noreplace":
		flags = unix.RENAME_NOREPLACE
	case "self":
		assert.NoError(t, rename(unix.RENAME_EXCHANGE))
		assert.Equal(t, unix.EEXIST, rename(unix.RENAME_NOREPLACE))
	default:
		assert.Equal(t, unix.EINVAL, rename(unix.RENAME_EXCHANGE))
		assert.Equal(t, unix.EEXIST, rename(unix.RENAME_NOREPLACE))
	}
	unchanged("nothing happened")

	if errno, ok := errnos[c.want]; ok {
		assert.Equal(t, errno, rename(flags))
		unchanged("refused")
		c.close(src)
		c.close(dst)
		return
	}
	stop := func() {}
	if c.want != "moved" && c.want != "same" {
		stop = c.watch(dst)
	}
	require.NoError(t, rename(flags))
	stop()
	if c.want == "same" {
		unchanged("the same name")
		c.close(src)
		return
	}
	assert.Equal(t, "no such file or directory", look(c.from))
	assert.Equal(t, from, look(c.to), "at once")
	c.held(&src, true)
	c.held(&dst, false)
	if src.open != nil && (c.source == "draft" || c.source == "dirty" || c.source == "idle") {
		from = src.content
	}
	assert.Equal(t, from, look(c.to), "in the end")
	assert.Equal(t, "no such file or directory", look(c.from), "in the end")
	if c.source == "draft" { // it has no versions before
		src.versions = []string{"1.0"}
	}
	if (c.source == "dirty" || c.source == "idle") && c.want == "moved" {
		src.versions = append(src.versions, "2.0")
	}
	id, versions := src.id, src.versions
	switch c.want {
	case "becomes":
		id, versions = dst.id, dst.versions
	case "version":
		id, versions = dst.id, append(dst.versions, "2.0")
	case "two":
		id, versions = dst.id, append(dst.versions, "2.0", "3.0")
	}
	if id != "" || c.source != "draft" {
		assert.Equal(t, id, c.id(c.to))
	}
	// What .versions shows of a name may be as old as the expiry.
	assert.EventuallyWithT(t, func(t *assert.CollectT) { assert.Equal(t, versions, c.versions(c.to)) }, patience, 100*time.Millisecond)
}

// held checks what the holder of an open file or directory has after the rename:
// the file it opened, whatever its name is now.
func (c renaming) held(x *thing, source bool) {
	if x.open == nil {
		return
	}
	info, err := x.open.Stat()
	require.NoError(c.t, err)
	if info.IsDir() {
		_, err := x.open.Readdirnames(-1)
		if source {
			assert.NoError(c.t, err)
		} else {
			assert.ErrorIs(c.t, err, unix.ENOENT, "what the kernel says of every removed directory")
		}
	} else {
		b := make([]byte, 100)
		n, err := x.open.ReadAt(b, 0)
		assert.ErrorContains(c.t, err, "EOF")
		assert.Equal(c.t, x.content, string(b[:n]), "through the open file, source %t", source)
		if _, err := x.open.WriteString("more\n"); err == nil {
			x.content += "more\n"
		}
	}
	c.close(*x)
}

func (c renaming) close(x thing) {
	if x.open != nil {
		assert.NoError(c.t, x.open.Close())
	}
}

// watch looks at a target from here and as another client of the store, until the
// function that it returns is called: it is there at every moment.
func (c renaming) watch(dst thing) func() {
	done, ended := make(chan struct{}), make(chan struct{}, 2)
	loop := func(what string, ask func() error) {
		defer func() { ended <- struct{}{} }()
		for last := false; ; {
			if err := ask(); err != nil {
				c.t.Errorf("a moment without the target, %s: %v", what, err)
				return
			}
			if last {
				return
			}
			select {
			case <-done:
				last = true // once more, when all is over
			default:
			}
		}
	}
	rel, _ := filepath.Rel(c.m.dir, c.to)
	ws, _, _ := strings.Cut(rel, "/")
	store := c.api.Workspace(ws)
	go loop("here", func() error { _, err := os.Lstat(c.to); return err })
	go loop("at the store", func() error {
		f, err := store.File(c.t.Context(), client.FileID(dst.id))
		if err == nil && f.Name != filepath.Base(c.to) {
			err = fmt.Errorf("it is called %s", f.Name)
		}
		return err
	})
	return func() { close(done); <-ended; <-ended }
}
