package repo

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestScopes(t *testing.T) {
	f := newFixture(t, Options{})
	var ids []string
	for _, n := range []string{"a", "b"} {
		id := str(f.put("ws", named(n, ""), "1"), "id")
		f.update("ws", id, Current, "22")
		f.update("ws", id, Current, "333")
		ids = append(ids, id)
	}
	t.Run("C112 counts and lists", func(t *testing.T) {
		for scope, want := range map[int]int{wire.ScopeCurrent: 2, wire.ScopeHistory: 4, wire.ScopeAll: 6} {
			for _, filter := range []string{`{}`, `{size: {$gt: 0}}`} {
				n, err := f.CountFiles(admin, "ws", scope, parse(t, filter))
				require.NoError(t, err)
				assert.EqualValues(t, want, n, "C62")
				assert.Len(t, collect(t, f.Files(admin, "ws", scope, Query{Filter: parse(t, filter), Limit: -1})), want)
			}
		}
		n, err := f.CountFiles(admin, "ws", wire.ScopeAll, parse(t, `{id: '`+ids[0]+`'}`))
		require.NoError(t, err)
		assert.EqualValues(t, 3, n)
	})
	t.Run("C90 scope all is not paged", func(t *testing.T) {
		requireCode(t, -107, listError(f.Files(admin, "ws", wire.ScopeAll, Query{Limit: 1})))
		requireCode(t, -107, listError(f.Files(admin, "ws", wire.ScopeAll, Query{Limit: -1, Skip: 1})))
	})
	t.Run("unknown scope", func(t *testing.T) {
		for _, scope := range []int{0, 4, -1} {
			requireCode(t, -101, listError(f.Files(admin, "ws", scope, All)))
			_, err := f.CountFiles(admin, "ws", scope, nil)
			requireCode(t, -101, err)
		}
		requireCode(t, -205, listError(f.Files(admin, "none", 1, All)))
	})
	t.Run("C92 windows on both scopes", func(t *testing.T) {
		byVersion := parse(t, `{id: 1, major_version: -1}`)
		q := Query{Filter: parse(t, `{id: '`+ids[1]+`'}`), OrderBy: byVersion, Limit: 1}
		assert.Equal(t, []any{int64(2)}, values(t, "major_version", f.Files(admin, "ws", wire.ScopeHistory, q)))
		q.Skip = 1
		assert.Equal(t, []any{int64(1)}, values(t, "major_version", f.Files(admin, "ws", wire.ScopeHistory, q)))
		assert.Equal(t, []any{"b"}, values(t, "name", f.Files(admin, "ws", wire.ScopeCurrent, Query{OrderBy: parse(t, `{name: 1}`), Skip: 1, Limit: 5})))
	})
	t.Run("selectors", func(t *testing.T) {
		sel := parse(t, `{size: null, nope: 'default', name: ''}`)
		rows := collect(t, f.Files(admin, "ws", wire.ScopeCurrent, Query{Selector: sel, OrderBy: parse(t, `{name: 1}`), Limit: 1}))
		assert.Equal(t, []wire.Doc{{{Key: "name", Value: "a"}, {Key: "size", Value: int64(3)}, {Key: "nope", Value: "default"}}}, rows)
		rows = collect(t, f.Files(admin, "ws", wire.ScopeHistory, Query{Selector: sel, Limit: 1}))
		assert.Len(t, rows[0], len(fileFields), "history ignores the selector")
		rows = collect(t, f.Files(admin, "ws", wire.ScopeCurrent, Query{Limit: 1}))
		var keys []string
		for _, field := range rows[0] {
			keys = append(keys, field.Key)
		}
		assert.ElementsMatch(t, []string{"id", "name", "major_version", "minor_version", "mime_type", "user", "create_time", "delete_marker", "version_serial"}, keys)
	})
}

func TestListFiles(t *testing.T) {
	f := newFixture(t, Options{})
	dir := f.mkdir("/d")
	f.mkdir("/d/sub")
	for _, n := range []string{"b", "a", "c"} {
		f.put("ws", named(n, dir), n)
	}
	f.put("ws", named("elsewhere", ""), "")
	assert.Equal(t, []any{"a", "b", "c"}, values(t, "name", f.FilesOf(admin, "ws", dir, All)))
	assert.Equal(t, []any{"b"}, values(t, "name", f.FilesOf(admin, "ws", dir, Query{Filter: parse(t, `{name: 'b'}`), Limit: -1})))
	assert.Empty(t, values(t, "name", f.FilesOf(admin, "ws", dir, Query{Filter: parse(t, `{directory_id: '`+wire.RootDirID+`'}`), Limit: -1})))
	assert.Empty(t, values(t, "name", f.FilesOf(admin, "ws", noSuchID, All)), "no existence check")
	assert.Empty(t, values(t, "name", f.FilesOf(admin, "ws", dir, Query{})), "limit 0")
	requireCode(t, -244, listError(f.FilesOf(admin, "flat", wire.RootDirID, All)))
	requireCode(t, -206, listError(f.FilesOf(admin, "ws", dir, Query{Filter: parse(t, `{$x: 1}`), Limit: -1})))
}

// A list is read in several transactions: the reader may write between rows, and
// may stop at any row.
func TestListWhileChanging(t *testing.T) {
	f := newFixture(t, Options{})
	const n = rowsVisited + 10
	f.fill("ws", n)
	for _, order := range []string{`{name: 1}`, `{name: -1}`, `{id: 1}`, `{id: -1}`, `{size: 1}`} {
		got := values(t, "name", f.Files(admin, "ws", 1, Query{OrderBy: parse(t, order), Limit: -1}))
		require.Len(t, got, n, order)
		seen := map[any]bool{}
		for _, name := range got {
			require.False(t, seen[name], "%s twice by %s", name, order)
			seen[name] = true
		}
	}
	dirQuery := Query{Filter: parse(t, `{directory_id: '`+wire.RootDirID+`'}`), OrderBy: parse(t, `{name: -1}`), Limit: -1, Selector: selectorOf("name")}
	desc := values(t, "name", f.Files(admin, "ws", 1, dirQuery))
	require.Len(t, desc, n)
	assert.Equal(t, "file-0000000", desc[n-1])
	count, err := f.CountFiles(admin, "ws", 1, parse(t, `{name: 'file-0000007'}`))
	require.NoError(t, err)
	assert.EqualValues(t, 1, count, "found by a scan of several transactions")
	deleted := 0
	for d, err := range f.FilesOf(admin, "ws", wire.RootDirID, All) {
		require.NoError(t, err)
		if deleted++; deleted > 20 {
			break
		}
		require.NoError(t, f.DeleteFile(admin, "ws", FileRef{ID: str(d, "id")}), "writing inside the loop")
	}
	top := values(t, "name", f.Files(admin, "ws", 1, Query{OrderBy: parse(t, `{size: 1, name: -1}`), Skip: 1, Limit: 2}))
	assert.Equal(t, []any{fmt.Sprintf("file-%07d", n-2), fmt.Sprintf("file-%07d", n-3)}, top)
}
