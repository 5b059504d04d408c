package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/sequoiacm/scmfs/internal/wire"
)

var (
	// errTooLong ends the reading of an answer that would not end.
	errTooLong = errors.New("the answer is too long")
	// errCutOff is a list that is not a whole JSON array: the only way in which a
	// server can report an error in the middle of one (part 1 section 1.7).
	errCutOff  = errors.New("the list is cut off")
	errTooMuch = errors.New("too much to hold")
)

// bounded is io.LimitedReader with an error instead of a silent end.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// take reads the answer of a request that was carried out.
func (k *call) take(h http.Header, body io.Reader, token string) error {
	if k.each != nil {
		return k.each(h, body)
	}
	if k.takeList != nil {
		return k.takeRows(body, token)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if k.inHeader != "" {
		b, err = headerJSON(h.Get(k.inHeader))
	} else if e := k.errorIn(b, token); e != nil {
		return e
	}
	switch {
	case err != nil:
	case k.quick != nil && k.quick(b):
		return nil
	case k.out != nil:
		err = json.Unmarshal(b, k.out)
	case len(bytes.TrimSpace(b)) > 0 && !json.Valid(b):
		// Where nothing is expected some handlers send a JSON string (part 1 section
		// 1.7), and only what stands between us and the store sends anything else.
		err = errors.New("a page of something else")
	}
	if err != nil {
		return fmt.Errorf("the answer is not the JSON that was expected: %w", err)
	}
	if k.accept != nil {
		return k.accept()
	}
	return nil
}

// takeRows reads a list, or the error in its place.
func (k *call) takeRows(body io.Reader, token string) error {
	e := newElements(body)
	defer e.release()
	c, err := e.peek()
	if err != nil {
		return cutOff(err)
	}
	if c == '{' {
		b, err := io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(e.buf[e.i:]), body), maxError))
		if err != nil {
			return err
		}
		if e := k.errorIn(b, token); e != nil {
			return e
		}
	}
	return k.takeList(e)
}

// errorIn finds the error that a server may report inside a 200, behind the
// blanks that keep a connection alive (part 1 section 1.8).
func (k *call) errorIn(body []byte, token string) error {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 || body[0] != '{' || !looksWrong(body) {
		return nil
	}
	var rec wire.ErrorRecord
	if json.Unmarshal(body, &rec) != nil || rec.Status == 0 || rec.Timestamp == 0 && rec.Error == "" && rec.Exception == "" {
		return nil
	}
	e := &Error{Op: k.op, Name: k.name, HTTP: http.StatusOK}
	k.fill(e, &rec, token)
	return e
}

// looksWrong tells whether there is a point in reading a record as an error first:
// that costs as much as reading it as what it is.
func looksWrong(body []byte) bool {
	has := func(field string) bool { return bytes.Contains(body, []byte(field)) }
	return has(`"status"`) && (has(`"timestamp"`) || has(`"error"`) || has(`"exception"`))
}

// unreadable classifies the error of reading a 200. A call that must not be
// repeated was most likely carried out.
func (k *call) unreadable(ctx context.Context, err error, token string) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	kind := Protocol
	switch {
	case ctx.Err() != nil, errors.Is(err, io.ErrUnexpectedEOF), isConnError(err):
		kind = transportKind(ctx, err, k.once)
	case errors.Is(err, errCutOff):
		kind = Unavailable
	case errors.Is(err, errTooMuch):
		kind = TooLarge
	}
	if k.once && kind == Protocol {
		kind = Uncertain
	}
	return &Error{Op: k.op, Name: k.name, Kind: kind, HTTP: http.StatusOK, Err: scrub(Plain(why(ctx, err)), token)}
}

// refusal turns an error answer into an [Error]; the code is in the body, for
// HEAD in a header (part 1 section 3).
func (k *call) refusal(res *http.Response, body io.Reader, token string) error {
	e := &Error{Op: k.op, Name: k.name, HTTP: res.StatusCode}
	var raw []byte
	if k.method == http.MethodHead {
		raw = headError(res.Header)
	} else {
		raw, _ = io.ReadAll(io.LimitReader(body, maxError))
	}
	var rec wire.ErrorRecord
	if json.Unmarshal(raw, &rec) == nil && rec.Status != 0 {
		k.fill(e, &rec, token)
		return e
	}
	e.Kind = kindOfCode(wire.Code(res.StatusCode))
	if res.StatusCode < 400 {
		e.Kind = Protocol
	}
	e.Err = fmt.Errorf("HTTP %s", plain(res.Status))
	k.doubt(e, wire.Code(res.StatusCode))
	return e
}

// headError returns the JSON of X-SCM-ERROR, which is form-encoded when the
// server heeds our charset, raw otherwise (part 1 section 3.2).
func headError(h http.Header) []byte {
	v := strings.TrimSpace(h.Get(wire.HeaderError))
	if strings.HasPrefix(v, "{") {
		return []byte(v) // encoding would not have left the brace
	}
	if s, err := wire.Unescape(v); err == nil {
		return []byte(s)
	}
	return []byte(v)
}

func (k *call) fill(e *Error, rec *wire.ErrorRecord, token string) {
	e.Code = wire.Code(rec.Status)
	e.Kind = kindOfCode(e.Code)
	if text := rec.Message; text != "" {
		e.sessionGone = strings.Contains(text, "Session is not found")
		e.Err = errors.New(plain(scrubText(text, token)))
	} else if rec.Error != "" {
		e.Err = errors.New(plain(scrubText(rec.Error, token)))
	}
	k.doubt(e, e.Code)
}

// doubt marks refusals of a non-idempotent call behind which it may have been
// carried out all the same: a gateway's timeout (part 1 section 1.3), and an
// error between sites (part 2 section 3.6).
func (k *call) doubt(e *Error, code wire.Code) {
	if k.once && (code >= 500 || code == wire.CodeSystemError || code == wire.CodeNetworkIO) {
		e.Kind = Uncertain
	}
}

// scrubText takes the live token out of a message (part 1 section 3.1).
func scrubText(s, token string) string {
	const mark = "sessionId="
	for i := strings.Index(s, mark); i >= 0; i = strings.Index(s, mark) {
		rest := s[i+len(mark):]
		j := strings.IndexAny(rest, ", ")
		if j < 0 {
			s = s[:i]
			break
		}
		s = s[:i] + strings.TrimPrefix(rest[j:], ",")
	}
	if token != "" {
		s = strings.ReplaceAll(s, token, "…")
	}
	return s
}

// maxText bounds what an error repeats of a server's words.
const maxText = 1000

// plain makes a server's words fit for a log and a terminal: one line, without
// control characters, not too long.
func plain(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		if unicode.IsSpace(r) {
			return ' '
		}
		return '\ufffd'
	}, s)
}

// scrub keeps the error chain when there is nothing to hide in it.
func scrub(err error, token string) error {
	if token != "" && strings.Contains(err.Error(), token) {
		return errors.New(strings.ReplaceAll(err.Error(), token, "…"))
	}
	return err
}
