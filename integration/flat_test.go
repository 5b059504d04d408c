package integration

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// 1.5 A workspace without directories and with many files: 100,000 in a soak
// (make soak), fewer else. What is asked for is one name, whatever their number.
func TestLargeFlatWorkspace(t *testing.T) {
	n := 2500
	if os.Getenv("SCMFS_SOAK") != "" {
		n = 100_000
	}
	s := newServer(t)
	api := s.api()
	_, err := api.CreateWorkspace(t.Context(), "flat", false)
	require.NoError(t, err)
	ws := api.Workspace("flat")
	var wg sync.WaitGroup
	for j := range 8 {
		wg.Go(func() {
			for i := j; i < n; i += 8 {
				_, err := ws.CreateFile(t.Context(), client.NewFile{Name: fmt.Sprintf("f%06d", i)}, client.BytesBody([]byte("x")))
				if !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	wg.Wait()
	m := newMount(t, s, "--expiry", "300s")
	flat := m.dir + "/flat"
	_, err = os.Stat(flat)
	require.NoError(t, err)
	asked := func(script string) int {
		before := m.requests()
		began := time.Now()
		sh(t, "cd %s && %s", flat, script)
		d := m.since(before)
		t.Logf("%s: %v, %v", script, d, time.Since(began).Round(time.Millisecond))
		return total(d)
	}
	// Before anything was listed. Several names in a row may be taken for a reason to
	// look at a page, or to list what costs less than asking on.
	pages := n/1000 + 2
	first := asked("stat f000077 > /dev/null") + asked("test ! -e absent") + asked("cat f000078 > /dev/null") + asked("echo new > new")
	assert.LessOrEqual(t, first, 9)
	// All of it: a request for each 1,000, nothing for each file.
	assert.LessOrEqual(t, asked(fmt.Sprintf("test $(ls -f | wc -l) -ge %d", n)), pages)
	assert.LessOrEqual(t, asked("ls -l > /dev/null"), 0)
	// What changes after that lists nothing again.
	assert.LessOrEqual(t, asked("echo two > two && cat two > /dev/null"), 4)
	assert.LessOrEqual(t, asked("mv f000077 renamed && test ! -e f000077 && test -e renamed"), 1)
	assert.LessOrEqual(t, asked("rm renamed && test ! -e renamed"), 1)
	assert.LessOrEqual(t, asked("echo more >> f000078"), 6)
	assert.Zero(t, asked("test ! -e absent2"))
	assert.Zero(t, asked(fmt.Sprintf("test $(ls | wc -l) = %d", n+1)))
	assert.LessOrEqual(t, asked("rm f0000[0-6]?"), 70)
}

// 1.4 Several files of one name: the newest has the name, each has its content.
func TestFlatDuplicates(t *testing.T) {
	s := newServer(t)
	api := s.api()
	_, err := api.CreateWorkspace(t.Context(), "flat", false)
	require.NoError(t, err)
	ws := api.Workspace("flat")
	var ids []string
	for i := range 3 {
		f, err := ws.CreateFile(t.Context(), client.NewFile{Name: "dup"}, client.BytesBody(fmt.Appendf(nil, "%d", i)))
		require.NoError(t, err)
		ids = append(ids, string(f.ID))
	}
	for _, listed := range []bool{false, true} {
		m := newMount(t, s)
		flat := m.dir + "/flat"
		if listed {
			sh(t, "ls %s", flat)
		}
		assert.Equal(t, "2", read(t, flat+"/dup"), "the newest, listed %t", listed)
		assert.Equal(t, "0", read(t, flat+"/dup~"+ids[0]), "listed %t", listed)
		assert.Equal(t, "1", read(t, flat+"/dup~"+ids[1]), "listed %t", listed)
		list := strings.Fields(sh(t, "ls %s", flat))
		assert.ElementsMatch(t, []string{"dup", "dup~" + ids[0], "dup~" + ids[1]}, list)
	}
	m := newMount(t, s)
	flat := m.dir + "/flat"
	// A change by name concerns the newest, a rename of an older one that one alone.
	sh(t, "cd %s && printf new > dup && mv dup~%s own && cat own dup", flat, ids[0])
	f, err := ws.File(t.Context(), client.FileID(ids[2]))
	require.NoError(t, err)
	assert.Equal(t, 2, f.Version.Major)
	f, err = ws.File(t.Context(), client.FileID(ids[0]))
	require.NoError(t, err)
	assert.Equal(t, "own", f.Name)
	// The next one gets the name when the newest goes.
	sh(t, "rm %s/dup", flat)
	require.Eventually(t, func() bool { return sh(t, "ls %s", flat) == "dup\nown\n" }, patience, 50*time.Millisecond)
	assert.Equal(t, "1", read(t, flat+"/dup"))
	// Our own create never makes a second one.
	sh(t, "cd %s && printf again > dup && printf x > fresh", flat)
	require.Eventually(t, func() bool { return sh(t, "ls %s", flat) == "dup\nfresh\nown\n" }, patience, 50*time.Millisecond)
}
