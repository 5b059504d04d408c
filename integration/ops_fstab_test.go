package integration

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// fstab runs a script in a mount namespace of its own, where /usr/sbin has the
// helpers that scmfs install makes: mount(8) looks nowhere else. Nothing outside
// sees the mounts of the script, which must end them.
func fstab(t *testing.T, lines, script string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	sh(t, "%s install --destdir %s/dest >/dev/null && mkdir %s/old", binary, dir, dir)
	table := textFile(t, "fstab", lines)
	return try(patience, fmt.Sprintf(`unshare -m --propagation slave sh -e -c '
mount --bind /usr/sbin %[1]s/old
cp -a %[1]s/old %[1]s/new
for h in mount.scmfs mount.fuse.scmfs umount.scmfs umount.fuse.scmfs; do ln -sf %[1]s/dest/usr/sbin/$h %[1]s/new/$h; done
mount --bind %[1]s/new /usr/sbin
FSTAB=%[2]s
%[3]s' 2>&1`, dir, table, script))
}

// An administrator's way: lines in fstab, mount -a, umount.
func TestFstabMountAll(t *testing.T) {
	s := newServer(t)
	a, b := t.TempDir(), t.TempDir()
	options := "_netdev,nofail,x-systemd.automount,noatime,username=" + s.user + ",password_file=" + textFile(t, "pw", s.pass)
	lines := fmt.Sprintf("%s %s scmfs %s,state_dir=%s 0 0\n%s %s fuse.scmfs %s,ro,state_dir=%s 0 0\n", s.seed, a, options, t.TempDir(), s.seed, b, options, t.TempDir())
	t.Cleanup(func() { _, _ = try(20*time.Second, "umount -l "+a+" "+b) })
	out, err := fstab(t, lines, fmt.Sprintf(`
mount -a -T $FSTAB
echo hello > %[1]s/default/f
cat %[2]s/default/f
! touch %[2]s/default/g
mount -a -T $FSTAB
echo again: $?
grep -cE "(%[1]s|%[2]s) fuse.scmfs .*noatime" /proc/self/mounts
umount %[1]s %[2]s
grep -E "(%[1]s|%[2]s) " /proc/self/mounts || echo all gone
`, a, b))
	assert.NoError(t, err, out)
	assert.Regexp(t, `^hello\ntouch: .*Read-only file system\nagain: 0\n2\nall gone\n$`, out)
}

// What is wrong in a line of fstab is said in words, not by a
// number alone.
func TestFstabWrongLine(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	pw := textFile(t, "pw", s.pass)
	for options, says := range map[string]string{
		"username=a,wirte_mode=async":                                       `-o wirte_mode: unknown option; did you mean "write-mode"?`,
		"username=a,password=secret":                                        "-o password: a password does not belong in mount options, everybody can see them; use password_file=FILE",
		"username=a,uploads=many":                                           `-o uploads: "many": want a whole number`,
		"username=a,password_file=" + filepath.Join(dir, "none"):            "does not exist",
		"username=nobody,state_dir=" + t.TempDir() + ",password_file=" + pw: "look at the user, and at the password",
	} {
		out, err := fstab(t, fmt.Sprintf("%s %s scmfs %s 0 0\n", s.seed, dir, options), "mount -a -T $FSTAB")
		assert.Error(t, err, options)
		assert.Contains(t, out, says, options)
		assert.NotContains(t, out, "secret")
		assert.NotRegexp(t, jargon, out)
	}
}
