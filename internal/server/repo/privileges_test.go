package repo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// operations is the table of part 1 section 2.7: what each call needs.
func operations(f *fixture, dir, sub, file string) map[string]func(c Caller) error {
	return map[string]func(c Caller) error{
		"get directory":        func(c Caller) error { _, err := f.Directory(c, "ws", DirRef{ID: dir}); return err },
		"get directory (path)": func(c Caller) error { _, err := f.Directory(c, "ws", DirRef{Path: "/d"}); return err },
		"path of directory":    func(c Caller) error { _, err := f.DirectoryPath(c, "ws", dir); return err },
		"list directories":     func(c Caller) error { return listError(f.Directories("ws", All)) },
		"listfiles":            func(c Caller) error { return listError(f.FilesOf(c, "ws", dir, All)) },
		"list files":           func(c Caller) error { return listError(f.Files(c, "ws", 1, All)) },
		"count files":          func(c Caller) error { _, err := f.CountFiles(c, "ws", 1, nil); return err },
		"count directories":    func(c Caller) error { _, err := f.CountDirectories(c, "ws", nil); return err },
		"get file":             func(c Caller) error { _, err := f.File(c, "ws", FileRef{ID: file}, Current); return err },
		"get file (path)":      func(c Caller) error { _, err := f.File(c, "ws", FileRef{Path: "/d/x"}, Current); return err },
		"read file": func(c Caller) error {
			rd, _, err := f.OpenFile(c, "ws", file, Current)
			if err == nil {
				err = rd.Close()
			}
			return err
		},
		"create directory": func(c Caller) error {
			d, err := f.CreateDirectory(c, "ws", dir, "new", "")
			if err == nil {
				err = f.DeleteDirectory(admin, "ws", DirRef{ID: str(d, "id")})
			}
			return err
		},
		"create directory (path)": func(c Caller) error {
			d, err := f.CreateDirectory(c, "ws", "", "", "/d/new")
			if err == nil {
				err = f.DeleteDirectory(admin, "ws", DirRef{ID: str(d, "id")})
			}
			return err
		},
		"rename directory": func(c Caller) error { _, err := f.RenameDirectory(c, "ws", DirRef{ID: sub}, "sub"); return err },
		"move directory":   func(c Caller) error { _, err := f.MoveDirectory(c, "ws", DirRef{ID: sub}, DirRef{ID: dir}); return err },
		"delete directory": func(c Caller) error {
			// Not empty is behind the privilege.
			if err := f.DeleteDirectory(c, "ws", DirRef{ID: dir}); CodeOf(err) != -242 {
				return err
			}
			return nil
		},
		"create file": func(c Caller) error {
			d, err := f.CreateFile(c, "ws", named("new", dir), UploadConfig{}, strings.NewReader(""))
			if err == nil {
				err = f.DeleteFile(admin, "ws", FileRef{ID: str(d, "id")})
			}
			return err
		},
		"overwrite file": func(c Caller) error {
			d, err := f.CreateFile(c, "ws", named("new", dir), UploadConfig{Overwrite: true}, strings.NewReader(""))
			if err == nil {
				err = f.DeleteFile(admin, "ws", FileRef{ID: str(d, "id")})
			}
			return err
		},
		"change property": func(c Caller) error {
			_, err := f.UpdateFile(c, "ws", file, Current, wire.Doc{{Key: "title", Value: "t"}})
			return err
		},
		"new content": func(c Caller) error {
			_, err := f.UpdateContent(c, "ws", file, Current, false, strings.NewReader(""))
			return err
		},
		"calc md5": func(c Caller) error { _, err := f.CalcMD5(c, "ws", file, Current); return err },
		"delete file": func(c Caller) error {
			d := f.put("ws", named("del", dir), "")
			err := f.DeleteFile(c, "ws", FileRef{ID: str(d, "id")})
			if err != nil {
				require.NoError(f.t, f.DeleteFile(admin, "ws", FileRef{ID: str(d, "id")}))
			}
			return err
		},
		"create breakpoint file": func(c Caller) error {
			_, err := f.CreateBreakpoint(background, c, "ws", "b", NewBreakpoint{})
			if err == nil {
				err = f.DeleteBreakpoint(background, admin, "ws", "b")
			}
			return err
		},
		"append": func(c Caller) error {
			_, err := f.AppendBreakpoint(background, c, "ws", "p", 0, false, eof{})
			return err
		},
		"get breakpoint file":    func(c Caller) error { _, err := f.Breakpoint(background, c, "ws", "p"); return err },
		"list breakpoint files":  func(c Caller) error { return listError(f.Breakpoints(c, "ws", nil)) },
		"delete breakpoint file": func(c Caller) error { return ignore(f.DeleteBreakpoint(background, c, "ws", "none"), -262) },
		"md5 of breakpoint file": func(c Caller) error {
			_, err := f.CalcBreakpointMD5(background, c, "ws", "p")
			return ignore(err, -101)
		},
	}
}

