package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

const token = "0c7f6c0e-6a0e-4b7b-9c7f-3c1e5c8d2f11"

// step is one exchange of a script: what must be sent, byte for byte, and what
// is answered.
type step struct {
	want   string            // "METHOD /request/uri?query"
	header map[string]string // that must be there; "" = must not
	body   string            // of the request

	status int               // 0 = 200
	set    map[string]string // answer headers
	answer string
	cut    bool // read the request, then break the connection
	breaks bool // send the answer, then break the connection before its end
}

// script is a server that plays steps in order and answers logins beside them.
type script struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	steps  []step
	logins int
}

func newScript(t *testing.T, steps ...step) *script {
	s := &script{t: t, steps: steps}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		if !t.Failed() {
			assert.Empty(t, s.steps, "exchanges that did not take place")
		}
	})
	return s
}

func (s *script) seed() string { return strings.TrimPrefix(s.URL, "http://") + "/rootSite" }

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	assert.NoError(s.t, err)
	got := r.Method + " " + r.RequestURI
	s.mu.Lock()
	if len(s.steps) == 0 || !strings.Contains(s.steps[0].want, "ogin") && !strings.HasSuffix(s.steps[0].want, "/salt") {
		switch got {
		case "POST /auth/api/v2/salt": // an old server
			s.mu.Unlock()
			w.WriteHeader(http.StatusNotFound)
			return
		case "POST /login":
			s.logins++
			s.mu.Unlock()
			w.Header().Set("x-auth-token", token)
			return
		}
	}
	var st step
	if len(s.steps) > 0 {
		st, s.steps = s.steps[0], s.steps[1:]
	}
	s.mu.Unlock()
	assert.Equal(s.t, st.want, got)
	assert.Equal(s.t, st.body, string(body), got)
	for k, v := range st.header {
		if k == "Transfer-Encoding" {
			assert.Equal(s.t, v, strings.Join(r.TransferEncoding, ","), got)
			continue
		}
		assert.Equal(s.t, v, r.Header.Get(k), "%s: %s", got, k)
	}
	assert.Empty(s.t, r.Header.Get("Authorization"), "a gateway takes it for S3")
	if st.cut {
		panic(http.ErrAbortHandler)
	}
	for k, v := range st.set {
		w.Header().Set(k, v)
	}
	if st.status != 0 {
		w.WriteHeader(st.status)
	}
	_, _ = io.WriteString(w, st.answer)
	if st.breaks {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// client returns a client of the script that is not patient: no retries.
func (s *script) client(change ...func(*client.Options)) *client.Client {
	return dial(s.t, []string{s.seed()}, change...)
}

func dial(t *testing.T, seeds []string, change ...func(*client.Options)) *client.Client {
	o := client.Options{User: "alice", Password: func() (string, error) { return "s3cret-Pass", nil }, RetryTimeout: -1, StallTimeout: 20 * time.Second}
	for _, fn := range change {
		fn(&o)
	}
	c, err := client.New(seeds, o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func retrying(o *client.Options) { o.RetryTimeout = 20 * time.Second }

// scmError is an error body of part 1 section 3.1.
func scmError(code string) string {
	return `{"timestamp":1705308700000,"status":` + code + `,"error":"text","exception":"com.sequoiacm.exception.ScmServerException","message":"sessionId=` + token + `,story","path":"/api/v1/x"}`
}
