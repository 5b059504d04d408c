package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every paragraph of docs/SEMANTICS.md names its test, and the test exists.
func TestPromisesHaveTests(t *testing.T) {
	doc, err := os.ReadFile("../docs/SEMANTICS.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, dir := range []string{".", "../fs", "../writeback", "../cmd/scmfs"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		require.NoError(t, err)
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			code.Write(b)
		}
	}
	names := regexp.MustCompile("`\\[(Test\\w+)\\]`").FindAllStringSubmatch(string(doc), -1)
	assert.Greater(t, len(names), 30)
	for _, n := range names {
		assert.True(t, strings.Contains(code.String(), "func "+n[1]+"("), "%s is named in docs/SEMANTICS.md and does not exist", n[1])
	}
	for _, p := range regexp.MustCompile(`(?m)^\*\*(\d+\.\d+)`).FindAllStringSubmatchIndex(string(doc), -1) {
		paragraph, _, _ := strings.Cut(string(doc[p[2]:]), "\n\n")
		assert.Contains(t, paragraph, "`[Test", "paragraph %s names no test", doc[p[2]:p[3]])
	}
}
