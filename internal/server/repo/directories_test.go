package repo

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

const noSuchID = "65a4f1e2510001000000a012"

func TestCreateDirectory(t *testing.T) {
	f := newFixture(t, Options{})
	a := f.mkdir("/a")
	f.put("ws", named("file", a), "")
	tests := []struct {
		name               string
		ws                 string
		parent, dir, path  string
		code               wire.Code
		wantName, wantPath string
	}{
		{"by path", "ws", "", "", "/a/b", 0, "b", "/a/b/"},
		{"by parent", "ws", a, "c", "", 0, "c", "/a/c/"},
		{"D4 parent and name win over path", "ws", a, "d", "/x/y", 0, "d", "/a/d/"},
		{"D4 name without parent is ignored", "ws", "", "ignored", "/a/e", 0, "e", "/a/e/"},
		{"slashes collapse", "ws", "", "", "//a///f//", 0, "f", "/a/f/"},
		{"allowed characters", "ws", "", "", "/ dir1198 中文 .!_ test@#$()+", 0, " dir1198 中文 .!_ test@#$()+", "/ dir1198 中文 .!_ test@#$()+/"},
		{"two dots", "ws", a, "..", "", 0, "..", "/a/../"},
		{"exists", "ws", "", "", "/a/b", -240, "", ""},
		{"file of that name", "ws", a, "file", "", -261, "", ""},
		{"parent missing by path", "ws", "", "", "/none/x", -241, "", ""},
		{"parent missing by id", "ws", noSuchID, "x", "", -241, "", ""},
		{"dot", "ws", a, ".", "", -101, "", ""},
		{"colon", "ws", a, "a:b", "", -101, "", ""},
		{"percent", "ws", "", "", "/50%", -101, "", ""},
		{"slash in name", "ws", a, "x/y", "", -101, "", ""},
		{"root", "ws", "", "", "/", -101, "", ""},
		{"relative path", "ws", "", "", "x", -101, "", ""},
		{"nothing given", "ws", "", "", "", -101, "", ""},
		{"without directories", "flat", "", "", "/x", -244, "", ""},
		{"unknown workspace", "none", "", "", "/x", -205, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := f.CreateDirectory(admin, tt.ws, tt.parent, tt.dir, tt.path)
			requireCode(t, tt.code, err)
			if err != nil {
				return
			}
			assert.Equal(t, tt.wantName, str(d, "name"))
			path, err := f.DirectoryPath(admin, "ws", str(d, "id"))
			require.NoError(t, err)
			assert.Equal(t, tt.wantPath, path)
			byPath, err := f.Directory(admin, "ws", DirRef{Path: path})
			require.NoError(t, err)
			assert.Equal(t, d, byPath)
			assert.Len(t, d, 7, "seven fields, no version")
		})
	}
}

func TestDirectoryLookup(t *testing.T) {
	f := newFixture(t, Options{})
	f.mkdir("/a")
	root, err := f.Directory(admin, "ws", DirRef{Path: "/"})
	require.NoError(t, err)
	assert.Equal(t, wire.Doc{{Key: "name", Value: "/"}, {Key: "parent_directory_id", Value: "-1"}, {Key: "id", Value: wire.RootDirID},
		{Key: "user", Value: "admin"}, {Key: "update_user", Value: "admin"}, {Key: "create_time", Value: startTime},
		{Key: "update_time", Value: startTime}, {Key: "version", Value: int64(1)}}, root)
	path, err := f.DirectoryPath(admin, "ws", wire.RootDirID)
	require.NoError(t, err)
	assert.Equal(t, "/", path)
	for _, tt := range []struct {
		ws   string
		ref  DirRef
		code wire.Code
	}{{"ws", DirRef{Path: "/none/"}, -241}, {"ws", DirRef{ID: noSuchID}, -241}, {"ws", DirRef{}, -101}, {"ws", DirRef{Path: "/a/b"}, -241},
		{"flat", DirRef{ID: wire.RootDirID}, -244}, {"none", DirRef{Path: "/"}, -205}} {
		_, err := f.Directory(admin, tt.ws, tt.ref)
		requireCode(t, tt.code, err)
	}
	_, err = f.DirectoryPath(admin, "ws", noSuchID)
	requireCode(t, -241, err)
}

