package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/fs"
	"github.com/sequoiacm/scmfs/writeback"
)

// serveControl answers the other commands on a socket in the state directory,
// which only the owner can enter.
func (r *running) serveControl() error {
	path := controlPath(r.m.stateDir)
	_ = os.Remove(path) // of a killed mount; the directory's lock is ours
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.status())
	})
	r.serveOps(mux)
	mux.HandleFunc("POST /retry/{id}", func(w http.ResponseWriter, q *http.Request) { answer(w, r.queue.Retry(q.PathValue("id"))) })
	mux.HandleFunc("POST /discard/{id}", func(w http.ResponseWriter, q *http.Request) { answer(w, r.queue.Discard(q.PathValue("id"))) })
	mux.HandleFunc("GET /export/{id}", func(w http.ResponseWriter, q *http.Request) {
		if err := r.queue.Export(q.Context(), q.PathValue("id"), w); err != nil {
			if errors.Is(err, writeback.ErrUnknown) {
				answer(w, err)
				return
			}
			panic(http.ErrAbortHandler) // a short copy must not look whole
		}
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, q *http.Request) {
		ctx := q.Context()
		if q.FormValue("keep") == "true" {
			answer(w, r.unmount(ctx))
			return
		}
		answer(w, r.stop(ctx))
	})
	r.control = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = r.control.Serve(ownListener{l}) }()
	return nil
}

func answer(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrBusy):
		http.Error(w, err.Error(), http.StatusConflict)
	case errors.Is(err, writeback.ErrUnknown):
		http.Error(w, err.Error(), http.StatusNotFound)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// controlClient talks to a running mount.
type controlClient struct {
	http   *http.Client
	status status
}

// attach finds the mount at a mount point through its own status file.
func attach(dir string) (*controlClient, error) {
	b, err := readWithin(dir+"/.scmfs/status", 10*time.Second)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, failure(exitMount, fmt.Errorf("%s: no scmfs is mounted there; 'scmfs status' lists the mounts", dir))
	case isDead(err):
		return nil, failure(exitMount, fmt.Errorf("%s: the mount is dead, its process is gone; mount again, what was not uploaded goes on then", dir))
	case err != nil:
		return nil, failure(exitMount, fmt.Errorf("%s is not a running scmfs mount: %w", dir, err))
	}
	c := &controlClient{}
	if err := json.Unmarshal(b, &c.status); err != nil || c.status.Control == "" {
		return nil, failure(exitMount, fmt.Errorf("%s/.scmfs/status is not what scmfs writes", dir))
	}
	socket := c.status.Control
	c.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	return c, nil
}

// readWithin reads a file of a mount that may hang.
func readWithin(path string, d time.Duration) ([]byte, error) {
	type result struct {
		b   []byte
		err error
	}
	ch := make(chan result, 1)
	go func() {
		b, err := os.ReadFile(path)
		ch <- result{b, err}
	}()
	select {
	case r := <-ch:
		return r.b, r.err
	case <-time.After(d):
		return nil, errors.New("it does not answer")
	}
}

func (c *controlClient) do(ctx context.Context, method, path string, form url.Values, to io.Writer) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://scmfs"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		return res.StatusCode, errors.New(strings.TrimSpace(string(b)))
	}
	if to == nil {
		to = io.Discard
	}
	_, err = io.Copy(to, res.Body)
	return res.StatusCode, err
}

// refresh asks for the present status.
func (c *controlClient) refresh(ctx context.Context) error {
	var b strings.Builder
	if _, err := c.do(ctx, http.MethodGet, "/status", nil, &b); err != nil {
		return err
	}
	return json.Unmarshal([]byte(b.String()), &c.status)
}
