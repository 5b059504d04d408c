package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sequoiacm/scmfs/internal/wire"
)

const fuzzToken = "0c7f6c0e-6a0e-4b7b-9c7f-3c1e5c8d2f11"

// fuzzStore answers every request with the same thing.
func fuzzStore(t *testing.T, status int, h http.Header, body string) *Store {
	c, err := New([]string{"gw:8080/site"}, Options{RetryTimeout: -1})
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport = trip(func(r *http.Request) (*http.Response, error) {
		return answer(r, status, h, strings.NewReader(body))
	})
	c.mu.session = session{token: fuzzToken, seed: &c.seeds[0], gen: 1}
	return c.Workspace("ws")
}

// judge holds an error to what the package promises.
func judge(t *testing.T, err error) {
	t.Helper()
	var e *Error
	switch {
	case err == nil:
	case !errors.As(err, &e):
		t.Fatalf("not an *Error: %v", err)
	case e.Kind < 0 || e.Kind >= kindCount:
		t.Fatalf("kind %d", e.Kind)
	case strings.Contains(err.Error(), fuzzToken):
		t.Fatalf("the token shows: %v", err)
	}
}

func judgeFile(t *testing.T, f File, err error) {
	t.Helper()
	judge(t, err)
	if err == nil && (!wire.ValidID(string(f.ID)) || f.Size < 0) {
		t.Fatalf("accepted %+v", f)
	}
}

var fuzzRecords = []string{
	`%7B%20%22name%22%20%3A%20%22q1%22%20%2C%20%22parent_directory_id%22%20%3A%20%2265a4f0c05100010000000007%22%20%2C%20%22id%22%20%3A%20%2265a4f1e2510001000000a012%22%20%2C%20%22create_time%22%20%3A%201705308642123%20%7D`,
	`%7B%22file_name%22%3A%22b%22%2C%22site_name%22%3A%22rootSite%22%2C%22checksum_type%22%3A%22CRC32%22%2C%22checksum%22%3A4010696788%2C%22data_id%22%3A%226553f22c510003001a2b3c04%22%2C%22completed%22%3Afalse%2C%22upload_size%22%3A1048576%2C%22create_user%22%3A%22alice%22%2C%22create_time%22%3A1700000300000%2C%22upload_time%22%3A1700000301250%2C%22is_need_md5%22%3Atrue%2C%22md5%22%3Anull%7D`,
	`{ "id" : "6553f100510003001a2b3c01" , "name" : "report 1.txt" , "bucket_id" :  null  , "directory_id" : "6553f064510003001a2b3b10" , "major_version" : 1 , "minor_version" : 0 , "class_properties" :  null  , "create_time" : 1700000000123 , "size" : {"$numberLong":"10"} , "title" : "" , "custom_metadata" : { "a" : "b" , "n" : 1 } , "delete_marker" : false , "site_list" : [ { "site_id" : 1 , "ws_version" : 1}] , "tags" : [ ] , "custom_tag" : { }}`,
	"", "null", "{}", "%zz", "[1]", `{"size":-1}`, `{"size":1e400}`, `{"checksum":4294967296}`,
}

// FuzzDecodeHeader is for records in headers.
func FuzzDecodeHeader(f *testing.F) {
	for _, s := range fuzzRecords {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		ctx := context.Background()
		s := fuzzStore(t, 200, http.Header{"Directory": {value}, "File": {value}, "File_info": {value}, "X-Scm-Breakpointfile": {value}, "X-Scm-Count": {value}}, "")
		d, err := s.Directory(ctx, RootDir)
		judge(t, err)
		if err == nil && !wire.ValidID(string(d.ID)) {
			t.Fatalf("accepted %+v", d)
		}
		got, err := s.File(ctx, someID)
		judgeFile(t, got, err)
		got, err = s.RenameFile(ctx, someID, "n")
		judgeFile(t, got, err)
		b, err := s.BreakpointFile(ctx, "b")
		judge(t, err)
		if err == nil && (b.Size < 0 || b.Name != "b") {
			t.Fatalf("accepted %+v", b)
		}
		n, err := s.CountFiles(ctx)
		judge(t, err)
		if n < 0 {
			t.Fatal(n)
		}
	})
}

// FuzzDecodeList is for list bodies.
func FuzzDecodeList(f *testing.F) {
	for _, s := range fuzzRecords {
		f.Add("[" + s + "]")
		f.Add("[" + s)
		f.Add(`[{"id":"6553f100510003001a2b3c01"}` + s)
	}
	f.Add(`[{ "id" : 7 , "name" : "docs" , "create_time" : 1704067200000 , "meta_location" : { "site_id" : 1 } , "data_location" : [ { "site_id" : 1 } ] , "enable_directory" :  null }]`)
	f.Add(` [{"timestamp":1705308700000,"status":-206,"error":"Metasource Error","message":"sessionId=` + fuzzToken + `,x"}`)
	f.Fuzz(func(t *testing.T, body string) {
		ctx := context.Background()
		s := fuzzStore(t, 200, nil, body)
		for got, err := range s.Files(ctx, RootDir, "") {
			judgeFile(t, got, err)
		}
		for _, err := range s.Directories(ctx, RootDir, "") {
			judge(t, err)
		}
		for b, err := range s.BreakpointFiles(ctx, "") {
			judge(t, err)
			if b.Size < 0 {
				t.Fatalf("accepted %+v", b)
			}
		}
		for _, err := range s.c.Workspaces(ctx) {
			judge(t, err)
		}
		vs, err := s.Versions(ctx, someID)
		judge(t, err)
		for _, v := range vs {
			judgeFile(t, v, nil)
		}
	})
}

