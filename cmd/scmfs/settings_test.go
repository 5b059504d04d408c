package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a bundle shows of the settings says where each was made, and keeps the
// password command's secrets to itself.
func TestSettingsOfABundle(t *testing.T) {
	file := filepath.Join(t.TempDir(), "scmfs.yaml")
	require.NoError(t, os.WriteFile(file, []byte("uploads: 3\ntimeout: 20s\nembedded: store\npolicy:\n  archive:\n    read-only: true\n"), 0o600))
	t.Setenv("SCMFS_TIMEOUT", "50s")
	m := &mountFlags{}
	cmd := &cobra.Command{}
	m.flags(cmd)
	cmd.SetContext(context.Background())
	require.NoError(t, cmd.ParseFlags([]string{"--password-command", "pass show hunter2", "--config", file, "-o", "cache_size=1GiB,noatime"}))
	require.NoError(t, settle(cmd, nil))
	s := settingsOf(cmd.Context())
	require.NoError(t, m.arguments(s, []string{"gw:8080/site", "/mnt/scm"}))
	require.NoError(t, m.remember(s, cmd.Flags()))
	for _, line := range []string{
		`uploads: 3 +# ` + file + `:1`,
		`timeout: 50s +# \$SCMFS_TIMEOUT`,
		`cache-size: 1.0 GiB +# -o cache_size`,
		`password-command: pass … +# --password-command`,
		`seed: \[.?gw:8080/site.?\] +# argument`,
		`mountpoint: /mnt/scm +# argument`,
		`embedded: "" +# default`,
		`retry-timeout: \S+ +# default`,
		`    read-only: "?true"? +# ` + file + `:6`,
	} {
		assert.Regexp(t, `(?m)^`+line+`$`, m.ops.settings)
	}
	assert.NotContains(t, m.ops.settings, "hunter2")
}
