package fs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

func TestDirectFlags(t *testing.T) {
	const base = unix.MS_NOSUID | unix.MS_NODEV
	for _, tt := range []struct {
		in    []string
		flags uintptr
		text  []string
	}{
		{nil, base, nil},
		{[]string{"sync", "noexec"}, base, []string{"sync", "noexec"}},
		{[]string{"noatime", "max_read=4096", "nodiratime"}, base | unix.MS_NOATIME | unix.MS_NODIRATIME, []string{"max_read=4096"}},
		{[]string{"noatime", "relatime"}, base | unix.MS_RELATIME, nil},
		{[]string{"nodiratime", "strictatime", "diratime"}, base | unix.MS_STRICTATIME, nil},
	} {
		flags, text := directFlags(tt.in)
		assert.Equal(t, tt.flags, flags, "%v", tt.in)
		assert.Equal(t, tt.text, text, "%v", tt.in)
	}
}
