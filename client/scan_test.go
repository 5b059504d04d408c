package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// listRow is a row as the server prints it for fileSelector.
func listRow(i int) string {
	return fmt.Sprintf(`{ "id" : "6b06aac35f636c00%08x" , "name" : "file-%07d.dat" , "directory_id" : "6b06aac351000100422bb606" , "major_version" : 1 , "minor_version" : 0 , "user" : "admin" , "update_user" : "admin" , "create_time" : 1795599043656 , "update_time" : 1795599043656 , "data_create_time" : 1795599043656 , "size" : 1 , "data_id" : "6b06aac3510001004%07x" , "mime_type" : "" , "custom_metadata" : { "posix" : "{\"mtime\":\"1795599043.649923611\",\"major\":1}" } }`, i, i, i)
}

// wholeRecord is a file as servers print it when nobody selects fields.
const wholeRecord = `{"id":"6553f100510003001a2b3c01","name":"a","directory_id":"000000000000000000000000","batch_id":"","major_version":1,"minor_version":0,"type":0,
	"class_id":null,"class_properties":{},"user":"admin","update_user":"admin","create_time":1700000000999,"update_time":1700000000999,"create_month":"202311",
	"data_create_time":1700000000999,"data_type":0,"size":4096,"data_id":"6553f100510003001a2b3c02","site_list":[{"site_id":1,"last_access_time":1700000000999,"create_time":1700000000999,"ws_version":1}],
	"title":"t","author":null,"mime_type":"application/octet-stream","md5":"bTU=","etag":null,"custom_metadata":{"posix":"{}"},"bucket_id":null,"external_data":{},"version_serial":null,"transaction_id":"",
	"access_history":[{"site_id":1,"last_access_time_his":[1700000000999]}],"delete_marker":false,"status":0,"tags":[],"custom_tag":{"k":"v"}}`

func listBody(n int) []byte {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = listRow(i)
	}
	return []byte("[" + strings.Join(rows, ",") + "]")
}

// scanFiles reads a list of which every row is scanned.
func scanFiles(b []byte) (files []File, ok bool) {
	var f, last File
	n := 0
	e := newElements(bytes.NewReader(b))
	e.whole = func(b []byte) int {
		f, n = scanRow(b, &last)
		return n
	}
	for {
		n = 0
		row, err := e.next()
		if err != nil {
			return files, errors.Is(err, io.EOF)
		}
		if n == 0 { // the end was not there yet
			if f, n = scanRow(row, &last); n == 0 || n != len(row) {
				return nil, false
			}
		}
		files = append(files, f)
		last = f
	}
}