func TestChangeDirectory(t *testing.T) {
	f := newFixture(t, Options{})
	ids := map[string]string{"/": wire.RootDirID, "none": noSuchID}
	for _, p := range []string{"/a", "/a/b", "/a/b/c", "/x", "/x/b", "/full", "/empty", "/x/file2"} {
		ids[p] = f.mkdir(p)
	}
	f.put("ws", named("file", ids["/full"]), "")
	f.put("ws", named("file2", ids["/a"]), "")
	version := func() int64 {
		d, err := f.Directory(admin, "ws", DirRef{ID: wire.RootDirID})
		require.NoError(t, err)
		return num(t, d, "version")
	}
	rename := func(dir, name string) func() error {
		return func() error {
			at, err := f.RenameDirectory(admin, "ws", DirRef{ID: ids[dir]}, name)
			if err == nil {
				assert.Equal(t, f.clock.Load(), at)
			}
			return err
		}
	}
	move := func(dir, to string) func() error {
		return func() error {
			_, err := f.MoveDirectory(admin, "ws", DirRef{ID: ids[dir]}, DirRef{ID: ids[to]})
			return err
		}
	}
	remove := func(dir string) func() error {
		return func() error { return f.DeleteDirectory(admin, "ws", DirRef{ID: ids[dir]}) }
	}
	tests := []struct {
		name string
		do   func() error
		code wire.Code
	}{
		{"delete with a directory", remove("/a"), -242},
		{"delete with a file", remove("/full"), -242},
		{"delete missing", remove("none"), -241},
		{"delete root", remove("/"), -107},
		{"rename to a directory's name", rename("/x", "a"), -240},
		{"rename to a file's name", rename("/a/b", "file2"), -261},
		{"rename to a bad name", rename("/x", "a*b"), -101},
		{"rename without a name", rename("/x", ""), -101},
		{"rename root", rename("/", "r"), -101},
		{"rename missing", rename("none", "r"), -241},
		{"move to missing", move("/a", "none"), -241},
		{"move missing", move("none", "/a"), -241},
		{"move into itself", move("/a", "/a"), -243},
		{"move into its subtree", move("/a", "/a/b/c"), -243},
		{"move onto a directory's name", move("/a/b", "/x"), -240},
		{"move onto a file's name", move("/x/file2", "/a"), -261},
		{"move root", move("/", "/a"), -101},
		{"move to its parent", move("/a/b", "/a"), 0},
		{"rename to its own name", rename("/x", "x"), 0},
		{"rename", rename("/a/b", "renamed"), 0},
		{"move", move("/a/b", "/x"), 0},
		{"delete", remove("/empty"), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.tick(1000)
			before := version()
			err := tt.do()
			requireCode(t, tt.code, err)
			want := before
			if err == nil {
				want++
			}
			assert.Equal(t, want, version(), "the root's version counts changes")
		})
	}
	path, err := f.DirectoryPath(admin, "ws", ids["/a/b/c"])
	require.NoError(t, err)
	assert.Equal(t, "/x/renamed/c/", path, "a move needs no change below")
	_, err = f.MoveDirectory(admin, "ws", DirRef{Path: "/x/renamed/"}, DirRef{Path: "/a"})
	require.NoError(t, err)
	_, err = f.RenameDirectory(admin, "ws", DirRef{Path: "/a/renamed"}, "b")
	require.NoError(t, err)
	requireCode(t, -244, f.DeleteDirectory(admin, "flat", DirRef{Path: "/x"}))
	requireCode(t, -205, f.DeleteDirectory(admin, "none", DirRef{Path: "/x"}))
}

func TestListDirectories(t *testing.T) {
	f := newFixture(t, Options{})
	a := f.mkdir("/a")
	for _, n := range []string{"z", "é", "B", "b", "ba", "c"} {
		f.mkdir("/a/" + n)
	}
	b := f.mkdir("/b")
	f.mkdir("/b/q")
	list := func(q Query) []any { return values(t, "name", f.Directories("ws", q)) }
	in := func(extra string) wire.Doc { return parse(t, `{parent_directory_id: '`+a+`'`+extra+`}`) }
	name := parse(t, `{name: 1}`)
	tests := []struct {
		name string
		q    Query
		want []any
	}{
		{"children in bytewise order", Query{Filter: in(``), OrderBy: name, Limit: -1}, []any{"B", "b", "ba", "c", "z", "é"}},
		{"descending", Query{Filter: in(``), OrderBy: parse(t, `{name: -1}`), Limit: 2}, []any{"é", "z"}},
		{"keyset page", Query{Filter: in(`, name: {$gt: 'b'}`), OrderBy: name, Limit: 2}, []any{"ba", "c"}},
		{"skip and limit", Query{Filter: in(``), OrderBy: name, Skip: 1, Limit: 2}, []any{"b", "ba"}},
		{"one child", Query{Filter: in(`, name: 'c'`), Limit: -1}, []any{"c"}},
		{"child that is not there", Query{Filter: in(`, name: 'nope'`), Limit: -1}, []any{}},
		{"upper bound", Query{Filter: in(`, name: {$gte: 'b', $lte: 'ba'}`), OrderBy: name, Limit: -1}, []any{"b", "ba"}},
		{"two parents", Query{Filter: parse(t, `{parent_directory_id: {$in: ['`+b+`', '`+a+`']}, name: {$in: ['q', 'z']}}`), OrderBy: name, Limit: -1}, []any{"q", "z"}},
		{"by id", Query{Filter: parse(t, `{id: '`+a+`'}`), Limit: -1}, []any{"a"}},
		{"limit 0", Query{Filter: in(``)}, []any{}},
		{"root is nobody's child", Query{Filter: parse(t, `{parent_directory_id: '`+wire.RootDirID+`'}`), OrderBy: name, Limit: -1}, []any{"a", "b"}},
		{"whole workspace", Query{OrderBy: parse(t, `{name: 1, id: 1}`), Limit: 3}, []any{"/", "B", "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.want, list(tt.q)) })
	}
	t.Run("count", func(t *testing.T) {
		n, err := f.CountDirectories(admin, "ws", nil)
		require.NoError(t, err)
		assert.EqualValues(t, 10, n, "the root counts")
		n, err = f.CountDirectories(admin, "ws", in(``))
		require.NoError(t, err)
		assert.EqualValues(t, 6, n)
		_, err = f.CountDirectories(admin, "flat", nil)
		requireCode(t, -244, err)
	})
	requireCode(t, -244, listError(f.Directories("flat", All)))
	requireCode(t, -205, listError(f.Directories("none", All)))
	requireCode(t, -206, listError(f.Directories("ws", Query{Filter: parse(t, `{name: {$nope: 1}}`), Limit: -1})))
}
