package repo

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestUpdateFile(t *testing.T) {
	f := newFixture(t, Options{})
	id := str(f.put("ws", parse(t, `{name: 'x', title: 't', tags: ['a'], custom_tag: {k: 'v'}, class_id: 'c', class_properties: {p: 1}}`), "1"), "id")
	f.put("ws", named("taken", ""), "")
	tests := []struct {
		name string
		info string
		code wire.Code
		key  string
		want string // JSON of the field afterwards
	}{
		{"C87 title", `{title: 'new 中文'}`, 0, "title", `"new 中文"`},
		{"author", `{author: 'me'}`, 0, "author", `"me"`},
		{"mime type", `{mime_type: 'a/b'}`, 0, "mime_type", `"a/b"`},
		{"empty title", `{title: ''}`, -130, "", ""},
		{"null author", `{author: null}`, -130, "", ""},
		{"number as name", `{name: 7}`, -130, "", ""},
		{"empty directory", `{directory_id: ''}`, -130, "", ""},
		{"two keys", `{title: 'a', author: 'b'}`, -101, "", ""},
		{"no key", `{}`, -101, "", ""},
		{"unknown key", `{create_time: 5}`, -107, "", ""},
		{"size", `{size: 5}`, -107, "", ""},
		{"tags replace", `{tags: ['x', 'x', 'y']}`, 0, "tags", `["x","y"]`},
		{"tags not an array", `{tags: 'x'}`, -130, "", ""},
		{"add_tag", `{add_tag: 'z'}`, 0, "tags", `["x","y","z"]`},
		{"add_tag empty", `{add_tag: ''}`, -130, "", ""},
		{"remove_tag", `{remove_tag: 'x'}`, 0, "tags", `["y","z"]`},
		{"remove_tag that is not there", `{remove_tag: 'nope'}`, 0, "tags", `["y","z"]`},
		{"custom_tag replaces", `{custom_tag: {b: '2', a: '1'}}`, 0, "custom_tag", `{"a":"1","b":"2"}`},
		{"add_custom_tag", `{add_custom_tag: {c: '3'}}`, 0, "custom_tag", `{"a":"1","b":"2","c":"3"}`},
		{"remove_custom_tag", `{remove_custom_tag: {b: ''}}`, 0, "custom_tag", `{"a":"1","c":"3"}`},
		{"two custom tags at once", `{add_custom_tag: {d: '', e: ''}}`, -130, "", ""},
		{"C99 bad key", `{add_custom_tag: {'': 'x'}}`, -611, "", ""},
		{"custom_metadata replaces", `{custom_metadata: {m: '1'}}`, 0, "custom_metadata", `{"m":"1"}`},
		{"custom_metadata not an object", `{custom_metadata: 'x'}`, -130, "", ""},
		{"one class property", `{'class_properties.q': 2}`, 0, "class_properties", `{"p":1,"q":2}`},
		{"class and properties", `{class_properties: {z: 1}, class_id: 'd'}`, 0, "class_properties", `{"z":1}`},
		{"C70 slash in name", `{name: 'a/b'}`, -101, "", ""},
		{"name taken by a file", `{name: 'taken'}`, -261, "", ""},
		{"own name", `{name: 'x'}`, 0, "name", `"x"`},
		{"rename", `{name: 'new name.txt'}`, 0, "name", `"new name.txt"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, err := f.File(admin, "ws", FileRef{ID: id}, Current)
			require.NoError(t, err)
			now := f.tick(1000)
			d, err := f.UpdateFile(admin, "ws", id, Current, parse(t, tt.info))
			requireCode(t, tt.code, err)
			after, ferr := f.File(admin, "ws", FileRef{ID: id}, Current)
			require.NoError(t, ferr)
			if tt.code != 0 {
				assert.Equal(t, before, after, "a refusal changes nothing")
				return
			}
			assert.Equal(t, after, d)
			v, _ := d.Get(tt.key)
			assert.Equal(t, tt.want, string(wire.AppendJSON(nil, v)))
			assert.Equal(t, now, num(t, d, "update_time"), "C87")
			assert.Equal(t, num(t, before, "create_time"), num(t, d, "create_time"))
		})
	}
	for name, tt := range map[string]struct {
		id   string
		v    Version
		code wire.Code
	}{"unknown id": {"6553f100510003001a2b3cff", Current, -262}, "unknown version": {id, Version{4, 0}, -262}, "bad id": {"?", Current, -102}} {
		_, err := f.UpdateFile(admin, "ws", tt.id, tt.v, parse(t, `{title: 'x'}`))
		requireCode(t, tt.code, err)
		_ = name
	}
}

// A property belongs to the addressed version, name and directory to all.
func TestPropertyScope(t *testing.T) {
	f := newFixture(t, Options{})
	dir := f.mkdir("/d")
	id := str(f.put("ws", named("x", ""), "1"), "id")
	f.update("ws", id, Current, "2")
	get := func(v Version) wire.Doc {
		d, err := f.File(admin, "ws", FileRef{ID: id}, v)
		require.NoError(t, err)
		return d
	}
	f.tick(10)
	_, err := f.UpdateFile(admin, "ws", id, Version{1, 0}, parse(t, `{title: 'old'}`))
	require.NoError(t, err)
	assert.Equal(t, "old", str(get(Version{1, 0}), "title"))
	v, _ := get(Version{2, 0}).Get("title")
	assert.Nil(t, v)
	now := f.tick(10)
	_, err = f.UpdateFile(admin, "ws", id, Version{1, 0}, wire.Doc{{Key: "directory_id", Value: dir}})
	require.NoError(t, err)
	for _, v := range []Version{{1, 0}, {2, 0}} {
		assert.Equal(t, dir, str(get(v), "directory_id"))
		assert.Equal(t, now, num(t, get(v), "update_time"))
	}
}

func TestMoveFile(t *testing.T) {
	f := newFixture(t, Options{})
	a, b := f.mkdir("/a"), f.mkdir("/b")
	f.mkdir("/b/dir")
	x := str(f.put("ws", named("x", a), ""), "id")
	f.put("ws", named("dir", a), "")
	f.put("ws", named("taken", a), "")
	f.put("ws", named("taken", b), "")
	tests := []struct {
		name, file, info string
		code             wire.Code
	}{
		{"same-named directory in the target", "/a/dir", `{directory_id: '` + b + `'}`, -240},
		{"same-named file in the target", "/a/taken", `{directory_id: '` + b + `'}`, -261},
		{"target missing", "/a/x", `{directory_id: '65a4f1e2510001000000a012'}`, -241},
		{"target path missing", "/a/x", `{parent_directory_path: '/none'}`, -241},
		{"where it is already", "/a/x", `{directory_id: '` + a + `'}`, -261},
		{"by id", "/a/x", `{directory_id: '` + b + `'}`, 0},
		{"by path", "/b/x", `{parent_directory_path: '/a/'}`, 0},
		{"to the root", "/a/x", `{parent_directory_path: '/'}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := f.File(admin, "ws", FileRef{Path: tt.file}, Current)
			require.NoError(t, err)
			_, err = f.UpdateFile(admin, "ws", str(d, "id"), Current, parse(t, tt.info))
			requireCode(t, tt.code, err)
		})
	}
	d, err := f.File(admin, "ws", FileRef{Path: "/x"}, Current)
	require.NoError(t, err)
	assert.Equal(t, x, str(d, "id"))
	id := str(f.put("flat", named("x", ""), ""), "id")
	_, err = f.UpdateFile(admin, "flat", id, Current, parse(t, `{directory_id: '`+a+`'}`))
	requireCode(t, -244, err)
	t.Run("rename beside a directory of that name", func(t *testing.T) {
		_, err := f.UpdateFile(admin, "ws", x, Current, parse(t, `{name: 'a'}`))
		require.NoError(t, err, "the namespace quirk of part 2 section 2.6")
	})
}

