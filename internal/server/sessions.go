package server

import (
	"sort"
	"sync"
	"time"

	"github.com/google/uuid"
)

// session is one login.
type session struct {
	id       string
	user     string
	created  time.Time
	accessed time.Time
}

// sessions holds the logins of the process; they slide and end with it.
type sessions struct {
	ttl time.Duration
	now func() time.Time
	mu  struct {
		sync.Mutex
		byID map[string]*session
	}
}

// maxSessions bounds memory; the least recently used one goes first.
const maxSessions = 100_000

func newSessions(ttl time.Duration, now func() time.Time) *sessions {
	s := &sessions{ttl: ttl, now: now}
	s.mu.byID = map[string]*session{}
	return s
}

func (s *sessions) create(user string) session {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if len(s.mu.byID) >= maxSessions {
		var oldest *session
		for id, se := range s.mu.byID {
			if now.Sub(se.accessed) > s.ttl {
				delete(s.mu.byID, id)
			} else if oldest == nil || se.accessed.Before(oldest.accessed) {
				oldest = se
			}
		}
		if len(s.mu.byID) >= maxSessions {
			delete(s.mu.byID, oldest.id)
		}
	}
	se := &session{id: uuid.NewString(), user: user, created: now, accessed: now}
	s.mu.byID[se.id] = se
	return *se
}

// touch returns the session and counts as activity; false when it is unknown or
// expired.
func (s *sessions) touch(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	se, ok := s.live(id)
	if !ok {
		return session{}, false
	}
	se.accessed = s.now()
	return *se, true
}

func (s *sessions) live(id string) (*session, bool) {
	se, ok := s.mu.byID[id]
	if ok && s.now().Sub(se.accessed) > s.ttl {
		delete(s.mu.byID, id)
		ok = false
	}
	return se, ok
}

// get returns a session without counting as activity.
func (s *sessions) get(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	se, ok := s.live(id)
	if !ok {
		return session{}, false
	}
	return *se, true
}

func (s *sessions) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.live(id)
	delete(s.mu.byID, id)
	return ok
}

func (s *sessions) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.byID = map[string]*session{}
}

func (s *sessions) dropUser(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, se := range s.mu.byID {
		if se.user == user {
			delete(s.mu.byID, id)
		}
	}
}

// list returns the live sessions, of one user if user is not empty.
func (s *sessions) list(user string) []session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []session
	for id, se := range s.mu.byID {
		if s.now().Sub(se.accessed) > s.ttl {
			delete(s.mu.byID, id)
			continue
		}
		if user == "" || se.user == user {
			out = append(out, *se)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].created.Before(out[j].created) })
	return out
}
