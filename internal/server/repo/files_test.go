package repo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestCreateFile(t *testing.T) {
	f := newFixture(t, Options{})
	dir := f.mkdir("/d")
	long := strings.Repeat("n", 950)
	tests := []struct {
		name string
		ws   string
		desc string
		code wire.Code
		want string // fields that the record must have
	}{
		{"C69 blank and special characters", "ws", `{name: ' \\*?<>|":%;&=+ 中文'}`, 0, `{directory_id: '` + wire.RootDirID + `'}`},
		{"C69 950 characters", "ws", `{name: '` + long + `'}`, 0, `{name: '` + long + `'}`},
		{"C69 dots", "ws", `{name: '..'}`, 0, `{name: '..'}`},
		{"C70 slash", "ws", `{name: 'a/b'}`, -101, ``},
		{"C70 empty", "ws", `{name: ''}`, -101, ``},
		{"C70 null", "ws", `{name: null}`, -101, ``},
		{"slash without directories", "flat", `{name: 'a/b'}`, 0, `{name: 'a/b'}`},
		{"name longer than any index", "ws", `{name: '` + strings.Repeat("n", 5000) + `'}`, -206, ``},
		{"C71 empty strings are kept", "ws", `{name: 'c71', title: '', author: '', mime_type: ''}`, 0, `{title: '', author: '', mime_type: ''}`},
		{"absent strings", "ws", `{name: 'absent'}`, 0, `{title: null, author: null, mime_type: 'application/octet-stream', md5: null, etag: null}`},
		{"C93 create_time", "ws", `{name: 'c93', create_time: 946684800123}`, 0, `{create_time: 946684800123, update_time: 946684800123, create_month: '200001'}`},
		{"C94 data of a given time", "ws", `{name: 'c94', create_time: 946684800123}`, 0, `{data_create_time: 946684800123}`},
		{"C34 epoch", "ws", `{name: 'c34-0', create_time: 0}`, 0, `{create_time: 0, create_month: '197001'}`},
		{"C34 minus one", "ws", `{name: 'c34-1', create_time: -1}`, 0, `{create_time: -1}`},
		{"C34 last", "ws", `{name: 'c34-max', create_time: 253339200000000}`, 0, `{create_time: 253339200000000}`},
		{"C35 behind the last", "ws", `{name: 'c35', create_time: 253339200001000}`, 500, ``},
		{"C35 before the first", "ws", `{name: 'c35', create_time: -62135798401000}`, 500, ``},
		{"C35 out of 64 bits", "ws", `{name: 'c35', create_time: 9223372036854775807}`, 500, ``},
		{"missing directory", "ws", `{name: 'x', directory_id: '65a4f1e2510001000000a012'}`, -241, ``},
		{"directory", "ws", `{name: 'in', directory_id: '` + dir + `'}`, 0, `{directory_id: '` + dir + `'}`},
		{"empty directory is root", "ws", `{name: 'empty dir', directory_id: ''}`, 0, `{directory_id: '` + wire.RootDirID + `'}`},
		{"directory without directories", "flat", `{name: 'x', directory_id: '` + dir + `'}`, -244, ``},
		{"root without directories", "flat", `{name: 'x', directory_id: '` + wire.RootDirID + `'}`, 0, `{name: 'x'}`},
		{"unknown workspace", "none", `{name: 'x'}`, -205, ``},
		{"C73 malformed id", "ws", `{name: 'x', id: 'zz'}`, -102, ``},
		{"id and time disagree", "ws", `{name: 'x', id: '6553f100510003001a2b3c01', create_time: 5000}`, -101, ``},
		{"id and time agree", "ws", `{name: 'own id', id: '6553f100510003001a2b3c01', create_time: 1700000000999}`, 0, `{id: '6553f100510003001a2b3c01', create_month: '202311'}`},
		{"tags are a set", "ws", `{name: 'tags', tags: ['b', 'a', '', 'b']}`, 0, `{tags: ['b', 'a']}`},
		{"tags not an array", "ws", `{name: 'x', tags: 'b'}`, -130, ``},
		{"C99 custom tags", "ws", `{name: 'custom', custom_tag: {b: '1', a: '2', c: null}}`, 0, `{custom_tag: {a: '2', b: '1'}}`},
		{"C99 eleven custom tags", "ws", `{name: 'x', custom_tag: {a:'',b:'',c:'',d:'',e:'',f:'',g:'',h:'',i:'',j:'',k:''}}`, -612, ``},
		{"C99 long key", "ws", `{name: 'x', custom_tag: {'` + strings.Repeat("k", 129) + `': ''}}`, -611, ``},
		{"C99 long value", "ws", `{name: 'x', custom_tag: {a: '` + strings.Repeat("v", 257) + `'}}`, -611, ``},
		{"custom metadata", "ws", `{name: 'meta', custom_metadata: {'posix-mode': '33188'}}`, 0, `{custom_metadata: {'posix-mode': '33188'}}`},
		{"class", "ws", `{name: 'class', class_id: 'c', class_properties: {k: 1}}`, 0, `{class_id: 'c', class_properties: {k: 1}}`},
		{"properties without class", "ws", `{name: 'x', class_properties: {k: 1}}`, -268, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := f.CreateFile(admin, tt.ws, parse(t, tt.desc), UploadConfig{}, strings.NewReader("hello"))
			requireCode(t, tt.code, err)
			if err != nil {
				return
			}
			for _, w := range parse(t, tt.want) {
				got, ok := d.Get(w.Key)
				require.True(t, ok, w.Key)
				assert.True(t, equal(got, w.Value), "%s is %v, want %v", w.Key, got, w.Value)
			}
			assert.Regexp(t, "^[0-9a-f]{24}$", str(d, "id"), "C74")
			back, err := f.File(admin, tt.ws, FileRef{ID: str(d, "id")}, Current)
			require.NoError(t, err)
			assert.Equal(t, d, back)
		})
	}
	t.Run("C69 found by path", func(t *testing.T) {
		_, err := f.File(admin, "ws", FileRef{Path: "/" + long}, Current)
		require.NoError(t, err)
		_, err = f.File(admin, "ws", FileRef{Path: "//d///in/"}, Current)
		require.NoError(t, err)
	})
}

