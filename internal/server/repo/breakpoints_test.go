package repo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

var background = context.Background()

func (f *fixture) create(name string, n NewBreakpoint) wire.Doc {
	f.t.Helper()
	d, err := f.CreateBreakpoint(background, admin, "ws", name, n)
	require.NoError(f.t, err)
	return d
}

func TestBreakpointRecord(t *testing.T) {
	f := newFixture(t, Options{})
	d := f.create("mnt1.42", NewBreakpoint{Type: wire.ChecksumCRC32, NeedMD5: true, CreateTime: 1700000300000})
	dataID := str(d, "data_id")
	assert.Equal(t, wire.Doc{{Key: "file_name", Value: "mnt1.42"}, {Key: "site_name", Value: "rootsite"}, {Key: "checksum_type", Value: "CRC32"},
		{Key: "checksum", Value: int64(0)}, {Key: "data_id", Value: dataID}, {Key: "completed", Value: false}, {Key: "upload_size", Value: int64(0)},
		{Key: "create_user", Value: "admin"}, {Key: "create_time", Value: int64(1700000300000)}, {Key: "upload_user", Value: "admin"},
		{Key: "upload_time", Value: int64(0)}, {Key: "is_need_md5", Value: true}, {Key: "md5", Value: nil}}, d, "C22 C32")
	whole := pattern(1572864)
	f.tick(1250)
	d, err := f.append("mnt1.42", 0, whole[:1<<20], false)
	require.NoError(t, err)
	assert.EqualValues(t, 4010696788, num(t, d, "checksum"))
	assert.EqualValues(t, 1<<20, num(t, d, "upload_size"))
	assert.Equal(t, f.clock.Load(), num(t, d, "upload_time"))
	head, err := f.Breakpoint(background, admin, "ws", "mnt1.42")
	require.NoError(t, err)
	assert.Equal(t, d, head, "C56")
	for _, offset := range []int64{0, 2000000, 1<<20 - 1} {
		_, err = f.append("mnt1.42", offset, "x", false)
		requireCode(t, -101, err) // C38
	}
	d, err = f.append("mnt1.42", 1<<20, whole[1<<20:], true)
	require.NoError(t, err)
	assert.EqualValues(t, 1054227012, num(t, d, "checksum"), "C23")
	assert.Equal(t, "s/BtpGUdIVqrU6MzhMyU0Q==", str(d, "md5"), "C41")
	for _, tt := range []struct {
		offset int64
		body   string
	}{{1572864, "x"}, {1572864, ""}, {0, ""}} {
		_, err = f.append("mnt1.42", tt.offset, tt.body, true)
		requireCode(t, -101, err) // C15
	}
	file, err := f.convert("mnt1.42", named("data.bin", ""), UploadConfig{NeedMD5: true})
	require.NoError(t, err)
	assert.Equal(t, dataID, str(file, "data_id"), "C43")
	assert.NotEqual(t, dataID, str(file, "id"), "C43")
	assert.EqualValues(t, 1700000300000, num(t, file, "data_create_time"), "C43")
	assert.Equal(t, f.clock.Load(), num(t, file, "create_time"), "C36")
	assert.Equal(t, "b3f06da4651d215aab53a33384cc94d1", str(file, "etag"))
	assert.Equal(t, whole, f.content("ws", str(file, "id"), Current), "C4 C39")
	_, err = f.convert("mnt1.42", named("data.bin", ""), UploadConfig{})
	requireCode(t, -101, err)
	_, err = f.Breakpoint(background, admin, "ws", "mnt1.42")
	requireCode(t, -262, err)                                                    // C31
	requireCode(t, -262, f.DeleteBreakpoint(background, admin, "ws", "mnt1.42")) // C31
}

