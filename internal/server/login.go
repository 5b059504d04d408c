package server

import (
	"crypto/sha256"
	"net"
	"net/http"
	"time"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// loginWindow is how old the date of a v2 login may be; future ones are taken.
const loginWindow = 180 * time.Second

// serveSalt answers POST /auth/api/v2/salt (part 1 section 2.1).
func (s *Server) serveSalt(w http.ResponseWriter, q *request) error {
	if q.Method != http.MethodPost {
		return notAllowed(q)
	}
	name := q.get(wire.ParamUsername)
	u, ok := s.repo.User(name)
	switch {
	case name == "":
		return &repo.Error{Code: 401, Msg: "username is empty"}
	case !ok:
		return repo.Errorf(wire.CodeSaltNotExist, "user does not exist")
	case u.Type != "LOCAL":
		return repo.Errorf(wire.CodeFindSaltFailed, "user has no salt")
	}
	writeJSON(w, wire.Doc{{Key: "Salt", Value: u.Hash[:wire.SaltLength]}, {Key: "Date", Value: s.o.Now().UTC().Format(wire.DateFormat)}})
	return nil
}

// serveLogin answers both logins (part 1 sections 2.2 and 2.4).
func (s *Server) serveLogin(w http.ResponseWriter, q *request) error {
	if q.Method != http.MethodPost {
		return notAllowed(q)
	}
	name := q.get(wire.ParamUsername)
	host, _, _ := net.SplitHostPort(q.RemoteAddr)
	sum := sha256.Sum256([]byte(name + "\x00" + host)) // a name may be as long as a form
	key := string(sum[:])
	if s.throttle.refused(key, s.o.Now()) {
		return &repo.Error{Code: 401, Msg: "too many failed logins, try again later"}
	}
	// Hashing takes a processor for a tenth of a second and anybody can ask for it.
	select {
	case s.hashing <- struct{}{}:
	case <-q.Context().Done():
		return &repo.Error{Code: 401, Msg: "gave up waiting"}
	}
	u, err := s.checkLogin(q, name)
	<-s.hashing
	s.throttle.note(key, err == nil, s.o.Now())
	if err != nil {
		return err
	}
	se := s.sessions.create(u.Name)
	keepConnection(w)
	w.Header().Set(wire.HeaderToken, se.id)
	if details := string(wire.AppendJSON(nil, s.userDoc(u))); len(details) < 7<<10 {
		w.Header()[wire.HeaderUserDetails] = []string{details}
	}
	writeEmpty(w)
	return nil
}

func (s *Server) checkLogin(q *request, name string) (repo.User, error) {
	password := q.get(wire.ParamPassword)
	if q.rest[0] == "login" {
		return s.repo.CheckPassword(name, password)
	}
	date := q.Header.Get(wire.HeaderDate)
	t, err := time.Parse(wire.DateFormat, date)
	if err != nil {
		return repo.User{}, &repo.Error{Code: 500, Msg: "header date is missing or malformed"}
	}
	if s.o.Now().Sub(t) > loginWindow {
		return repo.User{}, &repo.Error{Code: 401, Msg: "Request has expired: " + date}
	}
	return s.repo.CheckSignature(name, date, password)
}

func (s *Server) logout(w http.ResponseWriter, q *request) error {
	token := q.Header.Get(wire.HeaderToken)
	switch {
	case q.Method != http.MethodPost:
		return notAllowed(q)
	case token == "":
		return &repo.Error{Code: 400, Msg: "No session id"}
	case !s.sessions.remove(token):
		return &repo.Error{Code: 404, Msg: "Session does not exist"}
	}
	writeEmpty(w)
	return nil
}

func (s *Server) userDoc(u repo.User) wire.Doc {
	roles := make([]any, 0, len(u.Roles))
	for _, name := range u.Roles {
		if ro, ok := s.repo.Role(name); ok {
			roles = append(roles, roleDoc(ro))
		}
	}
	return wire.Doc{{Key: "user_id", Value: u.ID}, {Key: "username", Value: u.Name}, {Key: "password_type", Value: u.Type},
		{Key: "enabled", Value: !u.Disabled}, {Key: "roles", Value: roles}}
}

func roleDoc(ro repo.Role) wire.Doc {
	return wire.Doc{{Key: "role_id", Value: ro.ID}, {Key: "role_name", Value: ro.Name}, {Key: "description", Value: ro.Description}}
}

func (s *Server) sessionDoc(se session, details bool) wire.Doc {
	d := wire.Doc{{Key: "session_id", Value: se.id}, {Key: "username", Value: se.user},
		{Key: "creation_time", Value: se.created.UnixMilli()}, {Key: "last_accessed_time", Value: se.accessed.UnixMilli()},
		{Key: "max_inactive_interval", Value: int64(s.o.SessionTTL / time.Second)}}
	if u, ok := s.repo.User(se.user); ok && details {
		d.Set("user_details", s.userDoc(u))
	}
	return d
}