// The order of fields is that of part 2 section 2.3.
func TestFileRecordOrder(t *testing.T) {
	f := newFixture(t, Options{})
	d := f.put("ws", parse(t, `{name: 'report 1.txt'}`), "hello scm\n")
	var keys []string
	for _, field := range d {
		keys = append(keys, field.Key)
	}
	assert.Equal(t, fileFields[:], keys)
	assert.Equal(t, str(d, "id"), str(d, "data_id"), "C94")
	assert.Equal(t, startTime, num(t, d, "create_time"))
	own := f.put("ws", parse(t, `{name: 'own', id: '6553f100510003001a2b3c01'}`), "")
	assert.NotEqual(t, str(own, "id"), str(own, "data_id"))
}

func TestFileIDVectors(t *testing.T) {
	f := newFixture(t, Options{})
	for seconds, prefix := range map[int64]string{1700000000: "6553f10051000100", -1: "ffffffff510001ff", 253339200000: "fc316a005100013a", -62135798400: "886af580510001f1"} {
		d := f.put("ws", wire.Doc{{Key: "name", Value: prefix}, {Key: "create_time", Value: seconds * 1000}}, "")
		assert.Equal(t, prefix, str(d, "id")[:16])
	}
}

func TestMD5(t *testing.T) {
	f := newFixture(t, Options{})
	const hello, helloHex, empty = "K9hbIdQFdSiV1HTCuigPpQ==", "2bd85b21d405752895d474c2ba280fa5", "1B2M2Y8AsgTpgAmY7PhCfg=="
	create := func(name, content string) wire.Doc {
		d, err := f.CreateFile(admin, "ws", named(name, ""), UploadConfig{NeedMD5: true}, strings.NewReader(content))
		require.NoError(t, err)
		return d
	}
	t.Run("C75 on request", func(t *testing.T) {
		d := create("a", "hello scm\n")
		assert.Equal(t, hello, str(d, "md5"))
		assert.Equal(t, helloHex, str(d, "etag"))
		assert.Equal(t, empty, str(create("empty", ""), "md5"))
		assert.Equal(t, "s/BtpGUdIVqrU6MzhMyU0Q==", str(create("big", pattern(1572864)), "md5"))
	})
	t.Run("C76 C77 per version", func(t *testing.T) {
		d := create("b", "hello scm\n")
		id := str(d, "id")
		d = f.update("ws", id, Version{1, 0}, "hello")
		v, _ := d.Get("md5")
		assert.Nil(t, v, "C77")
		old, err := f.File(admin, "ws", FileRef{ID: id}, Version{1, 0})
		require.NoError(t, err)
		assert.Equal(t, hello, str(old, "md5"), "C77")
		sum, err := f.CalcMD5(admin, "ws", id, Current)
		require.NoError(t, err)
		assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", sum)
		d, err = f.File(admin, "ws", FileRef{ID: id}, Version{2, 0})
		require.NoError(t, err)
		assert.Equal(t, sum, str(d, "md5"))
		assert.Equal(t, "5d41402abc4b2a76b9719d911017c592", str(d, "etag"))
	})
	t.Run("update with md5 has no etag", func(t *testing.T) {
		id := str(create("c", "x"), "id")
		d, err := f.UpdateContent(admin, "ws", id, Current, true, strings.NewReader("hello"))
		require.NoError(t, err)
		assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", str(d, "md5"))
		e, _ := d.Get("etag")
		assert.Nil(t, e)
	})
}

