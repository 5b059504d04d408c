package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The control socket answers its owner, and nobody else even when its mode and
// directory let them in.
func TestControlSocketKnowsItsPeer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user, who has to be refused")
	}
	dir, err := os.MkdirTemp("", "scmfs-peer-") // t.TempDir is below a directory that nobody else can enter
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o666))
	var asked atomic.Int32
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ownListener{l}) }()
	defer func() { _ = srv.Close(); <-done }()
	ask := func(uid uint32) error {
		cmd := exec.Command("curl", "-sf", "--max-time", "20", "--unix-socket", path, "http://x/")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		return cmd.Run()
	}
	require.NoError(t, ask(0))
	require.EqualValues(t, 1, asked.Load())
	assert.Error(t, ask(65534))
	assert.EqualValues(t, 1, asked.Load(), "the other user's request is not even read")
	require.NoError(t, ask(0), "it still listens")
}

// Where another user could have put something, or could look, nothing is kept.
func TestStateOfOthersIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"writable": func(dir string) error { return os.Chmod(dir, 0o777) },
		"a link": func(dir string) error {
			return os.Rename(dir, dir+".real")
		},
	} {
		state := filepath.Join(t.TempDir(), "state")
		require.NoError(t, os.Mkdir(state, 0o755))
		m := &mountFlags{stateDir: state}
		require.NoError(t, m.private())
		require.NoError(t, spoil(state))
		if name == "a link" {
			require.NoError(t, os.Symlink(state+".real", state))
		}
		assert.ErrorContains(t, m.private(), "state directory", name)
		assert.ErrorContains(t, (&mountFlags{stateDir: t.TempDir(), cacheDir: state}).private(), "cache directory", name)
		_, err := openEmbedded(embeddedOptions{dir: state, listen: "127.0.0.1:0"})
		assert.ErrorContains(t, err, "not safe", name)
	}
}
