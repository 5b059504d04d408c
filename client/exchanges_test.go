package client_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// The worked exchanges of the protocol description, part 1.

const (
	dirID  = "65a4f1e2510001000000a012"
	rootID = "000000000000000000000000"
	docsID = "6553f064510003001a2b3b10"
	fileID = "6553f100510003001a2b3c01"
)

var q1 = client.Directory{ID: dirID, Name: "q1", Parent: "65a4f0c05100010000000007", User: "alice", UpdateUser: "alice",
	CreateTime: time.UnixMilli(1705308642123), UpdateTime: time.UnixMilli(1705308642123)}

const q1Header = `%7B%20%22name%22%20%3A%20%22q1%22%20%2C%20%22parent_directory_id%22%20%3A%20%2265a4f0c05100010000000007%22%20%2C%20%22id%22%20%3A%20%2265a4f1e2510001000000a012%22%20%2C%20%22user%22%20%3A%20%22alice%22%20%2C%20%22update_user%22%20%3A%20%22alice%22%20%2C%20%22create_time%22%20%3A%201705308642123%20%2C%20%22update_time%22%20%3A%201705308642123%20%7D`

// Part 1 section 4.2.
func TestExchangeWorkspaces(t *testing.T) {
	s := newScript(t,
		step{want: "GET /rootsite/api/v1/workspaces/?skip=0&limit=-1", header: map[string]string{"Accept": ""}, answer: `[{ "id" : 7 , "name" : "docs" , "description" : "office documents" , "create_user" : "admin" , "create_time" : 1704067200000 , "update_user" : "admin" , "update_time" : 1704067200000 , "meta_location" : { "site_id" : 1 , "domain" : "domain1" } , "data_location" : [ { "site_id" : 1 , "domain" : "domain2" } ] , "batch_sharding_type" : "none" , "batch_file_name_unique" : false , "enable_directory" : true , "site_cache_strategy" : "ALWAYS" , "version" : 1 },{ "id" : 8 , "name" : "a b" , "enable_directory" : false },{ "id" : 9 , "name" : "old" , "enable_directory" :  null }]`},
		step{want: "GET /rootsite/api/v1/workspaces/docs", answer: `{"workspace":{"id":7,"name":"docs","description":"office documents","create_user":"admin","create_time":1704067200000,"update_user":"admin","update_time":1704067200000,"meta_location":{"site_id":1,"domain":"domain1","site":"rootSite","location_type":"sequoiadb"},"data_location":[{"site_id":1,"domain":"domain2","site":"rootSite","location_type":"sequoiadb"}],"batch_sharding_type":"none","batch_id_time_regex":null,"batch_id_time_pattern":null,"batch_file_name_unique":false,"enable_directory":true,"site_cache_strategy":"ALWAYS","version":1}}`},
		step{want: "GET /rootsite/api/v1/workspaces/3153%20%21%40%23%24%28%29_test", status: 500, answer: scmError("-205")},
	)
	c := s.client()
	var names []string
	var docs client.Workspace
	for w, err := range c.Workspaces(t.Context()) {
		require.NoError(t, err)
		names = append(names, w.Name)
		assert.Equal(t, w.Name != "a b", w.Directories, w.Name)
		if w.Name == "docs" {
			docs = w
		}
	}
	assert.Equal(t, []string{"a b", "docs", "old"}, names)
	assert.Equal(t, client.Workspace{ID: 7, Name: "docs", Description: "office documents", CreateUser: "admin",
		CreateTime: time.UnixMilli(1704067200000), UpdateTime: time.UnixMilli(1704067200000), Directories: true}, docs)
	one, err := c.WorkspaceInfo(t.Context(), "docs")
	require.NoError(t, err)
	assert.Equal(t, docs, one)
	_, err = c.WorkspaceInfo(t.Context(), "3153 !@#$()_test")
	assert.Equal(t, client.NoWorkspace, client.KindOf(err), "-205 comes with HTTP 500")
}

