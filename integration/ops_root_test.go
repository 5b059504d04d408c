package integration

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The commands that take a path know what it means on a mount made with --root.
func TestCommandsBelowARoot(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	sh(t, "mkdir -p %s", m.ws("a/b"))
	for _, root := range []string{"default", "/default/a/b/"} {
		t.Run(root, func(t *testing.T) {
			sub := newMount(t, s, "--root", root, "--write-mode", "async", "--upload-limit", "4MiB", "--increment-size", "5MiB")
			src := content(t, 12*mib)
			big := filepath.Join(sub.dir, "c", "big")
			sh(t, "mkdir -p %s/c && cp %s %s && echo held > %s/x.part", sub.dir, src, big, sub.dir)

			list := scmfs(t, "pending list %s", sub.dir)
			assert.Regexp(t, `\sc/big\s`, list, "as it is seen below the mount point")
			assert.Regexp(t, `\sx\.part\s`, list)
			assert.Contains(t, fails(t, "%s wait %s --timeout 100ms", binary, big), "not published yet")
			assert.Contains(t, fails(t, "%s wait %s/x.part", binary, sub.dir), "temporary name")
			assert.Contains(t, scmfs(t, "wait %s/c", sub.dir), "waiting for big, ")
			sh(t, "mv %s/x.part %s/x", sub.dir, sub.dir)
			scmfs(t, "wait %s %s", sub.dir, big)

			sh(t, "echo two > %s", big)
			scmfs(t, "wait %s", big)
			assert.Contains(t, scmfs(t, "versions %s", big), sub.dir+"/.versions/c/big/1.0")
			scmfs(t, "restore %s@1.0", big)
			scmfs(t, "wait %s", sub.dir)
			sh(t, "cmp %s %s", src, big)
			assert.Contains(t, scmfs(t, "verify %s --against %s", big, src), "version 3.0")
			sh(t, "cp %s %s/.partial/p", src, sub.dir)
			scmfs(t, "wait %s/.partial/p", sub.dir)
			assert.Contains(t, scmfs(t, "verify %s/.partial/p --against %s", sub.dir, src), "crc32")
			scmfs(t, "warm %s", sub.dir)

			var st struct {
				Root       string
				Workspaces []struct{ Name string }
			}
			require.NoError(t, json.Unmarshal([]byte(scmfs(t, "status %s --json", sub.dir)), &st))
			assert.Equal(t, filepath.Clean("/" + root)[1:], st.Root)
			assert.Len(t, st.Workspaces, 1)
			assert.Contains(t, scmfs(t, "status %s", sub.dir), sub.dir+" shows "+st.Root+", ")
			sh(t, "rm -r %s/c %s/x %s/.partial/p", sub.dir, sub.dir, sub.dir)
		})
	}
}

// selftest finds .partial where --root puts it; at the mount point itself too.
func TestSelftestBelowARoot(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	sh(t, "mkdir -p %s", m.ws("a/b"))
	sub := newMount(t, s, "--root", "default/a")
	out := scmfs(t, "selftest --only 'names|rename|resumed|killed' %s", sub.dir)
	assert.Contains(t, out, "0 failed")
	assert.Regexp(t, `OK +breakpoint file, resumed`, out)
	assert.NotContains(t, out, "SKIP")
	assert.NotContains(t, out, "note")
	assert.Equal(t, "b\n", sh(t, "ls %s", sub.dir))
}

// A root that is moved is named as it is now.
func TestMovedRoot(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s)
	sh(t, "mkdir -p %s", m.ws("a/b"))
	sub := newMount(t, s, "--root", "default/a/b", "--http", "127.0.0.1:0")
	sh(t, "mv %s %s && echo x > %s/y.part", m.ws("a/b"), m.ws("moved"), sub.dir)
	assert.Contains(t, fails(t, "%s wait %s/y.part", binary, sub.dir), "y.part is closed under a temporary name")
	assert.Contains(t, scmfs(t, "status %s", sub.dir), " shows default/moved, ")
	sh(t, "mv %s/y.part %s/y", sub.dir, sub.dir)
	scmfs(t, "wait %s/y", sub.dir)
	assert.Contains(t, scmfs(t, "verify %s/y", sub.dir), "1 compared and equal")
}

// --workspaces takes from what is shown, not from what paths mean.
func TestCommandsOnSomeWorkspaces(t *testing.T) {
	s := newServer(t)
	for _, ws := range []string{"other", "hidden"} {
		_, err := s.api().CreateWorkspace(t.Context(), ws, true)
		require.NoError(t, err)
	}
	m := newMount(t, s, "--workspaces", "default,other")
	f := filepath.Join(m.dir, "other", "f")
	sh(t, "echo one > %s && echo two > %s", f, f)
	assert.Contains(t, scmfs(t, "versions %s", f), "2.0 *")
	scmfs(t, "restore %s@1.0", f)
	scmfs(t, "wait %s", f)
	scmfs(t, "verify %s", f)
	assert.Contains(t, scmfs(t, "status %s", m.dir), "workspaces  default, other\n")
	assert.NotContains(t, sh(t, "curl -s http://%s/api/partials", m.http), "hidden")
	assert.Contains(t, sh(t, "curl -s http://%s/api/partials", m.http), "other")
}
