package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// No test sees the settings of the machine it runs on.
func TestMain(m *testing.M) {
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "SCMFS_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("SCMFS_CONFIG", "")
	goleak.VerifyTestMain(m)
}

// scmfs runs a command line in this process.
func scmfs(t *testing.T, args ...string) (out string, code int, err error) {
	t.Helper()
	var b bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&b)
	root.SetErr(&b)
	if err = root.ExecuteContext(t.Context()); err != nil {
		return b.String(), exitCode(err), err
	}
	return b.String(), exitOK, nil
}

// write makes a file and returns its path.
func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"mount"}, "no mount point"},
		{[]string{"mount", "/mnt"}, "nothing to mount"},
		{[]string{"mount", "a:1/s", "/mnt", "extra"}, "accepts between 0 and 2 arg(s)"},
		{[]string{"mount", "a:1/s", "/mnt", "--embedded", "/srv"}, "give either the seed a:1/s or --embedded"},
		{[]string{"mount", "--seed", "a:1/s", "--embedded", "/srv", "/mnt"}, "give either --seed or --embedded, not both"},
		{[]string{"mount", "a:1/s", "/mnt", "-o", "embedded=/srv"}, "give either the seed a:1/s or -o embedded, not both"},
		{[]string{"mount", "a:1/s", "/mnt", "--password-file", "x", "--password-command", "y"}, "give either --password-file or --password-command"},
		{[]string{"mount", "a:1/s", "/mnt", "--no-such-flag"}, "unknown flag"},
		{[]string{"mount", "a:1/s", "/mnt", "--uploads", "0"}, "--uploads 0: must be between 1 and 256"},
		{[]string{"mount", "a:1/s", "/mnt", "--root", "/"}, `--root "/": want WORKSPACE[/DIR]`},
		{[]string{"mount", "a:1/s", "/mnt", "--root", "ws", "--workspaces", "ws"}, "cannot be used together"},
		{[]string{"mount", "a:1/s", "/mnt", "--workspaces", "a/b"}, `"a/b" is not the name of a workspace`},
		{[]string{"mount", "a:1/s", "/mnt", "--held-names", "[x"}, "malformed pattern"},
		{[]string{"mount", "a:1/s", "/nonexistent/mnt", "--foreground"}, "does not exist"},
		{[]string{"mont"}, `unknown command "mont" for "scmfs"; did you mean "mount"?`},
		{[]string{"config", "sho"}, `unknown command "sho" for "scmfs config"; did you mean "show"?`},
		{[]string{"umount"}, "accepts 1 arg(s)"},
		{[]string{"config", "show", "extra"}, "accepts 0 arg(s)"},
		{[]string{"install", "--prefix", "relative"}, "must be absolute"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			_, code, err := scmfs(t, tt.args...)
			require.ErrorContains(t, err, tt.says)
			if tt.says != "does not exist" {
				assert.Equal(t, exitUsage, code)
			} else {
				assert.Equal(t, exitMount, code)
			}
		})
	}
}

func TestUmountOfNothing(t *testing.T) {
	_, code, err := scmfs(t, "umount", t.TempDir())
	require.ErrorContains(t, err, "no scmfs is mounted there")
	assert.Equal(t, exitMount, code)
}

// Every command can be learnt from its help.
func TestHelp(t *testing.T) {
	seen := 0
	eachCommand(rootCommand(), func(cmd *cobra.Command) {
		if strings.HasPrefix(cmd.CommandPath(), "scmfs completion") {
			return // cobra's own
		}
		seen++
		assert.NotEmpty(t, cmd.Short, cmd.CommandPath())
		if !cmd.HasSubCommands() && cmd.Name() != "version" {
			has := cmd.Example != "" || strings.Contains(cmd.Parent().Example, cmd.Name()+" ") || strings.Contains(cmd.Parent().Example, "workspace list")
			assert.True(t, has, "%s has no example", cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { assert.NotEmpty(t, f.Usage, "%s --%s", cmd.CommandPath(), f.Name) })
	})
	assert.Greater(t, seen, 12)
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		out, _, err := scmfs(t, "completion", shell)
		require.NoError(t, err)
		assert.Contains(t, out, "scmfs", shell)
	}
	for _, tt := range []struct {
		args []string
		has  string
	}{
		{[]string{"mo"}, "mount\tMount the workspaces"},
		{[]string{"mount", "--write-mode", ""}, "async\tclose returns when it is safe here"},
		{[]string{"mount", "--log-level", "d"}, "debug"},
		{[]string{"mount", "--ca"}, "--ca-file\t"},
		{[]string{"config", "check", ""}, "yaml"},
		{[]string{"mount", "--uploads", ""}, ":4"}, // no files
		{[]string{"mount", "gw:80"}, ":4"},
		{[]string{"mount", "/m"}, ":16"}, // directories
	} {
		out, _, err := scmfs(t, append([]string{"__complete"}, tt.args...)...)
		require.NoError(t, err)
		assert.Contains(t, out, tt.has, "%v", tt.args)
	}
}