// Part 1 section 5.2.
func TestExchangeDirectories(t *testing.T) {
	utf8 := map[string]string{"X-SCM-ERROR-CHARSET": "utf-8", "X-Auth-Token": token}
	byID := "HEAD /rootsite/api/v1/directories/id/" + dirID + "?workspace_name=docs"
	s := newScript(t,
		step{want: "HEAD /rootsite/api/v1/directories/path/reports/q1/?workspace_name=docs", header: utf8, set: map[string]string{"directory": q1Header}},
		step{want: "HEAD /rootsite/api/v1/directories/path/?workspace_name=docs", header: utf8, set: map[string]string{"directory": `{"id":"000000000000000000000000","name":"/","parent_directory_id":"-1","version":17}`}},
		step{want: "POST /rootsite/api/v1/directories", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, body: "workspace_name=docs&name=q1&parent_directory_id=65a4f0c05100010000000007",
			answer: `{"name":"q1","parent_directory_id":"65a4f0c05100010000000007","id":"65a4f1e2510001000000a012","user":"alice","update_user":"alice","create_time":1705308642123,"update_time":1705308642123}`},
		step{want: "POST /rootsite/api/v1/directories", body: "workspace_name=docs&name=q1&parent_directory_id=65a4f0c05100010000000007", status: 500, answer: scmError("-240")},
		step{want: "PUT /rootsite/api/v1/directories/id/" + dirID + "/move", body: "workspace_name=docs&parent_directory_id=000000000000000000000000", answer: `{"update_time":1705308999123}`},
		step{want: byID, header: utf8, set: map[string]string{"directory": q1Header}},
		step{want: "PUT /rootsite/api/v1/directories/id/" + dirID + "/rename", body: "workspace_name=docs&name=a%20%2B%20%E4%B8%AD", answer: `{"update_time":1705308999123}`},
		step{want: byID, status: 404, set: map[string]string{"X-SCM-ERROR-CHARSET": "utf-8", "X-SCM-ERROR": "%7B+%22timestamp%22+%3A+1705308700000+%2C+%22status%22+%3A+-241+%2C+%22message%22+%3A+%22sessionId%3D3f0c%2Cdirectory+not+exist%3Apath%3D%2Fnope%2F%22+%7D"}},
		step{want: "DELETE /rootsite/api/v1/directories/id/" + dirID + "?workspace_name=docs"},
		step{want: "DELETE /rootsite/api/v1/directories/id/" + dirID + "?workspace_name=docs", status: 500, answer: scmError("-242")},
		step{want: "HEAD /rootsite/api/v1/files?workspace_name=docs&scope=1", header: utf8, set: map[string]string{"X-SCM-Count": "12"}},
	)
	ws, ctx := s.client().Workspace("docs"), t.Context()
	d, err := ws.DirectoryByPath(ctx, "/reports//q1")
	require.NoError(t, err)
	assert.Equal(t, q1, d)
	d, err = ws.DirectoryByPath(ctx, "/")
	require.NoError(t, err)
	assert.Equal(t, client.RootDir, d.ID)
	assert.EqualValues(t, 17, d.TreeVersion)
	d, err = ws.CreateDirectory(ctx, q1.Parent, "q1")
	require.NoError(t, err)
	assert.Equal(t, q1, d)
	_, err = ws.CreateDirectory(ctx, q1.Parent, "q1")
	assert.Equal(t, client.Exist, client.KindOf(err))
	d, err = ws.MoveDirectory(ctx, dirID, client.RootDir)
	require.NoError(t, err)
	assert.Equal(t, q1, d)
	_, err = ws.RenameDirectory(ctx, dirID, "a + 中")
	assert.Equal(t, client.NotExist, client.KindOf(err), "success of a rename of what is gone is a lie (5.7)")
	assert.ErrorContains(t, err, "directory not exist:path=/nope/")
	assert.NotContains(t, err.Error(), "3f0c")
	require.NoError(t, ws.DeleteDirectory(ctx, dirID))
	assert.Equal(t, client.NotEmpty, client.KindOf(ws.DeleteDirectory(ctx, dirID)))
	n, err := ws.CountFiles(ctx)
	require.NoError(t, err)
	assert.EqualValues(t, 12, n)
}

