package repo

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestCreateWorkspace(t *testing.T) {
	f := newFixture(t, Options{Site: "rootSite"})
	nobody := f.user("nobody")
	tests := []struct {
		name, ws, conf string
		caller         Caller
		code           wire.Code
	}{
		{"punctuation", "3153 !@#$()_test", `{}`, admin, 0},
		{"exists", "ws", `{}`, admin, -208},
		{"not admin", "x", `{}`, nobody, -109},
		{"empty", "", `{}`, admin, -101},
		{"dot", "a.b", `{}`, admin, -101},
		{"slash", "a/b", `{}`, admin, -101},
		{"not ASCII", "ä", `{}`, admin, -101},
		{"unknown site", "x", `{meta_location: {site: 'elsewhere'}}`, admin, -204},
		{"full", "full", `{description: 'd', enable_directory: true, batch_sharding_type: 'month', batch_file_name_unique: true, preferred: 'rootSite', site_cache_strategy: 'NEVER',
			meta_location: {site: 'ROOTSITE', domain: 'md', meta_sharding_type: 'year'}, data_location: [{site: 'rootsite', domain: 'dd'}]}`, admin, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := f.CreateWorkspace(tt.caller, tt.ws, parse(t, tt.conf))
			requireCode(t, tt.code, err)
			if err == nil {
				got, err := f.Workspace(tt.ws)
				require.NoError(t, err)
				assert.Equal(t, d, got)
			}
		})
	}
	d, err := f.Workspace("full")
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf(`{"id":4,"name":"full","description":"d","create_user":"admin","create_time":%d,"update_user":"admin","update_time":%d,`+
		`"meta_location":{"site_id":1,"domain":"md","meta_sharding_type":"year","site":"rootSite","location_type":"sequoiadb"},`+
		`"data_location":[{"site_id":1,"domain":"dd","site":"rootSite","location_type":"sequoiadb"}],"batch_sharding_type":"month",`+
		`"batch_id_time_regex":null,"batch_id_time_pattern":null,"batch_file_name_unique":true,"enable_directory":true,"site_cache_strategy":"NEVER",`+
		`"tag_lib_table":null,"tag_lib_meta_option":null,"tag_retrieval_status":null,"version":1,"preferred":"rootSite"}`, startTime, startTime),
		string(wire.AppendJSON(nil, d)))
	id, _ := d.Get("id")
	assert.IsType(t, int32(0), id)
	raw := collect(t, f.Workspaces(Query{Filter: parse(t, `{name: 'full'}`), Limit: -1}))
	require.Len(t, raw, 1)
	assert.NotContains(t, string(wire.AppendJSON(nil, raw[0])), "location_type", "lists show raw records")
	_, err = f.Workspace("none")
	requireCode(t, -205, err)
}

func TestListWorkspaces(t *testing.T) {
	f := newFixture(t, Options{})
	for _, n := range []string{"c", "a", "b"} {
		_, err := f.CreateWorkspace(admin, n, nil)
		require.NoError(t, err)
	}
	names := func(q Query) []any { return values(t, "name", f.Workspaces(q)) }
	assert.Equal(t, []any{"a", "b", "c", "flat", "ws"}, names(Query{OrderBy: parse(t, `{name: 1}`), Limit: -1}))
	assert.Equal(t, []any{"c", "b"}, names(Query{OrderBy: parse(t, `{name: -1}`), Skip: 2, Limit: 2}))
	assert.Equal(t, []any{"ws"}, names(Query{Filter: parse(t, `{enable_directory: true}`), Limit: -1}))
	assert.Len(t, names(Query{Limit: 3, Selector: selectorOf("id")}), 3)
	n, err := Count(f.Workspaces(Query{Filter: parse(t, `{name: {$in: ['a', 'b', 'x']}}`), Limit: -1}))
	require.NoError(t, err)
	assert.EqualValues(t, 2, n)
	requireCode(t, -206, listError(f.Workspaces(Query{Filter: parse(t, `{a: {$b: 1}}`), Limit: -1})))
}

