package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var fence = regexp.MustCompile("(?ms)^```(\\w*)\\n(.*?)^```$")

// What the manuals tell people to type is understood: commands, flags, fstab
// lines, settings.
func TestDocumentedCommands(t *testing.T) {
	seen := map[string]int{}
	for _, name := range []string{"README.md", "docs/OPERATIONS.md", "docs/SECURITY.md"} {
		b, err := os.ReadFile(filepath.Join("..", "..", name))
		require.NoError(t, err)
		for _, block := range fence.FindAllStringSubmatch(string(b), -1) {
			seen[block[1]]++
			switch kind, text := block[1], block[2]; kind {
			case "yaml":
				_, code, err := scmfs(t, "config", "show", "--config", write(t, "c.yaml", text, 0o644))
				require.NoError(t, err, "%s:\n%s", name, text)
				assert.Zero(t, code)
			case "fstab":
				for line := range strings.Lines(text) {
					checkFstab(t, line)
				}
			case "sh":
				for line := range strings.Lines(text) {
					checkCommand(t, line)
				}
			}
		}
		for _, inline := range regexp.MustCompile("`(scmfs [^`\n]*)`").FindAllStringSubmatch(string(b), -1) {
			checkCommand(t, inline[1])
		}
	}
	assert.GreaterOrEqual(t, seen["sh"], 6)
	assert.GreaterOrEqual(t, seen["fstab"], 2)
	assert.GreaterOrEqual(t, seen["yaml"], 1)
}

func checkFstab(t *testing.T, line string) {
	t.Helper()
	f := strings.Fields(line)
	require.Len(t, f, 6, line)
	assert.Contains(t, []string{"scmfs", "fuse.scmfs"}, f[2])
	args, err := mountLine([]string{f[0], f[1], "-o", f[3]})
	require.NoError(t, err, line)
	_, _, err = scmfs(t, "config", "show", "-o", args[len(args)-1])
	require.NoError(t, err, line)
}

// checkCommand finds the command and parses its flags. What is not ours is skipped.
func checkCommand(t *testing.T, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "scmfs" || strings.ContainsAny(line, "|[…") {
		return
	}
	cmd, rest, err := rootCommand().Find(words[1:])
	require.NoError(t, err, line)
	require.NotEqual(t, "scmfs", cmd.CommandPath(), line)
	require.False(t, cmd.HasSubCommands() && len(rest) > 0 && rest[0][0] != '-', "%s: unknown command", line)
	cmd.InitDefaultHelpFlag()
	require.NoError(t, cmd.ParseFlags(rest), line)
	if args := cmd.Flags().Args(); len(args) > 0 {
		require.NoError(t, validate(cmd, args), line)
	}
}

func validate(cmd *cobra.Command, args []string) error {
	if cmd.Args == nil {
		return nil
	}
	return cmd.Args(cmd, args)
}

// The messages that the manual explains are said in these words by the program.
func TestDocumentedMessages(t *testing.T) {
	b, err := os.ReadFile("../../docs/OPERATIONS.md")
	require.NoError(t, err)
	quoted := regexp.MustCompile(`(?m)^\| "([^"]+)" \|`).FindAllStringSubmatch(string(b), -1)
	require.Greater(t, len(quoted), 15)
	var code strings.Builder
	for _, dir := range []string{".", "../../client", "../../fs", "../../writeback", "../../internal"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			code.Write(text)
			return err
		}))
	}
	for _, q := range quoted {
		assert.True(t, strings.Contains(code.String(), q[1]), "%q: docs/OPERATIONS.md explains a message that nobody says", q[1])
	}
}
