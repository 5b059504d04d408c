package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// found lists what is below a directory.
func found(t *testing.T, dir string) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, strings.TrimPrefix(path, dir))
		}
		return err
	}))
	slices.Sort(paths)
	return paths
}

func TestInstall(t *testing.T) {
	dest := t.TempDir()
	out, _, err := scmfs(t, "install", "--destdir", dest, "--dry-run")
	require.NoError(t, err)
	assert.Empty(t, found(t, dest), "a dry run changes nothing")

	wet, _, err := scmfs(t, "install", "--destdir", dest)
	require.NoError(t, err)
	assert.Equal(t, out, wet, "and says what would be done")
	assert.Equal(t, []string{
		"/etc/scmfs/scmfs.yaml",
		"/usr/bin/scmfs",
		"/usr/lib/systemd/system/scmfs@.service",
		"/usr/sbin/mount.fuse.scmfs",
		"/usr/sbin/mount.scmfs",
		"/usr/sbin/umount.fuse.scmfs",
		"/usr/sbin/umount.scmfs",
		"/usr/share/bash-completion/completions/scmfs",
		"/usr/share/fish/vendor_completions.d/scmfs.fish",
		"/usr/share/man/man1/scmfs.1",
		"/usr/share/man/man5/scmfs.yaml.5",
		"/usr/share/man/man8/mount.fuse.scmfs.8",
		"/usr/share/man/man8/mount.scmfs.8",
		"/usr/share/man/man8/umount.fuse.scmfs.8",
		"/usr/share/man/man8/umount.scmfs.8",
		"/usr/share/zsh/vendor-completions/_scmfs",
	}, found(t, dest))
	fi, err := os.Stat(filepath.Join(dest, "usr/sbin/mount.scmfs"))
	require.NoError(t, err, "the link leads to the program")
	assert.Equal(t, os.FileMode(0o755), fi.Mode().Perm())

	// Again, over what is there; the administrator's file stays.
	config := filepath.Join(dest, "etc/scmfs/scmfs.yaml")
	require.NoError(t, os.WriteFile(config, []byte("user: mine\n"), 0o644))
	_, _, err = scmfs(t, "install", "--destdir", dest)
	require.NoError(t, err)
	b, err := os.ReadFile(config)
	require.NoError(t, err)
	assert.Equal(t, "user: mine\n", string(b))

	_, _, err = scmfs(t, "install", "--destdir", dest, "--uninstall")
	require.NoError(t, err)
	assert.Equal(t, []string{"/etc/scmfs/scmfs.yaml"}, found(t, dest))
}

func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	_, _, err := scmfs(t, "man", dir)
	require.NoError(t, err)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(b)
	}
	command, helper, config := read("scmfs.1"), read("mount.scmfs.8"), read("scmfs.yaml.5")
	schema().VisitAll(func(f *pflag.Flag) {
		assert.Contains(t, command, escapeRoff("--"+f.Name))
		assert.Contains(t, helper, "\n.B \""+strings.ReplaceAll(f.Name, "-", "_"))
		assert.Contains(t, config, "\n.B \""+escapeRoff(f.Name)+": ")
	})
	eachCommand(rootCommand(), func(cmd *cobra.Command) { assert.Contains(t, command, escapeRoff(cmd.CommandPath())) })
	for line := range strings.Lines(exitCodesHelp) {
		assert.Contains(t, command, escapeRoff(strings.TrimSpace(line)))
	}
	for _, key := range policyKeys {
		assert.Contains(t, config, "\n.B \""+escapeRoff(key)+"\"")
	}
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("groff is not installed, which alone can tell whether the pages are set without a complaint; their content was checked")
	}
	for _, p := range []string{"scmfs.1", "mount.scmfs.8", "scmfs.yaml.5"} {
		cmd := exec.CommandContext(t.Context(), "groff", "-man", "-ww", "-Wbreak", "-Tutf8", filepath.Join(dir, p))
		cmd.Stdout = nil
		var complaints strings.Builder
		cmd.Stderr = &complaints
		require.NoError(t, cmd.Run(), p)
		assert.Empty(t, complaints.String(), p)
	}
}

func TestUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed, which checks the unit file as systemd reads it")
	}
	dest := t.TempDir()
	_, _, err := scmfs(t, "install", "--destdir", dest, "--prefix", filepath.Join(dest, "usr"))
	require.NoError(t, err)
	unit := filepath.Join(dest, dest, "usr/lib/systemd/system/scmfs@.service")
	b, err := os.ReadFile(unit)
	require.NoError(t, err)
	// verify wants programs that exist where the unit says.
	text := strings.ReplaceAll(string(b), filepath.Join(dest, "usr"), filepath.Join(dest, dest, "usr"))
	require.Contains(t, text, "ExecStart="+filepath.Join(dest, dest, "usr/bin/scmfs")+" mount --foreground")
	instance := filepath.Join(t.TempDir(), "scmfs@archive.service")
	require.NoError(t, os.WriteFile(instance, []byte(text), 0o644))
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", instance).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.NotContains(t, string(out), instance, "no complaint about the unit")
}