func TestBreakpointChecksums(t *testing.T) {
	f := newFixture(t, Options{})
	for _, tt := range []struct {
		typ  wire.ChecksumType
		size int
		want int64
	}{
		{wire.ChecksumNone, 1 << 20, 0}, {wire.ChecksumCRC32, 1 << 20, 4010696788}, {wire.ChecksumAdler32, 1 << 20, 4207499138},
		{wire.ChecksumCRC32, 0, 0}, {wire.ChecksumAdler32, 0, 0}, {wire.ChecksumAdler32, 5 << 20, 118376003},
	} {
		t.Run(fmt.Sprintf("C23 %s %d", tt.typ, tt.size), func(t *testing.T) {
			name := fmt.Sprintf("%s-%d", tt.typ, tt.size)
			d := f.bp(name, pattern(tt.size), NewBreakpoint{Type: tt.typ})
			assert.Equal(t, tt.want, num(t, d, "checksum"))
			// The same in odd pieces.
			f.create(name+"-pieces", NewBreakpoint{Type: tt.typ})
			at := 0
			for _, n := range []int{1, inlineMax, inlineMax + 2, 300000} {
				end := min(at+n, tt.size)
				d, err := f.append(name+"-pieces", int64(at), pattern(tt.size)[at:end], false)
				require.NoError(t, err)
				require.EqualValues(t, end, num(t, d, "upload_size"))
				at = end
			}
			d, err := f.append(name+"-pieces", int64(at), pattern(tt.size)[at:], true)
			require.NoError(t, err)
			assert.Equal(t, tt.want, num(t, d, "checksum"))
		})
	}
}

func TestCreateBreakpoint(t *testing.T) {
	f := newFixture(t, Options{})
	f.create("taken", NewBreakpoint{})
	tests := []struct {
		name, bp string
		n        NewBreakpoint
		code     wire.Code
	}{
		{"exists", "taken", NewBreakpoint{}, -261},
		{"empty name", "", NewBreakpoint{}, -101},
		{"C25 names", `a 中文.!@#$*()_+::<>"`, NewBreakpoint{}, 0},
		{"C34 epoch", "t0", NewBreakpoint{CreateTime: 0}, 0},
		{"C34 minus one", "t-1", NewBreakpoint{CreateTime: -1}, 0},
		{"C34 last", "tmax", NewBreakpoint{CreateTime: 253339200000000}, 0},
		{"C35 too late", "x", NewBreakpoint{CreateTime: 253339200001000}, 500},
		{"C35 too early", "x", NewBreakpoint{CreateTime: -1 << 63}, 500},
		{"C1 empty and complete", "empty", NewBreakpoint{Last: true}, 0},
		{"whole content", "whole", NewBreakpoint{Last: true, Body: strings.NewReader("hello")}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := f.CreateBreakpoint(background, admin, "ws", tt.bp, tt.n)
			requireCode(t, tt.code, err)
			if err == nil {
				assert.Equal(t, tt.n.CreateTime, num(t, d, "create_time"))
				done, _ := docBool(d, "completed")
				assert.Equal(t, tt.n.Last, done)
			}
		})
	}
	file, err := f.convert("empty", named("empty", ""), UploadConfig{})
	require.NoError(t, err)
	assert.Empty(t, f.content("ws", str(file, "id"), Current), "C1")
	_, err = f.CreateBreakpoint(background, admin, "none", "x", NewBreakpoint{})
	requireCode(t, -205, err) // C57
}

func TestEmptyIncrement(t *testing.T) {
	f := newFixture(t, Options{})
	c := f.user("second", [3]string{"workspace", "ws", "ALL"})
	f.create("b", NewBreakpoint{Type: wire.ChecksumAdler32})
	d, err := f.AppendBreakpoint(background, c, "ws", "b", 0, false, strings.NewReader(""))
	require.NoError(t, err)
	assert.Equal(t, "second", str(d, "upload_user"), "C13: the answer shows the caller")
	d, err = f.Breakpoint(background, admin, "ws", "b")
	require.NoError(t, err)
	assert.Equal(t, "admin", str(d, "upload_user"), "but nothing is stored")
	_, err = f.AppendBreakpoint(background, c, "ws", "b", 0, false, strings.NewReader("abc"))
	require.NoError(t, err)
	f.tick(9)
	d, err = f.AppendBreakpoint(background, c, "ws", "b", 3, true, strings.NewReader(""))
	require.NoError(t, err)
	assert.Equal(t, "second", str(d, "upload_user"), "C10")
	assert.Equal(t, f.clock.Load(), num(t, d, "upload_time"))
	assert.EqualValues(t, 3, num(t, d, "upload_size"))
}

