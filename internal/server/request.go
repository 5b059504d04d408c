package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// family is which backend of a real installation would answer.
type family int

const (
	familyUnknown family = iota
	familyAPI            // content server
	familyAuth           // auth server
	familyLogin
	familyHealth
	familyAdmin
	familyNoService
)

// request is a parsed URL and the caller.
type request struct {
	*http.Request
	family  family
	rest    []string // raw segments behind the prefix, as in the URI
	slash   bool     // the path ended in a slash
	params  url.Values
	hasForm bool
	caller  repo.Caller
	token   string
}

// parse cuts the URL into a family and raw segments. Nothing is decoded: ids are
// taken verbatim, names are decoded by who needs them (part 1 section 1.5).
func (s *Server) parse(r *http.Request) *request {
	q := &request{Request: r}
	path := r.URL.EscapedPath()
	q.slash = strings.HasSuffix(path, "/")
	segs := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	for i := range segs {
		segs[i], _, _ = strings.Cut(segs[i], ";") // path parameters are dropped
	}
	segs = slices.DeleteFunc(segs, func(seg string) bool { return seg == "" })
	if len(segs) > 0 && segs[0] == "zuul" {
		segs = segs[1:]
	}
	switch {
	case len(segs) == 1 && (segs[0] == "login" || segs[0] == "logout"),
		len(segs) == 2 && segs[0] == "v2" && segs[1] == "localLogin":
		q.family, q.rest = familyLogin, segs[len(segs)-1:]
	case len(segs) >= 1 && segs[0] == "auth":
		q.rest = segs[1:]
		if q.family = familyAuth; len(segs) == 2 && (segs[1] == "login" || segs[1] == "logout") {
			q.family = familyLogin
		}
		if len(segs) == 3 && segs[1] == "v2" && segs[2] == "localLogin" {
			q.family, q.rest = familyLogin, segs[2:]
		}
	case len(segs) >= 2 && segs[0] == "api" && segs[1] == "v1":
		q.family, q.rest = familyAPI, segs[2:]
	case len(segs) >= 1 && segs[0] == "admin-server":
		q.family, q.rest = familyAdmin, segs[1:]
	case len(segs) >= 1 && segs[0] == "health", len(segs) >= 2 && segs[0] == "internal" && segs[len(segs)-1] == "health":
		q.family = familyHealth
	case len(segs) >= 1 && strings.EqualFold(segs[0], s.site):
		switch {
		case len(segs) >= 3 && segs[1] == "api" && segs[2] == "v1":
			q.family, q.rest = familyAPI, segs[3:]
		case segs[len(segs)-1] == "health":
			q.family = familyHealth
		}
	default:
		q.family, q.rest = familyNoService, segs
	}
	return q
}

// nouns are the families of resources; whatever else a URL says is "?" in
// counters, so that strangers cannot fill memory with names.
var nouns = []string{"workspaces", "directories", "files", "breakpointfiles", "sites", "nodes", "roles", "batches", "tasks"}

var authNouns = []string{"sessions", "users", "roles", "privileges", "salt"}

var actions = []string{"path", "listfiles", "rename", "move", "grant", "revoke", "async-cache", "async-transfer"}

func known(list []string, s string) string {
	if slices.Contains(list, s) {
		return s
	}
	return "?"
}

// kind names the endpoint for counters and faults: ids and names are replaced.
func (q *request) kind() string {
	method := known([]string{"GET", "HEAD", "POST", "PUT", "DELETE"}, q.Method)
	switch q.family {
	case familyLogin:
		return method + " /" + q.rest[0]
	case familyAuth:
		if len(q.rest) >= 3 && q.rest[0] == "api" && (q.rest[1] == "v1" || q.rest[1] == "v2") {
			return method + " /auth/api/" + q.rest[1] + "/" + known(authNouns, q.rest[2])
		}
	case familyHealth:
		return method + " /health"
	case familyAPI:
		return method + " /" + strings.Join(q.pattern(), "/")
	}
	return method + " ?"
}

func (q *request) pattern() []string {
	if len(q.rest) == 0 {
		return nil
	}
	noun := known(nouns, q.rest[0])
	out := []string{noun}
	switch {
	case len(q.rest) == 1:
	case noun == "files" && q.rest[1] == "id":
		out = append(out, "id", "{id}")
	case (noun == "files" || noun == "directories") && q.rest[1] == "path":
		out = append(out, "path", "{path}")
	case noun == "directories" && q.rest[1] == "id":
		out = append(out, "id", "{id}")
		if len(q.rest) > 3 {
			out = append(out, known(actions, q.rest[3]))
		}
	case noun == "files":
		out = append(out, "{id}")
	default:
		out = append(out, "{name}")
		if len(q.rest) > 2 {
			out = append(out, known(actions, q.rest[2]))
		}
	}
	return out
}

// logPath is the path without query, since parameters can hold passwords, and
// without a session's id, which is its token.
func (q *request) logPath() string {
	if q.family == familyAuth && len(q.rest) > 3 && q.rest[2] == "sessions" {
		return "/auth/api/v1/sessions/…"
	}
	return q.URL.Path
}

// backendPath is the path as the backend sees it, for error bodies.
func (q *request) backendPath() string {
	p := q.URL.Path
	switch q.family {
	case familyAPI:
		if i := strings.Index(p, wire.PathAPI); i >= 0 {
			return p[i:]
		}
	case familyAuth, familyLogin:
		return strings.TrimPrefix(p, wire.PathAuth)
	}
	return p
}

// firewall refuses what the real web layer refuses in a path (part 1 section
// 1.3): it comes before authentication and is no SCM error. Only directories
// and workspaces are held to it, whose names cannot contain any of this but for
// a directory "..". Files may be named so, and a refusal would help nobody.
func (q *request) firewall() error {
	if q.family != familyAPI || len(q.rest) == 0 || q.rest[0] != "directories" && q.rest[0] != "workspaces" {
		return nil
	}
	for _, seg := range q.rest {
		low := strings.ToLower(seg)
		bad := seg == "." || seg == ".." || strings.Contains(seg, `\`)
		for _, code := range []string{"%2f", "%5c", "%25", "%3b", "%2e"} {
			bad = bad || strings.Contains(low, code)
		}
		if bad {
			return &repo.Error{Code: 500, Msg: "The request was rejected because the URL contained a potentially malicious String"}
		}
	}
	return nil
}

// name decodes a raw path segment; '+' is a literal plus there.
func (q *request) name(i int) (string, error) {
	n, err := url.PathUnescape(q.rest[i])
	if err != nil {
		return "", badRequest("malformed path")
	}
	return n, nil
}

// path decodes the segments from i to j as an absolute path.
func (q *request) path(segs []string) (string, error) {
	var b strings.Builder
	for _, seg := range segs {
		n, err := url.PathUnescape(seg)
		if err != nil {
			return "", badRequest("malformed path")
		}
		b.WriteByte('/')
		b.WriteString(n)
	}
	if b.Len() == 0 {
		return "/", nil
	}
	return b.String(), nil
}
