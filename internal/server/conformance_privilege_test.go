package server

import (
	"fmt"
	"testing"
)

// The table of part 1 section 2.7: each operation with all privileges but the
// one it needs, and with that one alone. [T:AuthDir_NoRead1726] and its kin.
func TestConformancePrivileges(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/d", "/d/sub", "/d/empty")
	s.mkfile(t, "d", "f.txt", "")
	for name, grants := range map[string][]string{
		"none":   nil,
		"wsread": {"workspace docs READ"}, "wslow": {"workspace docs LOW_LEVEL_READ"}, "wscreate": {"workspace docs CREATE"},
		"wsdelete": {"workspace docs DELETE"}, "wsboth": {"workspace docs CREATE|DELETE"},
		"dirread": {"directory docs:/d READ"}, "dircreate": {"directory docs:/d CREATE"}, "dirdelete": {"directory docs:/d DELETE"},
		"dirboth": {"directory docs:/d CREATE|DELETE"},
		"noread":  {"workspace docs LOW_LEVEL_READ|CREATE|UPDATE|DELETE|EXECUTE"},
	} {
		s.login(t, name, grants...)
	}
	everybody := []string{"none", "wsread", "wslow", "wscreate", "wsdelete", "dirread", "dircreate", "noread"}
	readers := []string{"wsread", "dirread"}
	for _, op := range []struct {
		name, req, form string
		may             []string
		done            int // code when allowed, so that nothing changes
		not             []string
	}{
		{name: "list workspaces", req: "GET P/workspaces", may: everybody},
		{name: "get workspace", req: "GET P/workspaces/docs", may: everybody},
		{name: "list directories [T:AuthWs_None1725] [T:AuthDir_None1727]", req: "GET P/directories?workspace_name=docs", may: everybody},
		{name: "get by path", req: "HEAD P/directories/path/d/?workspace_name=docs", may: readers, not: []string{"none", "wslow", "wscreate", "dircreate", "noread"}},
		{name: "get by id [T:AuthDir_NoRead1726]", req: "HEAD P/directories/id/{d}?workspace_name=docs", may: readers, not: []string{"none", "wslow", "wscreate", "dircreate", "noread"}},
		{name: "path", req: "GET P/directories/id/{sub}/path?workspace_name=docs", may: readers, not: []string{"none", "wslow", "dircreate", "noread"}},
		{name: "listfiles", req: "GET P/directories/id/{d}/listfiles?workspace_name=docs", may: readers, not: []string{"none", "wslow", "dircreate", "noread"}},
		{name: "list files", req: "GET P/files?workspace_name=docs&scope=1", may: []string{"wsread", "wslow", "noread"}, not: []string{"none", "dirread", "wscreate"}},
		{name: "count files", req: "HEAD P/files?workspace_name=docs&scope=1", may: []string{"wsread", "wslow", "noread"}, not: []string{"none", "dirread", "wscreate"}},
		{name: "count directories", req: "HEAD P/directories?workspace_name=docs", may: []string{"wsread", "wslow", "noread"}, not: []string{"none", "dirread", "wscreate"}},
		{name: "create by path", req: "POST P/directories", form: "workspace_name=docs&path=/d/sub", done: -240,
			may: []string{"wscreate", "wsboth", "dircreate", "dirboth", "noread"}, not: []string{"none", "wsread", "wsdelete", "dirread", "dirdelete"}},
		{name: "create by parent", req: "POST P/directories", form: "workspace_name=docs&name=sub&parent_directory_id={d}", done: -240,
			may: []string{"wscreate", "wsboth", "dircreate", "dirboth", "noread"}, not: []string{"none", "wsread", "wsdelete", "dirread", "dirdelete"}},
		{name: "delete by path", req: "DELETE P/directories/path/d/?workspace_name=docs", done: -242,
			may: []string{"wsdelete", "dirdelete", "dirboth", "noread"}, not: []string{"none", "wsread", "wscreate", "dirread", "dircreate"}},
		{name: "delete by id", req: "DELETE P/directories/id/{d}?workspace_name=docs", done: -242,
			may: []string{"wsdelete", "dirdelete", "dirboth", "noread"}, not: []string{"none", "wsread", "wscreate", "dirread", "dircreate"}},
		{name: "rename", req: "PUT P/directories/id/{sub}/rename", form: "workspace_name=docs&name=empty", done: -240,
			may: []string{"wsboth", "dirboth", "noread"}, not: []string{"none", "wscreate", "wsdelete", "dircreate", "dirdelete", "wsread"}},
		{name: "rename by path", req: "PUT P/directories/path/d/sub/rename", form: "workspace_name=docs&name=empty", done: -240,
			may: []string{"wsboth", "dirboth", "noread"}, not: []string{"none", "wscreate", "wsdelete", "dircreate", "dirdelete", "wsread"}},
		{name: "move", req: "PUT P/directories/id/{sub}/move", form: "workspace_name=docs&parent_directory_id={sub}", done: -243,
			may: []string{"wsboth", "dirboth", "noread"}, not: []string{"none", "wscreate", "wsdelete", "dircreate", "dirdelete", "wsread"}},
		{name: "move out of the granted tree", req: "PUT P/directories/id/{sub}/move", form: "workspace_name=docs&parent_directory_path=/nope/", done: -241,
			may: []string{"wsboth"}, not: []string{"dirboth", "dirdelete"}},
	} {
		t.Run(op.name, func(t *testing.T) {
			for _, user := range op.may {
				c := call{req: op.req, form: op.form, lines: []string{"x-auth-token: {" + user + "}"}, code: op.done}
				switch op.done {
				case -240, -242, -243:
					c.status = 500
				case -241:
					c.status = 404
				}
				t.Run(user, func(t *testing.T) { s.one(t, c) })
			}
			for _, user := range op.not {
				c := call{req: op.req, form: op.form, lines: []string{"x-auth-token: {" + user + "}"}, status: 403, code: -109}
				t.Run("not "+user, func(t *testing.T) { s.one(t, c) })
			}
		})
	}
}

