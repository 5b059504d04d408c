package storetest_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/storetest"
)

func TestEmbeddedServerKeepsTheContract(t *testing.T) {
	c := storetest.Serve(t, storetest.Options{}).Client(t)
	storetest.Run(t, func(t *testing.T) (*client.Store, client.DirID) {
		return c.Workspace("ws"), freshDir(t, c.Workspace("ws"))
	})
}

// A real cluster is used when the environment names one.
func TestClusterKeepsTheContract(t *testing.T) {
	seed := os.Getenv("SCMFS_TEST_SEED")
	if seed == "" {
		t.Skip("SCMFS_TEST_SEED, _USER, _PASSWORD and _WORKSPACE name no cluster")
	}
	c, err := client.New([]string{seed}, client.Options{User: os.Getenv("SCMFS_TEST_USER"),
		Password: func() (string, error) { return os.Getenv("SCMFS_TEST_PASSWORD"), nil }})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	ws := c.Workspace(os.Getenv("SCMFS_TEST_WORKSPACE"))
	storetest.Run(t, func(t *testing.T) (*client.Store, client.DirID) { return ws, freshDir(t, ws) })
}

func freshDir(t *testing.T, s *client.Store) client.DirID {
	t.Helper()
	d, err := s.CreateDirectory(t.Context(), client.RootDir, "contract "+string(client.NewFileID(time.Now())))
	require.NoError(t, err)
	return d.ID
}
