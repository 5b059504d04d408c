package integration

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	// stallTimeout is the request deadline of the mounts of the matrix.
	stallTimeout = time.Second
	dripPause    = 30 * time.Millisecond
	dripPieces   = 40
)

// faults are the columns that a request can suffer. "done" ones come after the
// server has carried the request out.
func faults() []*matrixFault {
	all := []*matrixFault{
		// The server gets it when the client has long given up.
		{name: "late", do: func(x *exchange) {
			if x.pause(stallTimeout + stallTimeout/2) {
				x.answer(x.forward(len(x.body)))
			}
		}},
		{name: "stall", do: func(x *exchange) { x.hang() }},
		{name: "stall in the reply", do: func(x *exchange) {
			a := x.forward(len(x.body))
			if a.err != nil || x.r.Method == http.MethodHead || len(a.body) == 0 {
				x.hang()
			}
			x.head(a)
			_, _ = x.w.Write(a.body[:len(a.body)/2])
			_ = http.NewResponseController(x.w).Flush()
			x.hang()
		}},
		{name: "401", do: func(x *exchange) { http.Error(x.w, "Unauthorized", http.StatusUnauthorized) }},
		{name: "-134", do: func(x *exchange) { x.uncertain() }},
		{name: "-134, done", do: func(x *exchange) { x.forward(len(x.body)); x.uncertain() }},
		{name: "504, done", do: func(x *exchange) {
			x.forward(len(x.body))
			http.Error(x.w, "gateway timeout", http.StatusGatewayTimeout)
		}},
		// A portal between the mount and the server answers everything.
		{name: "garbage", do: func(x *exchange) { x.garbage() }},
		{name: "garbage, done", do: func(x *exchange) { x.forward(len(x.body)); x.garbage() }},
		{name: "reply lost", do: func(x *exchange) { x.forward(len(x.body)); x.reset(nil) }},
		{name: "drip", do: func(x *exchange) { x.drip() }},
	}
	for _, code := range []int{500, 502, 503, 504} {
		all = append(all, &matrixFault{name: fmt.Sprint(code), do: func(x *exchange) { http.Error(x.w, "fault", code) }})
	}
	for _, at := range []struct {
		name string
		of   func(n int) int
	}{{"first", func(int) int { return 0 }}, {"middle", func(n int) int { return n / 2 }}, {"last", func(n int) int { return n - 1 }}} {
		all = append(all,
			&matrixFault{name: "reset at the request's " + at.name + " byte", body: true, do: func(x *exchange) {
				x.forward(at.of(len(x.body)))
				x.reset(nil)
			}},
			&matrixFault{name: "reset at the reply's " + at.name + " byte", do: func(x *exchange) {
				a := x.forward(len(x.body))
				raw, head := a.wire()
				if x.r.Method == http.MethodHead || len(a.body) == 0 {
					x.reset(raw[:at.of(head)])
					return
				}
				x.reset(raw[:head+at.of(len(a.body))])
			}})
	}
	return all
}

// uncertain answers COMMIT_UNCERTAIN_STATE in the protocol's form (part 1
// sections 3.1 and 3.2).
func (x *exchange) uncertain() {
	rec := fmt.Sprintf(`{"timestamp":%d,"status":-134,"error":"Transaction Commit Uncertain State","exception":"com.sequoiacm.exception.ScmServerException","message":"fault","path":"/"}`, time.Now().UnixMilli())
	if x.r.Method == http.MethodHead {
		x.w.Header().Set("X-SCM-ERROR-CHARSET", "utf-8")
		x.w.Header().Set("X-SCM-ERROR", url.QueryEscape(rec))
		x.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(http.StatusInternalServerError)
	_, _ = x.w.Write([]byte(rec))
}

func (x *exchange) garbage() {
	x.w.Header().Set("Content-Type", "text/html")
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write([]byte("<html><body>Please sign in to this network</body></html>"))
}

// drip sends an answer in pieces. It makes progress, only too slowly for a
// short deadline.
func (x *exchange) drip() {
	a := x.forward(len(x.body))
	if a.err != nil {
		x.reset(nil)
		return
	}
	a.header.Set("Connection", "close")
	raw, _ := a.wire()
	if x.r.Method == http.MethodHead {
		raw = raw[:len(raw)-len(a.body)]
	}
	c, _, err := x.w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer c.Close()
	n := max(1, (len(raw)+dripPieces-1)/dripPieces)
	for ; len(raw) > 0; raw = raw[min(n, len(raw)):] {
		if _, err := c.Write(raw[:min(n, len(raw))]); err != nil || !x.pause(dripPause) {
			return
		}
	}
}
