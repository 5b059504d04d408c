package server

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strconv"
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

// kind names the endpoint for counters and faults: ids and names are replaced.
func (q *request) kind() string {
	switch q.family {
	case familyLogin:
		return q.Method + " /" + q.rest[0]
	case familyAuth:
		parts := append([]string{"auth"}, q.rest...)
		return q.Method + " /" + strings.Join(parts[:min(len(parts), 4)], "/")
	case familyHealth:
		return q.Method + " /health"
	case familyAPI:
		return q.Method + " /" + strings.Join(q.pattern(), "/")
	}
	return q.Method + " ?"
}

func (q *request) pattern() []string {
	if len(q.rest) == 0 {
		return nil
	}
	noun := q.rest[0]
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
			out = append(out, q.rest[3])
		}
	case noun == "files":
		out = append(out, "{id}")
	default:
		out = append(out, "{name}")
		if len(q.rest) > 2 {
			out = append(out, q.rest[2])
		}
	}
	return out
}

// logPath is the path without query: parameters can hold passwords.
func (q *request) logPath() string { return q.URL.Path }

// backendPath is the path as the backend sees it, for error bodies.
func (q *request) backendPath() string {
	p := q.URL.Path
	if q.family == familyAPI {
		if i := strings.Index(p, wire.PathAPI); i >= 0 {
			return p[i:]
		}
	}
	return p
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

// maxForm bounds a form body; metadata of one object is far smaller.
const maxForm = 16 << 20

// loadParams merges query and form. Only a body with a form content type is read.
func (q *request) loadParams(w http.ResponseWriter) error {
	q.params, _ = url.ParseQuery(q.URL.RawQuery)
	if q.Method != http.MethodPost && q.Method != http.MethodPut {
		return nil
	}
	ct, _, _ := mime.ParseMediaType(q.Header.Get("Content-Type"))
	switch ct {
	case "application/x-www-form-urlencoded":
		q.Body = http.MaxBytesReader(w, q.Body, maxForm)
		if err := q.ParseForm(); err != nil && q.PostForm == nil {
			return badRequest("malformed form")
		}
		for k, v := range q.PostForm {
			q.params[k] = append(q.params[k], v...)
		}
		q.hasForm = true
	case "multipart/form-data":
		q.Body = http.MaxBytesReader(w, q.Body, maxForm)
		if err := q.ParseMultipartForm(maxForm); err != nil {
			return badRequest("malformed multipart form")
		}
		for k, v := range q.MultipartForm.Value {
			q.params[k] = append(q.params[k], v...)
		}
		q.hasForm = true
	}
	return nil
}

func badRequest(msg string) error { return &repo.Error{Code: 400, Msg: msg} }

func (q *request) has(name string) bool { return len(q.params[name]) > 0 }

func (q *request) get(name string) string { return q.params.Get(name) }

// need returns a parameter that the framework requires: missing is a plain 400.
func (q *request) need(name string) (string, error) {
	if !q.has(name) {
		return "", badRequest("Required String parameter '" + name + "' is not present")
	}
	return q.get(name), nil
}

func (q *request) integer(name string, def int64, bits int) (int64, error) {
	v := strings.TrimSpace(q.get(name))
	if v == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(v, 10, bits)
	if err != nil {
		return 0, badRequest("parameter '" + name + "' is not a number")
	}
	return n, nil
}

func (q *request) boolean(name string, def bool) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(q.get(name))) {
	case "":
		return def, nil
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, badRequest("parameter '" + name + "' is not a boolean")
}

// doc parses a JSON parameter; empty means absent.
func (q *request) doc(name string) (wire.Doc, error) { return parseDoc(name, q.get(name)) }

func parseDoc(name, text string) (wire.Doc, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	d, err := wire.ParseDoc(text)
	if err != nil {
		return nil, badRequest("parameter '" + name + "': " + err.Error())
	}
	return d, nil
}

// version reads major_version and minor_version: both or neither.
func (q *request) version() (repo.Version, error) {
	major, err := q.integer(wire.ParamMajor, -1, 32)
	if err != nil {
		return repo.Version{}, err
	}
	minor, err := q.integer(wire.ParamMinor, -1, 32)
	if err != nil {
		return repo.Version{}, err
	}
	if q.get(wire.ParamMajor) != "" != (q.get(wire.ParamMinor) != "") {
		return repo.Version{}, repo.Errorf(wire.CodeInvalidArgument, "major_version and minor_version go together")
	}
	return repo.Version{Major: major, Minor: minor}, nil
}

// query reads the parameters of a list; bits is the width of skip and limit.
func (q *request) query(bits int) (repo.Query, error) {
	out := repo.Query{Limit: -1}
	var err error
	if out.Filter, err = q.doc(wire.ParamFilter); err != nil {
		return out, err
	}
	if out.OrderBy, err = q.doc(wire.ParamOrderBy); err != nil {
		return out, err
	}
	if out.Selector, err = q.doc(wire.ParamSelector); err != nil {
		return out, err
	}
	if out.Skip, err = q.integer(wire.ParamSkip, 0, bits); err != nil {
		return out, err
	}
	if out.Limit, err = q.integer(wire.ParamLimit, -1, bits); err != nil {
		return out, err
	}
	if out.Skip < 0 || out.Limit < -1 {
		return out, repo.Errorf(wire.CodeInvalidArgument, "skip %d or limit %d is negative", out.Skip, out.Limit)
	}
	return out, nil
}

// lockContext bounds waiting for a breakpoint file's lock by the client's patience.
func lockContext(q *request) context.Context { return q.Context() }