func ignore(err error, code wire.Code) error {
	if CodeOf(err) == code {
		return nil
	}
	return err
}

func TestPrivilegePerOperation(t *testing.T) {
	f := newFixture(t, Options{})
	dir := f.mkdir("/d")
	sub := f.mkdir("/d/sub")
	file := str(f.put("ws", named("x", dir), "1"), "id")
	f.create("p", NewBreakpoint{})
	const inWS = "workspace"
	needs := map[string]string{
		"get directory": "READ", "get directory (path)": "READ", "path of directory": "READ", "list directories": "", "listfiles": "READ",
		"list files": "ws:LOW_LEVEL_READ", "count files": "ws:LOW_LEVEL_READ", "count directories": "ws:LOW_LEVEL_READ",
		"get file": "READ", "get file (path)": "READ", "read file": "READ", "create directory": "CREATE", "create directory (path)": "CREATE",
		"rename directory": "DELETE|CREATE", "move directory": "DELETE|CREATE", "delete directory": "DELETE",
		"create file": "CREATE", "overwrite file": "CREATE|UPDATE|DELETE", "change property": "UPDATE", "new content": "UPDATE", "calc md5": "UPDATE",
		"delete file": "DELETE", "create breakpoint file": "ws:CREATE", "append": "ws:CREATE", "get breakpoint file": "ws:READ",
		"list breakpoint files": "ws:READ", "delete breakpoint file": "ws:DELETE", "md5 of breakpoint file": "ws:UPDATE",
	}
	ops := operations(f, dir, sub, file)
	require.Len(t, ops, len(needs))
	none := f.user("none")
	ws := map[string]Caller{}
	for _, p := range []string{"READ", "LOW_LEVEL_READ", "CREATE", "UPDATE", "DELETE", "DELETE|CREATE", "CREATE|UPDATE|DELETE"} {
		ws[p] = f.user("ws-"+p, [3]string{inWS, "ws", p})
		ws["dir:"+p] = f.user("dir-"+p, [3]string{"directory", "ws:/d", p})
	}
	lacking := map[string]Caller{
		"READ":                 f.user("no-read", [3]string{inWS, "ws", "LOW_LEVEL_READ|CREATE|UPDATE|DELETE"}),
		"CREATE":               f.user("no-create", [3]string{inWS, "ws", "READ|UPDATE|DELETE"}),
		"UPDATE":               f.user("no-update", [3]string{inWS, "ws", "READ|CREATE|DELETE"}),
		"DELETE":               f.user("no-delete", [3]string{inWS, "ws", "READ|CREATE|UPDATE"}),
		"LOW_LEVEL_READ":       f.user("no-low", [3]string{inWS, "ws", "CREATE|UPDATE|DELETE"}),
		"DELETE|CREATE":        f.user("no-dc", [3]string{inWS, "ws", "DELETE|READ|UPDATE"}),
		"CREATE|UPDATE|DELETE": f.user("no-cud", [3]string{inWS, "ws", "CREATE|UPDATE|READ"}),
	}
	for name, op := range ops {
		t.Run(name, func(t *testing.T) {
			need, wsOnly := strings.CutPrefix(needs[name], "ws:")
			require.NoError(t, op(admin))
			if need == "" {
				require.NoError(t, op(none))
				return
			}
			requireCode(t, -109, op(none)) // C11, C84
			requireCode(t, -109, op(lacking[need]))
			require.NoError(t, op(ws[need]))
			if wsOnly {
				requireCode(t, -109, op(ws["dir:"+need]))
			} else {
				require.NoError(t, op(ws["dir:"+need]))
			}
		})
	}
}

