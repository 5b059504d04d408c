package client

import (
	"encoding/json"
	"fmt"
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

func listBody(n int) []byte {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = listRow(i)
	}
	return []byte("[" + strings.Join(rows, ",") + "]")
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
		`[` + row + `"Name":"folded"}]`, `[` + row + `"title":"t"}]`, `[` + row + `"custom_metadata":{"a":1}}]`,
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
}

// The bounds of what a list may take hold for what is scanned.
func TestAScannedListIsBounded(t *testing.T) {
	body := []byte("[" + strings.TrimSuffix(strings.Repeat(goodRow, maxRows), ",") + "]")
	files, ok := scanFiles(body)
	assert.True(t, ok)
	assert.Len(t, files, maxRows)
	body = append(body[:len(body)-1], ","+strings.TrimSuffix(goodRow, ",")+"]"...)
	_, ok = scanFiles(body)
	assert.False(t, ok)
	_, err := fileRows(body)
	require.ErrorContains(t, err, "more than 250000 rows")

	s := fuzzStore(t, http.StatusOK, http.Header{}, string(listBody(pageSize)))
	s.c.maxListed = 1000
	require.Equal(t, TooLarge, KindOf(listErr(s)))
	assert.Zero(t, s.c.listed.Load(), "given back")
}

// FuzzScanFiles: whatever is understood is what encoding/json makes of it.
func FuzzScanFiles(f *testing.F) {
	f.Add(listBody(2))
	f.Add([]byte(`[{"id":"6553f100510003001a2b3c01","custom_metadata":{"a":"1"},"custom_metadata":{"b":"2"}}]`))
	f.Add([]byte(`[{"id":"6553f100510003001a2b3c01","name":"\u00e9\"","size":null,"custom_metadata":{"a":"b","a":null}}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := scanFiles(b)
		if !ok {
			return
		}
		want, err := byReflection(b)
		require.NoError(t, err)
		assert.Equal(t, want, got)
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
