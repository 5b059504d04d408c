package server

import (
	"crypto/cipher"
	"crypto/des" //nolint:gosec // the protocol's encoding of a new password
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encryptV2 is the password encoding of part 1 section 2.6.
func encryptV2(t *testing.T, base, password string) string {
	t.Helper()
	key := []byte(base + base)
	block, err := des.NewCipher(key) //nolint:gosec // see above
	require.NoError(t, err)
	pad := 8 - len(password)%8
	plain := []byte(password + strings.Repeat(string(rune(pad)), pad))
	cipher.NewCBCEncrypter(block, key).CryptBlocks(plain, plain)
	return base + strings.ToUpper(hex.EncodeToString(plain))
}

// Part 1 section 2.6.
func TestConformanceUsers(t *testing.T) {
	s := newSite(t)
	s.login(t, "bob")
	asBob := []string{"x-auth-token: {bob}"}
	logsIn := func(password string, status int) func(*testing.T, reply) {
		return func(t *testing.T, _ reply) {
			assert.Equal(t, status, s.send(t, "POST /login", "username=alice&password="+password, formType, "x-auth-token:").status)
		}
	}
	s.run(t, []call{
		{name: "2.6 built in", req: "GET /auth/api/v1/users/admin", has: `"username":"admin","password_type":"LOCAL","enabled":true,"roles":[{"role_id":"`},
		{name: "2.6 built in monitor", req: "GET /auth/api/v1/users/monitor", has: `"role_name":"ROLE_AUTH_MONITOR"`},
		{name: "2.6 create", req: "POST /auth/api/v1/users/alice", form: "password_type=LOCAL&password=one", has: `"username":"alice","password_type":"LOCAL","enabled":true,"roles":[]}`, then: logsIn("one", 200)},
		{name: "2.6 create existing", req: "POST /auth/api/v1/users/alice", form: "password_type=LOCAL&password=one", status: 400, code: 400},
		{name: "2.6 create without password", req: "POST /auth/api/v1/users/x", form: "password_type=LOCAL", status: 400, code: 400},
		{name: "2.6 create with unknown type", req: "POST /auth/api/v1/users/x", form: "password_type=X&password=y", status: 400, code: 400},
		{name: "2.6 create needs AUTH_ADMIN", req: "POST /auth/api/v1/users/x", form: "password_type=LOCAL&password=y", lines: asBob, status: 403, code: 403},
		{name: "2.6 get", req: "GET /auth/api/v1/users/alice", has: `"username":"alice"`, then: func(t *testing.T, r reply) {
			assert.NotContains(t, r.body, "$2a$", "passwords are never shown")
			assert.Regexp(t, `^\{"user_id":"[0-9a-f]{24}",`, r.body)
		}},
		{name: "2.6 get unknown", req: "GET /auth/api/v1/users/nope", status: 404, code: 404},
		{name: "2.6 list", req: "GET /auth/api/v1/users", then: func(t *testing.T, r reply) {
			assert.Equal(t, 4, strings.Count(r.body, `"user_id"`))
			assert.NotContains(t, r.body, "$2a$")
		}},
		{name: "2.6 list, trailing slash", req: "GET /auth/api/v1/users/", has: `"username":"admin"`},
		{name: "2.6 own new password, old one wrong", req: "PUT /auth/api/v1/users/bob", form: "old_password=x&new_password=y", lines: asBob, status: 400, code: 400},
		{name: "2.6 own new password, old one missing", req: "PUT /auth/api/v1/users/bob", form: "new_password=y", lines: asBob, status: 400, code: 400},
		{name: "2.6 own new password", req: "PUT /auth/api/v1/users/bob", form: "old_password=pw-bob&new_password=y", lines: asBob, has: `"username":"bob"`},
		{name: "2.6 somebody else's password", req: "PUT /auth/api/v1/users/alice", form: "old_password=one&new_password=y", lines: asBob, status: 403, code: 403},
		{name: "2.6 own roles", req: "PUT /auth/api/v1/users/bob", form: "add_roles=ROLE_AUTH_ADMIN", lines: asBob, status: 403, code: 403},
		{name: "2.6 password set by the administrator", req: "PUT /auth/api/v1/users/alice", form: "old_password=&new_password=two", then: logsIn("two", 200)},
		{name: "2.6 the old one is over", req: "GET /auth/api/v1/users/alice", then: logsIn("one", 401)},
		{name: "2.6 a given old password must be right", req: "PUT /auth/api/v1/users/alice", form: "old_password=one&new_password=three", status: 400, code: 400, then: logsIn("two", 200)},
		{name: "2.6 v2 create", req: "POST /auth/api/v2/users/carol", form: "password_type=LOCAL&password=" + encryptV2(t, "a1B2", "s3cret-Pass"), then: func(t *testing.T, _ reply) {
			assert.Equal(t, 200, s.send(t, "POST /login", "username=carol&password=s3cret-Pass", formType, "x-auth-token:").status)
		}},
		{name: "2.6 v2 change", req: "PUT /auth/api/v2/users/alice", form: "old_password=" + encryptV2(t, "0000", "two") + "&new_password=" + encryptV2(t, "ffff", "exactly8"), then: logsIn("exactly8", 200)},
		{name: "2.6 v2 not encrypted", req: "PUT /auth/api/v2/users/alice", form: "new_password=plain", status: 400, code: 400, then: logsIn("exactly8", 200)},
		{name: "2.6 add roles, prefix optional", req: "PUT /auth/api/v1/users/alice", form: "add_roles=bob", has: `"role_name":"ROLE_bob"`},
		{name: "2.6 add unknown role", req: "PUT /auth/api/v1/users/alice", form: "add_roles=nope", status: 404, code: 404},
		{name: "2.6 take roles", req: "PUT /auth/api/v1/users/alice", form: "del_roles=ROLE_bob", has: `"roles":[]`},
		{name: "2.6 disable", req: "PUT /auth/api/v1/users/alice", form: "enabled=false", has: `"enabled":false`, then: logsIn("exactly8", 401)},
		{name: "2.6 enable", req: "PUT /auth/api/v1/users/alice", form: "enabled=true", has: `"enabled":true`, then: logsIn("exactly8", 200)},
		{name: "2.6 clean_sessions", req: "PUT /auth/api/v1/users/bob", form: "clean_sessions=true"},
		{name: "2.6 his session is gone", req: "GET P/workspaces", lines: asBob, status: 401, code: 401},
		{name: "2.6 change unknown", req: "PUT /auth/api/v1/users/nope", form: "enabled=true", status: 404, code: 404},
		{name: "2.6 delete needs AUTH_ADMIN", req: "DELETE /auth/api/v1/users/alice", lines: asBob, status: 401, code: 401},
		{name: "2.6 delete", req: "DELETE /auth/api/v1/users/alice", then: logsIn("exactly8", 401)},
		{name: "2.6 delete unknown", req: "DELETE /auth/api/v1/users/alice", status: 404, code: 404},
		{name: "the last administrator cannot go", req: "DELETE /auth/api/v1/users/admin", status: 400, code: 400},
		{name: "nor be disabled", req: "PUT /auth/api/v1/users/admin", form: "enabled=false", status: 400, code: 400},
		{name: "nor lose the role", req: "PUT /auth/api/v1/users/admin", form: "del_roles=ROLE_AUTH_ADMIN", status: 400, code: 400},
	})
}

func TestConformanceRoles(t *testing.T) {
	s := newSite(t)
	s.login(t, "bob")
	asBob := []string{"x-auth-token: {bob}"}
	s.run(t, []call{
		{name: "2.6 create, prefixed", req: "POST /auth/api/v1/roles/readers", form: "description=all+who+read", has: `"role_name":"ROLE_readers","description":"all who read"}`},
		{name: "2.6 create with prefix", req: "POST /auth/api/v1/roles/ROLE_writers", form: "description=", has: `"role_name":"ROLE_writers"`},
		{name: "2.6 create existing", req: "POST /auth/api/v1/roles/ROLE_readers", form: "description=", status: 400, code: 400},
		{name: "2.6 create needs AUTH_ADMIN", req: "POST /auth/api/v1/roles/x", lines: asBob, status: 403, code: 403},
		{name: "2.6 get", req: "GET /auth/api/v1/roles/readers", has: `"role_name":"ROLE_readers"`},
		{name: "2.6 get unknown", req: "GET /auth/api/v1/roles/nope", status: 404, code: 404},
		{name: "2.6 list", req: "GET /auth/api/v1/roles", has: `"role_name":"ROLE_AUTH_MONITOR"`},
		{name: "7.3 count", req: "HEAD /auth/api/v1/roles", header: "X-SCM-Count: 6"}, // 2 built in, owner, bob, 2
		{name: "2.6 privileges", req: "GET /auth/api/v1/privileges", save: "", then: func(t *testing.T, r reply) { assert.Regexp(t, `^\{"version":[0-9]+\}$`, r.body) }},
		{name: "2.6 delete", req: "DELETE /auth/api/v1/roles/writers"},
		{name: "2.6 delete unknown", req: "DELETE /auth/api/v1/roles/writers", status: 404, code: 404},
		{name: "2.6 delete built in", req: "DELETE /auth/api/v1/roles/AUTH_ADMIN", status: 400, code: 400},
		{name: "unknown resource", req: "GET /auth/api/v1/nope", status: 404, code: 404},
		{name: "unknown version", req: "GET /auth/api/v3/users", status: 404, code: 404},
	})
	t.Run("2.6 at most 60 roles per user", func(t *testing.T) {
		for i := range 60 {
			require.Equal(t, 200, s.send(t, fmt.Sprintf("POST /auth/api/v1/roles/r%d", i), "").status)
		}
		var all []string
		for i := range 60 {
			all = append(all, fmt.Sprintf("r%d", i))
		}
		r := s.send(t, "PUT /auth/api/v1/users/bob", "add_roles="+strings.Join(all, ","), formType)
		assert.Equal(t, 400, r.status, "with ROLE_bob it would be 61")
		r = s.send(t, "PUT /auth/api/v1/users/bob", "add_roles="+strings.Join(all[1:], "&add_roles="), formType)
		assert.Equal(t, 200, r.status, r.body)
	})
	t.Run("2.2 user_details only when short", func(t *testing.T) {
		r := s.send(t, "POST /login", "username=bob&password=pw-bob", formType, "x-auth-token:")
		require.Equal(t, 200, r.status)
		require.NotEmpty(t, r.header.Get("user_details"))
		for i := range 59 {
			role := fmt.Sprintf("%d-%s", i, strings.Repeat("x", 100))
			require.Equal(t, 200, s.send(t, "POST /auth/api/v1/roles/"+role, "").status)
			require.Equal(t, 200, s.send(t, "PUT /auth/api/v1/users/bob", fmt.Sprintf("del_roles=r%d&add_roles=%s", i+1, role), formType).status)
		}
		r = s.send(t, "POST /login", "username=bob&password=pw-bob", formType, "x-auth-token:")
		require.Equal(t, 200, r.status)
		assert.Empty(t, r.header.Get("user_details"))
	})
}

// Part 1 sections 2.6 and 2.7: who may grant, and what.
func TestConformanceGrants(t *testing.T) {
	s := newSite(t)
	s.login(t, "bob")
	s.login(t, "owner", "workspace docs ALL")
	asBob, asOwner := []string{"x-auth-token: {bob}"}, []string{"x-auth-token: {owner}"}
	s.mkdir(t, "/a", "/a/b")
	allowed := call{req: "HEAD P/directories/path/a/b/?workspace_name=docs", lines: asBob}
	refused := allowed
	refused.status, refused.code = 403, -109
	named := func(c call, name string) call { c.name = name; return c }
	s.run(t, []call{
		named(refused, "2.7 nothing granted"),
		{name: "2.6 grant on a directory", req: "PUT P/roles/bob/grant", form: "resource_type=directory&resource=docs:/a&privilege=READ", header: "Content-Length: 0"},
		named(allowed, "2.7 and below it"),
		{name: "2.7 nearest entry wins", req: "PUT P/roles/ROLE_bob/grant", form: "resource_type=directory&resource=docs:/a/b&privilege=CREATE%7CDELETE"},
		named(refused, "2.7 ancestors further up do not add"),
		{name: "2.7 the workspace's do", req: "PUT P/roles/bob/grant?resource_type=workspace&resource=docs&privilege=READ"},
		named(allowed, "2.7 workspace and nearest directory"),
		{name: "2.6 revoke", req: "PUT P/roles/bob/revoke", form: "resource_type=workspace&resource=docs&privilege=READ"},
		named(refused, "2.7 revoked"),
		{name: "2.7 LOW_LEVEL_READ", req: "PUT P/roles/bob/grant", form: "resource_type=workspace&resource=docs&privilege=LOW_LEVEL_READ"},
		named(refused, "2.7 all bits of READ are needed"),
		{name: "2.7 counting needs no more", req: "HEAD P/directories?workspace_name=docs", lines: asBob, header: "X-SCM-Count: 3"},
		{name: "2.7 workspace_all", req: "PUT P/roles/bob/grant", form: "resource_type=workspace_all&resource=&privilege=ALL"},
		named(allowed, "2.7 everywhere"),
		{name: "2.7 workspace_all, revoked", req: "PUT P/roles/bob/revoke", form: "resource_type=workspace_all&resource=&privilege=ALL"},
		named(refused, "2.7 nowhere"),
		{name: "2.6 grant by somebody", req: "PUT P/roles/bob/grant", form: "resource_type=workspace&resource=docs&privilege=READ", lines: asBob, status: 403, code: -109},
		{name: "2.6 grant by who has ALL on it", req: "PUT P/roles/bob/grant", form: "resource_type=workspace&resource=docs&privilege=READ", lines: asOwner},
		{name: "2.6 but not on another", req: "PUT P/roles/bob/grant", form: "resource_type=workspace&resource=flat&privilege=READ", lines: asOwner, status: 403, code: -109},
		{name: "2.6 grant to unknown role", req: "PUT P/roles/nope/grant", form: "resource_type=workspace&resource=docs&privilege=READ", status: 500, code: -280, has: `"error":"Privilege grant failed"`},
		{name: "2.6 revoke from unknown role", req: "PUT P/roles/nope/revoke", form: "resource_type=workspace&resource=docs&privilege=READ", status: 500, code: -281, has: `"error":"Privilege revoke failed"`},
		{name: "2.6 unknown resource type", req: "PUT P/roles/bob/grant", form: "resource_type=moon&resource=docs&privilege=READ", status: 500, code: -280},
		{name: "2.6 unknown workspace", req: "PUT P/roles/bob/grant", form: "resource_type=workspace&resource=nope&privilege=READ", status: 500, code: -205},
		{name: "2.6 unknown privilege (UNKNOWN)", req: "PUT P/roles/bob/grant", form: "resource_type=workspace&resource=docs&privilege=FLY", status: 400, code: -101},
		{name: "multipart/form-data (part 3)", req: "PUT P/roles/bob/revoke", form: multipartForm("resource_type", "workspace", "resource", "docs", "privilege", "READ"), lines: []string{multipartType}},
		named(refused, "2.7 revoked by it"),
		{name: "no such action", req: "PUT P/roles/bob/lend", status: 404, code: 404},
	})
}
