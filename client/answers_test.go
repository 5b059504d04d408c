package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// Part 1 section 1.7: the four printers, and nulls or absence alike.
func TestFourPrintersOneRecord(t *testing.T) {
	for name, body := range map[string]string{
		"BSON text":             `{ "file" : { "id" : "6553f100510003001a2b3c01" , "name" : "a<b>&c='d'" , "title" :  null  , "custom_metadata" : {  } , "tags" : [  ] , "md5" :  null }}`,
		"single object by Gson": `{"file":{"id":"6553f100510003001a2b3c01","name":"a\u003cb\u003e\u0026c\u003d\u0027d\u0027","custom_metadata":{},"tags":[]}}`,
		"map body by Jackson":   `{"file":{"tags":[],"custom_metadata":{},"name":"a<b>&c='d'","id":"6553f100510003001a2b3c01","title":null,"md5":null}}`,
		"extended numbers":      ` {"file":{"id":"6553f100510003001a2b3c01","name":"a<b>&c='d'","size":{"$numberLong":"0"},"create_time":0.0,"tags":[],"custom_metadata":{},"unknown":{"x":[1]}}} `,
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, step{want: "POST /rootsite/api/v1/files/", body: "workspace_name=ws1&breakpoint_file=b&upload_config=%7B%22is_overwrite%22%3Afalse%2C%22is_need_md5%22%3Afalse%7D", answer: body})
			f, err := s.client().Workspace("ws1").CreateFileFromBreakpoint(t.Context(), client.NewFile{Name: "f"}, "b")
			require.NoError(t, err)
			zero := time.UnixMilli(0)
			assert.Equal(t, client.File{ID: fileID, Name: "a<b>&c='d'", Metadata: map[string]string{}, Tags: []string{}, CreateTime: zero, UpdateTime: zero, DataCreateTime: zero}, f)
		})
	}
}

const listURI = "GET /rootsite/api/v1/breakpointfiles/?workspace_name=ws1"

func list(c *client.Client, ctx context.Context) (names []string, err error) {
	for b, err := range c.Workspace("ws1").BreakpointFiles(ctx, "") {
		if err != nil {
			return names, err
		}
		names = append(names, b.Name)
	}
	return names, nil
}

// A list that is no complete array is a failed request, tried again (part 1
// section 1.7).
func TestListsThatAreCut(t *testing.T) {
	row := `{ "file_name" : "a" }`
	for name, cut := range map[string]step{
		"empty":                  {},
		"behind the bracket":     {answer: "["},
		"in a row":               {answer: "[" + row + `,{"file_name":"b`},
		"behind a row":           {answer: "[" + row},
		"behind a comma":         {answer: "[" + row + ","},
		"error object":           {answer: "[" + row + scmError("-206")},
		"error behind the array": {answer: "[" + row + "]" + scmError("-206")},
		"connection":             {answer: "[" + row + ",", breaks: true},
		"gateway":                {status: 502, answer: "<html>"},
		"workspace cache":        {status: 500, answer: scmError("-701")},
		"directory cache":        {status: 500, answer: scmError("-103")},
	} {
		t.Run(name, func(t *testing.T) {
			cut.want = listURI
			whole := step{want: listURI, answer: "[" + row + `,{"file_name":"c"}]`}
			names, err := list(newScript(t, cut, whole).client(retrying), t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{"a", "c"}, names, "each row once")
			names, err = list(newScript(t, cut).client(), t.Context())
			assert.Equal(t, client.Unavailable, client.KindOf(err), err)
			assert.Empty(t, names)
		})
	}
}

