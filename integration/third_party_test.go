package integration

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/THIRD_PARTY.md lists the modules that are linked, no others, each with its
// version, and a licence that may be combined with ours.
func TestThirdPartyModulesAreListed(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}", "./cmd/scmfs")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	linked := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			linked[line] = true
		}
	}
	require.NotEmpty(t, linked)

	text, err := os.ReadFile("../docs/THIRD_PARTY.md")
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+\.\S+/\S+) \| (\S+) \| ([^|]+) \|`).FindAllStringSubmatch(string(text), -1) {
		listed[row[1]+" "+row[2]] = true
		for licence := range strings.SplitSeq(row[3], " and ") {
			assert.Contains(t, []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}, licence, row[1])
		}
	}
	assert.Equal(t, linked, listed, "docs/THIRD_PARTY.md against what is linked into cmd/scmfs")
}
