package client

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A hostile server may waste time; it gets an error and no more memory than the
// bounds allow. Each of these answered a list, a record, a small read and a write.

// hostile answers every request but logins with f.
func hostile(t *testing.T, f http.HandlerFunc) *Store {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/api/v2/salt" || r.URL.Path == "/login" {
			w.Header().Set("X-Auth-Token", fuzzToken)
			if r.URL.Path != "/login" {
				w.WriteHeader(http.StatusNotFound)
			}
			return
		}
		f(w, r)
	}))
	t.Cleanup(s.Close)
	return storeAt(t, s.Listener.Addr().String())
}

func storeAt(t *testing.T, addr string) *Store {
	t.Helper()
	c, err := New([]string{addr + "/site"}, Options{User: "u", RetryTimeout: -1, StallTimeout: 20 * time.Second})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c.Workspace("ws")
}

// raw answers every connection with the bytes that f writes, and says yes to a login.
func raw(t *testing.T, f func(io.Writer)) *Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				switch r.URL.Path {
				case "/auth/api/v2/salt":
					_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				case "/login":
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Auth-Token: t\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				default:
					f(c)
				}
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return storeAt(t, l.Addr().String())
}

// endless writes until the other end has had enough, which for a HEAD is never.
func endless(w io.Writer, piece string) {
	block := strings.Repeat(piece, 1+64<<10/len(piece))
	for range 4096 {
		if _, err := io.WriteString(w, block); err != nil {
			return
		}
	}
}

const goodRow = `{"id":"6553f100510003001a2b3c01","name":"n","size":1},`

// inMemory runs f and holds all that it allocated to a bound.
func inMemory(t *testing.T, limit uint64, f func()) {
	t.Helper()
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	f()
	runtime.ReadMemStats(&b)
	assert.Less(t, b.TotalAlloc-a.TotalAlloc, limit, "bytes allocated")
}

