package fs

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sequoiacm/scmfs/client"
)

// FuzzShownName is for names of the store: what is shown is one segment of a path,
// and leads back to the file.
func FuzzShownName(f *testing.F) {
	for _, s := range []string{"", ".", "..", "a/b", "../x", "nul\x00", "a\nb", strings.Repeat("x", 300), strings.Repeat("断", 100), "a\xff", "f~6553f100510003001a2b3c01"} {
		f.Add(s)
	}
	const id = client.FileID("6553f100510003001a2b3c01")
	f.Fuzz(func(t *testing.T, name string) {
		for _, shown := range []string{shownName(name, id), decorated(name, id)} {
			if shown == "" || shown == "." || shown == ".." || len(shown) > maxName || strings.ContainsAny(shown, "/\x00") {
				t.Fatalf("%q is shown as %q", name, shown)
			}
		}
		if got, ok := decoratedID(decorated(name, id)); !ok || got != id {
			t.Fatalf("%q: %q leads to %q", name, decorated(name, id), got)
		}
		for _, check := range []struct {
			ok  bool
			bad string
		}{{checkFileName(name) == 0, "/"}, {checkDirectoryName(name) == 0, badInDirectory}, {checkBreakpointName(name) == 0, badInBreakpoint}} {
			if check.ok && (strings.ContainsAny(name, check.bad+"\x00\n") || name == "" || name == "." || name == ".." || len(name) > maxName) {
				t.Fatalf("%q passes", name)
			}
		}
	})
}

// FuzzPosix is for what another program may have put into our metadata key: the
// attributes have bounds, and what we write of them we read again.
func FuzzPosix(f *testing.F) {
	for _, s := range []string{`{"type":"symlink","mode":"0777","uid":0,"gid":4294967295,"mtime":"1.5","major":1,"link":"/etc/passwd"}`, `{"mode":"7777777"}`, `{"mtime":"-9223372036854775808.999999999","major":1}`,
		`{"type":"char","rdev":4294967295}`, `{"uid":-1}`, `null`, `[]`, `{"link":"`, `{"mode":0777}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := decodePosix(map[string]string{posixKey: text})
		if p.Perm != nil && *p.Perm > 0o7777 || len(p.Link) > maxSymlink || p.Link != "" && p.Type == 0 {
			t.Fatalf("%q gives %+v", text, p)
		}
		again := decodePosix(p.into(nil))
		if again.encode() != p.encode() {
			t.Fatalf("%q: %s then %s", text, p.encode(), again.encode())
		}
	})
}

// FuzzXattr is for extended attributes of any name and value among any metadata:
// they come back as they were, and change nothing else.
func FuzzXattr(f *testing.F) {
	f.Add("user.a", []byte("v"), "k", "v")
	f.Add("user.posix", []byte("{}"), "posix", `{"mode":"0600"}`)
	f.Add("user.x-61", []byte{0, 255}, "x-61", "!")
	f.Add("user."+strings.Repeat("n", 200), []byte(nil), "x-", "")
	f.Add("user.a", []byte("v"), strings.Repeat("k", 300), "v")
	f.Add("user.a", []byte("v"), "x-6100", "dg==")
	f.Fuzz(func(t *testing.T, name string, value []byte, key, other string) {
		if !strings.HasPrefix(name, userPrefix) || len(name) == len(userPrefix) || value == nil {
			return
		}
		meta := map[string]string{key: other, posixKey: "p"}
		plain, odd := xattrKeys(name)
		set := xattrSet(meta, name, value)
		if got, ok := xattrGet(set, name); !ok || !bytes.Equal(got, value) {
			t.Fatalf("%q = %q comes back as %q", name, value, got)
		}
		if key != plain && key != odd && set[key] != meta[key] || set[posixKey] != meta[posixKey] {
			t.Fatalf("%q changes %q", name, key)
		}
		gone := xattrSet(set, name, nil)
		if _, ok := xattrGet(gone, name); ok {
			t.Fatalf("%q is still there", name)
		}
		for _, n := range xattrNames(set) {
			if !strings.HasPrefix(n, userPrefix) || len(n) == len(userPrefix) || len(n) > 255 || strings.Contains(n, "\x00") {
				t.Fatalf("listed as %q", n)
			}
		}
	})
}
