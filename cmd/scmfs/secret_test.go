package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPasswordFile(t *testing.T) {
	for _, tt := range []struct {
		text  string
		mode  os.FileMode
		want  string
		fails string
	}{
		{"secret\n", 0o600, "secret", ""},
		{"secret", 0o400, "secret", ""},
		{" with spaces \r\nsecond line\n", 0o600, " with spaces ", ""},
		{"secret\n", 0o640, "", "can be read by others (mode 0640): run 'chmod 600"},
		{"secret\n", 0o604, "", "can be read by others (mode 0604)"},
		{"\n", 0o600, "", "is empty"},
		{"", 0o600, "", "is empty"},
	} {
		got, err := readPasswordFile(write(t, "pw", tt.text, tt.mode))
		if tt.fails != "" {
			require.ErrorContains(t, err, tt.fails)
			assert.NotContains(t, err.Error(), "secret")
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
	_, err := readPasswordFile(t.TempDir())
	require.ErrorContains(t, err, "not a regular file")
	_, err = readPasswordFile("/nonexistent/pw")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestPasswordFileOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user, whose password file has to be refused")
	}
	path := write(t, "pw", "secret\n", 0o600)
	require.NoError(t, os.Chown(path, 4711, 0))
	_, err := readPasswordFile(path)
	require.ErrorContains(t, err, "belongs to user 4711")
}

// The file is read at each login, so a new password needs no restart.
func TestPasswordFileIsReadAgain(t *testing.T) {
	path := write(t, "pw", "old\n", 0o600)
	user, password, err := (&login{user: "alice", passwordFile: path}).resolve()
	require.NoError(t, err)
	assert.Equal(t, "alice", user)
	pw, err := password()
	require.NoError(t, err)
	assert.Equal(t, "old", pw)
	require.NoError(t, os.WriteFile(path, []byte("new\n"), 0o600))
	pw, err = password()
	require.NoError(t, err)
	assert.Equal(t, "new", pw)
}

func TestPasswordCommand(t *testing.T) {
	pw, err := runPasswordCommand("printf 'secret\\nmore\\n'", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, "secret", pw)

	_, err = runPasswordCommand("echo secret; echo no such key >&2; exit 3", time.Minute)
	require.ErrorContains(t, err, "exit status 3: no such key")
	assert.NotContains(t, err.Error(), "secret", "the output is never repeated")

	_, err = runPasswordCommand("true", time.Minute)
	require.ErrorContains(t, err, "is empty")

	mark := filepath.Join(t.TempDir(), "child")
	_, err = runPasswordCommand("(sleep 60; touch "+mark+") & wait", 100*time.Millisecond)
	require.ErrorContains(t, err, "no answer within 100ms")

	t.Setenv("PATH", "") // as mount(8) leaves it
	pw, err = runPasswordCommand("echo pass | cat", time.Minute)
	require.NoError(t, err)
	assert.Equal(t, "pass", pw)
}

func TestLoginNeedsBoth(t *testing.T) {
	_, _, err := (&login{}).resolve()
	require.ErrorContains(t, err, "no user")
	_, _, err = (&login{user: "a"}).resolve()
	require.ErrorContains(t, err, "no password")
	t.Setenv("SCMFS_PASSWORD", "secret")
	_, password, err := (&login{user: "a"}).resolve()
	require.NoError(t, err)
	pw, _ := password()
	assert.Equal(t, "secret", pw)
}