// Part 2 section 5.6: less than 50 MiB of a broken increment is never kept, whole
// steps are.
func TestBrokenIncrement(t *testing.T) {
	f := newFixture(t, Options{})
	cause := errors.New("connection reset")
	f.create("b", NewBreakpoint{Type: wire.ChecksumCRC32})
	_, err := f.append("b", 0, "hello", false)
	require.NoError(t, err)
	for _, size := range []int{0, 100, 2 << 20} {
		_, err = f.AppendBreakpoint(background, admin, "ws", "b", 5, true, broken{strings.NewReader(pattern(size)), cause})
		requireCode(t, wire.CodeFileIO, err)
		d, err := f.Breakpoint(background, admin, "ws", "b")
		require.NoError(t, err, "the lock is free again")
		assert.EqualValues(t, 5, num(t, d, "upload_size"))
		assert.EqualValues(t, 907060870, num(t, d, "checksum"))
	}
	d, err := f.append("b", 5, " scm\n", true)
	require.NoError(t, err)
	assert.EqualValues(t, 3353505544, num(t, d, "checksum"), "what was not recorded is cut off")
	file, err := f.convert("b", named("b", ""), UploadConfig{})
	require.NoError(t, err)
	assert.Equal(t, "hello scm\n", f.content("ws", str(file, "id"), Current))

	t.Run("POST that breaks leaves the record", func(t *testing.T) {
		_, err := f.CreateBreakpoint(background, admin, "ws", "post", NewBreakpoint{Last: true, Body: broken{strings.NewReader(pattern(50000)), cause}})
		requireCode(t, wire.CodeFileIO, err)
		d, err := f.Breakpoint(background, admin, "ws", "post")
		require.NoError(t, err)
		assert.Zero(t, num(t, d, "upload_size"))
		_, err = f.append("post", 0, "x", true)
		require.NoError(t, err)
	})
	t.Run("50 MiB steps", func(t *testing.T) {
		f.create("long", NewBreakpoint{})
		body := strings.NewReader(strings.Repeat("\x00", wire.FlushInterval+3<<20))
		_, err := f.AppendBreakpoint(background, admin, "ws", "long", 0, true, broken{body, cause})
		requireCode(t, wire.CodeFileIO, err)
		d, err := f.Breakpoint(background, admin, "ws", "long")
		require.NoError(t, err)
		kept := num(t, d, "upload_size")
		assert.GreaterOrEqual(t, kept, int64(wire.FlushInterval))
		assert.Less(t, kept, int64(wire.FlushInterval+1<<20))
		done, _ := docBool(d, "completed")
		assert.False(t, done)
	})
}

