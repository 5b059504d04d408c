package integration

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/client"
)

// 4.6 Flags of renameat2.
func TestRenameFlags(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, "cd %s && echo a > a && echo b > b && mkdir d", m.ws())
	rename := func(from, to string, flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, m.ws(from), unix.AT_FDCWD, m.ws(to), flags)
	}
	assert.Equal(t, unix.EEXIST, rename("a", "b", unix.RENAME_NOREPLACE))
	assert.Equal(t, unix.EEXIST, rename("a", "d", unix.RENAME_NOREPLACE))
	assert.Equal(t, unix.EINVAL, rename("a", "b", unix.RENAME_EXCHANGE))
	assert.Equal(t, unix.EINVAL, rename("a", "b", unix.RENAME_WHITEOUT))
	assert.Equal(t, "a\nb\n", sh(t, "cd %s && cat a b", m.ws()), "nothing happened")
	require.NoError(t, rename("a", "c", unix.RENAME_NOREPLACE))
	assert.Equal(t, "b\nc\nd\n", sh(t, "ls %s", m.ws()))
}

// 5.7 Owner and permissions of what has none stored.
func TestOwnerAndModeFlags(t *testing.T) {
	s := newServer(t)
	_, err := s.api().Workspace("default").CreateFile(t.Context(), client.NewFile{Name: "remote"}, client.BytesBody([]byte("x")))
	require.NoError(t, err)
	_, err = s.api().Workspace("default").CreateDirectory(t.Context(), client.RootDir, "d")
	require.NoError(t, err)
	m := newMount(t, s, "--uid", "12", "--gid", "34", "--umask", "027")
	assert.Equal(t, "640 12 34\n750 12 34\n", sh(t, "cd %s && stat -c '%%a %%u %%g' remote d", m.ws()))
	sh(t, "cd %s && (umask 077; echo x > mine) && chown 5 remote", m.ws())
	assert.Equal(t, "600 0 0\n640 5 34\n", sh(t, "cd %s && stat -c '%%a %%u %%g' mine remote", m.ws()))
	other := "cd %s && setpriv --reuid 99 --regid 34 --clear-groups "
	assert.Equal(t, "x", sh(t, other+"cat remote", m.ws()), "the group may read")
	assert.Contains(t, fails(t, other+"cat mine", m.ws()), "Permission denied")
	p := newMount(t, s, "--allow-other=false")
	assert.Contains(t, fails(t, other+"ls .", p.dir), "Permission denied")
}

// 5.8 A mount that changes nothing.
func TestReadOnlyMount(t *testing.T) {
	s := newServer(t)
	_, err := s.api().Workspace("default").CreateFile(t.Context(), client.NewFile{Name: "f"}, client.BytesBody([]byte("x")))
	require.NoError(t, err)
	m := newMount(t, s, "--read-only")
	assert.Equal(t, "x", read(t, m.ws("f")))
	for _, change := range []string{"echo y > f", "echo y > g", "rm f", "mv f g", "mkdir d", "ln -s a b", "chmod 600 f", "touch f",
		"truncate -s 0 f", "setfattr -n user.a -v b f", "rm .versions/f/1.0", "touch .partial/p"} {
		assert.Contains(t, fails(t, "cd %s && %s", m.ws(), change), "Read-only file system", change)
	}
	_, err = os.OpenFile(m.ws("f"), os.O_RDWR, 0)
	assert.ErrorIs(t, err, unix.EROFS)
}