func TestNearestAncestor(t *testing.T) {
	f := newFixture(t, Options{})
	f.mkdir("/a")
	f.mkdir("/a/b")
	f.mkdir("/a/b/c")
	c := f.user("u", [3]string{"directory", "ws:/", "READ|CREATE"}, [3]string{"directory", "ws:/a/b", "DELETE"}, [3]string{"workspace", "ws", "EXECUTE"})
	for path, want := range map[string]Privilege{"/": Read | Create | Execute, "/a": Read | Create | Execute, "/a/b": Delete | Execute,
		"/a/b/c": Delete | Execute, "/a/bc": Read | Create | Execute, "//a//b": Delete | Execute, "": Execute} {
		for _, p := range []Privilege{Read, Create, Delete, Execute, Update, LowLevelRead} {
			assert.Equal(t, want&p == p, f.allowed(c, "ws", path, p), "%s %x", path, p)
		}
	}
	assert.False(t, f.allowed(Caller{User: "ghost"}, "ws", "/", Read))
	t.Run("a missing id shows as missing without a workspace privilege", func(t *testing.T) {
		_, err := f.Directory(f.user("none"), "ws", DirRef{ID: noSuchID})
		requireCode(t, -241, err)
		_, err = f.Directory(Caller{User: "none"}, "ws", DirRef{Path: "/nope"})
		requireCode(t, -109, err)
		requireCode(t, -241, listError(f.FilesOf(Caller{User: "none"}, "ws", noSuchID, All)))
		_, err = f.File(Caller{User: "none"}, "ws", FileRef{ID: noSuchID}, Current)
		requireCode(t, -262, err)
	})
	t.Run("move needs CREATE where it goes", func(t *testing.T) {
		f.mkdir("/to")
		mover := f.user("mover", [3]string{"directory", "ws:/a", "DELETE"}, [3]string{"directory", "ws:/to", "CREATE"})
		_, err := f.MoveDirectory(mover, "ws", DirRef{Path: "/a/b/c"}, DirRef{Path: "/a"})
		requireCode(t, -109, err)
		_, err = f.MoveDirectory(mover, "ws", DirRef{Path: "/a/b/c"}, DirRef{Path: "/to"})
		require.NoError(t, err)
	})
}

func TestGrant(t *testing.T) {
	f := newFixture(t, Options{})
	owner := f.user("owner", [3]string{"workspace", "ws", "ALL"})
	plain := f.user("plain")
	tests := []struct {
		name            string
		c               Caller
		role, typ, res  string
		revoke          bool
		code            wire.Code
		allowedAfter    bool
		checkWS, checkD string
	}{
		{"unknown role", admin, "nope", "workspace", "ws", false, -280, false, "", ""},
		{"unknown role, revoke", admin, "nope", "workspace", "ws", true, -281, false, "", ""},
		{"unknown type", admin, "plain", "galaxy", "ws", false, -280, false, "", ""},
		{"unknown workspace", admin, "plain", "workspace", "none", false, -205, false, "", ""},
		{"directory without path", admin, "plain", "directory", "ws", false, -280, false, "", ""},
		{"not entitled", plain, "plain", "workspace", "ws", false, -109, false, "", ""},
		{"ALL on the workspace", owner, "plain", "directory", "ws:/a", false, 0, true, "ws", "/a/b"},
		{"not on another", owner, "plain", "workspace", "flat", false, -109, false, "", ""},
		{"revoke", owner, "ROLE_plain", "directory", "ws:/a/", true, 0, false, "ws", "/a/b"},
		{"every workspace", admin, "plain", "workspace_all", "", false, 0, true, "flat", ""},
		{"not every workspace", owner, "plain", "workspace_all", "", false, -109, true, "flat", ""},
		{"revoke every workspace", admin, "plain", "workspace_all", "", true, 0, false, "flat", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			version := f.PrivilegeVersion()
			err := f.Grant(tt.c, tt.role, tt.typ, tt.res, Read, tt.revoke)
			requireCode(t, tt.code, err)
			if tt.checkWS != "" {
				assert.Equal(t, tt.allowedAfter, f.allowed(plain, tt.checkWS, tt.checkD, Read))
			}
			assert.Equal(t, err == nil, f.PrivilegeVersion() > version)
		})
	}
	_, err := ParsePrivilege("READ|NOPE")
	requireCode(t, -101, err)
	p, err := ParsePrivilege(" READ | CREATE ")
	require.NoError(t, err)
	assert.Equal(t, Privilege(0x23), p)
}