func TestConvert(t *testing.T) {
	f := newFixture(t, Options{})
	f.put("ws", named("taken", ""), "")
	f.bp("done", "hello", NewBreakpoint{})
	f.create("open", NewBreakpoint{})
	tests := []struct {
		name, bp string
		desc     wire.Doc
		cfg      UploadConfig
		code     wire.Code
	}{
		{"missing", "none", named("x", ""), UploadConfig{}, -101},
		{"C103 incomplete", "open", named("x", ""), UploadConfig{}, -101},
		{"C40 no md5", "done", named("x", ""), UploadConfig{NeedMD5: true}, -101},
		{"missing parent", "done", named("x", noSuchID), UploadConfig{}, -241},
		{"C83 name taken", "done", named("taken", ""), UploadConfig{}, -261},
		{"C70 bad name", "done", named("a/b", ""), UploadConfig{}, -101},
		{"C83 with overwrite", "done", named("taken", ""), UploadConfig{Overwrite: true}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := f.convert(tt.bp, tt.desc, tt.cfg)
			requireCode(t, tt.code, err)
			if err != nil {
				return
			}
			assert.Equal(t, "hello", f.content("ws", str(d, "id"), Current))
			v, _ := d.Get("md5")
			assert.Nil(t, v)
		})
	}
	t.Run("C42 calc_md5 first", func(t *testing.T) {
		_, err := f.CalcBreakpointMD5(background, admin, "ws", "open")
		requireCode(t, -101, err)
		_, err = f.CalcBreakpointMD5(background, admin, "ws", "none")
		requireCode(t, -262, err)
		f.bp("m", "hello", NewBreakpoint{})
		sum, err := f.CalcBreakpointMD5(background, admin, "ws", "m")
		require.NoError(t, err)
		assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", sum)
		d, err := f.convert("m", named("m", ""), UploadConfig{NeedMD5: true})
		require.NoError(t, err)
		assert.Equal(t, sum, str(d, "md5"))
		assert.Equal(t, "5d41402abc4b2a76b9719d911017c592", str(d, "etag"))
	})
	t.Run("new version", func(t *testing.T) {
		id := str(f.put("ws", named("v", ""), "1"), "id")
		f.tick(500)
		bp := f.bp("v", "hello", NewBreakpoint{CreateTime: 77000, NeedMD5: true})
		for _, tt := range []struct {
			bp   string
			id   string
			v    Version
			md5  bool
			code wire.Code
		}{
			{"none", id, Current, false, -101}, {"open", id, Current, false, -101}, {"v", id, Version{5, 0}, false, -264},
			{"v", noSuchID, Current, false, -262}, {"v", "bad", Current, false, -102},
		} {
			_, err := f.convertOnto(tt.bp, tt.id, tt.v, tt.md5)
			requireCode(t, tt.code, err)
		}
		d, err := f.convertOnto("v", id, Version{1, 0}, true)
		require.NoError(t, err)
		assert.EqualValues(t, 2, num(t, d, "major_version"), "C100")
		assert.Equal(t, str(bp, "data_id"), str(d, "data_id"))
		assert.EqualValues(t, 77000, num(t, d, "data_create_time"))
		assert.Equal(t, "XUFAKrxLKna5cZ2REBfFkg==", str(d, "md5"))
		assert.Equal(t, "1", f.content("ws", id, Version{1, 0}))
		assert.Equal(t, "hello", f.content("ws", id, Current))
		_, err = f.Breakpoint(background, admin, "ws", "v")
		requireCode(t, -262, err) // C102
	})
	t.Run("no directories", func(t *testing.T) {
		_, err := f.CreateBreakpoint(background, admin, "flat", "b", NewBreakpoint{Last: true, Body: strings.NewReader("x")})
		require.NoError(t, err)
		unlock, err := f.LockBreakpoint(background, "flat", "b")
		require.NoError(t, err)
		_, err = f.CreateFileFromBreakpoint(admin, "flat", named("a/b", ""), UploadConfig{}, "b", unlock)
		require.NoError(t, err)
	})
}

func TestDeleteBreakpoint(t *testing.T) {
	f := newFixture(t, Options{})
	f.bp("complete", "hello", NewBreakpoint{})
	f.create("empty", NewBreakpoint{})
	f.create("open", NewBreakpoint{Body: strings.NewReader("hello")})
	for _, name := range []string{"complete", "empty", "open"} {
		require.NoError(t, f.DeleteBreakpoint(background, admin, "ws", name), "C30 %s", name)
		_, err := f.Breakpoint(background, admin, "ws", name)
		requireCode(t, -262, err)
		assert.ErrorContains(t, err, name, "C27")
	}
	requireCode(t, -262, f.DeleteBreakpoint(background, admin, "ws", "complete")) // C29
	requireCode(t, -205, f.DeleteBreakpoint(background, admin, "none", "x"))      // C61
	f.reopen()
	assert.Zero(t, f.Checked().Orphans)
}

