package client_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// The worked exchanges of the protocol description, part 2 section 10.

// reportJSON is the file of part 2 section 2.3.
const reportJSON = `{ "id" : "6553f100510003001a2b3c01" , "name" : "report 1.txt" , "bucket_id" :  null  ,
  "directory_id" : "6553f064510003001a2b3b10" , "batch_id" : "" , "major_version" : 1 ,
  "minor_version" : 0 , "type" : 1 , "class_id" :  null  , "class_properties" :  null  ,
  "user" : "alice" , "update_user" : "alice" , "create_time" : 1700000000123 ,
  "update_time" : 1700000000123 , "create_month" : "202311" ,
  "data_create_time" : 1700000000123 , "data_type" : 1 , "size" : 10 ,
  "data_id" : "6553f100510003001a2b3c01" ,
  "site_list" : [ { "site_id" : 1 , "last_access_time" : 1700000000123 ,
                    "create_time" : 1700000000123 , "ws_version" : 1}] ,
  "title" : "" , "author" : "" , "mime_type" : "text/plain" ,
  "md5" : "K9hbIdQFdSiV1HTCuigPpQ==" , "etag" : "2bd85b21d405752895d474c2ba280fa5" ,
  "external_data" :  null  , "custom_metadata" : { } , "version_serial" :  null  ,
  "delete_marker" : false , "status" : 0 , "transaction_id" : "" ,
  "access_history" : [ { "site_id" : 1 , "last_access_time_his" : [ 1700000000123]}] ,
  "tags" : [ ] , "custom_tag" : { }}`

var report = client.File{ID: fileID, Name: "report 1.txt", Dir: docsID, Version: client.Version{Major: 1}, Size: 10, Data: fileID,
	User: "alice", UpdateUser: "alice", CreateTime: time.UnixMilli(1700000000123), UpdateTime: time.UnixMilli(1700000000123),
	DataCreateTime: time.UnixMilli(1700000000123), MimeType: "text/plain", MD5: "K9hbIdQFdSiV1HTCuigPpQ==",
	Tags: []string{}, CustomTags: map[string]string{}, Metadata: map[string]string{}}

func header(name, json string) map[string]string {
	return map[string]string{name: wire.Escape(strings.ReplaceAll(json, "\n", ""))}
}

// Section 10.2 and 10.3. The description is compact here; it is any JSON.
func TestExchangeCreateAndStat(t *testing.T) {
	create := step{want: "POST /zuul/rootsite/api/v1/files/?workspace_name=ws1&upload_config=%7B%22is_overwrite%22%3Afalse%2C%22is_need_md5%22%3Atrue%7D",
		header: map[string]string{"X-Auth-Token": token, "Content-Type": "binary/octet-stream", "Transfer-Encoding": "chunked",
			"Description": "%7B%22name%22%3A%22report%201.txt%22%2C%22author%22%3A%22%22%2C%22title%22%3A%22%22%2C%22mime_type%22%3A%22text%2Fplain%22%2C%22tags%22%3A%5B%5D%2C%22directory_id%22%3A%226553f064510003001a2b3b10%22%7D"},
		body: "hello scm\n", answer: `{ "file" : ` + reportJSON + `}`}
	exists := create
	exists.status, exists.answer = 500, scmError("-261")
	s := newScript(t, create, exists,
		step{want: "HEAD /rootsite/api/v1/files/path/docs/report%201.txt/?workspace_name=ws1&major_version=-1&minor_version=-1", header: map[string]string{"X-SCM-ERROR-CHARSET": "utf-8"}, set: header("file", reportJSON)},
		step{want: "HEAD /rootsite/api/v1/files/id/" + fileID + "?workspace_name=ws1&major_version=2&minor_version=0", header: map[string]string{"X-SCM-ERROR-CHARSET": "utf-8"},
			status: 404, set: map[string]string{"X-SCM-ERROR-CHARSET": "utf-8", "X-SCM-ERROR": "%7B+%22status%22+%3A+-262+%7D"}},
		step{want: "HEAD /rootsite/api/v1/files/id/" + fileID + "?workspace_name=ws1&major_version=2&minor_version=0", status: 404, set: map[string]string{"X-SCM-ERROR": `{ "status" : -262 , "message" : "a+b %41" }`}},
	)
	ws, ctx := s.client().Workspace("ws1"), t.Context()
	nf := client.NewFile{Name: "report 1.txt", Dir: docsID, MimeType: "text/plain", NeedMD5: true}
	f, err := ws.CreateFile(ctx, nf, client.ReaderBody(strings.NewReader("hello scm\n")))
	require.NoError(t, err)
	assert.Equal(t, report, f)
	_, err = ws.CreateFile(ctx, nf, client.ReaderBody(strings.NewReader("hello scm\n")))
	assert.Equal(t, client.Exist, client.KindOf(err))
	assert.Equal(t, wire.CodeFileExist, client.CodeOf(err))
	assert.NotContains(t, err.Error(), token)
	f, err = ws.FileByPath(ctx, "/docs/report 1.txt", client.Version{})
	require.NoError(t, err)
	assert.Equal(t, report, f)
	_, err = ws.FileVersion(ctx, fileID, client.Version{Major: 2})
	assert.Equal(t, client.NotExist, client.KindOf(err))
	_, err = ws.FileVersion(ctx, fileID, client.Version{Major: 2})
	assert.Equal(t, client.NotExist, client.KindOf(err))
	assert.ErrorContains(t, err, "a+b %41", "a raw header is not decoded")
}

