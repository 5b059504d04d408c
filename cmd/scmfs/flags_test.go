package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// triedElsewhere are settings that no command line of a test in integration has,
// with the test that sets them.
var triedElsewhere = map[string]string{
	"options": "TestMountHelper", // as -o
}

// imitations are flags of serve whose effect is tested where they work.
var imitations = map[string]string{
	"flush-interval": "o.repo.FlushInterval = ", "no-ranged-cap": "o.server.NoRangedCap = ", "update-time-now": "o.repo.UpdateTimeNow = ",
}

// testLines are the lines of all tests in a directory, without this file's.
func testLines(t *testing.T, dirs ...string) (lines []string) {
	t.Helper()
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, dir)
		for _, file := range files {
			if filepath.Base(file) == "flags_test.go" {
				continue
			}
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			lines = append(lines, strings.Split(string(b), "\n")...)
		}
	}
	return lines
}

// Every setting of a mount is tried on a real one, by flag, option or file.
func TestEverySettingIsTried(t *testing.T) {
	tests := strings.Join(testLines(t, "integration"), "\n")
	all := strings.Join(testLines(t, "cmd/scmfs", "integration"), "\n")
	manual := string(configPage())
	schema().VisitAll(func(f *pflag.Flag) {
		option := strings.ReplaceAll(f.Name, "-", "_")
		set := regexp.MustCompile(`--` + f.Name + `\b|[, ]` + option + `=|(?m:(?:^|` + "`" + `) *` + f.Name + `: )|SCMFS_` + strings.ToUpper(option) + `\b`)
		if test, ok := triedElsewhere[f.Name]; ok {
			assert.True(t, strings.Contains(all, "func "+test+"(t *testing.T)"), "--%s", f.Name)
		} else {
			assert.True(t, set.MatchString(tests), "no test on a real mount sets --%s", f.Name)
		}
		assert.True(t, strings.Contains(strings.ReplaceAll(manual, `\-`, "-"), f.Name+": "), "scmfs.yaml(5) does not have %s", f.Name)
	})
	for name := range triedElsewhere {
		assert.NotNil(t, schema().Lookup(name), "%s is no setting", name)
	}
}

// Every flag of the other commands is given to its command in a test.
func TestEveryFlagIsTried(t *testing.T) {
	lines := testLines(t, "cmd/scmfs", "integration", "internal/server")
	settings := schema()
	eachCommand(rootCommand(), func(cmd *cobra.Command) {
		if cmd.Name() == "mount" || strings.HasPrefix(cmd.CommandPath(), "scmfs completion") {
			return
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			same := settings.Lookup(f.Name)
			if f.Name == "help" || f.Name == "config" || same != nil && same.Usage == f.Usage {
				return // the same setting, and the same code, as mount's
			}
			tried := false
			for _, l := range lines {
				given := strings.Contains(l, "--"+f.Name) || f.Shorthand != "" && strings.Contains(l, " -"+f.Shorthand+" ")
				helper := cmd.Name() == "serve" && (strings.Contains(l, "newServer(") || strings.Contains(l, "serving("))
				tried = tried || given && (strings.Contains(l, cmd.Name()) || helper) ||
					cmd.Name() == "serve" && imitations[f.Name] != "" && strings.Contains(l, imitations[f.Name])
			}
			assert.True(t, tried, "no test gives --%s to '%s'", f.Name, cmd.CommandPath())
		})
	})
}
