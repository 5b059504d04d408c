package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Many programs write and read files of all sizes at once, while the mount has
// 256 MiB of memory and a disk of 1 GiB: 16 for ten seconds, with
// SCMFS_LOAD=DURATION 64 for that long. Each knows what it must read.
func TestLoadMixed(t *testing.T) {
	workers, d := 16, 10*time.Second
	if long := envDuration(t, "SCMFS_LOAD"); long > 0 {
		workers, d = 64, long
	}
	s := newServer(t)
	m, group := loadMount(t, s)
	sh(t, "mkdir %s", m.ws("load"))
	before := m.footing()
	var peak int64
	ctx, cancel := context.WithTimeout(t.Context(), d+5*time.Minute)
	defer cancel()
	self, err := os.Executable()
	require.NoError(t, err)
	var mu sync.Mutex
	var sum loadDone
	var wg sync.WaitGroup
	for n := range workers {
		job, err := json.Marshal(loadJob{Dir: m.ws("load"), N: n, Until: time.Now().Add(d)})
		require.NoError(t, err)
		wg.Go(func() {
			cmd := exec.CommandContext(ctx, self)
			cmd.Env = append(os.Environ(), loadEnv+"="+string(job))
			cmd.WaitDelay = 5 * time.Second
			out, err := cmd.Output()
			var one loadDone
			if assert.NoError(t, err, "worker %d", n) && assert.NoError(t, json.Unmarshal(out, &one), "worker %d", n) {
				mu.Lock()
				defer mu.Unlock()
				sum.add(one)
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-tick.C:
			peak = max(peak, m.resident("VmRSS"))
			continue
		case <-ended:
			tick.Stop()
		}
		break
	}
	t.Logf("%d programs, %s: %d files and %d new versions written, %d MiB; %d MiB read, %d files of others, %d removed under the reader; %d removed",
		workers, d, sum.Files, sum.Rewritten, sum.Written>>20, sum.Read>>20, sum.Others, sum.Gone, sum.Removed)
	t.Logf("resident at most %d MiB", peak>>20)
	if group != "" {
		t.Logf("memory group: %s", strings.ReplaceAll(sh(t, "cd %s && grep -H . memory.max_usage_in_bytes memory.peak memory.failcnt memory.oom_control memory.events 2>/dev/null || true", group), "\n", " "))
	}
	assert.Empty(t, sum.Faults)
	assert.Positive(t, min(sum.Files, sum.Rewritten, sum.Others, sum.Removed), "it was tried: %+v", sum)
	assert.Less(t, peak, int64(loadLimit))

	// The store has what the names say, and no name that was for a moment only.
	ws := s.api().Workspace("default")
	checked := 0
	for p, f := range s.atStore(t.Context(), "load") {
		base := filepath.Base(p)
		assert.False(t, strings.HasPrefix(base, "new"), "%s is left", p)
		if want := sumInName(base); want != "" {
			got, err := sumAtStore(t.Context(), ws, f)
			assert.NoError(t, err, p)
			assert.Equal(t, want, got, "%s at the store", p)
			checked++
		}
	}
	assert.Positive(t, checked)
	sh(t, "rm -r %s", m.ws("load"))
	sh(t, "mkdir %s", m.ws("load"))
	m.settled(before)
}

func (d *loadDone) add(o loadDone) {
	d.Written, d.Read, d.Files, d.Rewritten = d.Written+o.Written, d.Read+o.Read, d.Files+o.Files, d.Rewritten+o.Rewritten
	d.Others, d.Gone, d.Removed = d.Others+o.Others, d.Gone+o.Gone, d.Removed+o.Removed
	d.Faults = append(d.Faults, o.Faults...)
}

// 500 files are open at once, every other one for writing.
func TestLoadHandles(t *testing.T) {
	const handles = 500
	s := newServer(t)
	m, _ := loadMount(t, s)
	before := m.footing()
	sh(t, "mkdir %s", m.ws("open"))
	name := func(i int) string { return fmt.Sprintf("f%03d", i) }
	size := func(i int) int64 {
		if i%10 < 2 {
			return 2 * mib // more than is kept in memory
		}
		return 10_000
	}
	w, err := newWorker()
	require.NoError(t, err)
	t.Cleanup(w.kill)
	do := func(c call) reply {
		t.Helper()
		r, err := w.do(c)
		require.NoError(t, err)
		require.Zero(t, r.Errno, "%+v: %s %s", c, r.Note, syscall.Errno(r.Errno))
		return r
	}
	for i := 1; i <= handles; i++ {
		c := call{Op: "put", Path: m.ws("open", name(i)), Seed: uint64(i), Size: size(i)}
		if i%2 == 0 {
			do(c)
		}
	}
	for i := 1; i <= handles; i++ {
		flags := syscall.O_RDONLY
		if i%2 == 1 {
			flags = syscall.O_CREAT | syscall.O_EXCL | syscall.O_WRONLY
		}
		do(call{Op: "open", Path: m.ws("open", name(i)), Slot: i, Flags: flags, Size: 0o644})
	}
	for i := 1; i <= handles; i++ {
		if i%2 == 1 {
			do(call{Op: "write", Slot: i, Seed: uint64(i), Size: size(i)})
		}
	}
	for i := 2; i <= handles; i += 2 {
		assert.Equal(t, sumOf(bytesOf(uint64(i), size(i))), do(call{Op: "fread", Slot: i}).Sum, "%s through its handle", name(i))
	}
	t.Logf("open:   %s", m.footing())
	for i := 1; i <= handles; i++ {
		do(call{Op: "close", Slot: i})
	}
	files := s.atStore(t.Context(), "open")
	require.Len(t, files, handles)
	ws := s.api().Workspace("default")
	for i := 1; i <= handles; i++ {
		f := files[name(i)]
		assert.Equal(t, 1, f.Version.Major, name(i))
		got, err := sumAtStore(t.Context(), ws, f)
		require.NoError(t, err)
		assert.Equal(t, sumOf(bytesOf(uint64(i), size(i))), got, "%s at the store", name(i))
	}
	sh(t, "rm -r %s", m.ws("open"))
	m.settled(before)
}

// rsync copies 1,000 small files, SCMFS_LOAD_FILES if given, while the server is
// killed three times. It sees no error; a second one has nothing to do.
func TestLoadRsync(t *testing.T) {
	n := int(envNumber(t, "SCMFS_LOAD_FILES", 1000))
	src := t.TempDir()
	sums := map[string]string{}
	for i := range n {
		b := bytesOf(uint64(i), int64(i*7919%9000))
		p := fmt.Sprintf("d%03d/f%05d", i/100, i)
		sums[p] = sumOf(b)
		require.NoError(t, os.MkdirAll(filepath.Join(src, filepath.Dir(p)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(src, p), b, 0o644))
	}
	s := newServer(t)
	m, _ := loadMount(t, s)
	before := m.footing()
	api := s.api().Workspace("default")
	type result struct {
		out string
		err error
	}
	ended := make(chan result, 1)
	began := time.Now()
	go func() {
		out, err := try(15*time.Minute, fmt.Sprintf("rsync -a %s/ %s/", src, m.ws("copy")))
		ended <- result{out, err}
	}()
	for k := 1; k <= 3; k++ {
		require.Eventually(t, func() bool {
			done, err := api.CountFiles(t.Context())
			return err == nil && done >= int64(k*n/4)
		}, 10*time.Minute, 20*time.Millisecond, "before kill %d", k)
		require.Empty(t, ended, "rsync has ended before kill %d", k)
		s.kill()
		s.start()
	}
	r := <-ended
	require.NoError(t, r.err, r.out)
	t.Logf("%d files in %s", n, time.Since(began).Round(time.Millisecond))
	out, err := try(10*time.Minute, fmt.Sprintf("rsync -ain %s/ %s/", src, m.ws("copy")))
	require.NoError(t, err, out)
	assert.Empty(t, out, "a second rsync would have something to do")

	files := s.atStore(t.Context(), "copy")
	assert.Len(t, files, n)
	for p, want := range sums {
		f := files[p]
		got, err := sumAtStore(t.Context(), api, f)
		require.NoError(t, err, p)
		assert.Equal(t, want, got, "%s at the store", p)
		assert.Equal(t, "1.0", fmt.Sprintf("%d.%d", f.Version.Major, f.Version.Minor), "%s was published once", p)
	}
	out, err = try(10*time.Minute, "rm -r "+m.ws("copy"))
	require.NoError(t, err, out)
	m.settled(before)
}
