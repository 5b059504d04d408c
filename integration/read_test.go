package integration

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/client"
)

// upload makes a file on the server as another client does, and returns its
// content's checksum.
func (s *server) upload(name string, n int) string {
	s.t.Helper()
	local := content(s.t, n)
	_, err := s.api().Workspace("default").CreateFile(s.t.Context(), client.NewFile{Name: name},
		client.Body{Size: int64(n), Open: func() (io.Reader, error) { return os.Open(local) }})
	require.NoError(s.t, err)
	return sum(s.t, local)
}

func sum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	require.NoError(t, err)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// metric is one figure of the mount.
func (m *mount) metric(name string) int {
	m.t.Helper()
	out := sh(m.t, "curl -s http://%s/metrics", m.http)
	v := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(out)
	require.NotNil(m.t, v, "%s in\n%s", name, out)
	n, err := strconv.ParseFloat(v[1], 64)
	require.NoError(m.t, err)
	return int(n)
}

// forgetPages lets the kernel drop what it has of a file, so that reads come to
// the mount.
func forgetPages(t *testing.T, f *os.File) {
	t.Helper()
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}

const getFile = "GET /files/{id}"

// 9.1 A sequence is one stream; several readers share it.
func TestSequentialReadIsOneStream(t *testing.T) {
	s := newServer(t)
	want := s.upload("large", 64*mib)
	m := newMount(t, s)
	before := m.requests()
	assert.Equal(t, want, sum(t, m.ws("large")))
	assert.Equal(t, 1, m.since(before)[getFile])

	want = s.upload("shared", 64*mib)
	fetched := m.metric("scmfs_readcache_fetched_bytes_total")
	sh(t, "cd %s && for i in 1 2 3 4; do (sha256sum shared | grep -q %s || exit 1) & p=\"$p $!\"; done; for i in $p; do wait $i || exit 1; done", m.ws(), want)
	assert.Less(t, m.metric("scmfs_readcache_fetched_bytes_total")-fetched, 72*mib, "the bytes came once")
}

// 9.2 A small random read is one short request and fetches what was asked for.
func TestRandomReadIsOneRequest(t *testing.T) {
	s := newServer(t)
	s.upload("large", 64*mib)
	m := newMount(t, s)
	f, err := os.Open(m.ws("large"))
	require.NoError(t, err)
	defer f.Close()
	fetched := m.metric("scmfs_readcache_fetched_bytes_total")
	before := m.requests()
	p := make([]byte, 4096)
	for i := range 20 {
		_, err := f.ReadAt(p, int64((i*7+3)%20*3*mib+mib))
		require.NoError(t, err)
	}
	assert.Equal(t, 20, m.since(before)[getFile])
	assert.Equal(t, 20*4096, m.metric("scmfs_readcache_fetched_bytes_total")-fetched)

	before = m.requests()
	forgetPages(t, f)
	for i := range 20 {
		_, err := f.ReadAt(p, int64((i*7+3)%20*3*mib+mib))
		require.NoError(t, err)
	}
	assert.Zero(t, m.since(before)[getFile], "they filled the cache")
}

// 9.3 An open file goes on being readable where it is cached, while the server is
// away.
func TestCachedReadsWhileServerIsAway(t *testing.T) {
	s := newServer(t)
	want := s.upload("cached", 20*mib)
	m := newMount(t, s)
	f, err := os.Open(m.ws("cached"))
	require.NoError(t, err)
	defer f.Close()
	read := func() string {
		forgetPages(t, f)
		h := sha256.New()
		_, err := io.Copy(h, io.NewSectionReader(f, 0, 20*mib))
		require.NoError(t, err)
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	require.Equal(t, want, read())
	s.kill()
	expired := time.Now().Add(1500 * time.Millisecond)
	require.Eventually(t, func() bool { return time.Now().After(expired) }, patience, 50*time.Millisecond)
	start := time.Now()
	assert.Equal(t, want, read(), "also when the attributes have expired")
	assert.Less(t, time.Since(start), 20*time.Second, "it does not wait for the server")
	s.start()
	assert.Equal(t, want, sum(t, m.ws("cached")))
}

// 9.4 Whatever happens to a transfer, a reader gets the right bytes or an error.
func TestBrokenTransfers(t *testing.T) {
	for name, fault := range map[string]string{
		"connections cut":    "cut-response=3000000@GET /files/*%60",
		"errors":             "error=500@GET /files/*%50",
		"a store's errors":   "error=-103@GET /files/*%50",
		"sessions forgotten": "expire@GET /files/*#1", // forgotten again and again means refused
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, "--fault", fault)
			want := s.upload("large", 32*mib)
			m := newMount(t, s)
			assert.Equal(t, want, sum(t, m.ws("large")))
			f, err := os.Open(m.ws("large"))
			require.NoError(t, err)
			defer f.Close()
			fi, err := f.Stat()
			require.NoError(t, err)
			assert.EqualValues(t, 32*mib, fi.Size())
		})
	}
	t.Run("no progress", func(t *testing.T) {
		s := newServer(t, "--fault", "cut-response=0@GET /files/*")
		s.upload("large", 8*mib)
		m := newMount(t, s)
		before := m.requests()
		out := fails(t, "cat %s | wc -c; cat %s > /dev/null", m.ws("large"), m.ws("large"))
		assert.Contains(t, out, "Input/output error", "not a short file")
		assert.True(t, strings.Contains(out, "\n0\n") || strings.HasPrefix(out, "0\n"), "no byte was made up: %s", out)
		// An answer that does not begin is asked for again for the client's retry time,
		// with growing pauses; the kernel sends several reads at once.
		assert.LessOrEqual(t, m.since(before)[getFile], 100, "not for ever, and with pauses")
	})
}

