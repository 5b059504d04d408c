package server

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/internal/server/repo"
)

// data is the request's body as content. A form body has been consumed as
// parameters: the content is then empty, as on the real server.
func (q *request) data() io.Reader {
	if q.hasForm {
		return http.NoBody
	}
	return q.Body
}

// How much of a refused body is read for the sake of its sender; less, and not for
// long, if that is nobody we know.
const (
	maxDrain         = 256 << 20
	maxStrangerDrain = 2 << 20
	strangerPatience = 30 * time.Second
)

// refuseBody prepares an answer that comes before the request's body was read.
// The returned function, called once the answer is written, sends it off and
// then swallows the body: a blocking client (the reference driver) reads no
// answer before it has sent everything, and would see a reset connection instead
// of the error if the server closed now. A client that listens while it sends
// gets the answer at once and may stop.
func refuseBody(w http.ResponseWriter, q *request) (answered func()) {
	none := func() {}
	if q.Body == nil || q.Body == http.NoBody || q.hasForm {
		return none
	}
	rc := http.NewResponseController(w)
	if rc.EnableFullDuplex() != nil {
		return none
	}
	return func() {
		if rc.Flush() != nil {
			return
		}
		limit := int64(maxDrain)
		if q.caller.User == "" {
			limit = maxStrangerDrain
			_ = rc.SetReadDeadline(time.Now().Add(strangerPatience)) // net/http sets its own for the next request
		}
		_, _ = io.CopyN(io.Discard, q.Body, limit) // a body that breaks needs no more care
	}
}

// withoutEncoded refuses path segments that contain one of the escapes, as the
// HTTP layer of the real server does before anything else looks at them (part 1
// section 1.3, part 2 section 5.2): decoded, "a%2Fb" would name another file.
func withoutEncoded(escapes []string, segs ...string) error {
	for _, seg := range segs {
		low := strings.ToLower(seg)
		for _, esc := range escapes {
			if strings.Contains(low, esc) {
				return &repo.Error{Code: http.StatusInternalServerError,
					Msg: "The request was rejected because the URL contained a potentially malicious String \"" + esc + "\""}
			}
		}
	}
	return nil
}
