package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/fs"
)

// What is wrong with a file is said with file, line and key, all of it at once.
func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // without the file's name
	}{
		{"unknown key", "user: a\nwrite-mde: sync\n", []string{`2: unknown key "write-mde"; did you mean "write-mode"?`}},
		{"underscore", "write_mode: sync\n", []string{`1: unknown key "write_mode"; did you mean "write-mode"?`}},
		{"nothing like it", "colour: red\n", []string{`1: unknown key "colour"`}},
		{"config itself", "config: x\n", []string{`1: unknown key "config"`}},
		{"twice", "user: a\n\nuser: b\n", []string{"3: user: is there already, in line 1"}},
		{"no number", "uploads: many\n", []string{`1: uploads: "many": want a whole number`}},
		{"no time", "timeout: 5\n", []string{`1: timeout: "5": want a time such as 30s or 5m`}},
		{"no size", "cache-size: big\n", []string{`1: cache-size: "big": want a size such as 15MiB`}},
		{"no truth", "read-only: perhaps\n", []string{`1: read-only: "perhaps": want true or false`}},
		{"list for one", "user: [a, b]\n", []string{"1: user: takes one value, not a list"}},
		{"list of lists", "seed: [[a]]\n", []string{"1: seed: a list must be made of plain values"}},
		{"mapping for one", "user: {a: b}\n", []string{"1: user: want a value or a list"}},
		{"empty", "user:\n", []string{"1: user: has no value"}},
		{"password", "password: hunter2\n", []string{"1: password: a password does not belong in this file: use password-file or password-command"}},
		{"not a mapping", "- a\n", []string{"1: the file must be made of lines KEY: VALUE"}},
		{"not YAML", "a: [\n", []string{" line 1: did not find expected node content"}},
		{"policy is a list", "policy: [a]\n", []string{"1: policy must be made of lines KEY: VALUE"}},
		{"policy of what", "policy:\n  a:\n    uploads: 3\n", []string{`3: unknown key "uploads" for a workspace; known are read-only, write-mode, conflict, increment-size, held-names, trash, trash-days`}},
		{"policy value", "policy:\n  a:\n    read-only: 7\n", []string{`3: read-only: "7": want true or false`}},
		{"policy twice", "policy:\n  a:\n    read-only: true\n  a:\n    read-only: true\n", []string{"4: a: is there already, in line 2"}},
		{"value of no use", "increment-size: 7MiB\n", []string{"1: increment-size: 7.0 MiB: must be a multiple of 5MiB, at most 45MiB"}},
		{"policy of no use", "policy:\n  a:\n    write-mode: later\n", []string{`3: write-mode: "later": must be sync or async`}},
		{"policy of no trash", "policy:\n  a:\n    trash-days: 3\n", []string{"3: trash-days: 3: must be positive, and needs trash"}},
		{"policy of the hidden", "workspaces: [b]\npolicy:\n  a:\n    read-only: true\n", []string{"4: read-only: workspace a is not one of those to show"}},
		{"several", "x: 1\nuploads: many\n", []string{`1: unknown key "x"`, `2: uploads: "many": want a whole number`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, "c.yaml", tt.text, 0o644)
			out, code, err := scmfs(t, "config", "check", path)
			require.Error(t, err, out)
			var want []string
			for _, line := range tt.want {
				want = append(want, path+":"+line)
			}
			assert.Equal(t, strings.Join(want, "\n"), err.Error())
			assert.Equal(t, exitUsage, code)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestConfigMissing(t *testing.T) {
	_, code, err := scmfs(t, "config", "check", "/nonexistent/c.yaml")
	require.ErrorContains(t, err, "/nonexistent/c.yaml")
	assert.Equal(t, exitUsage, code)
}

func TestConfigOfComments(t *testing.T) {
	path := write(t, "c.yaml", "# nothing\n", 0o644)
	out, _, err := scmfs(t, "config", "check", path)
	require.NoError(t, err)
	assert.Equal(t, path+": ok\n", out)
}

// The example that is installed is right when its comments are taken away.
func TestConfigExample(t *testing.T) {
	b, err := assets.ReadFile("assets/scmfs.yaml")
	require.NoError(t, err)
	var live []string
	for line := range strings.Lines(string(b)) {
		if len(line) > 1 && line[0] == '#' && line[1] != ' ' || strings.HasPrefix(line, "#  ") {
			live = append(live, line[1:])
		}
	}
	require.Greater(t, len(live), 10)
	path := write(t, "c.yaml", strings.Join(live, ""), 0o644)
	f, err := readConfigFile(path, schema())
	require.NoError(t, err)
	assert.Equal(t, "true", f.values["policy/archive/read-only"])
	assert.Equal(t, "127.0.0.1:9100", f.values["http"])
}

// Flags beat -o, that beats the environment, that beats the file.
func TestPrecedence(t *testing.T) {
	path := write(t, "c.yaml", "user: file\nupload-limit: 1MiB\nuploads: 2\n", 0o644)
	for _, tt := range []struct {
		env  string
		args []string
		want string
	}{
		{"", nil, "user: file # " + path + ":1"},
		{"env", nil, "user: env # $SCMFS_USER"},
		{"env", []string{"-o", "ro,username=option"}, "user: option # -o username"},
		{"env", []string{"-o", "user=option", "--user", "flag"}, "user: flag # --user"},
		{"", []string{"--user", "flag"}, "user: flag # --user"},
	} {
		t.Setenv("SCMFS_USER", tt.env)
		out, _, err := scmfs(t, append([]string{"config", "show", "--config", path}, tt.args...)...)
		require.NoError(t, err)
		assert.Contains(t, squeeze(out), tt.want)
		assert.Contains(t, squeeze(out), "uploads: 2 # "+path+":3")
		assert.NotContains(t, out, "default")
	}
}

func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}

// What shows as effective is a configuration that means the same.
func TestEffectiveIsAConfiguration(t *testing.T) {
	path := write(t, "c.yaml", `seed: [gw1:8080/rootsite, "https://gw2:8443/rootsite"]
umask: "027"
held-names: ["*.hold", "a: b"]
options: [noatime]
policy:
  "ws: odd":
    held-names: []
    write-mode: async
`, 0o644)
	args := []string{"config", "show", "--effective", "--config"}
	first, _, err := scmfs(t, append(args, path)...)
	require.NoError(t, err)
	assert.Contains(t, squeeze(first), "timeout: 1m0s # default")
	again, _, err := scmfs(t, append(args, write(t, "again.yaml", first, 0o644))...)
	require.NoError(t, err)
	assert.Equal(t, withoutOrigin(first), withoutOrigin(again))
	assert.Contains(t, first, "gw1:8080/rootsite")
	assert.Contains(t, first, "a: b")
}

func withoutOrigin(s string) (lines []string) {
	for line := range strings.Lines(s) {
		head, _, _ := strings.Cut(line, " # ")
		lines = append(lines, strings.TrimSpace(head))
	}
	return lines
}

// SCMFS_CONFIG names the file when --config does not, and every bad variable is
// named.
func TestEnvironment(t *testing.T) {
	path := write(t, "c.yaml", "uploads: 3\n", 0o644)
	t.Setenv("SCMFS_CONFIG", path)
	out, _, err := scmfs(t, "config", "show")
	require.NoError(t, err)
	assert.Equal(t, "uploads: 3 # "+path+":1\n", squeeze(out))

	t.Setenv("SCMFS_UPLOADS", "many")
	t.Setenv("SCMFS_READ_ONLY", "si")
	_, code, err := scmfs(t, "config", "show")
	require.ErrorContains(t, err, `$SCMFS_UPLOADS: "many": want a whole number`)
	require.ErrorContains(t, err, `$SCMFS_READ_ONLY: "si": want true or false`)
	assert.Equal(t, exitUsage, code)

	t.Setenv("SCMFS_READ_ONLY", "")
	t.Setenv("SCMFS_UPLOADS", "300")
	_, _, err = scmfs(t, "config", "show")
	require.EqualError(t, err, "$SCMFS_UPLOADS: 300: must be between 1 and 256")

	t.Setenv("SCMFS_UPLOADS", "")
	t.Setenv("SCMFS_SERVICE_HOST", "10.0.0.1")
	out, _, err = scmfs(t, "config", "check")
	require.NoError(t, err)
	assert.Contains(t, out, "$SCMFS_SERVICE_HOST is not a setting")
	assert.NotContains(t, out, "SCMFS_CONFIG is not")
}

// Of settings that exclude each other the strongest one counts.
func TestExclusive(t *testing.T) {
	secret := write(t, "pw", "x\n", 0o600)
	path := write(t, "c.yaml", "embedded: store\npassword-file: "+secret+"\n", 0o644)
	out, _, err := scmfs(t, "config", "show", "--config", path)
	require.NoError(t, err)
	assert.Contains(t, out, "embedded: "+filepath.Join(filepath.Dir(path), "store"), "relative to the file")

	out, _, err = scmfs(t, "config", "show", "--config", path, "--seed", "gw:1/s", "--password-command", "pass show hunter2")
	require.NoError(t, err)
	assert.NotContains(t, out, "embedded")
	assert.NotContains(t, out, "password-file")
	assert.NotContains(t, out, "hunter2", "the command may have a secret in it")
	assert.Contains(t, out, "password-command: pass …")

	t.Setenv("SCMFS_PASSWORD", "hunter2")
	out, _, err = scmfs(t, "config", "show", "--config", path)
	require.NoError(t, err)
	assert.NotContains(t, out, "password-file", "the environment is stronger than the file")
	assert.NotContains(t, out, "hunter2")

	t.Setenv("SCMFS_PASSWORD_COMMAND", "x")
	_, _, err = scmfs(t, "config", "show")
	require.ErrorContains(t, err, "give either $SCMFS_PASSWORD_COMMAND or $SCMFS_PASSWORD, not both")
}

// The policies reach tree and queue.
func TestPolicies(t *testing.T) {
	path := write(t, "c.yaml", "write-mode: async\ntrash: /.Trash/\ntrash-days: 7\npolicy:\n  a:\n    read-only: true\n    increment-size: 5MiB\n  b:\n    write-mode: sync\n    conflict: fail\n    held-names: []\n    trash: \"\"\n", 0o644)
	f, err := readConfigFile(path, schema())
	require.NoError(t, err)
	m := &mountFlags{}
	schemaOf(m)
	m.writeMode, m.trash, m.trashDays = "async", "/.Trash/", 7
	m.policies = (&settings{file: f}).policies()
	require.NoError(t, m.check())
	tree, queue, err := m.perWorkspace()
	require.NoError(t, err)
	assert.Equal(t, fs.Policy{ReadOnly: true, Trash: ".Trash", TrashDays: 7}, tree["a"])
	assert.Equal(t, fs.Policy{}, tree["b"])
	a, b := queue["a"], queue["b"]
	assert.Equal(t, "5242880 1 0 true", fmt.Sprint(a.Increment, int(*a.WriteMode), int(*a.Conflict), len(a.HeldNames) > 5))
	assert.Equal(t, "15728640 0 1 []", fmt.Sprint(b.Increment, int(*b.WriteMode), int(*b.Conflict), b.HeldNames))
}