func TestOverwrite(t *testing.T) {
	f := newFixture(t, Options{})
	over := UploadConfig{Overwrite: true}
	first := f.put("ws", named("x", ""), "one")
	f.update("ws", str(first, "id"), Current, pattern(40000))
	t.Run("C80 refused by default", func(t *testing.T) {
		_, err := f.CreateFile(admin, "ws", named("x", ""), UploadConfig{}, strings.NewReader("two"))
		requireCode(t, wire.CodeFileExist, err)
		e, _ := errors.AsType[*Error](err)
		assert.Equal(t, str(first, "id"), str(e.Extra, "id"))
	})
	t.Run("C81 new id, version 1.0, old versions gone", func(t *testing.T) {
		d, err := f.CreateFile(admin, "ws", named("x", ""), over, strings.NewReader("two"))
		require.NoError(t, err)
		assert.NotEqual(t, str(first, "id"), str(d, "id"))
		assert.EqualValues(t, 1, num(t, d, "major_version"))
		for _, v := range []Version{{1, 0}, {2, 0}, Current} {
			_, err = f.File(admin, "ws", FileRef{ID: str(first, "id")}, v)
			requireCode(t, wire.CodeFileNotFound, err)
		}
		n, err := f.CountFiles(admin, "ws", wire.ScopeAll, nil)
		require.NoError(t, err)
		assert.EqualValues(t, 1, n)
	})
	t.Run("C82 nothing there", func(t *testing.T) {
		_, err := f.CreateFile(admin, "ws", named("fresh", ""), over, strings.NewReader(""))
		require.NoError(t, err)
	})
	t.Run("same explicit id", func(t *testing.T) {
		desc := parse(t, `{name: 'id1', id: '6553f100510003001a2b3c01'}`)
		f.put("ws", desc, "old")
		desc.Set("name", "id2")
		_, err := f.CreateFile(admin, "ws", desc, UploadConfig{}, strings.NewReader("new"))
		requireCode(t, wire.CodeFileExist, err)
		_, err = f.CreateFile(admin, "ws", desc, over, strings.NewReader("new"))
		require.NoError(t, err)
		assert.Equal(t, "new", f.content("ws", "6553f100510003001a2b3c01", Current))
		_, err = f.File(admin, "ws", FileRef{Path: "/id1"}, Current)
		requireCode(t, wire.CodeFileNotFound, err)
	})
	t.Run("names repeat without directories", func(t *testing.T) {
		f.put("flat", named("x", ""), "one")
		_, err := f.CreateFile(admin, "flat", named("x", ""), over, strings.NewReader("two"))
		require.NoError(t, err)
		n, err := f.CountFiles(admin, "flat", wire.ScopeCurrent, nil)
		require.NoError(t, err)
		assert.EqualValues(t, 2, n)
	})
}

