package integration

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counted is a body whose bytes are counted as they go by.
type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// counting is a gateway before a server which counts what is sent.
func counting(t *testing.T, s *server) (*server, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr})
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Body != nil {
			q.Body = counted{q.Body, &n}
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(web.Close)
	before := *s
	before.seed = strings.TrimPrefix(web.URL, "http://") + "/rootsite"
	return &before, &n
}

// A unit that is stopped in the middle of an upload goes on there when it is
// started again; systemd sees it alive until the end.
func TestUnitStoppedAndStartedInAnUpload(t *testing.T) {
	const size, increment = 24 * mib, 5 * mib
	s := newServer(t)
	via, sent := counting(t, s)
	t.Setenv("WATCHDOG_USEC", "600000")
	v := newService(t, via, "--write-mode", "async", "--increment-size", "5MiB", "--upload-limit", "4MiB", "--uploads", "1", "--stop-timeout", "1s")
	src := content(t, size)
	sh(t, "cp %s %s", src, v.ws("f"))
	acked := regexp.MustCompile(`"acknowledged": *[1-9]`)
	require.Eventually(t, func() bool { return acked.MatchString(sh(t, "cat %s/.scmfs/status", v.dir)) }, patience, 50*time.Millisecond)
	v.signal()
	said := ""
	for !strings.Contains(said, "STOPPING=1") {
		said = v.next()
		require.Regexp(t, "^(WATCHDOG=1$|STOPPING=1\n)", said)
	}
	assert.Regexp(t, `EXTEND_TIMEOUT_USEC=3\d000000`, said)
	assert.Equal(t, "WATCHDOG=1", v.next(), "it is alive while it waits")
	assert.Equal(t, 4, v.code(), "uploads are left")
	assert.Contains(t, v.out.String(), "the next mount goes on: 1 file")
	first := sent.Load()
	require.Less(t, first, int64(size), "it was in the middle")
	t.Logf("sent before the stop: %d", first)

	v.args = []string{"--write-mode", "async", "--increment-size", "5MiB"}
	v.up()
	sh(t, "%s wait %s", binary, v.ws("f"))
	sh(t, "cmp %s %s", src, v.ws("f"))
	assert.Equal(t, "1.0\n", sh(t, "ls %s", v.ws(".versions", "f")), "published once")
	t.Logf("sent at all: %d of %d", sent.Load(), size)
	assert.LessOrEqual(t, sent.Load(), int64(size+increment+mib/4), "what was acknowledged is not sent again")
	v.signal()
	assert.Zero(t, v.code())
}