// 9.5 The disk cache survives a restart, is checked, and may be deleted at any time.
func TestDiskCache(t *testing.T) {
	s := newServer(t)
	want := s.upload("large", 16*mib)
	dir := filepath.Join(t.TempDir(), "cache")
	m := newMount(t, s, "--cache-dir", dir, "--cache-size", "4MiB")
	assert.Equal(t, want, sum(t, m.ws("large")))
	blocks := func() (names []string) {
		names, err := filepath.Glob(dir + "/??/*")
		require.NoError(t, err)
		return names
	}
	// A disk slower than the store leaves blocks out; reading again has them written.
	require.Eventually(t, func() bool {
		f, err := os.Open(m.ws("large"))
		require.NoError(t, err)
		defer f.Close()
		forgetPages(t, f)
		_, err = io.Copy(io.Discard, f)
		require.NoError(t, err)
		return len(blocks()) == 16
	}, patience, 100*time.Millisecond)

	other := &mount{t: t, s: s, dir: t.TempDir(), state: t.TempDir(), http: freePort(t), args: []string{"--cache-dir", dir}}
	out, err := other.tryStart()
	require.Error(t, err, "two mounts cannot share it")
	assert.Contains(t, out, "in use")

	m.end()
	m.start()
	before := m.requests()
	assert.Equal(t, want, sum(t, m.ws("large")))
	assert.Zero(t, m.since(before)[getFile], "all of it came from the disk")

	m.end()
	damaged, err := os.OpenFile(blocks()[3], os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = damaged.WriteAt([]byte("damage"), 500_000)
	require.NoError(t, err)
	require.NoError(t, damaged.Close())
	m.start()
	assert.Equal(t, want, sum(t, m.ws("large")), "wrong bytes on the disk are seen")
	assert.Equal(t, 1, m.metric("scmfs_readcache_disk_corrupt_total"))

	require.NoError(t, os.RemoveAll(dir))
	f, err := os.Open(m.ws("large"))
	require.NoError(t, err)
	forgetPages(t, f)
	require.NoError(t, f.Close())
	assert.Equal(t, want, sum(t, m.ws("large")), "deleted while the mount runs")
}

// 9.6 scmfs warm reads into the cache.
func TestWarm(t *testing.T) {
	s := newServer(t)
	want := s.upload("a", 5*mib)
	s.upload("b", 3*mib+17)
	m := newMount(t, s)
	out := sh(t, "%s warm %s", binary, m.ws())
	assert.Contains(t, out, "2 of 2 files, 8.0 MiB of 8.0 MiB")
	assert.NotContains(t, out, "\r", "no bar where there is no terminal")
	before := m.requests()
	assert.Equal(t, want, sum(t, m.ws("a")))
	assert.Zero(t, m.since(before)[getFile])
	assert.Contains(t, fails(t, "%s warm /proc", binary), "not on a mount of scmfs")
	assert.Contains(t, fails(t, "%s warm %s", binary, m.ws("absent")), "no such file")
}

// 9.11 Attributes beyond user.* are refused as not supported, so that programs do
// not ask again for each file.
func TestForeignXattrs(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "cd %s && mkdir d && for i in $(seq 50); do echo x > d/f$i; done", m.ws())
	for _, path := range []string{m.ws("d"), m.ws("d/f1")} {
		for _, name := range []string{"system.posix_acl_access", "security.selinux", "security.capability"} {
			_, err := unix.Getxattr(path, name, make([]byte, 100))
			assert.ErrorIs(t, err, unix.EOPNOTSUPP, "%s of %s", name, path)
		}
		_, err := unix.Getxattr(path, "user.absent", make([]byte, 100))
		assert.ErrorIs(t, err, unix.ENODATA, path)
	}
	asked := func() int {
		out, err := try(patience, "curl -s http://"+m.http+`/metrics | awk '/^scmfs_operation_seconds_count.*"getxattr"/ {n += $2} END {print n+0}'`)
		require.NoError(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(out))
		require.NoError(t, err)
		return n
	}
	before := asked()
	sh(t, "ls -l %s", m.ws("d"))
	assert.Less(t, asked()-before, 10, "ls asks once, not for each of 50 files")
}

// 9.13 What was written here a short time ago is read back without a request: the
// kernel keeps whole pages only, and the end of every file would be fetched.
func TestReadBackCostsNoRequest(t *testing.T) {
	m := newMount(t, newServer(t))
	want := sh(t, "cd %s && for i in $(seq 20); do seq $((i * 500)) > f$i; done && cat f* | md5sum", t.TempDir())
	before := m.requests()
	sh(t, "cd %s && for i in $(seq 20); do seq $((i * 500)) > f$i; done", m.ws())
	assert.Equal(t, want, sh(t, "cd %s && cat f* | md5sum", m.ws()))
	for request, n := range m.since(before) {
		assert.False(t, strings.HasPrefix(request, "GET /files"), "%d of %s", n, request)
	}
}
