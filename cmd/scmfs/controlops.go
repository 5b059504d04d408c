package main

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sequoiacm/scmfs/client"
)

// serveOps answers what the commands of opsCommands ask on the control socket.
func (r *running) serveOps(mux *http.ServeMux) {
	mux.HandleFunc("GET /details", func(w http.ResponseWriter, q *http.Request) {
		s := r.refreshed(q.Context())
		if s.Page != "" {
			s.Token = r.token
		}
		writeJSON(w, s)
	})
	mux.HandleFunc("POST /log-level", r.setLevel)
	mux.HandleFunc("GET /settings", r.serveSettings)
	mux.HandleFunc("POST /checksum", r.checksum)
	mux.HandleFunc("POST /doctor", r.serveDoctor)
	mux.Handle("GET /metrics", promhttp.HandlerFor(r.meter.reg, promhttp.HandlerOpts{}))
	servePprof(mux) // only the owner gets here
}

// serverSum is what the server says about content, for verify.
type serverSum struct {
	Size int64  `json:"size"`
	Type string `json:"type"` // "MD5", "CRC32", "ADLER32"
	// Sum is base64 for MD5, else decimal.
	Sum       string `json:"sum"`
	Version   string `json:"version,omitempty"`
	Completed bool   `json:"completed,omitempty"`
}

// checksum asks the server for the checksum of a file's version, computed now
// from what is stored, or of a breakpoint file.
func (r *running) checksum(w http.ResponseWriter, q *http.Request) {
	ctx := q.Context()
	st := r.client.Workspace(q.FormValue("workspace"))
	if name := q.FormValue("partial"); name != "" {
		b, err := st.BreakpointFile(ctx, name)
		if err != nil {
			failHTTP(w, err)
			return
		}
		if b.ChecksumType == client.ChecksumNone && b.MD5 == "" {
			failHTTP(w, refuse(http.StatusConflict, "the server keeps no checksum of this breakpoint file"))
			return
		}
		s := serverSum{Size: b.Size, Completed: b.Completed, Type: string(b.ChecksumType), Sum: strconv.FormatUint(uint64(b.Checksum), 10)}
		if b.ChecksumType == client.ChecksumNone {
			s.Type, s.Sum = "MD5", b.MD5
		}
		writeJSON(w, s)
		return
	}
	f, err := st.File(ctx, client.FileID(q.FormValue("id")))
	if err == nil {
		var sum string
		if sum, err = st.CalcMD5(ctx, f.ID, f.Version); err == nil {
			writeJSON(w, serverSum{Size: f.Size, Type: "MD5", Sum: strings.TrimSpace(sum), Version: f.Version.String()})
			return
		}
	}
	failHTTP(w, err)
}
