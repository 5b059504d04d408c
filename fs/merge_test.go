package fs

import (
	"slices"
	"testing"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
)

func testFile(name, id string, created int64) *client.File {
	return &client.File{ID: client.FileID(id), Name: name, CreateTime: time.Unix(created, 0)}
}

func TestMergeRows(t *testing.T) {
	const (
		a = "6553f100510003001a2b3c01"
		b = "6553f100510003001a2b3c02"
		c = "6553f100510003001a2b3c03"
	)
	for name, tc := range map[string]struct {
		dirs  []string
		files []*client.File
		want  []string // "/" behind directories, the id behind files
	}{
		"nothing":       {},
		"files only":    {nil, []*client.File{testFile("x", a, 1), testFile("y", b, 1)}, []string{"x " + a, "y " + b}},
		"dirs only":     {[]string{"x", "y"}, nil, []string{"x/", "y/"}},
		"interleaved":   {[]string{"a", "c"}, []*client.File{testFile("b", a, 1), testFile("d", b, 1)}, []string{"a/", "b " + a, "c/", "d " + b}},
		"bytewise":      {[]string{"B", "é"}, []*client.File{testFile("a", a, 1), testFile("z", b, 1)}, []string{"B/", "a " + a, "z " + b, "é/"}},
		"dir wins":      {[]string{"x"}, []*client.File{testFile("x", a, 1)}, []string{"x/", "x~" + a + " " + a}},
		"newest wins":   {nil, []*client.File{testFile("x", a, 1), testFile("x", b, 3), testFile("x", c, 2)}, []string{"x " + b, "x~" + c + " " + c, "x~" + a + " " + a}},
		"same age":      {nil, []*client.File{testFile("x", a, 1), testFile("x", b, 1)}, []string{"x " + b, "x~" + a + " " + a}},
		"all of a name": {[]string{"x"}, []*client.File{testFile("x", a, 1), testFile("x", b, 2)}, []string{"x/", "x~" + b + " " + b, "x~" + a + " " + a}},
		"slash":         {nil, []*client.File{testFile("p/q", a, 1)}, []string{"p_q~" + a + " " + a}},
	} {
		t.Run(name, func(t *testing.T) {
			var dirs []*client.Directory
			for _, d := range tc.dirs {
				dirs = append(dirs, &client.Directory{Name: d})
			}
			var got []string
			for r := range mergeRows(slices.Values(dirs), slices.Values(tc.files)) {
				if r.dir != nil {
					got = append(got, r.name+"/")
				} else {
					got = append(got, r.name+" "+string(r.file.ID))
				}
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestMergeRowsStopsEarly(t *testing.T) {
	pulled := 0
	files := func(yield func(*client.File) bool) {
		for _, name := range []string{"a", "b", "c", "d"} {
			pulled++
			if !yield(testFile(name, name, 1)) {
				return
			}
		}
	}
	for range mergeRows(slices.Values([]*client.Directory(nil)), files) {
		break
	}
	assert.LessOrEqual(t, pulled, 2)
}