// byReflection is what a list means.
func byReflection(b []byte) ([]File, error) {
	var raw []wire.FileRecord
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	var files []File
	for i := range raw {
		f, err := fileOf(&raw[i])
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func TestScanFilesUnderstandsWhatServersPrint(t *testing.T) {
	for name, body := range map[string]string{
		"none":           `[ ]`,
		"two":            string(listBody(2)),
		"compact":        `[{"id":"6553f100510003001a2b3c01","name":"a","size":-0}]`,
		"nulls":          `[{"id":"6553f100510003001a2b3c01","name":null,"size":null,"create_time":null,"custom_metadata":null,"mime_type":null}]`,
		"empty metadata": `[{"id":"6553f100510003001a2b3c01","custom_metadata":{ }}]`,
		"null metadata":  `[{"id":"6553f100510003001a2b3c01","custom_metadata":{"a":"1","b":null,"a":null}}]`,
		"escapes":        `[{"id":"6553f100510003001a2b3c01","name":"\u00e9\ud83d\ude00\n\t\"\\\/ü"}]`,
		"same user":      `[{"id":"6553f100510003001a2b3c01","user":"u"},{"id":"6553f100510003001a2b3c02","user":"u"},{"id":"6553f100510003001a2b3c03"}]`,
		"metadata twice": `[{"id":"6553f100510003001a2b3c01","custom_metadata":{"a":"1"},"custom_metadata":{"b":"2"}}]`,
		"whole":          "[" + wholeRecord + "]",
		"twice":          `[{"id":"6553f100510003001a2b3c01","title":"t","title":null,"tags":[],"tags":null,"custom_tag":{"a":"b"},"custom_tag":null,"md5":"m","site_list":[null,{"site_id":null}],"delete_marker":null}]`,
		"named twice":    `[{"id":"6553f100510003001a2b3c01","name":"a","name":"b","size":1,"size":2,"user":"u","user":null}]`,
	} {
		t.Run(name, func(t *testing.T) {
			want, err := byReflection([]byte(body))
			require.NoError(t, err)
			got, ok := scanFiles([]byte(body))
			require.True(t, ok)
			assert.Equal(t, want, got)
		})
	}
}

func TestScanFilesLeavesTheRestAlone(t *testing.T) {
	row := `{"id":"6553f100510003001a2b3c01",`
	for _, body := range []string{
		``, `null`, `{}`, `[`, `[{}]`, `[{"id":"x"}]`, `[` + row + `"size":-1}]`, `[` + row + `"size":{"$numberLong":"10"}}]`,
		`[` + row + `"size":1.0}]`, `[` + row + `"size":1e3}]`, `[` + row + `"size":01}]`, `[` + row + `"size":9223372036854775808}]`,
		`[` + row + `"Name":"folded"}]`, `[` + row + `"tags":["t"]}]`, `[` + row + `"class_properties":{"a":1}}]`, `[` + row + `"site_list":[1]}]`, `[` + row + `"delete_marker":0}]`, `[` + row + `"delete_marker":tru}]`, `[` + row + `"external_data":[[[[[[[[[]]]]]]]]]}]`, `[` + row + `"external_data":[1.5]}]`, `[` + row + `"external_data":nul}]`, `[` + row + `"custom_metadata":{"a":1}}]`,
		`[` + row + `"name":"` + "\xff" + `"}]`, `[` + row + `"name":"` + "\n" + `"}]`, `[` + row + `"name":"\x"}]`, `[` + row + `"name":"cut`,
		`[` + row + `"name":"a"}] x`, `[` + row + `"name":"a"},]`, `[` + row + `"name":"a",}]`, `[` + row + `"name":"a"`, `[` + row + `"name":"\`,
	} {
		_, ok := scanFiles([]byte(body))
		assert.False(t, ok, body)
	}
}

// What cannot be scanned is still listed.
func TestAListIsReadEitherWay(t *testing.T) {
	s := fuzzStore(t, http.StatusOK, http.Header{}, `[{"id":"6553f100510003001a2b3c01","name":"a","size":{"$numberLong":"10"}}]`)
	var got []File
	for f, err := range s.Files(t.Context(), RootDir, "") {
		require.NoError(t, err)
		got = append(got, f)
	}
	require.Len(t, got, 1)
	assert.Equal(t, int64(10), got[0].Size)

	// A comma without a row behind it is no row, not even an empty one.
	for _, body := range []string{`[{"id":"6553f100510003001a2b3c01"},]`, `[,]`, `[,{"id":"6553f100510003001a2b3c01"}]`} {
		_, err := fetchFiles([]byte(body))
		assert.Equal(t, Unavailable, KindOf(err), body)
	}
}

// What lists take is counted while they are read, and given back.
func TestListsAreBounded(t *testing.T) {
	s := fuzzStore(t, http.StatusOK, http.Header{}, string(listBody(pageSize-1)))
	take := func() int64 {
		most := int64(0)
		for _, err := range s.Files(t.Context(), RootDir, "") {
			most = max(most, s.c.listed.Load())
			if err != nil {
				break
			}
		}
		assert.Zero(t, s.c.listed.Load(), "given back")
		return most
	}
	all := take()
	assert.Greater(t, all, int64(len(listBody(pageSize))))
	assert.Less(t, all, int64(2*len(listBody(pageSize))))
	assert.Greater(t, s.c.o.ListBytes/(all/(pageSize-1)), int64(2_000_000), "what the default has room for")
	s.c.o.ListBytes = all - 1
	for name, f := range map[string]func() error{
		"a page":   func() error { return listErr(s) },
		"a lookup": func() error { _, err := s.LookupFile(t.Context(), RootDir, "f"); return err },
		"versions": func() error { _, err := s.Versions(t.Context(), someID); return err },
	} {
		assert.Equal(t, TooLarge, KindOf(f()), name)
		assert.Zero(t, s.c.listed.Load(), "given back")
	}
	s.c.o.ListBytes = all
	_, err := s.Versions(t.Context(), someID)
	assert.NoError(t, err)

	s = fuzzStore(t, http.StatusOK, http.Header{}, string(listBody(maxPage+1)))
	require.ErrorContains(t, listErr(s), "more than 10000 rows")
	_, err = s.Versions(t.Context(), someID)
	require.NoError(t, err, "of these no page was asked for")
}

// fetchFiles takes a list as a call does.
func fetchFiles(b []byte) (files []File, err error) {
	c, err := New([]string{"gw:8080/site"}, Options{RetryTimeout: -1})
	if err != nil {
		return nil, err
	}
	c.http.Transport = trip(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusOK, nil, bytes.NewReader(b))
	})
	c.mu.session = session{token: fuzzToken, seed: &c.seeds[0], gen: 1}
	h := held{c: c}
	defer h.release()
	return fetchList(context.Background(), &h, &call{op: "list files", path: "/files/"}, maxPage, fileRows())
}

// The answer of what makes a file is scanned as well.
func TestScanAnswer(t *testing.T) {
	body := []byte(`{"file":` + wholeRecord + `}`)
	want, err := byReflection([]byte("[" + wholeRecord + "]"))
	require.NoError(t, err)
	got, ok := scanAnswer(body)
	require.True(t, ok)
	assert.Equal(t, want[0], got)
	got, ok = scanRecord([]byte(wholeRecord))
	require.True(t, ok)
	assert.Equal(t, want[0], got)
	for _, b := range []string{``, `{}`, `null`, `{"file":null}`, `{"file":{}}`, `{"files":{}}`, string(body) + "x", string(body[:len(body)-1])} {
		_, ok = scanAnswer([]byte(b))
		assert.False(t, ok, b)
		_, ok = scanRecord([]byte(b))
		assert.False(t, ok, b)
	}
}

// FuzzScanAnswer: whatever is understood is what encoding/json makes of it.
func FuzzScanAnswer(f *testing.F) {
	f.Add([]byte(`{"file":` + wholeRecord + `}`))
	f.Add([]byte(`{"file":{"id":"6553f100510003001a2b3c01","title":"a","tags":[]},"file":{"title":null,"custom_tag":{"a":null}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := scanAnswer(b)
		if !ok {
			return
		}
		var out struct {
			File wire.FileRecord `json:"file"`
		}
		require.NoError(t, json.Unmarshal(b, &out))
		want, err := fileOf(&out.File)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	})
}

func BenchmarkAnswer(b *testing.B) {
	body := []byte(`{"file":` + wholeRecord + `}`)
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := scanAnswer(body); !ok {
				b.Fatal("not understood")
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var out struct {
				File wire.FileRecord `json:"file"`
			}
			if err := json.Unmarshal(body, &out); err != nil {
				b.Fatal(err)
			}
			_, _ = fileOf(&out.File)
		}
	})
}

// FuzzScanFiles: whatever is understood is what encoding/json makes of it.
func FuzzScanFiles(f *testing.F) {
	f.Add(listBody(2))
	f.Add([]byte(`[{"id":"6553f100510003001a2b3c01","custom_metadata":{"a":"1"},"custom_metadata":{"b":"2"}}]`))
	f.Add([]byte(`[{"id":"6553f100510003001a2b3c01","name":"\u00e9\"","size":null,"custom_metadata":{"a":"b","a":null}}]`))
	f.Add([]byte(`[{"id":"6553f100510003001a2b3c01"},]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		want, err := byReflection(b)
		if got, ok := scanFiles(b); ok {
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		// The same with the rows that are not scanned.
		got, gotErr := fetchFiles(b)
		if gotErr == nil {
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
	})
}

// A page of a listing, the way it is read and as it was.
func BenchmarkListPage(b *testing.B) {
	body := listBody(pageSize)
	b.Run("scan", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if files, ok := scanFiles(body); !ok || len(files) != pageSize {
				b.Fatal("not understood")
			}
		}
	})
	b.Run("reflection", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := byReflection(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkList is a directory of one page through the client, from the body's
// bytes to the last row.
func BenchmarkList(b *testing.B) {
	c, err := New([]string{"gw:8080/site"}, Options{RetryTimeout: -1})
	if err != nil {
		b.Fatal(err)
	}
	body := string(listBody(pageSize - 1))
	c.http.Transport = trip(func(r *http.Request) (*http.Response, error) {
		return answer(r, http.StatusOK, http.Header{}, strings.NewReader(body))
	})
	c.mu.session = session{token: fuzzToken, seed: &c.seeds[0], gen: 1}
	s := c.Workspace("ws")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range s.Files(b.Context(), RootDir, "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != pageSize-1 {
			b.Fatal(n)
		}
	}
}
