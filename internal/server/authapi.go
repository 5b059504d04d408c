package server

import (
	"crypto/cipher"
	"crypto/des" //nolint:gosec // the protocol's encoding of a new password, part 1 section 2.6
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// serveAuth answers /auth/api/v1|v2/….
func (s *Server) serveAuth(w http.ResponseWriter, q *request) error {
	if len(q.rest) < 3 || len(q.rest) > 4 || q.rest[0] != "api" || q.rest[1] != "v1" && q.rest[1] != "v2" {
		return notFound(q)
	}
	name := ""
	if len(q.rest) == 4 {
		n, err := q.name(3)
		if err != nil {
			return err
		}
		name = n
	}
	switch q.rest[2] {
	case "sessions":
		return s.serveSessions(w, q, name)
	case "users":
		return s.serveUsers(w, q, name, q.rest[1] == "v2")
	case "roles":
		return s.serveRoles(w, q, name)
	case "privileges":
		if q.Method != http.MethodGet || name != "" {
			return notFound(q)
		}
		writeJSON(w, wire.Doc{{Key: "version", Value: s.repo.PrivilegeVersion()}})
		return nil
	}
	return notFound(q)
}

// serveSessions answers sessions and sessions/{id}. An id is a token, so only
// AUTH_ADMIN is shown those of others; the text names no privilege for the list.
func (s *Server) serveSessions(w http.ResponseWriter, q *request, id string) error {
	details, err := q.boolean("user_details", false)
	if err != nil {
		return err
	}
	missing := &repo.Error{Code: 404, Msg: "Session is not found: " + id}
	switch {
	case id == "" && (q.Method == http.MethodGet || q.Method == http.MethodHead):
		user := q.get(wire.ParamUsername)
		if _, ok := s.repo.User(user); user != "" && !ok {
			return &repo.Error{Code: 404, Msg: "User is not found: " + user}
		}
		out := []any{}
		for _, se := range s.sessions.list(user) {
			if se.user == q.caller.User || s.repo.HasRole(q.caller.User, repo.RoleAdmin) {
				out = append(out, s.sessionDoc(se, details))
			}
		}
		if q.Method == http.MethodHead {
			s.writeCount(w, q, int64(len(out)), nil)
			return nil
		}
		writeJSON(w, out)
	case q.Method == http.MethodGet:
		se, ok := s.sessions.get(id)
		if !ok {
			return missing
		}
		writeJSON(w, s.sessionDoc(se, details))
	case q.Method == http.MethodDelete && id != "":
		if !s.repo.HasRole(q.caller.User, repo.RoleAdmin) || id == q.token {
			return &repo.Error{Code: 403, Msg: "Access Denied"}
		}
		if !s.sessions.remove(id) {
			return missing
		}
		writeEmpty(w)
	default:
		return notAllowed(q)
	}
	return nil
}

func (s *Server) serveUsers(w http.ResponseWriter, q *request, name string, v2 bool) error {
	password := func(param string) (*string, error) {
		if !q.has(param) {
			return nil, nil
		}
		p := q.get(param)
		if v2 && p != "" {
			plain, err := decryptPassword(p)
			if err != nil {
				return nil, badRequest("password is not in the v2 encoding")
			}
			p = plain
		}
		return &p, nil
	}
	switch q.Method {
	case http.MethodGet:
		if name == "" {
			out := []any{}
			for _, u := range s.repo.Users() {
				out = append(out, s.userDoc(u))
			}
			writeJSON(w, out)
			return nil
		}
		u, ok := s.repo.User(name)
		if !ok {
			return &repo.Error{Code: 404, Msg: "User is not found: " + name}
		}
		writeJSON(w, s.userDoc(u))
	case http.MethodHead:
		if name == "" {
			s.writeCount(w, q, int64(len(s.repo.Users())), nil)
			return nil
		}
		if _, ok := s.repo.User(name); !ok {
			return &repo.Error{Code: 404, Msg: "User is not found: " + name}
		}
		writeEmpty(w)
	case http.MethodPost:
		p, err := password(wire.ParamPassword)
		if err != nil {
			return err
		}
		if p == nil {
			p = new(string)
		}
		u, err := s.repo.PutUser(q.caller, name, q.get(wire.ParamPasswordType), *p)
		if err != nil {
			return err
		}
		writeJSON(w, s.userDoc(u))
	case http.MethodPut:
		ch := repo.UserChange{AddRoles: q.list("add_roles"), DelRoles: q.list("del_roles"), Type: q.get(wire.ParamPasswordType)}
		var err error
		if ch.Password, err = password("new_password"); err != nil {
			return err
		}
		if ch.Password != nil {
			old, err := password("old_password")
			if err != nil {
				return err
			}
			if err := s.checkOldPassword(q, name, old); err != nil {
				return err
			}
		}
		if q.has("enabled") {
			on, err := q.boolean("enabled", true)
			if err != nil {
				return err
			}
			ch.Enabled = &on
		}
		u, err := s.repo.ChangeUser(q.caller, name, ch)
		if err != nil {
			return err
		}
		if clean, _ := q.boolean("clean_sessions", false); clean || u.Disabled {
			s.sessions.dropUser(name)
		}
		u, _ = s.repo.User(name)
		writeJSON(w, s.userDoc(u))
	case http.MethodDelete:
		if err := s.repo.DeleteUser(q.caller, name); err != nil {
			return err
		}
		s.sessions.dropUser(name)
		writeEmpty(w)
	default:
		return notAllowed(q)
	}
	return nil
}

// checkOldPassword asks for the old password before a new one is set: one that
// is given must be right, and only AUTH_ADMIN may leave it out. Which status a
// wrong one has is UNKNOWN; 401 would send clients to log in again.
func (s *Server) checkOldPassword(q *request, name string, old *string) error {
	admin := s.repo.HasRole(q.caller.User, repo.RoleAdmin)
	switch {
	case !admin && name != q.caller.User:
		return &repo.Error{Code: 403, Msg: "Access Denied"}
	case admin && old == nil:
		return nil
	case old == nil:
		return badRequest("old_password is missing")
	}
	if _, err := s.repo.CheckPassword(name, *old); err != nil {
		return badRequest("old_password is wrong")
	}
	return nil
}

// list reads a repeated or comma-separated parameter.
func (q *request) list(name string) []string {
	var out []string
	for _, v := range q.params[name] {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// decryptPassword undoes the v2 encoding: 4 hex characters of base key, then the
// upper-case hex of DES/CBC/PKCS5 with key and IV = the base key repeated.
func decryptPassword(s string) (string, error) {
	if len(s) < 4 {
		return "", strconv.ErrSyntax
	}
	key := []byte(s[:4] + s[:4])
	raw, err := hex.DecodeString(s[4:])
	if err != nil || len(raw) == 0 || len(raw)%des.BlockSize != 0 {
		return "", strconv.ErrSyntax
	}
	for _, k := range [][]byte{key, baseKeyBytes(s[:4])} {
		if k == nil {
			continue
		}
		block, err := des.NewCipher(k) //nolint:gosec // see above
		if err != nil {
			return "", err
		}
		out := make([]byte, len(raw))
		cipher.NewCBCDecrypter(block, k).CryptBlocks(out, raw)
		pad := int(out[len(out)-1])
		if pad >= 1 && pad <= des.BlockSize && strings.Count(string(out[len(out)-pad:]), string(rune(pad))) == pad {
			return string(out[:len(out)-pad]), nil
		}
	}
	return "", strconv.ErrSyntax
}

// baseKeyBytes is the other reading of "repeated to 8 bytes": the two key bytes
// themselves. The text leaves it open, so both are tried.
func baseKeyBytes(hexed string) []byte {
	b, err := hex.DecodeString(hexed)
	if err != nil {
		return nil
	}
	return []byte(strings.Repeat(string(b), 4))
}

func (s *Server) serveRoles(w http.ResponseWriter, q *request, name string) error {
	switch q.Method {
	case http.MethodGet:
		if name == "" {
			out := []any{}
			for _, ro := range s.repo.Roles() {
				out = append(out, roleDoc(ro))
			}
			writeJSON(w, out)
			return nil
		}
		ro, ok := s.repo.Role(name)
		if !ok {
			return &repo.Error{Code: 404, Msg: "Role is not found: " + name}
		}
		writeJSON(w, roleDoc(ro))
	case http.MethodHead:
		if name != "" {
			return notAllowed(q)
		}
		s.writeCount(w, q, int64(len(s.repo.Roles())), nil)
	case http.MethodPost:
		ro, err := s.repo.PutRole(q.caller, name, q.get("description"))
		if err != nil {
			return err
		}
		writeJSON(w, roleDoc(ro))
	case http.MethodDelete:
		if err := s.repo.DeleteRole(q.caller, name); err != nil {
			return err
		}
		writeEmpty(w)
	default:
		return notAllowed(q)
	}
	return nil
}

// serveGrants answers PUT roles/{role}/grant and /revoke.
func (s *Server) serveGrants(w http.ResponseWriter, q *request) error {
	if len(q.rest) != 3 || q.rest[2] != "grant" && q.rest[2] != "revoke" {
		return notFound(q)
	}
	if q.Method != http.MethodPut && q.Method != http.MethodPost {
		return notAllowed(q)
	}
	role, err := q.name(1)
	if err != nil {
		return err
	}
	p, err := repo.ParsePrivilege(q.get(wire.ParamPrivilege))
	if err != nil {
		return err
	}
	if err := s.repo.Grant(q.caller, role, q.get(wire.ParamResourceType), q.get(wire.ParamResource), p, q.rest[2] == "revoke"); err != nil {
		return err
	}
	writeEmpty(w)
	return nil
}
