package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader that went away
}

// maxWatchers bounds how many pages are kept up to date at once.
const maxWatchers = 32

// events keeps a status page up to date with server-sent events: "history" once,
// then "status" every second with the newest second of traffic.
func (r *running) events(w http.ResponseWriter, q *http.Request) {
	if r.watchers.Add(1) > maxWatchers {
		r.watchers.Add(-1)
		http.Error(w, "too many status pages are open", http.StatusServiceUnavailable)
		return
	}
	defer r.watchers.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	if sendEvent(w, "history", r.sampler.history()) != nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var last point
		if h := r.sampler.history(); len(h) > 0 {
			last = h[len(h)-1]
		}
		err := sendEvent(w, "status", struct {
			status
			Point point `json:"point"`
		}{r.refreshed(q.Context()), last})
		if err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-q.Context().Done():
			return
		}
	}
}

func sendEvent(w http.ResponseWriter, name string, v any) error {
	b, err := json.Marshal(v) // on one line
	if err != nil {
		return err
	}
	var e bytes.Buffer
	fmt.Fprintf(&e, "event: %s\ndata: %s\n\n", name, b)
	_, err = w.Write(e.Bytes())
	return err
}
