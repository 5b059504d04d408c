package integration

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever sets up a machine is told by doctor what is wrong, and how to fix it.
func TestDoctorOnSetups(t *testing.T) {
	s := newServer(t)
	gateway := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.addr}))
	t.Cleanup(gateway.Close)
	tls := "https://" + gateway.Listener.Addr().String() + "/rootsite"
	state, ro, closed := t.TempDir(), t.TempDir(), freePort(t)
	wrong := textFile(t, "wrong", "wrong")
	login := " --user " + s.user + " --password-file "
	right := login + textFile(t, "pw", s.pass)
	for _, tt := range []struct {
		name, args string
		before     string   // in a mount namespace of its own
		fails      []string // "CHECK: TEXT → FIX", parts of them
	}{
		{"good", s.seed + right + " --state-dir " + state, "", nil},
		{"nothing listens", closed + "/rootsite" + right + " --state-dir " + state, "", []string{"gateway: connection refused by " + closed + " → is the gateway running, the port right"}},
		{"wrong password", s.seed + login + wrong + " --state-dir " + state, "", []string{"login: " + s.user + ": not authenticated → look at the user, the password"}},
		{"read-only disk", s.seed + right + " --state-dir " + ro, "mount --bind " + ro + " " + ro + "; mount -o remount,bind,ro " + ro, []string{"state: read-only → give another --state-dir"}},
		{"full disk", s.seed + right + " --state-dir " + ro, "mount -t tmpfs -o size=1m tmpfs " + ro, []string{"state: in memory → use --state-dir on a disk", "space: nothing can be written → free some"}},
		{"no FUSE", s.seed + right + " --state-dir " + state, "mount -t tmpfs tmpfs /dev; mknod /dev/null c 1 3", []string{"fuse: /dev/fuse → modprobe fuse; in a container: --device /dev/fuse"}},
		{"not trusted", tls + right + " --state-dir " + state, "", []string{"tls: signed by an authority that this machine does not trust → install the authority's certificate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script := binary + " doctor " + tt.args
			if tt.before != "" {
				script = "unshare -m --propagation slave sh -c '" + tt.before + "; " + script + "'"
			}
			code, out := exitCode(t, script)
			if to := os.Getenv("SCMFS_TRANSCRIPTS"); to != "" {
				require.NoError(t, os.WriteFile(filepath.Join(to, tt.name), []byte(out), 0o600))
			}
			var failed []string
			lines := strings.Split(out, "\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "FAIL") {
					require.Regexp(t, `^ +→ \w`, lines[i+1], "a FAIL has a fix: %s", line)
					failed = append(failed, line+"\n"+lines[i+1])
				}
			}
			require.Len(t, failed, len(tt.fails), out)
			for i, want := range tt.fails {
				check, rest, _ := strings.Cut(want, ": ")
				text, fix, _ := strings.Cut(rest, " → ")
				assert.Regexp(t, "^FAIL +"+check+" ", failed[i])
				assert.Contains(t, failed[i], text)
				assert.Contains(t, failed[i], "→ "+fix)
			}
			assert.Equal(t, len(tt.fails) > 0, code != 0, out)
			assert.NotRegexp(t, jargon, out)
		})
	}
}
