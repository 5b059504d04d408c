package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveHTTP answers at the address of --http. What changes something needs the
// token; the rest shows names of files to whoever reaches the address, which is
// why it is a loopback address unless somebody chose otherwise.
//
// It listens at once, so that an address that is taken is no reason to take a mount
// away again, and serves when the returned function is called.
func (r *running) serveHTTP() (serve func(), err error) {
	l, err := net.Listen("tcp", r.m.http)
	if err != nil {
		return nil, listenFailure("--http", r.m.http, err)
	}
	r.httpAddr = l.Addr().String()
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		r.log.WithField("address", r.httpAddr).Warn("metrics and the status page can be reached from other machines: they show names of files, and the token of actions goes over the line in clear; use a loopback address and a TLS proxy in front")
	}
	r.metrics = &http.Server{Handler: r.httpHandler(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	return func() { go func() { _ = r.metrics.Serve(l) }() }, nil
}

// pageURL is the address of the status page, "" without one.
func (r *running) pageURL() string {
	if r.httpAddr == "" {
		return ""
	}
	return "http://" + r.httpAddr + "/"
}

func (r *running) httpHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r.meter.reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", r.healthz)
	mux.HandleFunc("GET /readyz", r.readyz)
	if r.m.ops.pprof {
		servePprof(mux)
	}
	p := newPage()
	mux.HandleFunc("GET /{$}", p.serve)
	mux.HandleFunc("GET /events", r.events)
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, q *http.Request) { writeJSON(w, r.refreshed(q.Context())) })
	mux.HandleFunc("GET /api/partials", r.partials)
	r.actions(mux)
	return guarded(mux, r.m.http)
}

func servePprof(mux *http.ServeMux) {
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
}

// guarded refuses requests that a foreign web page makes a browser send. A host
// name that is neither an address nor what --http says is such a page's own name,
// pointed at this machine (DNS rebinding).
func guarded(next http.Handler, listen string) http.Handler {
	own, _, _ := net.SplitHostPort(listen)
	sameOrigin := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		host := q.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.Trim(host, "[]")
		if net.ParseIP(host) == nil && host != "localhost" && host != own {
			http.Error(w, "this server is not known by that name: use its address", http.StatusMisdirectedRequest)
			return
		}
		sameOrigin.ServeHTTP(w, q)
	})
}

// refreshed is the status with what had to be asked, as far as that is answered
// at once.
func (r *running) refreshed(ctx context.Context) status {
	ctx, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
	defer cancel()
	r.facts.ask(ctx, r.queue.Pending())
	return r.status()
}

// healthz tells whether restarting would help: only when the mount is gone.
func (r *running) healthz(w http.ResponseWriter, _ *http.Request) {
	select {
	case <-r.gone:
		http.Error(w, "the mount is gone", http.StatusServiceUnavailable)
	default:
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// readyz tells whether programs can work with the mount now.
func (r *running) readyz(w http.ResponseWriter, q *http.Request) {
	var bad []string
	select {
	case <-r.gone:
		bad = append(bad, "mount: gone")
	default:
	}
	ctx, cancel := context.WithTimeout(q.Context(), 3*time.Second)
	defer cancel()
	r.facts.ask(ctx, nil)
	if s, _, _, _, _ := r.facts.get(nil); s.Error != "" {
		bad = append(bad, "server: "+s.Error)
	}
	if err := r.queue.Roomy(); err != nil {
		bad = append(bad, "space: "+err.Error())
	}
	if len(bad) > 0 {
		http.Error(w, strings.Join(bad, "\n"), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// failHTTP answers an error with a status that fits.
func failHTTP(w http.ResponseWriter, err error) {
	if r, ok := errors.AsType[*refusal](err); ok {
		http.Error(w, r.text, r.status)
		return
	}
	http.Error(w, err.Error(), statusOf(err))
}

// refusal is an answer that needs no other error behind it.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}
