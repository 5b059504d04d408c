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

// Every paragraph of docs/SEMANTICS.md and every row of docs/RELIABILITY.md names
// its test, and the test exists.
func TestPromisesHaveTests(t *testing.T) {
	doc := documentOfTests(t, "SEMANTICS.md", 30)
	for _, p := range regexp.MustCompile(`(?m)^\*\*(\d+\.\d+)`).FindAllStringSubmatchIndex(doc, -1) {
		paragraph, _, _ := strings.Cut(doc[p[2]:], "\n\n")
		assert.Contains(t, paragraph, "`[Test", "paragraph %s names no test", doc[p[2]:p[3]])
	}
	doc = documentOfTests(t, "RELIABILITY.md", 20)
	promises, _, ok := strings.Cut(doc, tableBegin)
	require.True(t, ok)
	for _, row := range regexp.MustCompile(`(?m)^\| .* \|$`).FindAllString(promises, -1) {
		if !strings.HasPrefix(row, "| Promise |") && !strings.HasPrefix(row, "| Part |") {
			assert.Contains(t, row, "`[Test", "this row names no test")
		}
	}
}

// documentOfTests returns a document that names at least n tests, all of which exist.
func documentOfTests(t *testing.T, name string, n int) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/" + name)
	require.NoError(t, err)
	var code strings.Builder
	for _, dir := range []string{".", "../client", "../fs", "../writeback", "../cmd/scmfs", "../internal/readcache", "../internal/server/repo"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		require.NoError(t, err)
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			code.Write(b)
		}
	}
	names := regexp.MustCompile("`\\[(Test\\w+)\\]`").FindAllStringSubmatch(string(doc), -1)
	assert.Greater(t, len(names), n)
	for _, n := range names {
		assert.True(t, strings.Contains(code.String(), "func "+n[1]+"("), "%s is named in docs/%s and does not exist", n[1], name)
	}
	return string(doc)
}
