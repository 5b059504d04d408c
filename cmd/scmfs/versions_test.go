package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What only its owner could read is not open to all when it is copied elsewhere.
func TestRestoreToKeepsAFileShut(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "1.0"), filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.WriteFile(from, []byte("secret"), 0o400))
	require.NoError(t, copyNew(from, to))
	fi, err := os.Stat(to)
	require.NoError(t, err)
	assert.Equal(t, "-rw-------", fi.Mode().String())
	require.ErrorIs(t, copyNew(from, to), os.ErrExist)
}
