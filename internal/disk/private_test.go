package disk_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/disk"
)

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	fi, err := os.Stat(path)
	require.NoError(t, err)
	return fi.Mode().Perm()
}

func TestPrivateMakesAndTightens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	require.NoError(t, disk.Private(dir, "spool"))
	assert.EqualValues(t, 0o700, mode(t, dir))
	assert.NoDirExists(t, filepath.Join(dir, "spool"), "only what is there is looked at")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "spool"), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "spool", "x"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "scmfs.log"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	if os.Geteuid() == 0 {
		require.NoError(t, os.Chown(filepath.Join(dir, "lost+found"), 65534, 65534))
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	require.NoError(t, err)
	defer socket.Close()
	require.NoError(t, disk.Private(dir, "spool"))
	assert.EqualValues(t, 0o700, mode(t, dir))
	assert.EqualValues(t, 0o700, mode(t, filepath.Join(dir, "spool")))
}

func TestPrivateRefuses(t *testing.T) {
	root := os.Geteuid() == 0
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"writable by all":   func(t *testing.T, dir string) { require.NoError(t, os.Chmod(dir, 0o777)) },
		"writable by group": func(t *testing.T, dir string) { require.NoError(t, os.Chmod(dir, 0o770)) },
		"a link": func(t *testing.T, dir string) {
			require.NoError(t, os.Rename(dir, dir+".real"))
			require.NoError(t, os.Symlink(dir+".real", dir))
		},
		"a file": func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.WriteFile(dir, nil, 0o600))
		},
		"in a directory of everybody": func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Dir(dir), 0o777)) },
		"spool is a link": func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "spool")))
			require.NoError(t, os.Symlink(t.TempDir(), filepath.Join(dir, "spool")))
		},
		"spool writable": func(t *testing.T, dir string) { require.NoError(t, os.Chmod(filepath.Join(dir, "spool"), 0o777)) },
		"a link for the log": func(t *testing.T, dir string) {
			require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "victim"), filepath.Join(dir, "scmfs.log")))
		},
		"a log of another": func(t *testing.T, dir string) {
			if !root {
				require.NoError(t, os.Chmod(dir, 0o777)) // only root can make one
				return
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, "scmfs.log"), nil, 0o600))
			require.NoError(t, os.Lchown(filepath.Join(dir, "scmfs.log"), 65534, 65534))
		},
		"a link in spool": func(t *testing.T, dir string) {
			require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(dir, "spool", "x")))
		},
		"a hard link in spool": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600))
			require.NoError(t, os.Link(filepath.Join(dir, "mine"), filepath.Join(dir, "spool", "x")))
		},
		"another owner": func(t *testing.T, dir string) {
			if !root {
				t.Skip("only root can give a directory away")
			}
			require.NoError(t, os.Chown(dir, 12345, -1))
		},
		"a file of another owner": func(t *testing.T, dir string) {
			if !root {
				t.Skip("only root can give a file away")
			}
			p := filepath.Join(dir, "spool", "x")
			require.NoError(t, os.WriteFile(p, nil, 0o600))
			require.NoError(t, os.Chown(p, 12345, -1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "spool"), 0o700))
			require.NoError(t, disk.Private(dir, "spool"))
			spoil(t, dir)
			assert.Error(t, disk.Private(dir, "spool"))
			if name != "a file" { // MkdirAll has its own words
				assert.ErrorIs(t, disk.Private(dir, "spool"), disk.ErrNotPrivate)
			}
		})
	}
}
