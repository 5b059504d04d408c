package repo

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestBuiltIn(t *testing.T) {
	t.Run("default passwords", func(t *testing.T) {
		f := newFixture(t, Options{})
		for _, name := range []string{"admin", "monitor"} {
			_, err := f.CheckPassword(name, name)
			require.NoError(t, err)
		}
		assert.True(t, f.allowed(Caller{User: "monitor"}, "ws", "", LowLevelRead))
		assert.False(t, f.allowed(Caller{User: "monitor"}, "ws", "", Read))
	})
	t.Run("own admin password", func(t *testing.T) {
		f := newFixture(t, Options{AdminPassword: "s3cret-Pass"})
		_, err := f.CheckPassword("admin", "admin")
		requireCode(t, 401, err)
		_, err = f.CheckPassword("admin", "s3cret-Pass")
		require.NoError(t, err)
		_, err = f.CheckPassword("monitor", "monitor")
		requireCode(t, 401, err)
		f.opts.AdminPassword = "another"
		f.reopen()
		_, err = f.CheckPassword("admin", "s3cret-Pass")
		require.NoError(t, err, "the option counts at creation only")
	})
}

func TestUsers(t *testing.T) {
	f := newFixture(t, Options{})
	plain := f.user("plain")
	_, err := f.PutUser(plain, "x", "", "p")
	requireCode(t, 403, err)
	for _, tt := range []struct{ name, typ, password string }{{"plain", "", "p"}, {"", "", "p"}, {"y", "NOPE", "p"}, {"y", "", ""}} {
		_, err := f.PutUser(admin, tt.name, tt.typ, tt.password)
		requireCode(t, 400, err)
	}
	t.Run("signature", func(t *testing.T) {
		u, _ := f.User("plain")
		date := "20240115T083000Z"
		sig, err := wire.Sign("pw", u.Hash[:wire.SaltLength], date)
		require.NoError(t, err)
		_, err = f.CheckSignature("plain", date, sig)
		require.NoError(t, err)
		for _, bad := range [][3]string{{"plain", "20240115T083001Z", sig}, {"plain", date, "x"}, {"none", date, sig}} {
			_, err = f.CheckSignature(bad[0], bad[1], bad[2])
			requireCode(t, 401, err)
		}
	})
	t.Run("LDAP users have no password here", func(t *testing.T) {
		u, err := f.PutUser(admin, "ldap", "ldap", "")
		require.NoError(t, err)
		assert.Equal(t, "LDAP", u.Type)
		_, err = f.CheckPassword("ldap", "")
		requireCode(t, 401, err)
	})
	t.Run("change", func(t *testing.T) {
		pass, off := "new", false
		_, err := f.ChangeUser(plain, "plain", UserChange{Password: &pass})
		require.NoError(t, err, "one's own password")
		_, err = f.CheckPassword("plain", "new")
		require.NoError(t, err)
		for _, ch := range []UserChange{{AddRoles: []string{"AUTH_ADMIN"}}, {Enabled: &off}, {Type: "LDAP"}} {
			_, err = f.ChangeUser(plain, "plain", ch)
			requireCode(t, 403, err)
		}
		_, err = f.ChangeUser(plain, "admin", UserChange{Password: &pass})
		requireCode(t, 403, err)
		_, err = f.ChangeUser(admin, "none", UserChange{})
		requireCode(t, 404, err)
		_, err = f.ChangeUser(admin, "plain", UserChange{AddRoles: []string{"none"}})
		requireCode(t, 404, err)
		u, err := f.ChangeUser(admin, "plain", UserChange{Enabled: &off, DelRoles: []string{"plain"}})
		require.NoError(t, err)
		assert.True(t, u.Disabled)
		assert.Empty(t, u.Roles)
		_, err = f.CheckPassword("plain", "new")
		requireCode(t, 401, err)
	})
	t.Run("60 roles", func(t *testing.T) {
		var roles []string
		for i := range maxRoles + 1 {
			ro, err := f.PutRole(admin, fmt.Sprintf("r%d", i), "")
			require.NoError(t, err)
			roles = append(roles, ro.Name)
		}
		_, err := f.ChangeUser(admin, "plain", UserChange{AddRoles: roles})
		requireCode(t, 400, err)
		_, err = f.ChangeUser(admin, "plain", UserChange{AddRoles: roles[:maxRoles]})
		require.NoError(t, err)
	})
	t.Run("delete and reopen", func(t *testing.T) {
		requireCode(t, 403, f.DeleteUser(plain, "plain"))
		require.NoError(t, f.DeleteUser(admin, "plain"))
		requireCode(t, 404, f.DeleteUser(admin, "plain"))
		users := f.Users()
		f.reopen()
		assert.Equal(t, users, f.Users())
	})
}

func TestRoles(t *testing.T) {
	f := newFixture(t, Options{})
	c := f.user("u", [3]string{"workspace", "ws", "READ"})
	ro, err := f.PutRole(admin, "desk", "front desk")
	require.NoError(t, err)
	assert.Equal(t, "ROLE_desk", ro.Name)
	got, ok := f.Role("desk")
	assert.True(t, ok)
	assert.Equal(t, ro, got)
	_, err = f.PutRole(admin, "ROLE_desk", "")
	requireCode(t, 400, err)
	_, err = f.PutRole(c, "x", "")
	requireCode(t, 403, err)
	requireCode(t, 403, f.DeleteRole(c, "desk"))
	requireCode(t, 404, f.DeleteRole(admin, "none"))
	requireCode(t, 400, f.DeleteRole(admin, "AUTH_ADMIN"))
	require.True(t, f.allowed(c, "ws", "", Read))
	require.NoError(t, f.DeleteRole(admin, "u"))
	assert.False(t, f.allowed(c, "ws", "", Read), "grants go with the role")
	_, err = f.PutRole(admin, "u", "")
	require.NoError(t, err)
	_, err = f.ChangeUser(admin, "u", UserChange{AddRoles: []string{"u"}})
	require.NoError(t, err)
	assert.False(t, f.allowed(c, "ws", "", Read), "and do not come back")
	names := []string{}
	for _, ro := range f.Roles() {
		names = append(names, ro.Name)
	}
	assert.Equal(t, []string{"ROLE_AUTH_ADMIN", "ROLE_AUTH_MONITOR", "ROLE_all", "ROLE_desk", "ROLE_u"}, names)
}

func TestProvision(t *testing.T) {
	f := newFixture(t, Options{})
	_, err := f.PutUser(admin, "owner", "", "p")
	require.NoError(t, err)
	require.NoError(t, f.Provision("owner", "mine", true))
	require.NoError(t, f.Provision("owner", "mine", true), "again is no error")
	assert.True(t, f.allowed(Caller{User: "owner"}, "mine", "", Everything))
	requireCode(t, 404, f.GrantAll("nobody"))
	requireCode(t, -101, f.Provision("owner", "a/b", true))
}
