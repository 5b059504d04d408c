package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gateway is a server that means harm. It answers logins, and the rest as mode says.
type gateway struct {
	*httptest.Server
	mode atomic.Value // string
}

const hostileRoot = "000000000000000000000000"

// evilNames cannot be in a path, or look as if they led elsewhere.
func evilNames() []string {
	return []string{"", ".", "..", "../evil", "../../../../tmp/evil", "/etc/passwd", "a/b", "nul\x00l", "line\nbreak", "esc\x1b[2J", "back\\slash", `quote"`,
		strings.Repeat("x", 300), strings.Repeat("断", 200), ".scmfs", ".partial", ".versions", "\u202egnp.exe", "ok"}
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	requireFUSE(t)
	g := &gateway{}
	g.mode.Store("names")
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.CloseClientConnections)
	return g
}

// server is what newMount wants to know.
func (g *gateway) server(t *testing.T) *server {
	addr := g.Listener.Addr().String()
	return &server{t: t, addr: addr, seed: addr + "/rootsite", user: "u", pass: "p"}
}

func id(n int) string { return fmt.Sprintf("6553f1005100030000%06x", n) }

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mode := g.mode.Load().(string)
	path := strings.TrimPrefix(r.URL.Path, "/zuul")
	path = strings.TrimPrefix(path, "/rootsite/api/v1")
	switch {
	case path == "/auth/api/v2/salt":
		w.WriteHeader(http.StatusNotFound)
	case path == "/login":
		w.Header().Set("x-auth-token", "t")
	case path == "/logout":
	case strings.HasPrefix(path, "/workspaces/") && len(path) > len("/workspaces/"):
		_, _ = io.WriteString(w, `{"workspace":{"id":1,"name":"../evil","enable_directory":true}}`)
	case strings.HasPrefix(path, "/workspaces"):
		g.list(w, r, "names", `"id":1`, "default")
	case r.Method == http.MethodHead && strings.HasPrefix(path, "/directories"):
		w.Header().Set("directory", `{"id":"`+hostileRoot+`","name":"../..","parent_directory_id":"x"}`)
	case strings.HasPrefix(path, "/breakpointfiles") && r.Method == http.MethodGet:
		g.list(w, r, mode, `"file_name":%q,"upload_size":9223372036854775807`, "bp")
	case strings.HasSuffix(path, "/listfiles") || path == "/directories/" || path == "/files/":
		g.list(w, r, mode, `"size":9223372036854775807,"data_id":"../../evil","major_version":2147483647,"minor_version":-1,"custom_metadata":{"posix":"{\"type\":\"symlink\",\"mode\":\"7777\",\"uid\":0,\"link\":\"/etc/passwd\"}"}`, "f")
	case r.Method == http.MethodGet && strings.HasPrefix(path, "/files/"):
		w.Header().Set("data_length", "9223372036854775807")
		endlessly(w, "evil")
	case r.Method == http.MethodHead:
		w.Header().Set("file", `{"id":"`+id(1)+`","name":"../evil","size":9223372036854775807,"data_id":"../evil"}`)
		w.Header().Set("X-SCM-BREAKPOINTFILE", `{"file_name":"../evil","upload_size":-1}`)
	default: // writes: yes to everything, and something else was stored
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"file":{"id":"`+id(1)+`","name":"../evil","size":1,"data_id":"../evil"}}`)
	}
}

func endlessly(w io.Writer, piece string) {
	block := strings.Repeat(piece, 1+64<<10/len(piece))
	for range 1 << 14 { // 1 GiB
		if _, err := io.WriteString(w, block); err != nil {
			return
		}
	}
}

func (g *gateway) list(w io.Writer, r *http.Request, mode, fields, ordinary string) {
	name := func(i int, s string) string {
		q, _ := json.Marshal(s)
		row := fmt.Sprintf(`{"id":"%s","name":%s,`, id(i), q)
		if strings.Contains(fields, "%q") {
			return row + strings.Replace(fields, "%q", string(q), 1) + "}"
		}
		if strings.HasPrefix(fields, `"id":1`) {
			return fmt.Sprintf(`{"name":%s,"id":%d}`, q, i)
		}
		return row + fields + "}"
	}
	switch mode {
	case "names":
		rows := []string{name(0, ordinary)}
		for i, s := range evilNames() {
			if s == "" && !strings.HasPrefix(fields, `"size"`) {
				continue // a list of workspaces or breakpoint files is refused for it
			}
			rows = append(rows, name(i+1, s))
		}
		_, _ = io.WriteString(w, "["+strings.Join(rows, ",")+"]")
	case "invalid UTF-8":
		_, _ = io.WriteString(w, "["+strings.Replace(name(1, "MARK"), "MARK", "a\xff\xfe/../b", 1)+"]")
	case "empty records":
		_, _ = io.WriteString(w, "[")
		endlessly(w, "{},")
	case "one record again and again":
		_, _ = io.WriteString(w, "[")
		endlessly(w, name(1, "f")+",")
	case "the same page":
		_, _ = io.WriteString(w, "[")
		for i := range 1000 {
			_, _ = io.WriteString(w, map[bool]string{true: "", false: ","}[i == 0]+name(i, fmt.Sprintf("f%04d", i)))
		}
		_, _ = io.WriteString(w, "]")
	case "nesting":
		_, _ = io.WriteString(w, "[")
		endlessly(w, `{"custom_metadata":`)
	case "wrong ids":
		_, _ = io.WriteString(w, `[{"id":"../../../etc","name":"f","file_name":"f"}]`)
	}
}

// resident is a line of the mount's /proc/PID/status in bytes: VmRSS, what it has
// now, or VmHWM, the most that it had since forgetPeak.
func (m *mount) resident(line string) int64 {
	m.t.Helper()
	kb := regexp.MustCompile(line + `:\s+(\d+) kB`).FindStringSubmatch(read(m.t, "/proc/"+m.pid()+"/status"))
	require.NotNil(m.t, kb)
	n, err := strconv.ParseInt(kb[1], 10, 64)
	require.NoError(m.t, err)
	return n << 10
}

func (m *mount) forgetPeak() {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile("/proc/"+m.pid()+"/clear_refs", []byte("5"), 0))
}

// A server that means harm can be of no use. It cannot show a path that leads out
// of the mount, take its memory, stop it, or be written to with success.
func TestHostileServer(t *testing.T) {
	g := newGateway(t)
	m := &mount{t: t, s: g.server(t), dir: t.TempDir(), state: t.TempDir(), http: freePort(t), bin: plain(t),
		args: []string{"--timeout", "20s", "--close-timeout", "20s", "--expiry", "10ms"}}
	m.start()
	t.Cleanup(m.end)
	copied := t.TempDir()
	around := func() string { return sh(t, "ls -A %s %s", filepath.Dir(m.state), filepath.Dir(m.dir)) }
	before := around()

	entries := strings.Split(sh(t, "find %s -mindepth 1 -maxdepth 3 -printf '%%P\\0' 2>/dev/null || true", m.dir), "\x00")
	assert.Contains(t, entries, "default/ok")
	assert.Greater(t, len(entries), 10)
	for _, e := range entries {
		for _, seg := range strings.Split(e, "/") {
			assert.NotContains(t, []string{".", ".."}, seg)
			assert.LessOrEqual(t, len(seg), 255)
		}
	}
	names, err := os.ReadDir(m.ws(".partial"))
	require.NoError(t, err)
	for _, n := range names {
		assert.False(t, n.Name() == ".." || strings.ContainsAny(n.Name(), "/\x00\n"), "%q", n.Name())
	}
	_, _ = try(patience, fmt.Sprintf("cd %s && timeout 20 tar cf - --ignore-failed-read . | tar xf - -C %s", m.dir, copied))
	assert.NoFileExists(t, "/tmp/evil")
	assert.Contains(t, sh(t, "grep ' %s ' /proc/self/mountinfo", m.dir), "nosuid,nodev", "the server's 7777 is worth nothing")

	fails(t, "head -c 100 %s/ok > %s/got", m.ws(), copied)
	fails(t, "printf abc > %[1]s/new && cp %[1]s/new %[2]s/new", copied, m.ws()) // the shell's own > does not look at what close says
	_, _ = try(patience, fmt.Sprintf("mkdir %s/d; touch %s/ok; rm -f %s/ok; mv %s/ok %s/ok2", m.ws(), m.ws(), m.ws(), m.ws(), m.ws()))

	for _, mode := range []string{"invalid UTF-8", "empty records", "one record again and again", "the same page", "nesting", "wrong ids"} {
		g.mode.Store(mode)
		m.forgetPeak()
		start := time.Now()
		out, _ := try(patience, fmt.Sprintf("for i in 1 2 3 4 5 6; do timeout 30 ls -la %s %s/.partial & done; wait", m.ws(), m.ws()))
		assert.NotContains(t, out, "Transport endpoint", "the mount is gone after %s", mode)
		t.Logf("after %s, %v: at most %d MiB, now %d MiB", mode, time.Since(start), m.resident("VmHWM")>>20, m.resident("VmRSS")>>20)
		// It takes 120 to 410 MiB when six lists of 100,000 breakpoint files, as many as
		// one answer may have, are held at the same time.
		assert.Less(t, m.resident("VmHWM"), int64(512<<20), "after %s", mode)
	}
	g.mode.Store("names")
	assert.Contains(t, sh(t, "ls %s", m.ws()), "ok", "it still works")
	assert.Equal(t, before, around(), "nothing came to be beside the mount and its state")
	t.Logf("resident at the end: %d MiB", m.resident("VmRSS")>>20)
}

// Another user of the machine sees nothing that permissions deny, whichever way.
func TestOtherUsers(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	other := func(script string) string {
		return "cd " + m.ws() + " && setpriv --reuid 65534 --regid 65534 --clear-groups sh -c '" + script + "'"
	}
	sh(t, "cd %s && printf one > shut && printf two > shut && mkdir closed && printf one > closed/f && chmod 700 closed", m.ws())
	assert.Equal(t, "one", sh(t, "%s", other("cat .versions/shut/1.0")), "it is open to all at first")
	sh(t, "chmod 600 %s/shut", m.ws())
	for _, script := range []string{"cat shut", "cat .versions/shut/1.0", "cat .versions/shut/2.0", "ls .versions/shut", "rm -f .versions/shut/1.0",
		"cat closed/f", "ls .versions/closed", "cat .versions/closed/f/1.0", "ls ../.scmfs", "cat ../.scmfs/status",
		"ls " + m.state, "cat " + m.state + "/scmfs.log", "curl -sf --unix-socket " + m.state + "/control.sock http://x/status", "mv .partial/p stolen"} {
		fails(t, "%s", other(script))
	}
	assert.Equal(t, "one", sh(t, "cat %s/.versions/shut/1.0", m.ws()), "the owner still can")

	// A breakpoint file can be read while its bytes are here.
	sh(t, "cd %s && umask 077 && exec 3>.partial/p && printf secret >&3 && test \"$(cat .partial/p)\" = secret && ! %s && exec 3>&-",
		m.ws(), "setpriv --reuid 65534 --regid 65534 --clear-groups cat .partial/p 2>/dev/null")
	sh(t, "cd %s && mv .partial/p converted && test $(stat -c %%a converted) = 600", m.ws())
	fails(t, "%s", other("cat converted"))
}

// A state directory that another user could have prepared is not used.
func TestStateDirectoryOfOthers(t *testing.T) {
	s := newServer(t)
	for name, spoil := range map[string]string{
		"another owner":     "chown 65534 %s",
		"the log is a link": "ln -s %[1]s.victim %[1]s/scmfs.log",
		"writable":          "chmod 777 %s",
		"spool is a link":   "rm -rf %[1]s/spool && ln -s /tmp %[1]s/spool",
		"a link in journal": "mkdir -p %[1]s/journal && ln -s /etc/passwd %[1]s/journal/00112233.json",
	} {
		t.Run(name, func(t *testing.T) {
			m := &mount{t: t, s: s, dir: t.TempDir(), state: t.TempDir(), http: freePort(t)}
			sh(t, spoil, m.state)
			out, err := m.tryStart()
			require.Error(t, err)
			assert.Contains(t, out, "not safe from other users")
			assert.NotContains(t, sh(t, "cat /proc/self/mountinfo"), m.dir)
			assert.NoFileExists(t, m.state+".victim")
		})
	}
}
