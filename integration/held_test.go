package integration

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// 2.12 A temporary that is open again when it gets its name is published as it was
// closed, and one that is being written again when that is closed: never half.
func TestTemporaryThatIsWrittenAgain(t *testing.T) {
	for _, mode := range []string{"sync", "async"} {
		s := newServer(t)
		m := newMount(t, s, "--write-mode", mode)
		ws := s.api().Workspace("default")
		stored := func(name string) (versions int, size int64) {
			f, err := ws.LookupFile(t.Context(), client.RootDir, name)
			if client.KindOf(err) == client.NotExist {
				return 0, 0
			}
			require.NoError(t, err)
			return f.Version.Major, f.Size
		}
		becomes := func(name string, versions int, size int64) {
			t.Helper()
			require.Eventually(t, func() bool {
				v, n := stored(name)
				return v == versions && n == size
			}, patience, 20*time.Millisecond, "%s is not version %d of %d bytes", name, versions, size)
		}
		for name, old := range map[string]bool{"onto": true, "free": false} {
			for _, writes := range []bool{true, false} {
				t.Run(mode+" "+name+map[bool]string{true: " written", false: " only opened"}[writes], func(t *testing.T) {
					doc := name + map[bool]string{true: "-w", false: "-o"}[writes]
					v := 0
					if old {
						sh(t, "printf old > %s", m.ws(doc))
						becomes(doc, 1, 3)
						v = 1
					}
					sh(t, "printf closed > %s", m.ws(doc+".part"))
					f, err := os.OpenFile(m.ws(doc+".part"), os.O_WRONLY|os.O_APPEND, 0)
					require.NoError(t, err)
					if writes {
						_, err = f.WriteString("half")
						require.NoError(t, err)
					}
					require.NoError(t, os.Rename(m.ws(doc+".part"), m.ws(doc)))
					if writes {
						got, size := stored(doc)
						assert.Equal(t, v, got, "nothing is published before the close")
						assert.EqualValues(t, 3*v, size)
					} else {
						v++
						becomes(doc, v, 6)
						_, err = f.WriteString("half")
						require.NoError(t, err)
					}
					assert.Equal(t, "closedhalf", read(t, m.ws(doc)), "here it is as on a disk")
					_, err = f.WriteString("whole")
					require.NoError(t, err)
					require.NoError(t, f.Close())
					becomes(doc, v+1, 15)
					// Also when the mount has not heard yet that the store has it.
					assert.Equal(t, "closedhalfwhole", read(t, m.ws(doc)))
					got, _ := stored(doc + ".part")
					assert.Zero(t, got)
				})
			}
		}
	}
}
