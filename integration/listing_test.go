package integration

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// fill makes a directory of n files on the server as another client does.
func (s *server) fill(dir string, n int) {
	s.t.Helper()
	ws := s.api().Workspace("default")
	d, err := ws.CreateDirectory(s.t.Context(), client.RootDir, dir)
	require.NoError(s.t, err)
	var wg sync.WaitGroup
	for j := range 8 {
		wg.Go(func() {
			for i := j; i < n; i += 8 {
				_, err := ws.CreateFile(s.t.Context(), client.NewFile{Name: fmt.Sprintf("f%05d", i), Dir: d.ID}, client.BytesBody([]byte("x")))
				if !assert.NoError(s.t, err) {
					return
				}
			}
		})
	}
	wg.Wait()
}

const (
	listFiles = "GET /directories/id/{id}/listfiles"
	listDirs  = "GET /directories/"
)

func total(requests map[string]int) (n int) {
	for _, v := range requests {
		n += v
	}
	return n
}

// 9.7 A listing costs two requests a page, and nothing for the files in it.
func TestListingCostsNoRequestPerFile(t *testing.T) {
	s := newServer(t)
	s.fill("d", 2500)
	m := newMount(t, s, "--expiry", "60s")
	_, err := os.Stat(m.ws("d"))
	require.NoError(t, err)
	before := m.requests()
	assert.Equal(t, "2501\n", sh(t, "ls -l %s | wc -l", m.ws("d")))
	assert.Equal(t, map[string]int{listFiles: 3, listDirs: 1}, m.since(before))

	before = m.requests()
	assert.Equal(t, "2500\n", sh(t, "find %s -type f -size 1c | wc -l", m.ws("d")))
	assert.Equal(t, "2501\n", sh(t, "du -a --apparent-size %s | wc -l", m.ws("d")))
	assert.Equal(t, "11\n", sh(t, "cd %s && ls f0001? f02499 | wc -l", m.ws("d")))
	assert.Contains(t, fails(t, "ls -l %s", m.ws("d/absent")), "No such file")
	for i := range 10 {
		_, err := os.Stat(m.ws("d", fmt.Sprintf("absent%d", i)))
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	assert.Empty(t, m.since(before), "neither names that are there nor names that are not")
}

// 9.8 One name of a directory that was not listed costs at most two requests.
func TestLookupInUnlistedDirectory(t *testing.T) {
	s := newServer(t)
	s.fill("d", 1200)
	m := newMount(t, s)
	_, err := os.Stat(m.ws("d"))
	require.NoError(t, err)
	for _, name := range []string{"f00700", "absent"} {
		before := m.requests()
		_, err := os.Stat(m.ws("d", name))
		assert.Equal(t, name == "absent", os.IsNotExist(err))
		assert.LessOrEqual(t, total(m.since(before)), 2)
	}
}

// 9.9 However many processes list a directory, it is listed once at a time.
func TestOneListingInFlight(t *testing.T) {
	s := newServer(t, "--fault", "delay=500ms@GET /directories/id/*/listfiles")
	s.fill("d", 1500)
	m := newMount(t, s, "--expiry", "20s")
	_, err := os.Stat(m.ws("d"))
	require.NoError(t, err)
	before := m.requests()
	sh(t, "cd %s && for i in 1 2 3 4 5 6 7 8; do ls -l | wc -l >> %s/out & done; wait", m.ws("d"), m.state)
	assert.Equal(t, strings.Repeat("1501\n", 8), read(t, m.state+"/out"))
	assert.Equal(t, map[string]int{listFiles: 2, listDirs: 1}, m.since(before))
}

// 9.10 A directory that is written to is not listed again for every file.
func TestWritingDoesNotListAgain(t *testing.T) {
	s := newServer(t)
	s.fill("d", 1500)
	m := newMount(t, s, "--expiry", "60s") // what the clock lets expire is another matter
	src := t.TempDir()
	sh(t, "cd %s && for i in $(seq 100); do echo $i > new$i; done", src)
	sh(t, "ls %s > /dev/null", m.ws("d"))
	before := m.requests()
	sh(t, "rsync -a %s/ %s/", src, m.ws("d"))
	assert.Equal(t, "1600\n", sh(t, "ls %s | wc -l", m.ws("d")))
	d := m.since(before)
	assert.LessOrEqual(t, d[listFiles]+d[listDirs], 6, "twice a listing of three requests: %v", d)
	assert.Equal(t, "100\n", sh(t, "cd %s && cat new* | wc -l", m.ws("d")))
}