const (
	fullSelector  = "%7B%22id%22%3Anull%2C%22name%22%3Anull%2C%22directory_id%22%3Anull%2C%22size%22%3Anull%2C%22create_time%22%3Anull%2C%22update_time%22%3Anull%2C%22major_version%22%3Anull%2C%22minor_version%22%3Anull%2C%22mime_type%22%3Anull%2C%22user%22%3Anull%2C%22update_user%22%3Anull%2C%22data_id%22%3Anull%2C%22data_create_time%22%3Anull%2C%22custom_metadata%22%3Anull%7D"
	entrySelector = "%7B%22id%22%3Anull%2C%22name%22%3Anull%2C%22size%22%3Anull%2C%22update_time%22%3Anull%2C%22create_time%22%3Anull%2C%22user%22%3Anull%2C%22update_user%22%3Anull%2C%22major_version%22%3Anull%2C%22minor_version%22%3Anull%2C%22mime_type%22%3Anull%7D"
	byName        = "&orderby=%7B%22name%22%3A1%7D&skip=0&limit="
)

// Part 1 section 5.2 and 7.5, part 2 section 4.
func TestExchangeLists(t *testing.T) {
	row := `{ "id" : "6553f100510003001a2b3c01" , "name" : "report 1.txt" , "size" : 10 , "update_time" : 1700000000123 , "major_version" : 1 , "minor_version" : 0}`
	listFiles := "GET /rootsite/api/v1/directories/id/" + docsID + "/listfiles?workspace_name=ws1&filter="
	s := newScript(t,
		step{want: "GET /rootsite/api/v1/directories/?workspace_name=ws1&filter=%7B%22parent_directory_id%22%3A%22" + rootID + "%22%7D" + byName + "1000",
			answer: `[{ "name" : "inbox" , "parent_directory_id" : "` + rootID + `" , "id" : "65a4f1e2510001000000a012" , "user" : "alice"},{ "name" : "reports" , "id" : "65a4f1e2510001000000a013" }]`},
		step{want: listFiles + byName + "1000&selector=" + fullSelector, answer: "[" + row + "]"},
		step{want: listFiles + "%7B%22name%22%3A%7B%22%24gt%22%3A%22a%5C%22b%5C%5C%5Cu000c%2F%22%7D%7D" + byName + "1000&selector=" + entrySelector, answer: "[  ]"},
		step{want: listFiles + "%7B%22name%22%3A%22report%201.txt%22%7D" + byName + "1&selector=" + fullSelector, answer: "[" + row + "]"},
		step{want: listFiles + "%7B%22name%22%3A%22none%22%7D" + byName + "1&selector=" + fullSelector, answer: "[]"},
		step{want: "GET /rootsite/api/v1/directories/?workspace_name=ws1&filter=%7B%22parent_directory_id%22%3A%22" + rootID + "%22%2C%22name%22%3A%22inbox%22%7D" + byName + "1", answer: `[]`},
		step{want: "GET /rootsite/api/v1/files/?workspace_name=ws1&scope=3&filter=%7B%22id%22%3A%226553f100510003001a2b3c01%22%7D&selector=" + fullSelector,
			answer: `[{"id":"6553f100510003001a2b3c01","major_version":1},{"id":"6553f100510003001a2b3c01","major_version":3},{"id":"6553f100510003001a2b3c01","major_version":2}]`},
		step{want: "GET /rootsite/api/v1/files/?workspace_name=ws1&filter=&orderby=%7B%22id%22%3A1%7D&skip=0&limit=1000&selector=" + fullSelector + "&scope=1", answer: `[]`},
		step{want: "GET /rootsite/api/v1/breakpointfiles/?workspace_name=ws1&filter=%7B%22file_name%22%3A%7B%22%24gte%22%3A%22mnt1.%22%2C%22%24lt%22%3A%22mnt1.%F4%8F%BF%BF%22%7D%7D",
			answer: `[{"file_name":"mnt1.42","site_name":"rootSite","checksum_type":"NONE","checksum":0,"completed":false,"upload_size":0,"create_time":1,"upload_time":0,"is_need_md5":false}]`},
	)
	ws, ctx := s.client().Workspace("ws1"), t.Context()
	var dirs []string
	for d, err := range ws.Directories(ctx, client.RootDir, "") {
		require.NoError(t, err)
		dirs = append(dirs, d.Name)
	}
	assert.Equal(t, []string{"inbox", "reports"}, dirs)
	want := client.File{ID: fileID, Name: "report 1.txt", Size: 10, Version: client.Version{Major: 1}, CreateTime: time.UnixMilli(0),
		UpdateTime: time.UnixMilli(1700000000123), DataCreateTime: time.UnixMilli(0)}
	n := 0
	for f, err := range ws.Files(ctx, docsID, "") {
		require.NoError(t, err)
		assert.Equal(t, want, f)
		n++
	}
	assert.Equal(t, 1, n)
	for range ws.Entries(ctx, docsID, "a\"b\\\f/") {
		t.Error("the list is empty")
	}
	f, err := ws.LookupFile(ctx, docsID, "report 1.txt")
	require.NoError(t, err)
	assert.Equal(t, want, f)
	_, err = ws.LookupFile(ctx, docsID, "none")
	assert.Equal(t, client.NotExist, client.KindOf(err))
	_, err = ws.LookupDirectory(ctx, client.RootDir, "inbox")
	assert.Equal(t, client.NotExist, client.KindOf(err))
	vs, err := ws.Versions(ctx, fileID)
	require.NoError(t, err)
	assert.Equal(t, "3.0 2.0 1.0", vs[0].Version.String()+" "+vs[1].Version.String()+" "+vs[2].Version.String())
	for range ws.FlatFiles(ctx, "") {
		t.Error("the list is empty")
	}
	for b, err := range ws.BreakpointFiles(ctx, "mnt1.") {
		require.NoError(t, err)
		assert.Equal(t, "mnt1.42", b.Name)
	}
}

