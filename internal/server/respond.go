package server

import (
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// fail writes an error as part 1 section 3 has it: a JSON body, or for HEAD a
// header; framework and session errors of HEAD have neither. The real message
// begins with the caller's token; ours does not, since messages end up in logs.
func (s *Server) fail(w http.ResponseWriter, q *request, err error) {
	e, ok := errors.AsType[*repo.Error](err)
	if !ok {
		s.o.Logger.WithError(err).WithField("path", q.logPath()).Error("internal error")
		e = &repo.Error{Code: wire.CodeSystemError, Msg: "internal error"}
	}
	status := e.Code.HTTPStatus()
	body := wire.Doc{{Key: "timestamp", Value: time.Now().UnixMilli()}, {Key: "status", Value: int64(e.Code)}}
	if e.Code < 0 {
		body = append(body, wire.Field{Key: "error", Value: e.Code.Text()},
			wire.Field{Key: "exception", Value: "com.sequoiacm.exception.ScmServerException"})
	} else {
		body.Set("error", http.StatusText(status))
	}
	body = append(body, wire.Field{Key: "message", Value: e.Msg}, wire.Field{Key: "path", Value: q.backendPath()})
	h := w.Header()
	h.Set(wire.HeaderErrorHost, hostPort(q.Request))
	if len(e.Extra) > 0 {
		h.Set(wire.HeaderExtraError, string(wire.AppendJSON(nil, e.Extra)))
	}
	if q.Method == http.MethodHead {
		if e.Code < 0 {
			printed := string(wire.AppendBSONText(nil, body))
			if cs := q.Header.Get(wire.HeaderErrorCharset); cs != "" {
				h.Set(wire.HeaderErrorCharset, cs)
				printed = url.QueryEscape(printed)
			}
			h.Set(wire.HeaderError, printed)
		}
		w.WriteHeader(status)
		return
	}
	answered := refuseBody(w, q)
	writeBody(w, status, wire.AppendJSON(nil, body))
	answered()
}

func writeBody(w http.ResponseWriter, status int, b []byte) {
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", wire.ContentTypeJSON)
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is noticed by the server itself
}

// json answers compact JSON (printer 3 of part 1 section 1.7).
func writeJSON(w http.ResponseWriter, v any) { writeBody(w, http.StatusOK, wire.AppendJSON(nil, v)) }

// writeText answers BSON text (printer 1).
func writeText(w http.ResponseWriter, v any) {
	writeBody(w, http.StatusOK, wire.AppendBSONText(make([]byte, 0, 1<<10), v)) // a file's record, usually
}

// writeEmpty answers 200 without a body.
func writeEmpty(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// setHeader puts a record into a response header, E-encoded BSON text.
func setHeader(w http.ResponseWriter, name string, d wire.Doc) {
	// Set directly: the protocol's names are lower case or odd, and Go's
	// canonical form is equal for every HTTP reader but ugly to compare.
	w.Header()[http.CanonicalHeaderKey(name)] = []string{wire.Escape(string(wire.AppendBSONText(make([]byte, 0, 1<<10), d)))}
}

var breakpointEscaper = strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`, "=", `\u003d`, "'", `\u0027`)

// breakpointBody prints a breakpoint record's body form: nulls omitted, the
// printer's escapes (part 2 section 5.1).
func breakpointBody(d wire.Doc) []byte {
	out := make(wire.Doc, 0, len(d))
	for _, f := range d {
		if f.Value != nil {
			out = append(out, f)
		}
	}
	return []byte(breakpointEscaper.Replace(string(wire.AppendJSON(nil, out))))
}

// writeList streams a list. An error while nothing has been sent is an ordinary
// error; later it can only truncate the array.
func (s *Server) writeList(w http.ResponseWriter, q *request, seq iter.Seq2[wire.Doc, error], row func([]byte, wire.Doc) []byte) {
	sent := false
	buf := make([]byte, 1, 64<<10)
	buf[0] = '['
	for d, err := range seq {
		switch {
		case err != nil && !sent:
			s.fail(w, q, err)
			return
		case err != nil:
			s.o.Logger.WithError(err).Warn("list broke off")
			panic(http.ErrAbortHandler)
		}
		if sent || len(buf) > 1 {
			buf = append(buf, ',')
		}
		if buf = row(buf, d); len(buf) > 60<<10 {
			if !sent {
				w.Header().Set("Content-Type", contentTypeList)
			}
			sent = true
			if _, err := w.Write(buf); err != nil {
				return
			}
			buf = buf[:0]
		}
	}
	if !sent {
		w.Header().Set("Content-Type", contentTypeList)
	}
	_, _ = w.Write(append(buf, ']'))
}

// contentTypeList is spelled like this in list answers (part 1 section 1.7).
const contentTypeList = "application/json;charset=utf-8"

func bsonRow(b []byte, d wire.Doc) []byte { return wire.AppendBSONText(b, d) }

// writeCount answers how many there are.
func (s *Server) writeCount(w http.ResponseWriter, q *request, n int64, err error) {
	if err != nil {
		s.fail(w, q, err)
		return
	}
	w.Header().Set(wire.HeaderCount, strconv.FormatInt(n, 10))
	writeEmpty(w)
}