// A broken body leaves nothing: no record, no content (part 2 section 1.6).
func TestBrokenBody(t *testing.T) {
	f := newFixture(t, Options{})
	id := str(f.put("ws", named("x", ""), "one"), "id")
	for name, cause := range map[string]error{"unexpected end": io.ErrUnexpectedEOF, "reset": errors.New("connection reset")} {
		for _, size := range []int{0, 5, inlineMax, inlineMax + 1, copySize, 3*copySize + 7} {
			body := func() io.Reader { return broken{strings.NewReader(pattern(size)), cause} }
			_, err := f.CreateFile(admin, "ws", named("broken", ""), UploadConfig{NeedMD5: size%2 == 0}, body())
			requireCode(t, wire.CodeFileIO, err)
			_, err = f.UpdateContent(admin, "ws", id, Current, false, body())
			requireCode(t, wire.CodeFileIO, err)
			_, err = f.File(admin, "ws", FileRef{Path: "/broken"}, Current)
			requireCode(t, wire.CodeFileNotFound, err)
			d, err := f.File(admin, "ws", FileRef{ID: id}, Current)
			require.NoError(t, err)
			assert.EqualValues(t, 1, num(t, d, "major_version"), name)
		}
	}
	f.reopen()
	assert.Zero(t, f.Checked().Orphans, "content of broken bodies was removed at once")
}

func TestContentSizes(t *testing.T) {
	f := newFixture(t, Options{})
	for _, size := range []int{0, 1, inlineMax - 1, inlineMax, inlineMax + 1, copySize - 1, copySize, copySize + 1, 2*copySize + inlineMax + 1} {
		want := pattern(size)
		// A reader that gives the end together with the last bytes, and one byte at a time.
		for name, body := range map[string]io.Reader{"plain": strings.NewReader(want), "with end": endingReader{bytes.NewBufferString(want)}} {
			d, err := f.CreateFile(admin, "flat", named(name, ""), UploadConfig{}, body)
			require.NoError(t, err)
			require.EqualValues(t, size, num(t, d, "size"))
			require.Equal(t, want, f.content("flat", str(d, "id"), Current), "C68 %d", size)
		}
	}
	f.reopen()
	for _, d := range collect(t, f.Files(admin, "flat", wire.ScopeCurrent, Query{Limit: -1, Selector: selectorOf("id", "size")})) {
		require.Equal(t, pattern(int(num(t, d, "size"))), f.content("flat", str(d, "id"), Current))
	}
}

// endingReader returns io.EOF with the last bytes, as an HTTP body may.
type endingReader struct{ b *bytes.Buffer }

func (e endingReader) Read(p []byte) (int, error) {
	n, err := e.b.Read(p)
	if err == nil && e.b.Len() == 0 {
		err = io.EOF
	}
	return n, err
}

func TestDelete(t *testing.T) {
	f := newFixture(t, Options{})
	dir := f.mkdir("/d")
	t.Run("C79 unknown and malformed", func(t *testing.T) {
		requireCode(t, -262, f.DeleteFile(admin, "ws", FileRef{ID: "6553f100510003001a2b3cff"}))
		requireCode(t, -102, f.DeleteFile(admin, "ws", FileRef{ID: "nonsense"}))
		requireCode(t, -262, f.DeleteFile(admin, "ws", FileRef{Path: "/d/none"}))
	})
	t.Run("C111 all versions", func(t *testing.T) {
		id := str(f.put("ws", named("x", dir), "1"), "id")
		f.update("ws", id, Current, pattern(20000))
		f.update("ws", id, Current, "3")
		require.NoError(t, f.DeleteFile(admin, "ws", FileRef{ID: id}))
		for _, v := range []Version{{1, 0}, {2, 0}, {3, 0}, Current} {
			_, err := f.File(admin, "ws", FileRef{ID: id}, v)
			requireCode(t, -262, err)
			_, _, err = f.OpenFile(admin, "ws", id, v)
			requireCode(t, -262, err)
		}
		requireCode(t, -262, f.DeleteFile(admin, "ws", FileRef{ID: id}))
	})
	t.Run("by path", func(t *testing.T) {
		f.put("ws", named("y", dir), "1")
		require.NoError(t, f.DeleteFile(admin, "ws", FileRef{Path: "/d/y"}))
		requireCode(t, -244, f.DeleteFile(admin, "flat", FileRef{Path: "/y"}))
	})
	t.Run("open content stays readable", func(t *testing.T) {
		for _, size := range []int{10, 50000} {
			id := str(f.put("ws", named("open", dir), pattern(size)), "id")
			rd, info, err := f.OpenFile(admin, "ws", id, Current)
			require.NoError(t, err)
			assert.Equal(t, FileInfo{Name: "open", Mime: "application/octet-stream"}, info)
			assert.Equal(t, size > inlineMax, rd.File != nil)
			require.NoError(t, f.DeleteFile(admin, "ws", FileRef{ID: id}))
			f.trash.Wait()
			b, err := io.ReadAll(rd)
			require.NoError(t, err)
			assert.Equal(t, pattern(size), string(b))
			p := make([]byte, 4)
			_, err = rd.ReadAt(p, 3)
			require.NoError(t, err)
			assert.Equal(t, pattern(size)[3:7], string(p))
			require.NoError(t, rd.Close())
		}
	})
}