// Part 2 section 10.4.
func TestExchangeDownload(t *testing.T) {
	uri := "GET /rootsite/api/v1/files/" + fileID + "?workspace_name=ws1&major_version=1&minor_version=0&offset="
	length := func(n string) map[string]string {
		return map[string]string{"data_length": n, "Content-Disposition": "attachment; filename=\"; x"}
	}
	s := newScript(t,
		step{want: uri + "6&length=4", set: length("4"), answer: "scm\n"},
		step{want: uri + "6", set: length("4"), answer: "scm\n"},
		step{want: uri + "0", set: length("10"), answer: "hello scm\n"},
		// One storage read may be shorter than asked, even before the end.
		step{want: uri + "0&length=10", set: length("7"), answer: "hello s"},
		step{want: uri + "7&length=3", set: length("3"), answer: "cm\n"},
		step{want: uri + "9", status: 400, answer: scmError("-101")},
	)
	ws, ctx := s.client().Workspace("ws1"), t.Context()
	content := client.Content{File: fileID, Version: client.Version{Major: 1}, Size: 10}
	p := make([]byte, 100)
	n, err := ws.ReadRange(ctx, content, p, 6)
	require.NoError(t, err)
	assert.Equal(t, "scm\n", string(p[:n]))
	n, err = ws.ReadRange(ctx, content, p, 10)
	require.NoError(t, err, "nothing is asked at the end: the answer would be -1")
	assert.Zero(t, n)
	for off, want := range map[int64]string{10: ""} {
		r, err := ws.Open(ctx, content, off)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, want, string(b))
	}
	for _, c := range []struct {
		off  int64
		want string
	}{{6, "scm\n"}, {0, "hello scm\n"}} {
		r, err := ws.Open(ctx, content, c.off)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		assert.Equal(t, c.want, string(b))
	}
	n, err = ws.ReadRange(ctx, content, p[:10], 0)
	require.NoError(t, err)
	assert.Equal(t, "hello scm\n", string(p[:n]))
	_, err = ws.Open(ctx, content, 9)
	assert.Equal(t, client.Invalid, client.KindOf(err))
	for _, off := range []int64{-1, 11} {
		_, err = ws.Open(ctx, content, off)
		assert.Equal(t, client.Invalid, client.KindOf(err), "never sent")
	}
	_, err = ws.ReadRange(ctx, content, p, -1)
	assert.Equal(t, client.Invalid, client.KindOf(err))
}
