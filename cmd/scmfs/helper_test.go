package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What mount(8) calls its helpers with, and what becomes of it.
func TestMountLine(t *testing.T) {
	for _, tt := range []struct {
		in    []string
		want  []string
		fails string
	}{
		{in: []string{"gw:8080/rootsite", "/mnt/scm", "-o", "rw,_netdev"}, want: []string{"mount", "gw:8080/rootsite", "/mnt/scm", "-o", "rw,_netdev"}},
		{in: []string{"gw1:1/s,gw2:1/s", "/mnt"}, want: []string{"mount", "gw1:1/s,gw2:1/s", "/mnt"}},
		{in: []string{"https://gw:8443/s", "/mnt", "-v", "-n"}, want: []string{"mount", "https://gw:8443/s", "/mnt"}},
		{in: []string{"/srv/scm", "/mnt", "-oro"}, want: []string{"mount", "--embedded", "/srv/scm", "/mnt", "-o", "ro"}},
		{in: []string{"/etc/scmfs/a.yaml", "/mnt"}, want: []string{"mount", "--config", "/etc/scmfs/a.yaml", "/mnt"}},
		{in: []string{"scmfs", "/mnt", "-o", "config=/a.yaml"}, want: []string{"mount", "/mnt", "-o", "config=/a.yaml"}},
		{in: []string{"none", "/mnt", "-r"}, want: []string{"mount", "/mnt", "-o", "ro"}},
		{in: []string{"gw:1/s", "/mnt", "-t", "fuse.scmfs", "-N", "7", "-o", "ro", "-o", "noexec"}, want: []string{"mount", "gw:1/s", "/mnt", "-o", "ro,noexec"}},
		{in: []string{"gw:1/s", "/mnt", "-sno", "ro,no_such=1,uploads=3,noexec"}, want: []string{"mount", "gw:1/s", "/mnt", "-o", "ro,uploads=3,noexec"}},
		{in: []string{"gw:1/s", "/mnt", "-f"}, want: nil},
		{in: []string{"gw:1/s"}, fails: "usage"},
		{in: []string{"gw:1/s", "/mnt", "/other"}, fails: "usage"},
		{in: []string{"gw:1/s", "/mnt", "-q"}, fails: "unknown flag -q"},
		{in: []string{"gw:1/s", "/mnt", "-o"}, fails: "-o needs a value"},
	} {
		got, err := mountLine(tt.in)
		if tt.fails != "" {
			require.ErrorContains(t, err, tt.fails, "%v", tt.in)
			continue
		}
		require.NoError(t, err, "%v", tt.in)
		assert.Equal(t, tt.want, got, "%v", tt.in)
	}
}

func TestFromMountFuse(t *testing.T) {
	assert.True(t, fromMountFuse([]string{"gw:8080/rootsite", "/mnt/scm", "-o", "rw"}))
	assert.True(t, fromMountFuse([]string{"/srv/scm", "/mnt/scm"}))
	for _, args := range [][]string{{}, {"mount"}, {"umount", "/mnt/scm"}, {"mount", "gw:8080/rootsite", "/mnt"}, {"--help"}, {"gw:1/s", "relative"}} {
		assert.False(t, fromMountFuse(args), "%v", args)
	}
}

// mount(8) knows its own exit codes only.
func TestHelperExitCodes(t *testing.T) {
	assert.Equal(t, mountUsage, dispatch([]string{"/sbin/mount.scmfs", "gw:1/s"}))
	assert.Equal(t, mountOK, dispatch([]string{"/sbin/mount.fuse.scmfs", "gw:1/s", "/mnt", "-f"}))
	assert.Equal(t, mountUsage, dispatch([]string{"/sbin/mount.scmfs", "gw:1/s", "/mnt", "-o", "no_such"}))
	assert.Equal(t, mountFailure, dispatch([]string{"/sbin/mount.scmfs", "gw:1/s", "/nonexistent/mnt", "-o", "foreground"}))
	assert.Equal(t, exitMount, dispatch([]string{"/sbin/umount.scmfs", t.TempDir(), "-n", "-t", "fuse.scmfs"}))
	assert.Equal(t, exitUsage, dispatch([]string{"scmfs", "no-such-command"}))
}
