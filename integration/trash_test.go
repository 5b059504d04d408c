package integration

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// 4.7 What is unlinked lies in the trash of its day under the path that it had.
func TestTrash(t *testing.T) {
	s := newServer(t)
	ws := s.api().Workspace("default")
	dir := func(parent client.DirID, name string) client.DirID {
		d, err := ws.CreateDirectory(t.Context(), parent, name)
		require.NoError(t, err)
		return d.ID
	}
	trash := dir(client.RootDir, ".Trash")
	for _, day := range []string{"2001-02-03", "2999-01-01", "my own"} {
		for _, at := range []client.DirID{dir(trash, day), dir(dir(trash, day+" x"), "sub")} {
			_, err := ws.CreateFile(t.Context(), client.NewFile{Name: "old", Dir: at}, client.BytesBody([]byte("x")))
			require.NoError(t, err)
		}
	}
	old, err := ws.LookupDirectory(t.Context(), trash, "2001-02-03")
	require.NoError(t, err)
	_, err = ws.CreateFile(t.Context(), client.NewFile{Name: "deep", Dir: dir(old.ID, "sub")}, client.BytesBody([]byte("x")))
	require.NoError(t, err)

	m := newMount(t, s, "--trash", ".Trash", "--trash-days", "30")
	require.Eventually(t, func() bool {
		return sh(t, "ls %s", m.ws(".Trash")) == "2001-02-03 x\n2999-01-01\n2999-01-01 x\nmy own\nmy own x\n"
	}, patience, 50*time.Millisecond, "a day that is over is deleted at mount with all below it, and nothing else")
	sh(t, "rm -r %s/*", m.ws(".Trash"))

	sh(t, "cd %s && mkdir -p d/e && echo 1 > d/e/f && echo 2 > d/e/f && echo g > d/g && rm -r d && echo other > f && rm f && ln -s x link && rm link", m.ws())
	day := strings.TrimSpace(sh(t, "ls %s", m.ws(".Trash")))
	assert.Regexp(t, `^2\d\d\d-\d\d-\d\d$`, day)
	assert.Equal(t, "d/e/f\nd/g\nf\n", sh(t, "cd %s && find . -type f -printf '%%P\\n' | sort", m.ws(".Trash", day)), "each under its path")
	assert.Equal(t, "2\n", read(t, m.ws(".Trash", day, "d/e/f")))
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions(".Trash/"+day+"/d/e/f"), "with its history")
	id := sh(t, "getfattr --only-values --absolute-names -n user.scm.id %s", m.ws(".Trash", day, "d/e/f"))

	// The same path once more: both are kept.
	sh(t, "cd %s && echo again > f && rm f && mkdir -p d/e && echo 3 > d/e/f && rm d/e/f", m.ws())
	assert.Equal(t, "again\nother\n", sh(t, "cd %s && cat f f~* | sort", m.ws(".Trash", day)))
	assert.Equal(t, "3\n", sh(t, "cat %s", m.ws(".Trash", day, "d/e/f~*")))

	// Back to where it was.
	sh(t, "cd %s && mv .Trash/%s/d/e/f d/e/f", m.ws(), day)
	assert.Equal(t, id, sh(t, "getfattr --only-values --absolute-names -n user.scm.id %s", m.ws("d/e/f")))
	assert.Equal(t, []string{"1.0", "2.0"}, m.versions("d/e/f"))

	// Open while it goes there.
	sh(t, "cd %s && echo open > o && exec 3< o && rm o && grep open <&3 && grep open .Trash/%s/o", m.ws(), day)

	// In there rm deletes, also deep down, and after directories were moved in and out.
	sh(t, "cd %s && rm .Trash/%s/d/g && test ! -e .Trash/%s/d/g && test ! -e .Trash/%s/.Trash", m.ws(), day, day, day)
	sh(t, "cd %s && mkdir in && echo x > in/x && mv in .Trash/ && rm .Trash/in/x && rmdir .Trash/in && test ! -e .Trash/%s/in", m.ws(), day)
	sh(t, "cd %s && mv .Trash/%s/d back && rm -r back && ls .Trash/%s/back/e/", m.ws(), day, day)
	sh(t, "rm -r %s", m.ws(".Trash"))
	assert.Equal(t, "d\n", sh(t, "ls -A %s", m.ws()), "what is removed in the trash is gone, and so may it be")
	sh(t, "cd %s && rm d/e/f && ls .Trash/*/d/e/f", m.ws())

	assert.Contains(t, fails(t, "%s mount %s %s --trash 'a*b'", binary, s.seed, t.TempDir()), "--trash")
}

