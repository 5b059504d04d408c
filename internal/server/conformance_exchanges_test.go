package server

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// bsonForm is JSON text in our own spacing: the text calls blanks irrelevant,
// but the order of fields and every value count.
func bsonForm(t *testing.T, text string) string {
	t.Helper()
	d, err := wire.ParseDoc(text)
	require.NoError(t, err, text)
	return string(wire.AppendBSONText(nil, d))
}

// The worked exchanges of part 2 section 10, in their order and with their
// literal requests. Ids are made by the server, so the text's are replaced.
func TestWorkedExchanges(t *testing.T) {
	g := newGateway(t).as("alice", [3]string{"workspace", "ws1", "ALL"})
	const textDir, textFile = "6553f064510003001a2b3b10", "6553f100510003001a2b3c01"
	g.mkdir("/docs")
	dir := g.head("/directories/path/docs/?workspace_name=ws1").inHeader("directory").str("id")
	binary := func(desc string) http.Header {
		h := http.Header{"Content-Type": {"binary/octet-stream"}}
		if desc != "" {
			h["description"] = []string{desc}
		}
		return h
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}
	var id string

	t.Run("10.2 create from stream", func(t *testing.T) {
		g := g.with(t)
		create := func() *answer {
			return g.send("POST", "/zuul/rootsite/api/v1/files/?workspace_name=ws1&upload_config=%7B%22is_overwrite%22%3Afalse%2C%22is_need_md5%22%3Atrue%7D",
				binary("%7B%20%22name%22%20%3A%20%22report%201.txt%22%20%2C%20%22author%22%20%3A%20%22%22%20%2C%20%22title%22%20%3A%20%22%22%20%2C%20%22mime_type%22%20%3A%20%22text%2Fplain%22%20%2C%20%22tags%22%20%3A%20%5B%20%5D%20%2C%20%22directory_id%22%20%3A%20%22"+dir+"%22%7D"),
				strings.NewReader("hello scm\n"))
		}
		a := create().ok()
		assert.Equal(t, "application/json;charset=UTF-8", a.header.Get("Content-Type"))
		id = a.created().str("id")
		// Part 2 section 2.3, the example; class_properties and external_data may
		// print as null or as an empty object.
		want := `{ "file" : { "id" : "` + textFile + `" , "name" : "report 1.txt" , "bucket_id" :  null  ,
  "directory_id" : "` + textDir + `" , "batch_id" : "" , "major_version" : 1 ,
  "minor_version" : 0 , "type" : 1 , "class_id" :  null  , "class_properties" : { }  ,
  "user" : "alice" , "update_user" : "alice" , "create_time" : 1700000000123 ,
  "update_time" : 1700000000123 , "create_month" : "202311" ,
  "data_create_time" : 1700000000123 , "data_type" : 1 , "size" : 10 ,
  "data_id" : "` + textFile + `" ,
  "site_list" : [ { "site_id" : 1 , "last_access_time" : 1700000000123 ,
                    "create_time" : 1700000000123 , "ws_version" : 1}] ,
  "title" : "" , "author" : "" , "mime_type" : "text/plain" ,
  "md5" : "K9hbIdQFdSiV1HTCuigPpQ==" , "etag" : "2bd85b21d405752895d474c2ba280fa5" ,
  "external_data" : { }  , "custom_metadata" : { } , "version_serial" :  null  ,
  "delete_marker" : false , "status" : 0 , "transaction_id" : "" ,
  "access_history" : [ { "site_id" : 1 , "last_access_time_his" : [ 1700000000123]}] ,
  "tags" : [ ] , "custom_tag" : { }}}`
		assert.Equal(t, bsonForm(t, strings.NewReplacer(textFile, id, textDir, dir).Replace(want)), string(a.body))
		again := create()
		e := again.fails(500, -261)
		assert.Equal(t, "File already exists", e["error"])
		assert.Equal(t, "/api/v1/files/", e["path"])
		assert.Regexp(t, `^\{"timestamp":\d+,"status":-261,"error":"File already exists","exception":".+","message":".*","path":"/api/v1/files/"\}$`, string(again.body))
	})
	t.Run("10.3 stat by path", func(t *testing.T) {
		g := g.with(t)
		a := g.send("HEAD", "/rootsite/api/v1/files/path/docs/report%201.txt/?workspace_name=ws1", nil, nil).ok()
		assert.Equal(t, "0", a.header.Get("Content-Length"))
		assert.True(t, strings.HasPrefix(a.header.Get("file"), "%7B%20%22id%22%20%3A%20%22"+id+"%22%20%2C%20%22name%22%20%3A%20%22report%201.txt%22%20%2C%20"), a.header.Get("file"))
		missing := g.send("HEAD", "/rootsite/api/v1/files/path/docs/none/?workspace_name=ws1", nil, nil)
		missing.fails(404, -262)
		assert.Contains(t, missing.header.Get("X-SCM-ERROR"), "%22status%22+%3A+-262")
	})
	t.Run("10.4 ranged download of the 10-byte file", func(t *testing.T) {
		g := g.with(t)
		for _, c := range []struct{ query, length, body string }{
			{"&major_version=1&minor_version=0&offset=6&length=100", "4", "scm\n"}, {"&offset=10&length=100", "-1", ""},
			{"&offset=6", "4", "scm\n"}, {"", "10", "hello scm\n"},
		} {
			a := g.send("GET", "/rootsite/api/v1/files/"+id+"?workspace_name=ws1"+c.query, nil, nil).ok()
			assert.Equal(t, c.length, a.header.Get("data_length"), c.query)
			assert.Equal(t, c.body, string(a.body), c.query)
			assert.Equal(t, "text/plain", a.header.Get("Content-Type"))
			assert.Equal(t, "attachment; filename=report 1.txt", a.header.Get("Content-Disposition"))
		}
		g.send("GET", "/rootsite/api/v1/files/"+id+"?workspace_name=ws1&offset=-1", nil, nil).fails(400, -101)
	})
	t.Run("10.5 directory listing with stat data", func(t *testing.T) {
		a := g.with(t).send("GET", "/rootsite/api/v1/directories/id/"+dir+"/listfiles?workspace_name=ws1&selector=%7B%22id%22%3Anull%2C%22name%22%3Anull%2C%22size%22%3Anull%2C%22update_time%22%3Anull%2C%22major_version%22%3Anull%2C%22minor_version%22%3Anull%7D", nil, nil)
		rows := a.list()
		require.Len(t, rows, 1)
		assert.Equal(t, parseRecord(t, `{ "id" : "`+id+`" , "name" : "report 1.txt" , "size" : 10 , "update_time" : 1700000000123 , "major_version" : 1 , "minor_version" : 0}`), rows[0])
	})
	t.Run("10.6 breakpoint upload of pattern(1.5 MiB) in two increments", func(t *testing.T) {
		g := g.with(t)
		g.clock.Store(1700000300000)
		data := pattern(1572864)
		a := g.send("POST", "/rootsite/api/v1/breakpointfiles/mnt1.42", form,
			strings.NewReader("workspace_name=ws1&create_time=0&checksum_type=CRC32&is_last_content=false&is_need_md5=true&has_set_time=false")).ok()
		dataID := a.json().str("data_id")
		assert.Equal(t, "application/json;charset=UTF-8", a.header.Get("Content-Type"))
		assert.Equal(t, `{"file_name":"mnt1.42","site_name":"rootSite","checksum_type":"CRC32","checksum":0,"data_id":"`+dataID+`","completed":false,"upload_size":0,"create_user":"alice","create_time":1700000300000,"upload_user":"alice","upload_time":0,"is_need_md5":true}`, string(a.body))
		g.clock.Store(1700000301250)
		put := func(query string, body []byte) *answer {
			return g.send("PUT", "/zuul/rootsite/api/v1/breakpointfiles/mnt1.42?workspace_name=ws1"+query, binary(""), bytes.NewReader(body))
		}
		a = put("&offset=0&is_last_content=false", data[:1<<20]).ok()
		assert.Equal(t, `{"file_name":"mnt1.42","site_name":"rootSite","checksum_type":"CRC32","checksum":4010696788,"data_id":"`+dataID+`","completed":false,"upload_size":1048576,"create_user":"alice","create_time":1700000300000,"upload_user":"alice","upload_time":1700000301250,"is_need_md5":true}`, string(a.body))
		a = g.send("HEAD", "/rootsite/api/v1/breakpointfiles/mnt1.42?workspace_name=ws1", nil, nil).ok()
		assert.Equal(t, `%7B%22file_name%22%3A%22mnt1.42%22%2C%22site_name%22%3A%22rootSite%22%2C%22checksum_type%22%3A%22CRC32%22%2C%22checksum%22%3A4010696788%2C%22data_id%22%3A%22`+dataID+`%22%2C%22completed%22%3Afalse%2C%22upload_size%22%3A1048576%2C%22create_user%22%3A%22alice%22%2C%22create_time%22%3A1700000300000%2C%22upload_user%22%3A%22alice%22%2C%22upload_time%22%3A1700000301250%2C%22is_need_md5%22%3Atrue%2C%22md5%22%3Anull%7D`, a.header.Get("X-SCM-BREAKPOINTFILE"))
		assert.Equal(t, "Invalid argument", put("&offset=0&is_last_content=false", data[:10]).fails(400, -101)["error"])
		put("&offset=2000000&is_last_content=false", data[:10]).fails(400, -101)
		a = put("&offset=1048576&is_last_content=true", data[1<<20:]).ok()
		assert.Equal(t, `{"file_name":"mnt1.42","site_name":"rootSite","checksum_type":"CRC32","checksum":1054227012,"data_id":"`+dataID+`","completed":true,"upload_size":1572864,"create_user":"alice","create_time":1700000300000,"upload_user":"alice","upload_time":1700000301250,"is_need_md5":true,"md5":"s/BtpGUdIVqrU6MzhMyU0Q\u003d\u003d"}`, string(a.body))
		put("&offset=1572864&is_last_content=true", nil).fails(400, -101)
		g.clock.Store(1700000304000)
		convert := func() *answer {
			h := form.Clone()
			h["description"] = []string{"%7B%22name%22%3A%22data.bin%22%2C%22directory_id%22%3A%22" + dir + "%22%2C%22title%22%3A%22%22%2C%22author%22%3A%22%22%2C%22mime_type%22%3A%22%22%2C%22tags%22%3A%5B%5D%7D"}
			return g.send("POST", "/rootsite/api/v1/files/", h, strings.NewReader("workspace_name=ws1&breakpoint_file=mnt1.42&upload_config=%7B%22is_overwrite%22%3Afalse%2C%22is_need_md5%22%3Atrue%7D"))
		}
		f := convert().created()
		assert.Equal(t, "6553f230", f.str("id")[:8])
		assert.Equal(t, "data.bin", f["name"])
		assert.EqualValues(t, 1, f.num("major_version"))
		assert.EqualValues(t, 1572864, f.num("size"))
		assert.Equal(t, dataID, f["data_id"])
		assert.EqualValues(t, 1700000300000, f.num("data_create_time"))
		assert.EqualValues(t, 1700000304000, f.num("create_time"))
		assert.Equal(t, "s/BtpGUdIVqrU6MzhMyU0Q==", f["md5"])
		assert.Equal(t, "b3f06da4651d215aab53a33384cc94d1", f["etag"])
		convert().fails(400, -101)
		g.send("HEAD", "/rootsite/api/v1/breakpointfiles/mnt1.42?workspace_name=ws1", nil, nil).fails(404, -262)
	})
	t.Run("10.7 new version with expectation", func(t *testing.T) {
		g := g.with(t)
		g.clock.Store(1700000123456)
		update := func() *answer {
			return g.send("PUT", "/zuul/rootsite/api/v1/files/"+id+"?workspace_name=ws1&major_version=1&minor_version=0&update_content_option=%7B%22is_need_md5%22%3Afalse%7D", binary(""), strings.NewReader("hello"))
		}
		a := update().ok()
		assert.Equal(t, "0", a.header.Get("Content-Length"))
		n := a.inHeader("file_info")
		assert.Equal(t, id, n["id"])
		assert.EqualValues(t, 2, n.num("major_version"))
		assert.EqualValues(t, 0, n.num("minor_version"))
		assert.EqualValues(t, 5, n.num("size"))
		assert.Equal(t, "6553f17b", n.str("data_id")[:8])
		assert.EqualValues(t, 1700000123456, n.num("data_create_time"))
		assert.EqualValues(t, 1700000000123, n.num("create_time"))
		assert.EqualValues(t, 1700000000123, n.num("update_time"))
		assert.Nil(t, n["md5"])
		update().fails(500, -264)
	})
	t.Run("10.8 rename, move, delete", func(t *testing.T) {
		g := g.with(t)
		put := func(body string) *answer {
			return g.send("PUT", "/rootsite/api/v1/files/"+id, form, strings.NewReader(body))
		}
		n := put("workspace_name=ws1&major_version=-1&minor_version=-1&file_info=%7B%22name%22%3A%22new%20name.txt%22%7D").inHeader("file_info")
		assert.Equal(t, "new name.txt", n["name"])
		put("workspace_name=ws1&major_version=-1&minor_version=-1&file_info=%7B%22directory_id%22%3A%226553f064510003001a2b3b99%22%7D").fails(404, -241)
		g.send("DELETE", "/rootsite/api/v1/files/"+id+"?workspace_name=ws1", nil, nil).fails(500, -107)
		assert.Empty(t, g.send("DELETE", "/rootsite/api/v1/files/"+id+"?workspace_name=ws1&is_physical=true", nil, nil).ok().body)
		g.send("DELETE", "/rootsite/api/v1/files/"+id+"?workspace_name=ws1&is_physical=true", nil, nil).fails(404, -262)
	})
}