// What waiting cannot change is not tried again.
func TestAnswersThatAreWrong(t *testing.T) {
	for name, c := range map[string]struct {
		step
		kind client.Kind
	}{
		"object":              {step{answer: `{"a":1}`}, client.Protocol},
		"error object in 200": {step{answer: scmError("-205")}, client.NoWorkspace},
		"row of no record":    {step{answer: `[{"file_name":5}]`}, client.Protocol},
		"row without name":    {step{answer: `[null]`}, client.Protocol},
		"negative size":       {step{answer: `[{"file_name":"a","upload_size":-1}]`}, client.Protocol},
		"checksum too large":  {step{answer: `[{"file_name":"a","checksum":4294967296}]`}, client.Protocol},
		"fraction":            {step{answer: `[{"file_name":"a","upload_size":1.5}]`}, client.Protocol},
		"redirect":            {step{status: 302, set: map[string]string{"Location": "http://127.0.0.1:1/"}}, client.Protocol},
		"bad filter":          {step{status: 500, answer: scmError("-206")}, client.Other},
		"bad request":         {step{status: 400, answer: scmError("400")}, client.Invalid},
		"privilege":           {step{status: 403, answer: scmError("-109")}, client.Permission},
		"no workspace":        {step{status: 500, answer: scmError("-205")}, client.NoWorkspace},
	} {
		t.Run(name, func(t *testing.T) {
			c.want = listURI
			_, err := list(newScript(t, c.step).client(retrying), t.Context())
			assert.Equal(t, c.kind, client.KindOf(err), err)
			assert.NotContains(t, err.Error(), token)
		})
	}
}

// Keyset paging, and a server that ignores the key.
func TestPagesGoOnBehindTheLastName(t *testing.T) {
	uri := "GET /rootsite/api/v1/directories/?workspace_name=ws1&filter=%7B%22parent_directory_id%22%3A%22" + rootID + "%22"
	page := func(n int) string {
		rows := make([]string, n)
		for i := range rows {
			rows[i] = fmt.Sprintf(`{"id":"%s","name":"n%04d"}`, dirID, i)
		}
		return "[" + strings.Join(rows, ",") + "]"
	}
	first := step{want: uri + "%7D" + byName + "1000", answer: page(1000)}
	second := step{want: uri + "%2C%22name%22%3A%7B%22%24gt%22%3A%22n0999%22%7D%7D" + byName + "1000", answer: `[{"id":"` + dirID + `","name":"z"}]`}
	n, last := 0, ""
	for d, err := range newScript(t, first, second).client().Workspace("ws1").Directories(t.Context(), client.RootDir, "") {
		require.NoError(t, err)
		n, last = n+1, d.Name
	}
	assert.Equal(t, 1001, n)
	assert.Equal(t, "z", last)
	for range newScript(t, first).client().Workspace("ws1").Directories(t.Context(), client.RootDir, "") {
		break // nobody asks for the second page
	}
	second.answer = first.answer
	n = 0
	var err error
	for _, err = range newScript(t, first, second).client().Workspace("ws1").Directories(t.Context(), client.RootDir, "") {
		n++
	}
	assert.Equal(t, 2001, n)
	assert.Equal(t, client.Protocol, client.KindOf(err), err)
}

// A workspace without directories says so once.
func TestLookupInAFlatWorkspace(t *testing.T) {
	flat := step{want: "GET /rootsite/api/v1/files/?workspace_name=ws1&filter=%7B%22name%22%3A%22a%2Fb%22%7D&orderby=%7B%22create_time%22%3A-1%2C%22id%22%3A-1%7D&skip=0&limit=1&selector=" + fullSelector + "&scope=1",
		answer: `[{"id":"` + fileID + `","name":"a/b"}]`}
	s := newScript(t, step{want: "GET /rootsite/api/v1/directories/id/" + rootID + "/listfiles?workspace_name=ws1&filter=%7B%22name%22%3A%22a%2Fb%22%7D" + byName + "1&selector=" + fullSelector, status: 500, answer: scmError("-244")}, flat, flat)
	ws := s.client().Workspace("ws1")
	for range 2 {
		f, err := ws.LookupFile(t.Context(), client.RootDir, "a/b")
		require.NoError(t, err)
		assert.EqualValues(t, fileID, f.ID)
	}
}

