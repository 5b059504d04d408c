package integration

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"github.com/stretchr/testify/require"
)

// go-fuse's conformance suite. What is skipped quotes docs/SEMANTICS.md.
func TestPosix(t *testing.T) {
	skip := map[string]string{
		"Link":                "4.5 Hard links are refused (`EPERM`): the store has none.",
		"LinkUnlinkRename":    "4.5 Hard links are refused (`EPERM`): the store has none.",
		"FcntlFlockLocksFile": "2.16 Locks work as on a local disk: there a process does not lock itself out with fcntl, which this case expects.",
	}
	if os.Getenv("SCMFS_LONG") != "1" {
		skip["OpenSymlinkRace"] = "4.2 is what it tests, 1,000 times over half a minute: run with SCMFS_LONG=1"
	}
	m := newMount(t, newServer(t))
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		t.Run(name, func(t *testing.T) {
			if why, ok := skip[name]; ok {
				t.Skip(why)
			}
			dir := m.ws(name)
			require.NoError(t, os.Mkdir(dir, 0o755))
			posixtest.All[name](t, dir)
		})
	}
}
