package fs

import (
	"testing"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnly(t *testing.T) {
	all := newMemStores("a", "b", "c")
	some := Only(all, []string{"c", "a", "no-such"})
	var names []string
	for ws, err := range some.Workspaces(t.Context()) {
		require.NoError(t, err)
		names = append(names, ws.Name)
	}
	assert.Equal(t, []string{"a", "c"}, names)
	_, err := some.WorkspaceInfo(t.Context(), "a")
	require.NoError(t, err)
	_, err = some.WorkspaceInfo(t.Context(), "b")
	assert.Equal(t, client.NoWorkspace, client.KindOf(err))
}

func TestNarrow(t *testing.T) {
	all := newMemStores("ws")
	all.add("flat", false)
	d, err := all.ws["ws"].CreateDirectory(t.Context(), client.RootDir, "d")
	require.NoError(t, err)
	e, err := all.ws["ws"].CreateDirectory(t.Context(), d.ID, "e")
	require.NoError(t, err)
	for path, want := range map[string]client.DirID{"ws": client.RootDir, "/ws/": client.RootDir, "ws/d": d.ID, "ws//d/e/": e.ID, "flat": client.RootDir} {
		fs := New(all, nil, nil, Options{})
		require.NoError(t, fs.Narrow(t.Context(), path), path)
		top, ok := fs.top.(*dirNode)
		require.True(t, ok)
		assert.Equal(t, want, top.id, path)
		for _, name := range []string{statusDirName, partialName, versionsName} {
			assert.True(t, top.reserved(name), "%s in %s", name, path)
		}
		fs.Close()
	}
	for path, kind := range map[string]client.Kind{"none": client.NoWorkspace, "ws/none": client.NotExist, "ws/d/none/e": client.NotExist} {
		fs := New(all, nil, nil, Options{})
		assert.Equal(t, kind, client.KindOf(fs.Narrow(t.Context(), path)), path)
		assert.Equal(t, fs.root, fs.top)
		fs.Close()
	}
	fs := New(all, nil, nil, Options{})
	defer fs.Close()
	require.ErrorContains(t, fs.Narrow(t.Context(), "flat/d"), "has no directories")
}

// A directory below the narrowed root has none of the mount's names.
func TestReservedNames(t *testing.T) {
	all := newMemStores("ws")
	d, err := all.ws["ws"].CreateDirectory(t.Context(), client.RootDir, "d")
	require.NoError(t, err)
	fs := New(all, nil, nil, Options{})
	defer fs.Close()
	ws := fs.workspace(all.ws["ws"].info)
	assert.True(t, ws.root().reserved(partialName))
	assert.False(t, ws.root().reserved(statusDirName), "it is in the mount's root, above")
	assert.False(t, ws.dir(d).reserved(partialName))
}

func TestReadOnlyPolicy(t *testing.T) {
	all := newMemStores("a", "b")
	fs := New(all, nil, nil, Options{Policies: map[string]Policy{"a": {ReadOnly: true}}})
	defer fs.Close()
	assert.True(t, fs.workspace(all.ws["a"].info).rules.ReadOnly)
	assert.False(t, fs.workspace(all.ws["b"].info).rules.ReadOnly)
	whole := New(all, nil, nil, Options{ReadOnly: true, Policies: map[string]Policy{"a": {}}})
	defer whole.Close()
	assert.True(t, whole.workspace(all.ws["a"].info).rules.ReadOnly, "a policy cannot take it back")
}