type endless struct{ chunk []byte }

func (e endless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/login" {
		w.Header().Set("x-auth-token", token)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/auth") {
		w.WriteHeader(404)
		return
	}
	for {
		if _, err := w.Write(e.chunk); err != nil {
			return
		}
	}
}

func TestAnswersWithoutEnd(t *testing.T) {
	s := newScript(t)
	s.Config.Handler = endless{[]byte(strings.Repeat(" ", 1<<20))}
	_, err := s.client(retrying).WorkspaceInfo(t.Context(), "docs")
	assert.Equal(t, client.Protocol, client.KindOf(err), err)
	assert.ErrorContains(t, err, "the answer is too long")
	_, err = list(s.client(retrying), t.Context())
	assert.ErrorContains(t, err, "the answer is too long")
}

func TestHeadersThatAreWrong(t *testing.T) {
	for name, set := range map[string]map[string]string{
		"missing": nil, "not encoded": {"file": "%zz"}, "no JSON": {"file": "%7B"}, "not an id": {"file": `{"id":"../x"}`}, "negative": {"file": `{"id":"` + fileID + `","size":-1}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, step{want: "HEAD /rootsite/api/v1/files/id/" + fileID + "?workspace_name=ws1&major_version=-1&minor_version=-1", set: set})
			_, err := s.client(retrying).Workspace("ws1").File(t.Context(), fileID)
			assert.Equal(t, client.Protocol, client.KindOf(err), err)
		})
	}
	for _, n := range []string{"", "-1", "x", "99999999999999999999"} {
		s := newScript(t, step{want: countURI, set: map[string]string{"X-SCM-Count": n}})
		_, err := s.client().Workspace("docs").CountDirectories(t.Context())
		assert.Equal(t, client.Protocol, client.KindOf(err), n)
	}
	s := newScript(t, step{want: "HEAD /rootsite/api/v1/breakpointfiles/a?workspace_name=ws1", set: map[string]string{"X-SCM-BREAKPOINTFILE": `{"file_name":"b"}`}})
	_, err := s.client().Workspace("ws1").BreakpointFile(t.Context(), "a")
	assert.Equal(t, client.Protocol, client.KindOf(err), err)
}

// Part 2 section 3.5: bytes are counted against data_length.
func TestStreamsAreCounted(t *testing.T) {
	uri := "GET /rootsite/api/v1/files/" + fileID + "?workspace_name=ws1&major_version=1&minor_version=0&offset=0"
	for name, c := range map[string]struct {
		answer string
		length string
		breaks bool
		open   client.Kind // of Open
		read   client.Kind // of reading the stream
		ranged client.Kind // of ReadRange
	}{
		"short":        {"hello", "10", false, client.Other, client.Unavailable, client.Unavailable},
		"broken":       {"hello", "10", true, client.Other, client.Unavailable, client.Unavailable},
		"long":         {"hello scm\n!", "10", false, client.Other, client.Corrupt, client.Corrupt},
		"other length": {"hello scm\n", "9", false, client.Corrupt, client.Other, client.Corrupt},
		"none":         {"hello scm\n", "", false, client.Corrupt, client.Other, client.Corrupt},
		"negative":     {"", "-1", false, client.Corrupt, client.Other, client.Corrupt},
		"too much":     {"hello scm\n", "11", false, client.Corrupt, client.Other, client.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			st := step{want: uri, answer: c.answer, breaks: c.breaks, set: map[string]string{}}
			if c.length != "" {
				st.set["data_length"] = c.length
			}
			ranged := st
			ranged.want += "&length=10"
			ws := newScript(t, st, ranged).client().Workspace("ws1")
			content := client.Content{File: fileID, Version: client.Version{Major: 1}, Size: 10}
			r, err := ws.Open(t.Context(), content, 0)
			require.Equal(t, c.open, client.KindOf(err), err)
			if err == nil {
				b, err := io.ReadAll(r)
				assert.Equal(t, c.read, client.KindOf(err), err)
				assert.Equal(t, c.read == client.Unavailable, errors.Is(err, client.ErrShort))
				assert.True(t, strings.HasPrefix("hello scm\n", string(b)), "what came is what was sent")
				require.NoError(t, r.Close())
			}
			_, err = ws.ReadRange(t.Context(), content, make([]byte, 10), 0)
			assert.Equal(t, c.ranged, client.KindOf(err), err)
		})
	}
}

// A short answer of a ranged read is tried again.
func TestRangedReadIsRetried(t *testing.T) {
	uri := "GET /rootsite/api/v1/files/" + fileID + "?workspace_name=ws1&major_version=1&minor_version=0&offset=0&length=10"
	set := map[string]string{"data_length": "10"}
	s := newScript(t, step{want: uri, set: set, answer: "hell"}, step{want: uri, set: set, answer: "hell", breaks: true}, step{want: uri, status: 503}, step{want: uri, cut: true}, step{want: uri, set: set, answer: "hello scm\n"})
	p := make([]byte, 10)
	n, err := s.client(retrying).Workspace("ws1").ReadRange(t.Context(), client.Content{File: fileID, Version: client.Version{Major: 1}, Size: 10}, p, 0)
	require.NoError(t, err)
	assert.Equal(t, "hello scm\n", string(p[:n]))
}

func TestErrorsTellTheirStoryWithoutTheToken(t *testing.T) {
	uri := "GET /rootsite/api/v1/workspaces/docs"
	for in, want := range map[string]string{
		"sessionId=" + token + ",directory not exist":    "directory not exist",
		"a sessionId=other,b sessionId=" + token + ", c": "a b  c",
		"forwarded for " + token + " failed":             "forwarded for … failed",
		"sessionId=" + token:                             "SYSTEM",
		"plain":                                          "plain",
	} {
		s := newScript(t, step{want: uri, status: 500, answer: fmt.Sprintf(`{"status":-103,"message":%s}`, strconv.Quote(in))})
		_, err := s.client().WorkspaceInfo(t.Context(), "docs")
		assert.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), token)
		assert.NotContains(t, err.Error(), "sessionId")
	}
}

// Names that cannot work are refused before anything is sent.
func TestRefusedBeforeSending(t *testing.T) {
	s := newScript(t)
	c := s.client()
	ws, ctx := c.Workspace("ws1"), t.Context()
	long := strings.Repeat("中", 86)
	bad := func(err error, what string) {
		t.Helper()
		assert.Equal(t, client.Invalid, client.KindOf(err), "%q: %v", what, err)
	}
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "a%b", "a;b", "a:b", "a*b", "a?b", `a"b`, "a<b", "a>b", "a|b", "a\x01", "a\xff", long} {
		_, err := ws.CreateDirectory(ctx, client.RootDir, name)
		bad(err, name)
		_, err = ws.RenameDirectory(ctx, dirID, name)
		bad(err, name)
	}
	for _, name := range []string{"", "a\xff", "a\x00"} {
		_, err := ws.CreateFile(ctx, client.NewFile{Name: name}, client.Body{})
		bad(err, name)
		_, err = ws.RenameFile(ctx, fileID, name)
		bad(err, name)
	}
	assert.Error(t, client.CheckFileName("a/b"))
	assert.NoError(t, client.CheckFileName(`\:*?"<>|%;..`))
	for _, path := range []string{"", "a", "/a/../b", "/.", `/a\b`, "/50%", "/a;b", "/a\n"} {
		_, err := ws.FileByPath(ctx, path, client.Version{})
		bad(err, path)
		_, err = ws.DirectoryByPath(ctx, path)
		bad(err, path)
	}
	for _, name := range []string{"", ".", "..", "a/b", "a%b", `a\b`, "a;b", "a\n", "\xff"} {
		_, err := ws.CreateBreakpointFile(ctx, name, client.BreakpointOptions{})
		bad(err, name)
		_, err = ws.BreakpointFile(ctx, name)
		bad(err, name)
		_, err = ws.AppendBreakpointFile(ctx, name, 0, client.Body{}, true)
		bad(err, name)
		bad(ws.DeleteBreakpointFile(ctx, name), name)
		_, err = ws.CalcBreakpointMD5(ctx, name)
		bad(err, name)
	}
	_, err := ws.AppendBreakpointFile(ctx, "a", -1, client.Body{}, true)
	bad(err, "offset")
	for _, when := range []time.Time{time.UnixMilli(253339200000000 + 1000), time.Unix(-62135798401, 0)} {
		_, err = ws.CreateFile(ctx, client.NewFile{Name: "f", CreateTime: when}, client.Body{})
		bad(err, "time")
		_, err = ws.CreateBreakpointFile(ctx, "b", client.BreakpointOptions{CreateTime: when})
		bad(err, "time")
	}
	for _, id := range []string{"", "x", fileID + "0", "../../../../../../../etc", fileID[:23] + "/"} {
		_, err = ws.File(ctx, client.FileID(id))
		bad(err, id)
		_, err = ws.Directory(ctx, client.DirID(id))
		bad(err, id)
		_, err = ws.MoveFile(ctx, fileID, client.DirID(id))
		bad(err, id)
		_, err = ws.Open(ctx, client.Content{File: client.FileID(id)}, 0)
		bad(err, id)
		bad(ws.DeleteFile(ctx, client.FileID(id)), id)
		for _, err := range ws.Files(ctx, client.DirID(id), "") {
			bad(err, id)
		}
	}
	for _, name := range []string{"", "a/b", "a.b", "中", "a\n"} {
		_, err = c.WorkspaceInfo(ctx, name)
		assert.Equal(t, client.NoWorkspace, client.KindOf(err), name)
		_, err = c.CreateWorkspace(ctx, name, true)
		bad(err, name)
	}
	_, err = ws.CreateFile(ctx, client.NewFile{Name: strings.Repeat("中", 800)}, client.Body{})
	assert.Equal(t, client.TooLarge, client.KindOf(err), "a gateway takes 8 KiB of header")
	_, err = ws.SetMetadata(ctx, fileID, map[string]string{"k": strings.Repeat("x", 8000)})
	assert.Equal(t, client.TooLarge, client.KindOf(err), "no answer could carry it")
	_, err = ws.CreateFile(canceled(ctx), client.NewFile{Name: "f"}, client.Body{})
	assert.Equal(t, client.Canceled, client.KindOf(err))
	assert.Zero(t, s.logins, "nothing was sent")
}

func canceled(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

// A portal answers everything with 200 and a page: that is no removal, while the
// string that some handlers send where nothing is expected is one.
func TestPageInsteadOfNothing(t *testing.T) {
	const uri = "DELETE /rootsite/api/v1/directories/id/6553f100510003001a2b3c01?workspace_name=ws"
	look := step{want: "HEAD /rootsite/api/v1/directories/id/6553f100510003001a2b3c01?workspace_name=ws", status: http.StatusServiceUnavailable}
	for answer, kind := range map[string]client.Kind{"<html>Please sign in</html>": client.Uncertain, "": client.Other, `""`: client.Other, "  \n": client.Other} {
		t.Run(answer, func(t *testing.T) {
			steps := []step{{want: uri, answer: answer}}
			if kind == client.Uncertain {
				steps = append(steps, look)
			}
			err := newScript(t, steps...).client().Workspace("ws").DeleteDirectory(t.Context(), "6553f100510003001a2b3c01")
			assert.Equal(t, kind, client.KindOf(err), err)
			assert.Equal(t, kind == client.Uncertain, err != nil, err)
		})
	}
}
