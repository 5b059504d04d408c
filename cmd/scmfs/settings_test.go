package main

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a bundle shows of the settings keeps the command's secrets to itself.
func TestRememberHidesThePasswordCommand(t *testing.T) {
	var m mountFlags
	cmd := &cobra.Command{}
	m.flags(cmd)
	require.NoError(t, cmd.ParseFlags([]string{"--password-command", "pass show hunter2", "--uploads", "3"}))
	m.remember(cmd)
	assert.Contains(t, m.ops.settings, "password-command = pass …  # set\n")
	assert.Contains(t, m.ops.settings, "uploads = 3  # set\n")
	assert.NotContains(t, m.ops.settings, "hunter2")
}