// C86: concurrent changes of different properties are all kept.
func TestConcurrentProperties(t *testing.T) {
	f := newFixture(t, Options{})
	id := str(f.put("ws", named("x", ""), ""), "id")
	var wg sync.WaitGroup
	for _, info := range []string{`{title: 't'}`, `{author: 'a'}`, `{mime_type: 'm'}`, `{name: 'n'}`, `{add_tag: 'one'}`, `{add_tag: 'two'}`, `{custom_metadata: {k: 'v'}}`} {
		wg.Go(func() {
			_, err := f.UpdateFile(admin, "ws", id, Current, parse(t, info))
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	d, err := f.File(admin, "ws", FileRef{ID: id}, Current)
	require.NoError(t, err)
	for key, want := range map[string]string{"title": "t", "author": "a", "mime_type": "m", "name": "n"} {
		assert.Equal(t, want, str(d, key))
	}
	tags, _ := d.Get("tags")
	assert.ElementsMatch(t, []any{"one", "two"}, tags)
}

// The races of part 2 section 7.3 that one name decides: exactly one wins.
func TestNameRaces(t *testing.T) {
	f := newFixture(t, Options{})
	race := func(n int, fn func(i int) error) (won int, losses []wire.Code) {
		var wg sync.WaitGroup
		errs := make([]error, n)
		for i := range n {
			wg.Go(func() { errs[i] = fn(i) })
		}
		wg.Wait()
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				losses = append(losses, CodeOf(err))
			}
		}
		return won, losses
	}
	t.Run("create", func(t *testing.T) {
		won, losses := race(8, func(int) error {
			_, err := f.CreateFile(admin, "ws", named("same", ""), UploadConfig{}, strings.NewReader(pattern(20000)))
			return err
		})
		assert.Equal(t, 1, won)
		for _, c := range losses {
			assert.Equal(t, wire.CodeFileExist, c)
		}
	})
	t.Run("C85 create with overwrite", func(t *testing.T) {
		won, losses := race(8, func(int) error {
			_, err := f.CreateFile(admin, "ws", named("over", ""), UploadConfig{Overwrite: true}, strings.NewReader("x"))
			return err
		})
		assert.Equal(t, 8, won, "%v", losses)
		assert.Len(t, collect(t, f.Files(admin, "ws", wire.ScopeAll, Query{Filter: parse(t, `{name: 'over'}`), Limit: -1})), 1)
	})
	t.Run("C110 delete", func(t *testing.T) {
		id := str(f.put("ws", named("del", ""), ""), "id")
		won, losses := race(4, func(int) error { return f.DeleteFile(admin, "ws", FileRef{ID: id}) })
		assert.Equal(t, 1, won)
		assert.Equal(t, []wire.Code{-262, -262, -262}, losses)
	})
	t.Run("create against directory delete", func(t *testing.T) {
		for range 10 {
			dir := f.mkdir("/racedir")
			var created error
			won, losses := race(2, func(i int) error {
				if i == 0 {
					_, created = f.CreateFile(admin, "ws", named("x", dir), UploadConfig{}, strings.NewReader(""))
					return created
				}
				return f.DeleteDirectory(admin, "ws", DirRef{ID: dir})
			})
			require.Equal(t, 1, won, "%v", losses)
			if created == nil {
				require.NoError(t, f.DeleteFile(admin, "ws", FileRef{Path: "/racedir/x"}))
				require.NoError(t, f.DeleteDirectory(admin, "ws", DirRef{ID: dir}))
			}
		}
	})
	t.Run("moves build no cycle", func(t *testing.T) {
		for range 10 {
			a, b := f.mkdir("/cyc-a"), f.mkdir("/cyc-b")
			won, losses := race(2, func(i int) error {
				from, to := a, b
				if i == 1 {
					from, to = b, a
				}
				_, err := f.MoveDirectory(admin, "ws", DirRef{ID: from}, DirRef{ID: to})
				return err
			})
			require.Equal(t, 1, won)
			require.Equal(t, []wire.Code{wire.CodeDirMoveToSubdir}, losses)
			for _, id := range []string{a, b, a} { // one of them is inside the other now
				_ = f.DeleteDirectory(admin, "ws", DirRef{ID: id})
			}
			n, err := f.CountDirectories(admin, "ws", parse(t, `{name: {$in: ['cyc-a', 'cyc-b']}}`))
			require.NoError(t, err)
			require.Zero(t, n)
		}
	})
}
