package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sequoiacm/scmfs/internal/server/repo"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// Small creates per second over HTTP, beside a bare HTTP server that writes and
// fsyncs the same file (and its directory) for each request. Compare with
//
//	go test ./internal/server -run '^$' -bench SmallCreate -benchtime 3s
func BenchmarkSmallCreate(b *testing.B) {
	content := strings.Repeat("x", 1024)
	for _, conns := range []int{1, 16} {
		b.Run(fmt.Sprintf("scm/conns=%d", conns), func(b *testing.B) {
			g := newGateway(b, func(o *gatewayOptions) { o.repo.Now = time.Now })
			var n atomic.Int64
			post(b, conns, func(c *http.Client) error {
				name := "f" + strconv.FormatInt(n.Add(1), 10)
				return do(c, g.http.URL+zuul+"/files/?workspace_name=ws1&upload_config=%7B%22is_overwrite%22%3Afalse%7D", g.token,
					wire.Escape(`{"name":"`+name+`","title":"","author":"","mime_type":"","tags":[]}`), content)
			})
		})
		b.Run(fmt.Sprintf("bare/conns=%d", conns), func(b *testing.B) {
			dir := b.TempDir()
			var n atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := writeAndSync(dir, "f"+strconv.FormatInt(n.Add(1), 10), r.Body); err != nil {
					http.Error(w, err.Error(), 500)
				}
			}))
			defer s.Close()
			post(b, conns, func(c *http.Client) error { return do(c, s.URL, "", "x", content) })
		})
	}
}

func writeAndSync(dir, name string, body io.Reader) error {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, body); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// post shares b.N requests among so many connections.
func post(b *testing.B, conns int, one func(*http.Client) error) {
	b.Helper()
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns}}
	defer c.CloseIdleConnections()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for range conns {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := one(c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
}

func do(c *http.Client, url, token, desc, content string) error {
	r, err := http.NewRequest("POST", url, struct{ io.Reader }{strings.NewReader(content)})
	if err != nil {
		return err
	}
	r.Header["x-auth-token"] = []string{token}
	r.Header["description"] = []string{desc}
	r.Header.Set("Content-Type", "binary/octet-stream")
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
		return fmt.Errorf("status %d: %s %w", resp.StatusCode, b, err)
	}
	return nil
}

// A download of a large file over one connection.
func BenchmarkDownload(b *testing.B) {
	g := newGateway(b)
	const size = 64 << 20
	d, err := g.repo.CreateFile(repo.Caller{User: "admin"}, "ws1", wire.Doc{{Key: "name", Value: "large"}}, repo.UploadConfig{},
		io.LimitReader(zeros{}, size))
	if err != nil {
		b.Fatal(err)
	}
	id, _ := d.Get("id")
	b.SetBytes(size)
	for b.Loop() {
		r, err := http.NewRequest("GET", g.http.URL+api+"/files/"+id.(string)+"?workspace_name=ws1", nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("x-auth-token", g.token)
		resp, err := g.http.Client().Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
			b.Fatal(n, err)
		}
		resp.Body.Close()
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
