package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMountOptions(t *testing.T) {
	for _, tt := range []struct {
		options string
		has     []string // lines of config show, without origin
		kernel  string
		fails   string
	}{
		{options: "rw,_netdev,nofail,x-systemd.automount,x-systemd.idle-timeout=10,comment=mine,noauto,user,defaults,dev,suid", kernel: "[]"},
		{options: "ro,noexec,noatime,sync,max_read=65536", has: []string{"read-only: true"}, kernel: "[noexec, noatime, sync, max_read=65536]"},
		{options: "allow_other=false,umask=027,write_mode=async,cache-size=1GiB", has: []string{"allow-other: false", `umask: "027"`, "write-mode: async", "cache-size: 1.0 GiB"}, kernel: "[]"},
		{options: "username=alice,workspaces=a:b,seed=gw1:80/s+gw2:80/s", has: []string{"user: alice", "workspaces: [a, b]", "seed: ['gw1:80/s', 'gw2:80/s']"}, kernel: "[]"},
		{options: "write_mod=async", fails: `-o write_mod: unknown option; did you mean "write-mode"?`},
		{options: "secret=hunter2", fails: "-o secret: unknown option"},
		{options: "password=hunter2", fails: "-o password: a password does not belong in mount options, everybody can see them; use password_file=FILE"},
		{options: "pass=hunter2", fails: "-o pass: a password does not belong in mount options, everybody can see them; use password_file=FILE"},
		{options: "umask", fails: "-o umask: needs a value, umask=…"},
		{options: "uploads=x", fails: `-o uploads: "x": want a whole number`},
		{options: "uploads=0", fails: "-o uploads: 0: must be between 1 and 256"},
		{options: "options=x", fails: "-o options: unknown option"},
	} {
		t.Run(tt.options, func(t *testing.T) {
			out, code, err := scmfs(t, "config", "show", "--effective", "-o", tt.options)
			if tt.fails != "" {
				require.ErrorContains(t, err, tt.fails)
				assert.NotContains(t, err.Error(), "hunter2")
				assert.Equal(t, exitUsage, code)
				return
			}
			require.NoError(t, err)
			lines := withoutOrigin(out)
			for _, l := range append(tt.has, "options: "+tt.kernel) {
				assert.Contains(t, lines, l)
			}
		})
	}
}