func listErr(s *Store) error {
	for _, err := range s.Files(context.Background(), RootDir, "") {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestHostileAnswers(t *testing.T) {
	row := func(fields string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			rec := `{"id":"6553f100510003001a2b3c01","name":"n",` + fields + `}`
			w.Header().Set("File", rec)
			_, _ = io.WriteString(w, `[`+rec+`]`)
		}
	}
	for name, f := range map[string]http.HandlerFunc{
		"empty records without end": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "["); endless(w, "{},") },
		"records without end":       func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "["); endless(w, goodRow) },
		"blanks without end":        func(w http.ResponseWriter, _ *http.Request) { endless(w, " ") },
		"a string without end":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `["`); endless(w, "x") },
		"deep nesting":              func(w http.ResponseWriter, _ *http.Request) { endless(w, "[") },
		"deep objects":              func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "["); endless(w, `{"a":`) },
		"an error without end": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{"message":"`)
			endless(w, "x")
		},
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, "[")
			_, _ = io.CopyN(z, zeros{}, 256<<20)
			_ = z.Close()
		},
		"no JSON":         func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"not a list":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":1}`) },
		"null row":        func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[null]`) },
		"more behind":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `[]]`) },
		"not modified":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) },
		"partial content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(206); _, _ = io.WriteString(w, `[]`) },
		"negative size":   row(`"size":-1`),
		"size overflow":   row(`"size":9223372036854775808`),
		"size of no use":  row(`"size":1e300`),
		"wrong id": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("File", `{"id":"../../../etc/passwd"}`)
			_, _ = io.WriteString(w, `[{"id":"../../../etc/passwd"}]`)
		},
		"duplicate keys": func(w http.ResponseWriter, _ *http.Request) {
			rec := `{"id":"6553f100510003001a2b3c01","size":1,"size":-5}`
			w.Header().Set("File", rec)
			_, _ = io.WriteString(w, "["+rec+"]")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := hostile(t, f)
			ctx := t.Context()
			content := Content{File: someID, Version: Version{1, 0}, Size: 10}
			// 10,000 rows, and a buffer that grows to the longest row.
			inMemory(t, 32<<20, func() { assert.Error(t, listErr(s)) })
			inMemory(t, 32<<20, func() {
				_, err := s.File(ctx, someID)
				assert.Error(t, err)
				_, err = s.ReadRange(ctx, content, make([]byte, 10), 0)
				assert.Error(t, err)
				_, err = s.Open(ctx, content, 0)
				assert.Error(t, err)
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What is wrong below JSON: the parts of HTTP itself.
func TestHostileHTTP(t *testing.T) {
	log.SetOutput(io.Discard) // net/http wonders about answers that nobody asked for
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	for name, f := range map[string]func(io.Writer){
		"headers without end":  func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\n"); endless(w, "X-A: b\r\n") },
		"a header without end": func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nX-A: "); endless(w, "b") },
		"a status without end": func(w io.Writer) { endless(w, "HTTP/1.1 200 OK") },
		"hints without end":    func(w io.Writer) { endless(w, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n") },
		"negative length":      func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n[]") },
		"length overflow": func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n[]")
		},
		"two lengths": func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]")
		},
		"shorter than its length": func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n[]")
		},
		"longer than its length": func(w io.Writer) { _, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n[]") },
		"a chunk of negative size": func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n[]")
		},
		"chunk extensions": func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			endless(w, "1;aaaa")
		},
		"switching protocols": func(w io.Writer) {
			_, _ = io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n[]")
		},
		"another protocol": func(w io.Writer) { _, _ = io.WriteString(w, "SSH-2.0-OpenSSH_9\r\n") },
		"nothing":          func(io.Writer) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := raw(t, f)
			inMemory(t, 32<<20, func() {
				assert.Error(t, listErr(s))
				_, err := s.File(t.Context(), someID)
				assert.Error(t, err)
				_, err = s.ReadRange(t.Context(), Content{File: someID, Size: 10}, make([]byte, 10), 0)
				assert.Error(t, err)
			})
		})
	}
}

func TestHostileLargeHeaderIsRead(t *testing.T) {
	s := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", 100<<10))
		_, _ = io.WriteString(w, "[]")
	})
	require.NoError(t, listErr(s), "100 KiB are odd and harmless")
}

func TestHostileRedirectIsNotFollowed(t *testing.T) {
	var visits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	defer elsewhere.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		s := hostile(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, code) })
		err := listErr(s)
		assert.Equal(t, Protocol, KindOf(err), "%v", err)
		_, err = s.CreateFile(t.Context(), NewFile{Name: "f"}, BytesBody([]byte("secret")))
		assert.Error(t, err)
	}
	assert.Zero(t, visits.Load(), "the token and the content stay here")
}

// Pages that go on for ever end: when they repeat, and when they are too much.
func TestHostilePages(t *testing.T) {
	page := func(n int) string {
		var b strings.Builder
		b.WriteByte('[')
		for i := range pageSize {
			fmt.Fprintf(&b, `%.*s{"id":"6553f100510003001a2b3c01","name":"%06d-%04d"}`, min(i, 1), ",", n, i)
		}
		return b.String() + "]"
	}
	for name, next := range map[string]func(n int) int{
		"one page":                    func(int) int { return 0 },
		"two pages":                   func(n int) int { return n % 2 },
		"some, then three by turns":   func(n int) int { return min(n, 20) + max(0, n-20)%3 },
		"seven, the first only once ": func(n int) int { return min(n, 1) * (1 + n%7) },
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			s := hostile(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page(next(n))); n++ })
			err := listErr(s)
			require.ErrorContains(t, err, "the pages repeat")
			assert.Equal(t, Protocol, KindOf(err))
			assert.Less(t, n, 100)
		})
	}
	t.Run("new ones without end", func(t *testing.T) {
		n := 0
		s := hostile(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page(n)); n++ })
		s.c.o.ListBytes = 1 << 20
		err := listErr(s)
		require.ErrorContains(t, err, "1048576")
		assert.Equal(t, TooLarge, KindOf(err))
		assert.Less(t, n, 30)
		assert.Zero(t, s.c.listed.Load(), "given back")
	})
}

// A server's words end in logs and on terminals.
func TestHostileWords(t *testing.T) {
	s := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		_, _ = io.WriteString(w, `{"status":-230,"timestamp":1,"message":"a\u001b[2J\u0007\nroot# \u202e`+strings.Repeat("é", 20000)+`"}`)
	})
	err := listErr(s)
	require.ErrorContains(t, err, "root#")
	assert.Less(t, len(err.Error()), 2*maxText)
	for _, bad := range []string{"\x1b", "\x07", "\n", "\u202e"} {
		assert.NotContains(t, err.Error(), bad)
	}
}
