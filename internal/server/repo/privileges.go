package repo

import (
	"strings"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Caller is an authenticated user.
type Caller struct{ User string }

// Privilege is a set of flags (part 1 section 2.7).
type Privilege uint16

// The privilege flags; Read includes LowLevelRead.
const (
	LowLevelRead Privilege = 0x01
	Create       Privilege = 0x02
	Update       Privilege = 0x04
	Delete       Privilege = 0x08
	Execute      Privilege = 0x10
	Read         Privilege = 0x21
	Everything   Privilege = 0xFFFF
)

var privilegeNames = map[string]Privilege{"READ": Read, "LOW_LEVEL_READ": LowLevelRead, "CREATE": Create,
	"UPDATE": Update, "DELETE": Delete, "EXECUTE": Execute, "ALL": Everything}

// ParsePrivilege reads "READ|CREATE".
func ParsePrivilege(s string) (Privilege, error) {
	var p Privilege
	for name := range strings.SplitSeq(s, "|") {
		bits, ok := privilegeNames[strings.TrimSpace(name)]
		if !ok {
			return 0, Errorf(wire.CodeInvalidArgument, "unknown privilege: %q", name)
		}
		p |= bits
	}
	return p, nil
}

// grantKey is a resource as roles hold it: "*" every workspace, "ws", "ws:/path/".
func grantKey(resourceType, resource string) (string, error) {
	switch resourceType {
	case "workspace_all":
		return "*", nil
	case "workspace":
		return resource, nil
	case "directory":
		ws, path, ok := strings.Cut(resource, ":")
		if !ok || !strings.HasPrefix(path, "/") {
			return "", Errorf(wire.CodePrivilegeGrantFailed, "directory resource is not ws:/path: %q", resource)
		}
		return ws + ":" + cleanDir(path), nil
	}
	return "", Errorf(wire.CodePrivilegeGrantFailed, "unknown resource type: %q", resourceType)
}

// cleanDir collapses slashes and ends in one.
func cleanDir(path string) string {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(parts) == 0 {
		return "/"
	}
	return "/" + strings.Join(parts, "/") + "/"
}

// allowed reports whether the caller has all bits of need: those of the
// workspace joined with those of the nearest ancestor of dir that has an entry.
// An empty dir asks for the workspace alone.
func (r *Repo) allowed(c Caller, ws, dir string, need Privilege) bool {
	r.auth.mu.RLock()
	defer r.auth.mu.RUnlock()
	u := r.auth.users[c.User]
	if u == nil {
		return false
	}
	var have Privilege
	for _, role := range u.Roles {
		if role == RoleMonitor {
			have |= LowLevelRead
		}
		g := r.auth.grants[role]
		have |= g["*"] | g[ws]
	}
	if dir != "" {
		for path := cleanDir(dir); ; path = path[:strings.LastIndexByte(path[:len(path)-1], '/')+1] {
			var bits Privilege
			found := false
			for _, role := range u.Roles {
				if b, ok := r.auth.grants[role][ws+":"+path]; ok {
					bits |= b
					found = true
				}
			}
			if found {
				have |= bits
				break
			}
			if path == "/" {
				break
			}
		}
	}
	return have&need == need
}

func (r *Repo) allow(c Caller, ws, dir string, need Privilege) error {
	if r.allowed(c, ws, dir, need) {
		return nil
	}
	return Errorf(wire.CodeOperationUnauthorized, "user %s lacks a privilege on %s:%s", c.User, ws, dir)
}

// Grant gives a role privileges on a resource, revoke takes them away; the
// caller needs AUTH_ADMIN or ALL on the workspace.
func (r *Repo) Grant(c Caller, role, resourceType, resource string, p Privilege, revoke bool) error {
	failCode := wire.CodePrivilegeGrantFailed
	if revoke {
		failCode = wire.CodePrivilegeRevokeFailed
	}
	key, err := grantKey(resourceType, resource)
	if err != nil {
		return err
	}
	ws, _, _ := strings.Cut(key, ":")
	if !r.isAdmin(c) && !r.allowed(c, ws, "", Everything) {
		return Errorf(wire.CodeOperationUnauthorized, "user %s may not grant", c.User)
	}
	if ws != "*" {
		if err := r.knownWorkspace(ws); err != nil {
			return err
		}
	}
	role = roleName(role)
	return r.changeAuth(func(a *authTables) error {
		if a.roles[role] == nil {
			return Errorf(failCode, "role does not exist: %s", role)
		}
		g := a.grants[role]
		if g == nil {
			g = map[string]Privilege{}
			a.grants[role] = g
		}
		if revoke {
			left := g[key] &^ p
			// READ contains LOW_LEVEL_READ: revoking one leaves what others need.
			if left == 0 {
				delete(g, key)
			} else {
				g[key] = left
			}
		} else {
			g[key] |= p
		}
		a.version++
		return nil
	})
}

// PrivilegeVersion counts the changes of grants.
func (r *Repo) PrivilegeVersion() int64 {
	r.auth.mu.RLock()
	defer r.auth.mu.RUnlock()
	return r.auth.version
}

func (r *Repo) forgetPrivileges(ws string) {
	err := r.changeAuth(func(a *authTables) error {
		for _, g := range a.grants {
			for key := range g {
				if key == ws || strings.HasPrefix(key, ws+":") {
					delete(g, key)
				}
			}
		}
		return nil
	})
	if err != nil {
		r.o.Logger.WithError(err).Warn("privileges of a deleted workspace stay")
	}
}
