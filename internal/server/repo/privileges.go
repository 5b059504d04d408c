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

// allWorkspaces is the resource of grants on every workspace.
const allWorkspaces = "*"

// grantKey is a resource as roles hold it: "*" every workspace, "ws", "ws:/path/".
func grantKey(resourceType, resource string) (key string, ok bool) {
	switch resourceType {
	case "workspace_all":
		return allWorkspaces, true
	case "workspace":
		return resource, resource != ""
	case "directory":
		ws, path, _ := strings.Cut(resource, ":")
		return ws + ":" + cleanDir(path), ws != "" && strings.HasPrefix(path, "/")
	}
	return "", false
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
// workspace joined with those of the nearest ancestor of dir that has an entry;
// ancestors further up do not add. An empty dir asks for the workspace alone.
func (r *Repo) allowed(c Caller, ws, dir string, need Privilege) bool {
	s := r.auth.state.Load()
	u := s.Users[c.User]
	if u == nil {
		return false
	}
	var have Privilege
	for _, role := range u.Roles {
		if role == RoleMonitor {
			have |= LowLevelRead
		}
		g := s.Grants[role]
		have |= g[allWorkspaces] | g[ws]
	}
	if have&need != need && dir != "" {
		have |= s.nearest(u, ws, cleanDir(dir))
	}
	return have&need == need
}

// nearest returns what the user's roles have on path or its closest ancestor
// with an entry. path ends in a slash.
func (s *authState) nearest(u *User, ws, path string) Privilege {
	for {
		var bits Privilege
		found := false
		for _, role := range u.Roles {
			if b, ok := s.Grants[role][ws+":"+path]; ok {
				bits |= b
				found = true
			}
		}
		if found || path == "/" {
			return bits
		}
		path = path[:strings.LastIndexByte(path[:len(path)-1], '/')+1]
	}
}

func (r *Repo) allow(c Caller, ws, dir string, need Privilege) error {
	if r.allowed(c, ws, dir, need) {
		return nil
	}
	return Errorf(wire.CodeOperationUnauthorized, "user %s lacks a privilege on %s:%s", c.User, ws, dir)
}

// Grant gives a role privileges on a resource, or with revoke takes them away;
// the caller needs AUTH_ADMIN or ALL on the workspace. An unknown role is -280,
// or -281 for a revoke.
func (r *Repo) Grant(c Caller, role, resourceType, resource string, p Privilege, revoke bool) error {
	failCode := wire.CodePrivilegeGrantFailed
	if revoke {
		failCode = wire.CodePrivilegeRevokeFailed
	}
	key, ok := grantKey(resourceType, resource)
	if !ok {
		return Errorf(failCode, "bad resource: %s %q", resourceType, resource)
	}
	ws, _, _ := strings.Cut(key, ":")
	if !r.isAdmin(c) && !r.allowed(c, ws, "", Everything) {
		return Errorf(wire.CodeOperationUnauthorized, "user %s may not grant", c.User)
	}
	if ws != allWorkspaces {
		if err := r.knownWorkspace(ws); err != nil {
			return err
		}
	}
	role = roleName(role)
	return r.changeAuth(func(s *authState) error {
		if s.Roles[role] == nil {
			return Errorf(failCode, "role does not exist: %s", role)
		}
		g := s.Grants[role]
		if g == nil {
			g = map[string]Privilege{}
			s.Grants[role] = g
		}
		if !revoke {
			g[key] |= p
		} else if g[key] &^= p; g[key] == 0 {
			delete(g, key)
		}
		s.Version++
		return nil
	})
}

// PrivilegeVersion counts the changes of grants.
func (r *Repo) PrivilegeVersion() int64 { return r.auth.state.Load().Version }