// FuzzDecodeBody is for answers and errors in bodies.
func FuzzDecodeBody(f *testing.F) {
	for _, s := range fuzzRecords {
		f.Add(200, s)
		f.Add(200, `{ "file" : `+s+`}`)
		f.Add(200, `{"workspace":`+s+`}`)
	}
	f.Add(200, `     { "md5" : "s/BtpGUdIVqrU6MzhMyU0Q\u003d\u003d" }`)
	f.Add(200, `   {"timestamp":1,"status":-401,"error":"e","message":"sessionId=`+fuzzToken+`,m"}`)
	f.Add(404, `{"timestamp":1705308700000,"status":-241,"error":"Directory not found","exception":"com.sequoiacm.exception.ScmServerException","message":"sessionId=`+fuzzToken+`,directory not exist:path=/nope/","path":"/api/v1/directories/path/nope/"}`)
	f.Add(500, `{"status":-261}`)
	f.Add(504, "<html>")
	f.Add(301, "")
	f.Add(200, `""`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		ctx := context.Background()
		s := fuzzStore(t, status, http.Header{"X-Auth-Token": {fuzzToken}}, body)
		got, err := s.CreateFileFromBreakpoint(ctx, NewFile{Name: "f"}, "b")
		judgeFile(t, got, err)
		_, err = s.c.WorkspaceInfo(ctx, "ws")
		judge(t, err)
		_, err = s.CreateDirectory(ctx, RootDir, "d")
		judge(t, err)
		b, err := s.AppendBreakpointFile(ctx, "b", 0, Body{}, true)
		judge(t, err)
		if err == nil && b.Name != "b" {
			t.Fatalf("accepted %+v", b)
		}
		_, err = s.CalcMD5(ctx, someID, Version{})
		judge(t, err)
		judge(t, s.DeleteFile(ctx, someID))
	})
}

// FuzzDecodeHeadError is for X-SCM-ERROR.
func FuzzDecodeHeadError(f *testing.F) {
	f.Add(404, "utf-8", "%7B+%22timestamp%22+%3A+1705308700000+%2C+%22status%22+%3A+-241+%2C+%22error%22+%3A+%22Directory+not+found%22+%2C+%22message%22+%3A+%22sessionId%3D3f0c%2Cdirectory+not+exist%3Apath%3D%2Fnope%2F%22+%7D")
	f.Add(404, "", `{ "status" : -262 , "message" : "sessionId=`+fuzzToken+`,100% a+b" }`)
	f.Add(500, "utf-8", "%7B%22status%22%3A0%7D")
	f.Add(401, "", "")
	f.Fuzz(func(t *testing.T, status int, charset, value string) {
		if status < 201 || status > 599 {
			return
		}
		s := fuzzStore(t, status, http.Header{"X-Scm-Error": {value}, "X-Scm-Error-Charset": {charset}, "X-Auth-Token": {fuzzToken}}, "")
		_, err := s.File(context.Background(), someID)
		if err == nil {
			t.Fatal("an error status was taken for success")
		}
		judge(t, err)
	})
}

// FuzzDecodeContent is for counted streams: what comes out is the announced
// content or an error.
func FuzzDecodeContent(f *testing.F) {
	for _, length := range []string{"10", "9", "11", "-1", "", "x", "4"} {
		f.Add(length, "hello scm\n")
		f.Add(length, "")
		f.Add(length, "hello scm\n!")
	}
	f.Fuzz(func(t *testing.T, length, body string) {
		ctx, content := context.Background(), Content{File: someID, Size: 10}
		s := fuzzStore(t, 200, http.Header{"Data_length": {length}}, body)
		r, err := s.Open(ctx, content, 0)
		judge(t, err)
		if err == nil {
			b, err := io.ReadAll(r)
			judge(t, err)
			if err == nil && string(b) != body || err == nil && len(b) != 10 {
				t.Fatalf("%q of %q", b, body)
			}
			_ = r.Close()
		}
		p := make([]byte, 10)
		n, err := s.ReadRange(ctx, content, p, 0)
		judge(t, err)
		if err == nil && n != 10 {
			t.Fatalf("%d bytes without an error", n)
		}
	})
}

// FuzzDecodeSalt is for the login's first answer.
func FuzzDecodeSalt(f *testing.F) {
	f.Add(`{"Salt":"$2a$04$Q0pV9uWmEk7tRz3xYb1aNe","Date":"20240115T083000Z"}`)
	f.Add(`{"Salt":"$2a$31$Q0pV9uWmEk7tRz3xYb1aNe","Date":""}`)
	f.Add(`{"Salt":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		if strings.Contains(body, "$2a$1") || strings.Contains(body, `\u`) {
			return // a cost that is meant to be slow
		}
		s := fuzzStore(t, 200, http.Header{"X-Auth-Token": {fuzzToken}}, body)
		s.c.mu.session = session{}
		judge(t, s.c.Login(context.Background()))
	})
}
