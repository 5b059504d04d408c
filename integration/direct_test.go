package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program that follows a file sees what another one appends, and never zeros in
// its place: its pages are dropped although the writer has none.
func TestFollowAFileThatIsAppendedTo(t *testing.T) {
	m := newMount(t, newServer(t))
	path := m.ws("log")
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	require.NoError(t, err)
	defer w.Close()
	r, err := os.Open(path)
	require.NoError(t, err)
	defer r.Close()

	const lines, line = 2000, "0123456789abcdefghijklmnopq\n"
	done := make(chan error, 1)
	go func() {
		for range lines {
			if _, err := w.WriteString(line); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	var got bytes.Buffer
	buf := make([]byte, 8<<10)
	deadline := time.Now().Add(patience)
	for got.Len() < lines*len(line) && time.Now().Before(deadline) {
		n, err := r.ReadAt(buf, int64(got.Len()))
		if n == 0 {
			require.ErrorContains(t, err, "EOF")
		}
		got.Write(buf[:n])
	}
	require.NoError(t, <-done)
	assert.Equal(t, string(bytes.Repeat([]byte(line), lines)), got.String())
}

// Pages of a reader that is there first do not outlive what is written over them,
// whichever way the writer has the file open.
func TestWriteBeneathPages(t *testing.T) {
	m := newMount(t, newServer(t))
	for name, flag := range map[string]int{"only writes": os.O_WRONLY, "reads and writes": os.O_RDWR, "truncates": os.O_WRONLY | os.O_TRUNC} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(m.ws(), name)
			old := bytes.Repeat([]byte("old."), 4<<10)
			require.NoError(t, os.WriteFile(path, old, 0o666))
			r, err := os.Open(path)
			require.NoError(t, err)
			defer r.Close()
			buf := make([]byte, len(old))
			_, err = r.ReadAt(buf, 0)
			require.NoError(t, err)
			require.Equal(t, old, buf)

			w, err := os.OpenFile(path, flag, 0)
			require.NoError(t, err)
			_, err = w.WriteAt([]byte("NEW!"), 5000)
			require.NoError(t, err)
			want := bytes.Clone(old)
			if flag&os.O_TRUNC != 0 {
				want = make([]byte, 5004)
			}
			copy(want[5000:], "NEW!")
			buf = make([]byte, len(want))
			_, err = r.ReadAt(buf, 0)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(buf), "while it is written")
			require.NoError(t, w.Close())
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(b), "when it is published")
			require.NoError(t, os.WriteFile(path, []byte("shorter"), 0o666))
			b, err = os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, "shorter", string(b))
		})
	}
}