func TestDeleteVersion(t *testing.T) {
	f := newFixture(t, Options{})
	id := str(f.put("ws", named("x", ""), "1"), "id")
	f.update("ws", id, Current, "2")
	third := f.update("ws", id, Current, pattern(30000))
	require.NoError(t, f.DeleteVersion("ws", id, Version{9, 0}), "a version that is not there")
	require.NoError(t, f.DeleteVersion("ws", "6553f100510003001a2b3cff", Current), "a file that is not there")
	requireCode(t, -102, f.DeleteVersion("ws", "x", Current))
	require.NoError(t, f.DeleteVersion("ws", id, Version{1, 0}))
	require.NoError(t, f.DeleteVersion("ws", id, Current))
	assert.Equal(t, "2", f.content("ws", id, Current), "the newest of the rest is current")
	again := f.update("ws", id, Version{2, 0}, "3")
	assert.EqualValues(t, 3, num(t, again, "major_version"), "the number comes back")
	assert.NotEqual(t, str(third, "data_id"), str(again, "data_id"), "with other bytes")
	require.NoError(t, f.DeleteVersion("ws", id, Version{3, 0}))
	require.NoError(t, f.DeleteVersion("ws", id, Version{2, 0}))
	_, err := f.File(admin, "ws", FileRef{ID: id}, Current)
	requireCode(t, -262, err)
	f.put("ws", named("x", ""), "the name is free again")
}

// An id of our own making that is taken already, which only chance can bring
// about, replaces nothing.
func TestIDCollision(t *testing.T) {
	f := newFixture(t, Options{})
	serial := f.ids.serial.Load()
	first := f.put("ws", named("first", ""), "1")
	over := UploadConfig{Overwrite: true}
	f.ids.serial.Store(serial)
	_, err := f.CreateFile(admin, "ws", named("second", ""), over, strings.NewReader("2"))
	requireCode(t, wire.CodeDataExist, err)
	f.ids.serial.Store(serial)
	_, err = f.CreateFile(admin, "ws", named("second", ""), over, strings.NewReader(pattern(50000)))
	requireCode(t, wire.CodeDataExist, err)
	f.bp("b", "3", NewBreakpoint{})
	f.ids.serial.Store(serial)
	_, err = f.convert("b", named("second", ""), over)
	requireCode(t, wire.CodeFileExist, err)
	f.ids.serial.Store(serial)
	_, err = f.UpdateContent(admin, "ws", str(first, "id"), Current, false, strings.NewReader("4"))
	requireCode(t, wire.CodeDataExist, err)
	assert.Equal(t, "1", f.content("ws", str(first, "id"), Current))
	dir := f.mkdir("/a")
	f.ids.serial.Add(^uint32(0))
	assert.NotEqual(t, dir, f.mkdir("/b"))
}

// Changes share a transaction, and one that removes files can empty a whole leaf of
// the database. The files beside it are there all the same.
func TestCurrentBesideAnEmptiedLeaf(t *testing.T) {
	f := newFixture(t, Options{})
	var ids []string
	for i := range 400 {
		f.tick(1000)
		ids = append(ids, str(f.put("ws", named(fmt.Sprint("f", i), wire.RootDirID), "x"), "id"))
	}
	slices.Sort(ids)
	undo := errors.New("not to be committed")
	lost := 0
	for i := range 300 {
		err := f.changeWorkspace("ws", func(w *wsTx) error {
			for _, id := range ids[i+1 : i+100] {
				var gone []string
				if err := w.removeFile(id, &gone); err != nil {
					return err
				}
			}
			if _, err := w.current(ids[i]); err != nil {
				lost++
			}
			_, err := w.current(ids[i+1])
			assert.Error(t, err, "it was removed")
			return undo
		})
		require.ErrorIs(t, err, undo)
	}
	assert.Zero(t, lost)
}