func TestExchangeCreateWithEverything(t *testing.T) {
	want := `{"name":"n","author":"a","title":"t","mime_type":"m","tags":["x","y"],"directory_id":"` + docsID + `","id":"` + fileID + `","create_time":-1,` +
		`"custom_tag":{"k":"<v>"},"custom_metadata":{"a":"\u000c/","b":"中"}}`
	s := newScript(t, step{want: "POST /zuul/rootsite/api/v1/files/?workspace_name=ws1&upload_config=%7B%22is_overwrite%22%3Atrue%2C%22is_need_md5%22%3Afalse%7D",
		header: map[string]string{"Description": wire.Escape(want), "Content-Length": "0"}, answer: `{"file":` + reportJSON + `}`})
	_, err := s.client().Workspace("ws1").CreateFile(t.Context(), client.NewFile{ID: fileID, Name: "n", Dir: docsID, Author: "a", Title: "t", MimeType: "m",
		Tags: []string{"x", "y"}, CustomTags: map[string]string{"k": "<v>"}, Metadata: map[string]string{"b": "中", "a": "\f/"},
		CreateTime: time.UnixMilli(-1), Overwrite: true}, client.Body{})
	require.NoError(t, err)
}

// Section 10.6.
func TestExchangeBreakpoint(t *testing.T) {
	rec := func(mid string) string {
		return `{"file_name":"mnt1.42","site_name":"rootSite","checksum_type":"CRC32","data_id":"6553f22c510003001a2b3c04","create_user":"alice","create_time":1700000300000,"upload_user":"alice","is_need_md5":true,` + mid + `}`
	}
	put := "PUT /zuul/rootsite/api/v1/breakpointfiles/mnt1.42?workspace_name=ws1&offset="
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
	binary := map[string]string{"Content-Type": "binary/octet-stream"}
	description := "%7B%22name%22%3A%22data.bin%22%2C%22author%22%3A%22%22%2C%22title%22%3A%22%22%2C%22mime_type%22%3A%22%22%2C%22tags%22%3A%5B%5D%2C%22directory_id%22%3A%226553f064510003001a2b3b10%22%7D"
	convert := step{want: "POST /rootsite/api/v1/files/", header: map[string]string{"Content-Type": form["Content-Type"], "Description": description},
		body: "workspace_name=ws1&breakpoint_file=mnt1.42&upload_config=%7B%22is_overwrite%22%3Afalse%2C%22is_need_md5%22%3Atrue%7D"}
	converted, again := convert, convert
	converted.answer = `{ "file" : { "id" : "6553f230510003001a2b3c05" , "name" : "data.bin" , "major_version" : 1 , "size" : 1572864 , "data_id" : "6553f22c510003001a2b3c04" , "data_create_time" : 1700000300000 , "md5" : "s/BtpGUdIVqrU6MzhMyU0Q==" , "etag" : "b3f06da4651d215aab53a33384cc94d1" }}`
	again.status, again.answer = 400, scmError("-101")
	s := newScript(t,
		step{want: "POST /rootsite/api/v1/breakpointfiles/mnt1.42", header: form,
			body: "workspace_name=ws1&create_time=0&checksum_type=CRC32&is_last_content=false&is_need_md5=true&has_set_time=false", answer: rec(`"checksum":0,"completed":false,"upload_size":0,"upload_time":0`)},
		step{want: put + "0&is_last_content=false", header: binary, body: "first", answer: rec(`"checksum":4010696788,"completed":false,"upload_size":1048576,"upload_time":1700000301250`)},
		step{want: "HEAD /rootsite/api/v1/breakpointfiles/mnt1.42?workspace_name=ws1", set: map[string]string{"X-SCM-BREAKPOINTFILE": "%7B%22file_name%22%3A%22mnt1.42%22%2C%22site_name%22%3A%22rootSite%22%2C%22checksum_type%22%3A%22CRC32%22%2C%22checksum%22%3A4010696788%2C%22data_id%22%3A%226553f22c510003001a2b3c04%22%2C%22completed%22%3Afalse%2C%22upload_size%22%3A1048576%2C%22create_user%22%3A%22alice%22%2C%22create_time%22%3A1700000300000%2C%22upload_user%22%3A%22alice%22%2C%22upload_time%22%3A1700000301250%2C%22is_need_md5%22%3Atrue%2C%22md5%22%3Anull%7D"}},
		step{want: put + "2000000&is_last_content=false", header: binary, body: "x", status: 400, answer: scmError("-101")},
		step{want: put + "1048576&is_last_content=true", header: map[string]string{"Content-Type": "binary/octet-stream", "Content-Length": "0"}, answer: rec(`"checksum":1054227012,"completed":true,"upload_size":1572864,"upload_time":1700000301250,"md5":"s/BtpGUdIVqrU6MzhMyU0Q\u003d\u003d"`)},
		converted, again,
		step{want: "HEAD /rootsite/api/v1/breakpointfiles/mnt1.42?workspace_name=ws1", status: 404, set: map[string]string{"X-SCM-ERROR-CHARSET": "utf-8", "X-SCM-ERROR": "%7B%22status%22%3A-262%7D"}},
		step{want: "POST /rootsite/api/v1/breakpointfiles/c%2B%2B%20%E4%B8%AD.%21%40", header: form,
			body: "workspace_name=ws1&create_time=-1&checksum_type=NONE&is_last_content=false&is_need_md5=false&has_set_time=true", answer: `{"file_name":"c++ 中.!@","create_time":-1}`},
		step{want: "DELETE /rootsite/api/v1/breakpointfiles/mnt1.42?workspace_name=ws1"},
		step{want: "POST /rootsite/api/v1/breakpointfiles/mnt1.42?action=calc_md5", header: form, body: "workspace_name=ws1", answer: `{ "md5" : "1B2M2Y8AsgTpgAmY7PhCfg==" }`},
	)
	ws, ctx := s.client().Workspace("ws1"), t.Context()
	b, err := ws.CreateBreakpointFile(ctx, "mnt1.42", client.BreakpointOptions{ChecksumType: client.ChecksumCRC32, NeedMD5: true})
	require.NoError(t, err)
	assert.Equal(t, client.DataID("6553f22c510003001a2b3c04"), b.Data)
	b, err = ws.AppendBreakpointFile(ctx, "mnt1.42", 0, client.BytesBody([]byte("first")), false)
	require.NoError(t, err)
	head, err := ws.BreakpointFile(ctx, "mnt1.42")
	require.NoError(t, err)
	assert.Equal(t, b, head, "body form and header form are one record")
	assert.EqualValues(t, 4010696788, b.Checksum)
	assert.Equal(t, time.UnixMilli(1700000301250), b.UploadTime)
	_, err = ws.AppendBreakpointFile(ctx, "mnt1.42", 2000000, client.BytesBody([]byte("x")), false)
	assert.Equal(t, client.Invalid, client.KindOf(err))
	b, err = ws.AppendBreakpointFile(ctx, "mnt1.42", 1048576, client.Body{}, true)
	require.NoError(t, err)
	assert.Equal(t, "s/BtpGUdIVqrU6MzhMyU0Q==", b.MD5)
	assert.True(t, b.Completed)
	nf := client.NewFile{Name: "data.bin", Dir: docsID, NeedMD5: true}
	f, err := ws.CreateFileFromBreakpoint(ctx, nf, "mnt1.42")
	require.NoError(t, err)
	assert.Equal(t, b.Data, f.Data)
	_, err = ws.CreateFileFromBreakpoint(ctx, nf, "mnt1.42")
	assert.Equal(t, client.Invalid, client.KindOf(err))
	_, err = ws.BreakpointFile(ctx, "mnt1.42")
	assert.Equal(t, client.NotExist, client.KindOf(err))
	b, err = ws.CreateBreakpointFile(ctx, "c++ 中.!@", client.BreakpointOptions{CreateTime: time.UnixMilli(-1)})
	require.NoError(t, err)
	assert.Equal(t, time.UnixMilli(-1), b.CreateTime)
	require.NoError(t, ws.DeleteBreakpointFile(ctx, "mnt1.42"))
	sum, err := ws.CalcBreakpointMD5(ctx, "mnt1.42")
	require.NoError(t, err)
	assert.Equal(t, "1B2M2Y8AsgTpgAmY7PhCfg==", sum)
}

