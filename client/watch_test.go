package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// trip is a server on fake time.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) {
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	return f(r)
}

func onFakeTime(t *testing.T, o Options, f trip) *Store {
	c, err := New([]string{"gw:8080/site"}, o)
	require.NoError(t, err)
	c.http.Transport = f
	c.mu.session = session{token: "0c7f6c0e-6a0e", seed: &c.seeds[0], gen: 1}
	return c.Workspace("ws")
}

func answer(r *http.Request, status int, h http.Header, body io.Reader) (*http.Response, error) {
	if body == nil {
		body = http.NoBody
	}
	if h == nil {
		h = http.Header{}
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: h, Body: io.NopCloser(body), Request: r}, nil
}

// ticking yields one byte every d.
type ticking struct {
	ctx  context.Context
	d    time.Duration
	left int
}

func (r *ticking) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(r.d):
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
	r.left--
	p[0] = 'x'
	return 1, nil
}

const someID = "6553f100510003001a2b3c01"

func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A call ends after silence, not after a time.
func TestSilenceEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := onFakeTime(t, Options{}, hang)
		start := time.Now()
		_, err := s.File(t.Context(), someID)
		assert.Equal(t, Timeout, KindOf(err), err)
		assert.ErrorContains(t, err, "no progress")
		assert.NotErrorIs(t, err, context.Canceled, "the caller did not cancel anything")
		assert.Equal(t, 60*time.Second, time.Since(start))
	})
	synctest.Test(t, func(t *testing.T) {
		// What may have been carried out is asked about; the store is as silent.
		s := onFakeTime(t, Options{StallTimeout: 10 * time.Second}, hang)
		err := s.DeleteFile(t.Context(), someID)
		assert.Equal(t, Uncertain, KindOf(err), err)
	})
}

func TestSlowIsNotStalled(t *testing.T) {
	content := Content{File: someID, Size: 100}
	length := http.Header{"Data_length": {"100"}}
	synctest.Test(t, func(t *testing.T) {
		s := onFakeTime(t, Options{}, func(r *http.Request) (*http.Response, error) {
			return answer(r, 200, length, &ticking{r.Context(), 59 * time.Second, 100})
		})
		start := time.Now()
		r, err := s.Open(t.Context(), content, 0)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Len(t, b, 100)
		assert.Equal(t, 5900*time.Second, time.Since(start))
		require.NoError(t, r.Close())
	})
	synctest.Test(t, func(t *testing.T) {
		s := onFakeTime(t, Options{}, func(r *http.Request) (*http.Response, error) {
			return answer(r, 200, length, &ticking{r.Context(), 61 * time.Second, 100})
		})
		r, err := s.Open(t.Context(), content, 0)
		require.NoError(t, err)
		_, err = io.ReadAll(r)
		assert.Equal(t, Timeout, KindOf(err), err)
		require.NoError(t, r.Close())
	})
	synctest.Test(t, func(t *testing.T) {
		s := onFakeTime(t, Options{}, func(r *http.Request) (*http.Response, error) {
			return answer(r, 200, length, &ticking{r.Context(), time.Second, 100})
		})
		r, err := s.Open(t.Context(), content, 0)
		require.NoError(t, err)
		for range 100 {
			time.Sleep(time.Hour) // the reader's own business
			_, err := io.ReadFull(r, make([]byte, 1))
			require.NoError(t, err)
		}
		_, err = r.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
		require.NoError(t, r.Close())
	})
	synctest.Test(t, func(t *testing.T) {
		s := onFakeTime(t, Options{}, func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			return answer(r, 200, nil, strings.NewReader(`{"file_name":"b","upload_size":`+time.Duration(len(b)).String()[:2]+`}`))
		})
		b, err := s.AppendBreakpointFile(t.Context(), "b", 0, Body{Size: -1, Open: func() (io.Reader, error) { return &ticking{t.Context(), 50 * time.Second, 50}, nil }}, false)
		require.NoError(t, err)
		assert.EqualValues(t, 50, b.Size)
	})
}

func TestRetriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		s := onFakeTime(t, Options{}, func(r *http.Request) (*http.Response, error) {
			at = append(at, time.Since(start))
			return answer(r, 503, nil, nil)
		})
		_, err := s.File(t.Context(), someID)
		assert.Equal(t, Unavailable, KindOf(err), err)
		assert.LessOrEqual(t, time.Since(start), 30*time.Second)
		assert.Greater(t, time.Since(start), 20*time.Second)
		require.Greater(t, len(at), 5)
		for i := range at[1:] {
			assert.Greater(t, at[i+1], at[i], "never at once")
			assert.LessOrEqual(t, at[i+1]-at[i], 4500*time.Millisecond)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := 0
		s := onFakeTime(t, Options{RetryTimeout: -1}, func(r *http.Request) (*http.Response, error) {
			n++
			return answer(r, 503, nil, nil)
		})
		_, err := s.File(t.Context(), someID)
		assert.Equal(t, Unavailable, KindOf(err), err)
		assert.Equal(t, 1, n)
	})
}

func TestContextEndsACall(t *testing.T) {
	for name, f := range map[string]trip{"waiting for an answer": hang,
		"waiting for the next attempt": func(r *http.Request) (*http.Response, error) { return answer(r, 503, nil, nil) },
		"in the answer": func(r *http.Request) (*http.Response, error) {
			return answer(r, 200, http.Header{"Data_length": {"10"}}, &ticking{r.Context(), time.Second, 10})
		}} {
		synctest.Test(t, func(t *testing.T) {
			s := onFakeTime(t, Options{}, f)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second+time.Millisecond)
			defer cancel()
			_, err := s.ReadRange(ctx, Content{File: someID, Size: 10}, make([]byte, 10), 0)
			var e *Error
			require.True(t, errors.As(err, &e), "%s: %v", name, err)
			assert.Equal(t, Timeout, e.Kind, name)
			assert.Equal(t, 5*time.Second+time.Millisecond, time.Since(start), name)
		})
		synctest.Test(t, func(t *testing.T) {
			s := onFakeTime(t, Options{}, f)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { time.Sleep(3500 * time.Millisecond); cancel() }()
			_, err := s.ReadRange(ctx, Content{File: someID, Size: 10}, make([]byte, 10), 0)
			assert.Equal(t, Canceled, KindOf(err), "%s: %v", name, err)
		})
	}
}
