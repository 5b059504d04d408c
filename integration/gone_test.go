package integration

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"
)

// 4 A name that was taken away the moment its file was published stays away: the mount
// goes on with its own record of the publication for a while, and must not show it. A
// database that finds its journal again takes it for one of a crash.
func TestGoneIsGone(t *testing.T) {
	m := newMount(t, newServer(t))
	var g errgroup.Group
	for k := range 3 { // the records wait for each other on the disk
		g.Go(func() error {
			out, err := try(patience, fmt.Sprintf(`cd %s && { echo "create table t(b text);"; for i in $(seq 150); do echo "insert into t values(hex(randomblob(9000)));"; done; } |
				sqlite3 -bail db%d`, m.ws(), k))
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
