package main

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEnded(t *testing.T) {
	assert.False(t, ended(os.Getpid()))
	cmd := exec.Command("true")
	require.NoError(t, cmd.Start())
	// Not waited for: it stays as a zombie.
	require.Eventually(t, func() bool { return ended(cmd.Process.Pid) }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, cmd.Wait())
	assert.True(t, ended(cmd.Process.Pid))
}
