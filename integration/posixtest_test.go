package integration

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// notHere are the cases of go-fuse's suite that cannot pass, each with the words
// of docs/SEMANTICS.md that say why.
var notHere = map[string]string{
	"Link":                "Hard links are refused (`EPERM`): the store has none.",
	"LinkUnlinkRename":    "Hard links are refused (`EPERM`): the store has none.",
	"FcntlFlockLocksFile": "a process does not lock itself out with `fcntl`",
	"Tmpfile":             "Without `O_EXCL` it gives `EOPNOTSUPP`",
	"XAttrLarge":          "up to 2 KiB a file",
}

// go-fuse's conformance suite.
func TestPosix(t *testing.T) {
	doc, err := os.ReadFile("../docs/SEMANTICS.md")
	require.NoError(t, err)
	words := strings.Join(strings.Fields(string(doc)), " ")
	m := newMount(t, newServer(t))
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		t.Run(name, func(t *testing.T) {
			why, known := notHere[name]
			if known {
				require.Contains(t, words, why)
				t.Skip(why)
			}
			if name == "OpenSymlinkRace" && os.Getenv("SCMFS_LONG") != "1" {
				t.Skip("4.2 is what it tests, 1,000 times over half a minute and more: run with SCMFS_LONG=1, as make soak does")
			}
			// A case that finds something missing skips itself.
			t.Cleanup(func() { assert.False(t, t.Skipped(), "skipped, and no reason is given here") })
			dir := m.ws(name)
			require.NoError(t, os.Mkdir(dir, 0o755))
			posixtest.All[name](t, dir)
		})
	}
}