func TestUpdateWorkspace(t *testing.T) {
	f := newFixture(t, Options{})
	tests := []struct {
		name, ws, updator string
		code              wire.Code
		key, want         string
	}{
		{"description", "ws", `{description: 'new'}`, 0, "description", `"new"`},
		{"preferred", "ws", `{preferred: 'rootsite'}`, 0, "preferred", `"rootsite"`},
		{"cache", "ws", `{site_cache_strategy: 'AUTO'}`, 0, "site_cache_strategy", `"AUTO"`},
		{"meta domain", "ws", `{meta_domain: 'm2'}`, 0, "meta_location", `{"site_id":1,"domain":"m2","site":"rootsite","location_type":"sequoiadb"}`},
		{"data location", "ws", `{update_data_location: [{site: 'rootsite', domain: 'd2'}], merge: true}`, 0, "data_location", `[{"site_id":1,"domain":"d2","site":"rootsite","location_type":"sequoiadb"}]`},
		{"add location", "ws", `{add_data_location: {site: 'other'}}`, -101, "", ""},
		{"unknown key", "ws", `{nope: 1}`, -101, "", ""},
		{"two changes", "ws", `{description: 'a', preferred: 'b'}`, -101, "", ""},
		{"nothing", "ws", `{}`, -101, "", ""},
		{"wrong type", "ws", `{description: 5}`, -101, "", ""},
		{"directories on", "flat", `{enable_directory: true}`, -700, "", ""},
		{"directories stay off", "flat", `{enable_directory: false}`, 0, "enable_directory", `false`},
		{"unknown workspace", "none", `{description: 'x'}`, -205, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := f.tick(1000)
			d, err := f.UpdateWorkspace(admin, tt.ws, parse(t, tt.updator))
			requireCode(t, tt.code, err)
			if err == nil {
				v, _ := d.Get(tt.key)
				assert.Equal(t, tt.want, string(wire.AppendJSON(nil, v)))
				assert.Equal(t, now, num(t, d, "update_time"))
			}
		})
	}
	_, err := f.UpdateWorkspace(f.user("nobody"), "ws", parse(t, `{description: 'x'}`))
	requireCode(t, -109, err)
}

func TestTurnDirectoriesOff(t *testing.T) {
	f := newFixture(t, Options{})
	dir := f.mkdir("/d")
	id := str(f.put("ws", named("x", dir), "1"), "id")
	f.put("ws", named("x", ""), "2")
	_, err := f.UpdateWorkspace(admin, "ws", parse(t, `{enable_directory: false}`))
	require.NoError(t, err)
	_, err = f.Directory(admin, "ws", DirRef{Path: "/"})
	requireCode(t, -244, err)
	assert.Equal(t, "1", f.content("ws", id, Current))
	f.put("ws", named("x", ""), "3")
	q := Query{Filter: parse(t, `{name: 'x'}`), OrderBy: parse(t, `{name: 1}`), Limit: -1}
	assert.Len(t, collect(t, f.Files(admin, "ws", 1, q)), 3)
	_, err = f.UpdateFile(admin, "ws", id, Current, parse(t, `{name: 'y/z'}`))
	require.NoError(t, err)
	require.NoError(t, f.DeleteFile(admin, "ws", FileRef{ID: id}))
	assert.Len(t, collect(t, f.Files(admin, "ws", 1, q)), 2)
}

func TestDeleteWorkspace(t *testing.T) {
	f := newFixture(t, Options{})
	c := f.user("u", [3]string{"workspace", "ws", "ALL"})
	f.put("ws", named("small", ""), "1")
	f.put("ws", named("big", ""), pattern(50000))
	f.bp("b", pattern(100), NewBreakpoint{})
	requireCode(t, -109, f.DeleteWorkspace(c, "ws", true))
	requireCode(t, -205, f.DeleteWorkspace(admin, "none", true))
	requireCode(t, -207, f.DeleteWorkspace(admin, "ws", false))
	require.NoError(t, f.DeleteWorkspace(admin, "ws", true))
	require.NoError(t, f.DeleteWorkspace(admin, "flat", false))
	requireCode(t, -205, listError(f.Files(admin, "ws", 1, All)))
	d, err := f.CreateWorkspace(admin, "ws", parse(t, `{enable_directory: true}`))
	require.NoError(t, err)
	assert.EqualValues(t, 3, num(t, d, "id"), "ids do not come back")
	assert.Empty(t, collect(t, f.Files(admin, "ws", 1, All)))
	_, err = f.CreateFile(c, "ws", named("x", ""), UploadConfig{}, strings.NewReader(""))
	requireCode(t, -109, err)
	f.reopen()
	assert.Zero(t, f.Checked().Orphans)
	t.Run("under an upload", func(t *testing.T) {
		body := &gate{strings.NewReader(pattern(50000)), func() { require.NoError(t, f.DeleteWorkspace(admin, "ws", true)) }}
		_, err := f.CreateBreakpoint(context.Background(), admin, "ws", "late", NewBreakpoint{Body: body})
		requireCode(t, -205, err)
		f.reopen()
		assert.Zero(t, f.Checked().Orphans)
	})
}