// Part 2 section 10.1, checksums as the server computes them.
func TestChecksumVectors(t *testing.T) {
	g := newGateway(t)
	for _, v := range []struct {
		name       string
		data       []byte
		crc, adler int64
		md5        string
	}{
		{"empty", nil, 0, 0, "1B2M2Y8AsgTpgAmY7PhCfg=="},
		{"a", []byte("a"), 3904355907, 6422626, "DMF1ucDxtqgxw5niaXcmYQ=="},
		{"hello", []byte("hello"), 907060870, 103547413, "XUFAKrxLKna5cZ2REBfFkg=="},
		{"hello scm", []byte("hello scm\n"), 3353505544, 353239938, "K9hbIdQFdSiV1HTCuigPpQ=="},
		{"1 MiB zero", make([]byte, 1<<20), 2805525020, 15728641, "ttgbNgpWctgMJ0MPORU+LA=="},
		{"5 MiB zero", make([]byte, 5<<20), 3376132981, 78643201, "XzY+DlipXwbL6bvGYsXftg=="},
		{"pattern 1 MiB", pattern(1 << 20), 4010696788, 4207499138, "jyk6L2wZs0UVL3pJu0xkPA=="},
		{"pattern 1.5 MiB", pattern(1572864), 1054227012, 512397952, "s/BtpGUdIVqrU6MzhMyU0Q=="},
		{"pattern 5 MiB", pattern(5 << 20), 3364617388, 118376003, "TChkDcjfGTOq6hkhANUK4A=="},
	} {
		t.Run(v.name, func(t *testing.T) {
			g := g.with(t)
			for kind, want := range map[string]int64{"CRC32": v.crc, "ADLER32": v.adler, "NONE": 0} {
				r := g.bpUpload(v.name, kind, v.data, "is_need_md5", "true")
				assert.Equal(t, want, r.num("checksum"), kind)
				assert.Equal(t, v.md5, r["md5"], kind)
				g.bpDelete(v.name).ok()
			}
			f := g.create("ws1", v.name, "", `{"is_need_md5":true}`, string(v.data)).created()
			assert.Equal(t, v.md5, f["md5"])
		})
	}
}
