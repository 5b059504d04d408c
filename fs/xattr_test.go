package fs

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func inodeOf(st os.FileInfo) uint64 { return st.Sys().(*syscall.Stat_t).Ino }

func TestXattrKeys(t *testing.T) {
	for name, c := range map[string]struct {
		attr  string
		value []byte
		want  map[string]string
	}{
		"plain":         {"user.comment", []byte("hello"), map[string]string{"comment": "hello"}},
		"empty value":   {"user.comment", []byte{}, map[string]string{"comment": ""}},
		"dotted name":   {"user.a.b", []byte("x"), map[string]string{"x-612e62": "eA=="}},
		"binary value":  {"user.bin", []byte{0, 0xff}, map[string]string{"x-62696e": "AP8="}},
		"our own key":   {"user.posix", []byte("x"), map[string]string{"x-706f736978": "eA=="}},
		"our own shape": {"user.x-61", []byte("x"), map[string]string{"x-782d3631": "eA=="}},
	} {
		t.Run(name, func(t *testing.T) {
			meta := xattrSet(nil, c.attr, c.value)
			assert.Equal(t, c.want, meta)
			v, ok := xattrGet(meta, c.attr)
			assert.True(t, ok)
			assert.Equal(t, string(c.value), string(v))
			assert.Equal(t, []string{c.attr}, xattrNames(meta))
			assert.Empty(t, xattrSet(meta, c.attr, nil))
		})
	}
}

func TestXattrChangesForm(t *testing.T) {
	meta := xattrSet(map[string]string{"k": "text", posixKey: "{}"}, "user.k", []byte{1})
	assert.Equal(t, map[string]string{"x-6b": "AQ==", posixKey: "{}"}, meta)
	meta = xattrSet(meta, "user.k", []byte("text"))
	assert.Equal(t, map[string]string{"k": "text", posixKey: "{}"}, meta)
	assert.Equal(t, []string{"user.k"}, xattrNames(meta), "posix is not an attribute")
}

func TestXattrAnyNameAndValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := userPrefix + rapid.StringN(1, 60, 200).Draw(t, "name")
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		meta := xattrSet(map[string]string{"other": "1"}, name, append([]byte{}, value...))
		for k := range meta {
			if !plainKey(k) && len(k) <= 128 {
				t.Fatalf("key %q is not safe", k)
			}
		}
		got, ok := xattrGet(meta, name)
		if !ok || string(got) != string(value) {
			t.Fatalf("%q: %q became %q", name, value, got)
		}
	})
}

func TestXattrAnswerSizes(t *testing.T) {
	n, errno := answer([]byte("abc"), nil)
	assert.Equal(t, uint32(3), n)
	assert.Equal(t, syscall.ERANGE, errno)
	buf := make([]byte, 3)
	n, errno = answer([]byte("abc"), buf)
	assert.Equal(t, uint32(3), n)
	assert.Zero(t, errno)
	assert.Equal(t, "abc", string(buf))
	n, errno = answer(nil, nil)
	assert.Zero(t, n)
	assert.Zero(t, errno)
	assert.Greater(t, maxMetadata, len(strings.Repeat("x", 1024)))
}

// A file renamed onto another brings its attributes and keeps the other's.
func TestXattrsOnto(t *testing.T) {
	base := map[string]string{"title": "theirs", "note": "old", "x-6f6464": "AP8=", posixKey: "m=600"}
	from := map[string]string{"note": "new", "odd": "plain now", "x-62696e": "AAE=", posixKey: "m=644"}
	assert.Equal(t, map[string]string{"title": "theirs", "note": "new", "odd": "plain now", "x-62696e": "AAE=", posixKey: "m=600"}, xattrsOnto(base, from))
	assert.Equal(t, "old", base["note"], "what was given stays as it is")
}