// Section 10.7 and 10.8, and 3.10.
func TestExchangeUpdateRenameDelete(t *testing.T) {
	v2 := `{ "id" : "6553f100510003001a2b3c01" , "name" : "new name.txt" , "major_version" : 2 , "minor_version" : 0 , "size" : 5 , "data_id" : "6553f17b510003001a2b3c03" , "data_create_time" : 1700000123456 , "create_time" : 1700000000123 , "update_time" : 1700000000123 , "md5" :  null  , "class_properties" : { } }`
	update := step{want: "PUT /zuul/rootsite/api/v1/files/" + fileID + "?workspace_name=ws1&major_version=1&minor_version=0&update_content_option=%7B%22is_need_md5%22%3Afalse%7D",
		header: map[string]string{"Content-Type": "binary/octet-stream", "Content-Length": "5"}, body: "hello", set: header("file_info", v2)}
	stale := update
	stale.set, stale.status, stale.answer = nil, 500, scmError("-264")
	item := "/rootsite/api/v1/files/" + fileID
	form := "workspace_name=ws1&major_version=-1&minor_version=-1&file_info="
	s := newScript(t, update, stale,
		step{want: "PUT " + item, body: "workspace_name=ws1&major_version=2&minor_version=0&breakpoint_file=b.1&update_content_option=%7B%22is_need_md5%22%3Afalse%7D", set: header("file_info", v2)},
		step{want: "PUT " + item, body: form + "%7B%22name%22%3A%22new%20name.txt%22%7D", set: header("file_info", v2), answer: `""`},
		step{want: "PUT " + item, body: form + "%7B%22directory_id%22%3A%226553f064510003001a2b3b99%22%7D", status: 404, answer: scmError("-241")},
		step{want: "PUT " + item, body: form + "%7B%22custom_metadata%22%3A%7B%22a%22%3A%221%22%2C%22b%22%3A%222%22%7D%7D", set: header("file_info", v2)},
		step{want: "DELETE " + item + "?workspace_name=ws1&is_physical=true"},
		step{want: "DELETE " + item + "?workspace_name=ws1&is_physical=true", status: 404, answer: scmError("-262")},
		step{want: "DELETE " + item + "?workspace_name=ws1&major_version=2&minor_version=0&action=delete_version", answer: `""`},
		step{want: "POST " + item + "?action=calc_md5", body: "workspace_name=ws1&major_version=-1&minor_version=-1&keep_alive=true", answer: `   { "md5" : "XUFAKrxLKna5cZ2REBfFkg==" }`},
		step{want: "POST " + item + "?action=calc_md5", body: "workspace_name=ws1&major_version=-1&minor_version=-1&keep_alive=true", answer: `   ` + scmError("-401")},
	)
	ws, ctx := s.client().Workspace("ws1"), t.Context()
	f, err := ws.UpdateContent(ctx, fileID, client.Version{Major: 1}, client.BytesBody([]byte("hello")))
	require.NoError(t, err)
	assert.Equal(t, client.Version{Major: 1}.Next(), f.Version)
	assert.Equal(t, time.UnixMilli(1700000123456), f.ModTime(), "update_time falls back to create_time (2.4)")
	assert.Empty(t, f.MD5)
	_, err = ws.UpdateContent(ctx, fileID, client.Version{Major: 1}, client.BytesBody([]byte("hello")))
	assert.Equal(t, client.VersionMismatch, client.KindOf(err))
	_, err = ws.UpdateContentFromBreakpoint(ctx, fileID, client.Version{Major: 2}, "b.1")
	require.NoError(t, err)
	f, err = ws.RenameFile(ctx, fileID, "new name.txt")
	require.NoError(t, err)
	assert.Equal(t, "new name.txt", f.Name)
	_, err = ws.MoveFile(ctx, fileID, "6553f064510003001a2b3b99")
	assert.Equal(t, client.NotExist, client.KindOf(err))
	_, err = ws.SetMetadata(ctx, fileID, map[string]string{"b": "2", "a": "1"})
	require.NoError(t, err)
	require.NoError(t, ws.DeleteFile(ctx, fileID))
	assert.Equal(t, client.NotExist, client.KindOf(ws.DeleteFile(ctx, fileID)))
	require.NoError(t, ws.DeleteVersion(ctx, fileID, client.Version{Major: 2}))
	sum, err := ws.CalcMD5(ctx, fileID, client.Version{})
	require.NoError(t, err)
	assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", sum)
	_, err = ws.CalcMD5(ctx, fileID, client.Version{})
	assert.Equal(t, client.Corrupt, client.KindOf(err), "an error inside a 200: %v", err)
	assert.Equal(t, wire.CodeDataError, client.CodeOf(err))
}
