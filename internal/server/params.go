package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// Bounds of a form body: metadata of one object is far smaller, and nobody needs
// an account for the small one.
const (
	maxForm      = 16 << 20
	maxLoginForm = 64 << 10
	maxPairs     = 10_000 // an empty pair takes a byte to send and sixteen to keep
)

// loadParams merges query and form; only POST and PUT have a form, urlencoded or
// multipart (parts 1 section 1.5 and 3). A body of any other type is data and
// stays unread.
func (q *request) loadParams(w http.ResponseWriter, limit int64) error {
	q.params = url.Values{}
	q.addPairs(q.URL.RawQuery)
	if q.Method != http.MethodPost && q.Method != http.MethodPut {
		return nil
	}
	ct, _, _ := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if ct != "application/x-www-form-urlencoded" && ct != "multipart/form-data" {
		return nil
	}
	q.hasForm = true
	q.Body = http.MaxBytesReader(w, q.Body, limit)
	err := q.loadForm(ct, limit)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return &repo.Error{Code: http.StatusRequestEntityTooLarge, Msg: "the form is larger than " + strconv.FormatInt(limit, 10) + " bytes"}
	}
	if err != nil {
		return badRequest("malformed form")
	}
	return nil
}

func (q *request) loadForm(ct string, limit int64) error {
	if ct == "multipart/form-data" {
		if err := q.ParseMultipartForm(limit); err != nil {
			return err
		}
		for k, v := range q.MultipartForm.Value {
			q.params[k] = append(q.params[k], v...)
		}
		return nil
	}
	b, err := io.ReadAll(q.Body)
	if err != nil {
		return err
	}
	if bytes.Count(b, []byte("&")) > maxPairs {
		return errors.New("too many parameters")
	}
	q.addPairs(string(b))
	return nil
}

// addPairs adds a=b&c=d. Unlike net/url it takes ';' as an ordinary character,
// as the real server does; a pair that cannot be decoded is dropped.
func (q *request) addPairs(s string) {
	for pair := range strings.SplitSeq(s, "&") {
		k, v, _ := strings.Cut(pair, "=")
		k, kerr := url.QueryUnescape(k)
		v, verr := url.QueryUnescape(v)
		if kerr == nil && verr == nil {
			q.params[k] = append(q.params[k], v)
		}
	}
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