// 4.7 Another client took a directory out of the trash: what is in it is not
// deleted for having been there.
func TestTrashAsksBeforeItDeletes(t *testing.T) {
	s := newServer(t)
	m := newMount(t, s, "--trash", ".Trash", "--expiry", "60s") // it believes what it knows for long
	sh(t, "cd %s && mkdir d && echo x > d/f && echo x > g && rm g && mv d .Trash/d && ls .Trash/d/f", m.ws())
	ws := s.api().Workspace("default")
	trash, err := ws.LookupDirectory(t.Context(), client.RootDir, ".Trash")
	require.NoError(t, err)
	d, err := ws.LookupDirectory(t.Context(), trash.ID, "d")
	require.NoError(t, err)
	f, err := ws.LookupFile(t.Context(), d.ID, "f")
	require.NoError(t, err)
	_, err = ws.MoveDirectory(t.Context(), d.ID, client.RootDir)
	require.NoError(t, err)
	require.NoError(t, os.Remove(m.ws(".Trash/d/f")))
	f, err = ws.File(t.Context(), f.ID)
	require.NoError(t, err, "in the trash of the day, not deleted")
	assert.NotEqual(t, d.ID, f.Dir)
}

// 4.7 The trash of a workspace without directories, and of one that only reads.
func TestTrashOfFlatWorkspace(t *testing.T) {
	s := newServer(t)
	api := s.api()
	_, err := api.CreateWorkspace(t.Context(), "flat", false)
	require.NoError(t, err)
	ws := api.Workspace("flat")
	for _, name := range []string{".Trash~20010203T040506Z~old", ".Trash~mine", ".Trash~29990203T040506Z~new"} {
		_, err = ws.CreateFile(t.Context(), client.NewFile{Name: name}, client.BytesBody([]byte("x")))
		require.NoError(t, err)
	}
	r := newMount(t, s, "--trash", ".Trash", "--trash-days", "1", "--read-only")
	assert.Contains(t, fails(t, "rm -f %s/flat/.Trash~mine", r.dir), "Read-only")
	assert.Contains(t, sh(t, "ls -A %s/flat", r.dir), "~old", "a mount that only reads empties nothing")
	r.end()

	m := newMount(t, s, "--trash", ".Trash", "--trash-days", "1")
	require.Eventually(t, func() bool {
		return sh(t, "ls -A %s/flat", m.dir) == ".Trash~29990203T040506Z~new\n.Trash~mine\n"
	}, patience, 50*time.Millisecond)
	long := strings.Repeat("n", 250)
	sh(t, "cd %s/flat && rm .Trash~2* && echo 1 > f && echo 2 > f && rm f && echo 3 > f && rm f && echo long > %s && rm %s", m.dir, long, long)
	assert.Empty(t, sh(t, "ls %s/flat", m.dir), "with a dot in front they are not listed by ls")
	list := strings.Fields(sh(t, "ls -A %s/flat | grep -v mine", m.dir))
	require.Len(t, list, 3, "%v", list)
	assert.Equal(t, "2\n3\nlong\n", sh(t, "cd %s/flat && cat %s | sort", m.dir, strings.Join(list, " ")))
	assert.Regexp(t, `^\.Trash~\d{8}T\d{6}Z~f(~[0-9a-f]{24})?$`, list[0])
	two := strings.TrimSpace(sh(t, "cd %s/flat && grep -lx 2 .Trash*", m.dir))
	sh(t, "cd %s/flat && mv %s f && grep 2 f", m.dir, two)
	assert.Equal(t, "1.0\n2.0\n", sh(t, "ls %s/flat/.versions/f", m.dir), "with its history")
	sh(t, "cd %s/flat && rm .Trash~2*", m.dir)
	assert.Equal(t, ".Trash~mine\nf\n", sh(t, "ls -A %s/flat", m.dir))
}