// Part 1 section 2.7, order of checks.
func TestConformanceOrderOfChecks(t *testing.T) {
	s := newSite(t)
	s.mkdir(t, "/d")
	s.login(t, "nobody")
	s.login(t, "dirs", "directory docs:/d READ|CREATE|DELETE")
	nobody, dirs := []string{"x-auth-token: {nobody}"}, []string{"x-auth-token: {dirs}"}
	const missing = "65a4f1e2510001000000a012"
	s.run(t, []call{
		{name: "workspace before privilege", req: "DELETE P/directories/path/x/?workspace_name=nope", lines: nobody, status: 500, code: -205},
		{name: "workspace before arguments", req: "POST P/directories", form: "workspace_name=nope", status: 500, code: -205},
		{name: "privilege before feature, by path", req: "DELETE P/directories/path/x/?workspace_name=flat", lines: nobody, status: 403, code: -109},
		{name: "privilege before feature, create by path", req: "POST P/directories", form: "workspace_name=flat&path=/x", lines: nobody, status: 403, code: -109},
		{name: "feature before privilege, by id", req: "DELETE P/directories/id/" + missing + "?workspace_name=flat", lines: nobody, status: 500, code: -244},
		{name: "feature before privilege, create by id", req: "POST P/directories", form: "workspace_name=flat&name=x&parent_directory_id={root}", lines: nobody, status: 500, code: -244},
		{name: "feature before privilege, listfiles", req: "GET P/directories/id/{root}/listfiles?workspace_name=flat", lines: nobody, status: 500, code: -244},
		{name: "feature before arguments", req: "POST P/directories", form: "workspace_name=flat&path=x", status: 500, code: -244},
		{name: "privilege before arguments", req: "POST P/directories", form: "workspace_name=docs&path=/%3A", lines: nobody, status: 403, code: -109},
		{name: "privilege before existence, by path", req: "DELETE P/directories/path/x/?workspace_name=docs", lines: nobody, status: 403, code: -109},
		{name: "a missing id shows to who has no workspace-wide privilege", req: "DELETE P/directories/id/" + missing + "?workspace_name=docs", lines: nobody, status: 404, code: -241},
		{name: "and so in listfiles (5.2 D10)", req: "GET P/directories/id/" + missing + "/listfiles?workspace_name=docs", lines: dirs, status: 404, code: -241},
		{name: "arguments before existence, rename", req: "PUT P/directories/id/" + missing + "/rename", form: "workspace_name=docs&name=a%3Ab", status: 400, code: -101},
		{name: "arguments before existence, create", req: "POST P/directories", form: "workspace_name=docs&path=/nope/%3F", status: 400, code: -101},
		{name: "arguments before existence, move", req: "PUT P/directories/id/" + missing + "/move", form: "workspace_name=docs&parent_directory_path=x", status: 400, code: -101},
		{name: "existence before conflicts", req: "POST P/directories", form: "workspace_name=docs&path=/nope/d", status: 404, code: -241},
	})
}

// The monitor of part 1 section 2.6 sees all workspaces at low level only.
func TestConformanceMonitor(t *testing.T) {
	s := newSite(t)
	s.vars["monitor"] = s.srv.sessions.create("monitor").id
	as := []string{"x-auth-token: {monitor}"}
	for _, ws := range []string{"docs", "flat"} {
		s.run(t, []call{
			{name: ws + " counts files", req: "HEAD P/files?workspace_name=" + ws, lines: as, header: "X-SCM-Count: 0"},
			{name: ws + " lists files", req: "GET P/files?scope=1&workspace_name=" + ws, lines: as, body: "[]"},
			{name: ws + " creates nothing", req: "POST P/directories", form: fmt.Sprintf("workspace_name=%s&path=/x", ws), lines: as, status: 403, code: -109},
			{name: ws + " changes nothing", req: "DELETE P/workspaces/" + ws, lines: as, status: 403, code: -109},
		})
	}
	s.run(t, []call{
		{name: "reads no directory", req: "HEAD P/directories/path/?workspace_name=docs", lines: as, status: 403, code: -109},
		{name: "2.6 AUTH_ADMIN alone has no data privilege", req: "POST /auth/api/v1/users/chief", form: "password_type=LOCAL&password=x"},
		{name: "made administrator", req: "PUT /auth/api/v1/users/chief", form: "add_roles=ROLE_AUTH_ADMIN"},
	})
	s.vars["chief"] = s.srv.sessions.create("chief").id
	chief := []string{"x-auth-token: {chief}"}
	s.run(t, []call{
		{name: "creates workspaces", req: "POST P/workspaces/chiefs", form: "workspace_conf=%7Benable_directory%3Atrue%7D", lines: chief},
		{name: "but cannot use them", req: "POST P/directories", form: "workspace_name=chiefs&path=/x", lines: chief, status: 403, code: -109},
		{name: "until granted", req: "PUT P/roles/AUTH_ADMIN/grant", form: "resource_type=workspace&resource=chiefs&privilege=ALL", lines: chief},
		{name: "then can", req: "POST P/directories", form: "workspace_name=chiefs&path=/x", lines: chief},
	})
}
