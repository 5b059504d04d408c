package integration

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// loadLimit is the memory of the mount, spoolDisk the disk of its state directory.
const (
	loadLimit = 256 * mib
	spoolDisk = 1024 * mib
	loadCache = 32 * mib
)

// footing is what a mount and its server hold on to.
type footing struct {
	rss, heap          int64 // resident, and in use after a collection
	goroutines, fds    int
	spool              int64 // bytes in the spool and the journal
	breakpoints, blobs int   // at the server: breakpoint files, and files with content
}

func (f footing) String() string {
	return fmt.Sprintf("resident %.1f MiB, heap %.1f MiB, goroutines %d, descriptors %d, spool and journal %d B, breakpoint files %d, content files %d",
		float64(f.rss)/mib, float64(f.heap)/mib, f.goroutines, f.fds, f.spool, f.breakpoints, f.blobs)
}

func (m *mount) pid() string {
	m.t.Helper()
	pid := regexp.MustCompile(`"pid": (\d+)`).FindStringSubmatch(read(m.t, filepath.Join(m.dir, ".scmfs", "status")))
	require.NotNil(m.t, pid)
	return pid[1]
}

// footing collects garbage first, twice for what is in pools.
func (m *mount) footing() (f footing) {
	t := m.t
	t.Helper()
	sh(t, "curl -sf -o /dev/null -o /dev/null 'http://%[1]s/debug/pprof/heap?gc=1' 'http://%[1]s/debug/pprof/heap?gc=1'", m.http)
	f.rss, f.heap = m.resident("VmRSS"), int64(m.metric("go_memstats_heap_inuse_bytes"))
	f.goroutines = m.metric("go_goroutines")
	f.fds = strings.Count(sh(t, "timeout 5 ls /proc/%s/fd", m.pid()), "\n")
	f.spool = used(t, filepath.Join(m.state, "spool")) + used(t, filepath.Join(m.state, "journal"))
	for _, err := range m.s.api().Workspace("default").BreakpointFiles(t.Context(), "") {
		require.NoError(t, err)
		f.breakpoints++
	}
	f.blobs = strings.Count(sh(t, "find %s -type f", filepath.Join(m.s.dir, "store", "data")), "\n")
	return f
}

// settled waits until a mount holds no more than before a load. What is left
// differs by: connections that are kept for the next request (each is a descriptor and
// two goroutines) and the kernel's requests that are waited for; the cache, which is
// meant to be full; and freed memory that Go's runtime keeps for a while.
func (m *mount) settled(before footing) {
	t := m.t
	t.Helper()
	var after footing
	ok := assert.Eventually(t, func() bool {
		after = m.footing()
		return after.rss <= before.rss+96*mib && after.heap <= before.heap+loadCache+16*mib &&
			after.goroutines <= before.goroutines+32 && after.fds <= before.fds+16 &&
			after.spool == before.spool && after.breakpoints == before.breakpoints && after.blobs == before.blobs
	}, 3*time.Minute, time.Second, "something is left behind")
	t.Logf("before: %s", before)
	t.Logf("after:  %s", after)
	if !ok {
		t.Logf("left: %s", sh(t, "ls -l %[1]s/spool %[1]s/journal | head -40; %s pending list %s", m.state, binary, m.dir))
	}
}

// plainBinary is the mount without the race detector, whose memory is not the mount's.
func plainBinary(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "scmfs")
	b, err := exec.Command("go", "build", "-o", out, "../cmd/scmfs").CombinedOutput()
	require.NoError(t, err, string(b))
	return out
}