func TestListBreakpoints(t *testing.T) {
	f := newFixture(t, Options{})
	for i, n := range []string{"m1.a", "m1.b", "m2.a"} {
		f.create(n, NewBreakpoint{CreateTime: int64(i * 1000), Body: strings.NewReader(pattern(i * 10))})
	}
	for filter, want := range map[string][]any{
		`{}`: {"m1.a", "m1.b", "m2.a"}, `{file_name: {$regex: '^m1\\.'}}`: {"m1.a", "m1.b"}, `{upload_size: {$gte: 10}}`: {"m1.b", "m2.a"},
		`{$or: [{file_name: 'm1.a'}, {upload_size: {$gt: 10}}]}`: {"m1.a", "m2.a"}, `{completed: true}`: {},
		`{$not: [{file_name: 'm1.a'}]}`: {"m1.b", "m2.a"}, `{create_time: {$lt: 1000}}`: {"m1.a"}, `{file_name: {$ne: 'm1.a'}, $and: [{upload_size: {$lte: 10}}]}`: {"m1.b"},
	} {
		assert.Equal(t, want, values(t, "file_name", f.Breakpoints(admin, "ws", parse(t, filter))), "C24 C60 %s", filter)
	}
	requireCode(t, -205, listError(f.Breakpoints(admin, "none", nil)))
	for d, err := range f.Breakpoints(admin, "ws", nil) {
		require.NoError(t, err)
		require.NoError(t, f.DeleteBreakpoint(background, admin, "ws", str(d, "file_name")), "C28")
	}
	assert.Empty(t, collect(t, f.Breakpoints(admin, "ws", nil)))
}

func TestImitatedStorages(t *testing.T) {
	t.Run("S3 parts", func(t *testing.T) {
		f := newFixture(t, Options{S3Parts: true})
		part := strings.Repeat("p", wire.PartSize)
		f.create("b", NewBreakpoint{})
		_, err := f.append("b", 0, part, false)
		require.NoError(t, err, "C16")
		_, err = f.append("b", wire.PartSize, "short", false)
		require.NoError(t, err, "C19")
		_, err = f.append("b", wire.PartSize+5, part, false)
		requireCode(t, -410, err) // C18
		d, err := f.append("b", wire.PartSize+5, "", true)
		require.NoError(t, err, "an empty last increment is always fine")
		assert.EqualValues(t, wire.PartSize+5, num(t, d, "upload_size"))
	})
	t.Run("quota", func(t *testing.T) {
		f := newFixture(t, Options{})
		f.create("b", NewBreakpoint{Type: wire.ChecksumCRC32})
		d, err := f.append("b", 0, "hello", false)
		require.NoError(t, err)
		old := str(d, "data_id")
		f.RefuseForQuota(1)
		_, err = f.append("b", 5, "more", false)
		requireCode(t, -414, err)
		d, err = f.Breakpoint(background, admin, "ws", "b")
		require.NoError(t, err)
		assert.Zero(t, num(t, d, "upload_size"))
		assert.Zero(t, num(t, d, "checksum"))
		assert.NotEqual(t, old, str(d, "data_id"))
		_, err = f.append("b", 0, "again", true)
		require.NoError(t, err)
	})
	t.Run("no breakpoint files", func(t *testing.T) {
		f := newFixture(t, Options{NoBreakpoints: true})
		_, err := f.CreateBreakpoint(background, admin, "ws", "b", NewBreakpoint{})
		requireCode(t, -107, err)
		_, err = f.append("b", 0, "", true)
		requireCode(t, -107, err)
		requireCode(t, -107, f.DeleteBreakpoint(background, admin, "ws", "b"))
		_, err = f.Breakpoint(background, admin, "ws", "b")
		requireCode(t, -262, err)
		assert.Empty(t, collect(t, f.Breakpoints(admin, "ws", nil)))
	})
}

// Recorded bytes that are gone are an error, never zeros.
func TestBreakpointDataLost(t *testing.T) {
	f := newFixture(t, Options{})
	d := f.create("b", NewBreakpoint{Body: strings.NewReader("hello")})
	path := f.dataPath(str(d, "data_id"))
	require.NoError(t, os.Truncate(path, 3))
	_, err := f.Breakpoint(background, admin, "ws", "b")
	requireCode(t, wire.CodeDataCorrupted, err)
	_, err = f.append("b", 5, "x", false)
	requireCode(t, wire.CodeDataCorrupted, err)
	require.NoError(t, os.Remove(path))
	_, err = f.append("b", 5, "x", false)
	requireCode(t, wire.CodeDataCorrupted, err)
	require.NoError(t, f.DeleteBreakpoint(background, admin, "ws", "b"))
}
