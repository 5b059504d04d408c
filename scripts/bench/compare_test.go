package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compare runs bench-compare.sh in a repository of two commits, with a go that
// writes down what it is asked instead of doing it.
func compare(t *testing.T, args ...string) (asked []string, out string, code int) {
	t.Helper()
	script, err := filepath.Abs("../bench-compare.sh")
	require.NoError(t, err)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go":      "#!/bin/sh\necho \"$(cat which 2>/dev/null) $*\" >>\"$ASKED\"\necho BenchmarkX 1 1 ns/op\n",
		"old.txt": "BenchmarkX 1 2 ns/op\n", "new.txt": "BenchmarkX 1 1 ns/op\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700))
	}
	run := func(name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GO="+filepath.Join(dir, "go"), "ASKED="+filepath.Join(dir, "asked"), "COUNT=2",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		b, err := cmd.CombinedOutput()
		return string(b), err
	}
	setup, err := run("sh", "-c", "git init -q && echo one >which && git add which && git commit -qm 1 && git tag first && echo two >which && git commit -qam 2 && rm which")
	require.NoError(t, err, setup)
	out, err = run("sh", append([]string{script}, args...)...)
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		require.True(t, ok, err)
		code = exit.ExitCode()
	}
	left, err := run("git", "worktree", "list")
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(left, "\n"), "nothing is left behind: %s", left)
	b, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err == nil {
		asked = strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	return asked, out, code
}

func TestCompareRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"usage: bench-compare.sh OLD NEW": {"HEAD"},
		"usage:":                          {"", "HEAD"},
		"nonsense is neither a commit nor a file": {"nonsense", "HEAD"},
		"absent is neither a commit nor a file":   {"HEAD", "absent"},
	} {
		asked, out, code := compare(t, args...)
		assert.Equal(t, 2, code, args)
		assert.Contains(t, out, want)
		assert.Empty(t, asked, "nothing is run")
	}
}

func TestCompareFiles(t *testing.T) {
	asked, out, code := compare(t, "old.txt", "new.txt")
	require.Zero(t, code, out)
	require.Len(t, asked, 1, "nothing is measured")
	assert.Contains(t, asked[0], "run golang.org/x/perf/cmd/benchstat@latest old.txt new.txt")
}

// Commits take turns, each in a tree of its own.
func TestCompareCommits(t *testing.T) {
	asked, out, code := compare(t, "first", "HEAD")
	require.Zero(t, code, out)
	require.Len(t, asked, 5)
	for i, tree := range []string{"one", "two", "one", "two"} {
		assert.True(t, strings.HasPrefix(asked[i], tree+" test -run ^$ -bench . "), asked[i])
	}
	assert.Regexp(t, `benchstat@latest bin/bench/\w+\.txt bin/bench/\w+\.txt$`, asked[4])

	asked, out, code = compare(t, "HEAD", "old.txt")
	require.Zero(t, code, out)
	assert.Len(t, asked, 3, "a file is not measured")
}