// loadMount mounts s without the race detector and in a memory limit, if there can
// be one; it returns the group's directory or "".
func loadMount(t *testing.T, s *server, args ...string) (m *mount, group string) {
	t.Helper()
	m = &mount{t: t, s: s, dir: t.TempDir(), state: spoolOn(t), http: freePort(t)}
	m.args = append([]string{"--pprof", "--cache-size", fmt.Sprint(loadCache)}, args...)
	group, err := memoryGroup(t, loadLimit)
	enter := ""
	if err != nil {
		t.Logf("no memory limit by the kernel (%v): Go is asked to stay below it", err)
		enter = fmt.Sprintf("export GOMEMLIMIT=%d; ", loadLimit)
	} else {
		enter = fmt.Sprintf("echo $$ > %s/cgroup.procs && ", group)
	}
	script := fmt.Sprintf("%sexec %s mount %s %s --state-dir %s --http %s %s", enter, plainBinary(t), s.seed, m.dir, m.state, m.http, strings.Join(m.args, " "))
	t.Cleanup(m.end)
	out, err := try(patience, fmt.Sprintf("export SCMFS_USER='%s' SCMFS_PASSWORD='%s'; %s", s.user, s.pass, script))
	require.NoError(t, err, out)
	// Connections, and what is made once, are there before anything is counted.
	sh(t, `cd %s && mkdir warm && for i in $(seq 24); do (head -c 2000000 /dev/urandom > warm/$i && cat warm/$i > /dev/null) & done; wait; ls -l warm > /dev/null; rm -r warm`, m.ws())
	return m, group
}

// spoolOn is a state directory on a disk of its own. No tmpfs: it would count as
// memory of the mount that cannot be given back.
func spoolOn(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(t.TempDir(), "disk")
	out, err := try(patience, fmt.Sprintf("truncate -s %d %[2]s && mkfs.ext4 -q -F %[2]s && mount -o loop %[2]s %[3]s && chmod 700 %[3]s", spoolDisk, image, dir))
	require.NoError(t, err, "a disk of 1 GiB: %s", out)
	t.Cleanup(func() { _, _ = try(10*time.Second, "umount -l "+dir) })
	return dir
}

// memoryGroup makes a group of processes with a limit on their memory, below the
// one that this process is in.
func memoryGroup(t *testing.T, limit int64) (string, error) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	dir, file := "", ""
	if m := regexp.MustCompile(`(?m)^\d+:memory:(.*)$`).FindSubmatch(own); m != nil {
		dir, file = filepath.Join("/sys/fs/cgroup/memory", string(m[1])), "memory.limit_in_bytes"
	} else if m := regexp.MustCompile(`(?m)^0::(.*)$`).FindSubmatch(own); m != nil {
		dir, file = filepath.Join("/sys/fs/cgroup", string(m[1])), "memory.max"
	}
	group := filepath.Join(dir, fmt.Sprintf("scmfs-load-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		return "", err
	}
	t.Cleanup(func() {
		assert.Eventually(t, func() bool { return os.Remove(group) == nil }, 30*time.Second, 100*time.Millisecond, "%s is in use", group)
	})
	if err := os.WriteFile(filepath.Join(group, file), fmt.Append(nil, limit), 0); err != nil {
		return "", err
	}
	return group, nil
}

// atStore lists the files below a directory of the store, by path, without the mount.
func (s *server) atStore(ctx context.Context, dir string) map[string]client.File {
	s.t.Helper()
	ws, out := s.api().Workspace("default"), map[string]client.File{}
	var walk func(id client.DirID, path string)
	walk = func(id client.DirID, path string) {
		for f, err := range ws.Files(ctx, id, "") {
			require.NoError(s.t, err)
			out[path+f.Name] = f
		}
		for d, err := range ws.Directories(ctx, id, "") {
			require.NoError(s.t, err)
			walk(d.ID, path+d.Name+"/")
		}
	}
	d, err := ws.LookupDirectory(ctx, client.RootDir, dir)
	require.NoError(s.t, err)
	walk(d.ID, "")
	return out
}

// sumAtStore is the checksum of what the store has.
func sumAtStore(ctx context.Context, ws *client.Store, f client.File) (string, error) {
	r, err := ws.Open(ctx, f.Content(), 0)
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := md5.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
