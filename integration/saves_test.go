package integration

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
)

// saved asserts what a save over a file must leave: the same file with one more
// version, and no name but those given.
type saved struct {
	m    *mount
	ws   *client.Store
	name string
	id   client.FileID
}

func beforeSave(t *testing.T, m *mount, name string) saved {
	t.Helper()
	sh(t, "mkdir %s && echo old > %s && chmod 640 %s", m.ws(name), m.ws(name, "doc"), m.ws(name, "doc"))
	s := saved{m: m, ws: m.s.api().Workspace("default"), name: name}
	require.Eventually(t, func() bool { // an asynchronous mount takes a moment
		f, ok := s.onServer(t)["doc"]
		s.id = f.ID
		return ok
	}, patience, 20*time.Millisecond)
	return s
}

func (s saved) onServer(t *testing.T) map[string]client.File {
	t.Helper()
	d, err := s.ws.LookupDirectory(t.Context(), client.RootDir, s.name)
	require.NoError(t, err)
	out := map[string]client.File{}
	for f, err := range s.ws.Files(t.Context(), d.ID, "") {
		require.NoError(t, err)
		out[f.Name] = f
	}
	return out
}

// wait waits until nothing of an asynchronous mount is left to upload.
func (s saved) wait(t *testing.T) saved {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Contains(sh(t, "%s pending list %s", binary, s.m.dir), "nothing is waiting")
	}, patience, 20*time.Millisecond)
	return s
}

func (s saved) check(t *testing.T, want string, here string) {
	t.Helper()
	files := s.onServer(t)
	assert.Len(t, files, 1, "a temporary is left at the server")
	assert.Equal(t, s.id, files["doc"].ID, "the file has another id")
	assert.Equal(t, want, read(t, s.m.ws(s.name, "doc")))
	assert.Equal(t, "640\n", sh(t, "stat -c %%a %s", s.m.ws(s.name, "doc")))
	assert.Equal(t, []string{"1.0", "2.0"}, s.m.versions(s.name+"/doc"))
	assert.Equal(t, "old\n", read(t, s.m.ws(".versions", s.name, "doc/1.0")))
	assert.Equal(t, here, sh(t, "ls -A %s", s.m.ws(s.name)))
}

// 8.6 vim in each of its ways to write.
func TestVimSaves(t *testing.T) {
	if _, err := exec.LookPath("vim"); err != nil {
		t.Skip("vim is not installed: TestSaveSequences does what it does")
	}
	m := newMount(t, newServer(t))
	for i, copying := range []string{"yes", "no", "auto", "yes,breaksymlink", "no,breakhardlink", "auto,breaksymlink,breakhardlink"} {
		for j, backup := range []string{"nobackup nowritebackup", "nobackup writebackup", "backup writebackup"} {
			t.Run(copying+" "+backup, func(t *testing.T) {
				s := beforeSave(t, m, fmt.Sprintf("vim%d%d", i, j))
				sh(t, `cd %s && vim -u NONE -N -es -c 'set directory=. backupdir=. backupskip= swapfile updatecount=1 backupcopy=%s %s' -c 'edit doc' -c 's/old/new/' -c wq </dev/null`,
					m.ws(s.name), copying, backup)
				here := "doc\n"
				if j == 2 {
					here = "doc\ndoc~\n"
					assert.Equal(t, "old\n", read(t, m.ws(s.name, "doc~")))
				}
				s.check(t, "new\n", here)
			})
		}
	}
}

// fromElsewhere makes $src with the new content, for programs that copy it.
const fromElsewhere = `src=$(mktemp -d); trap 'rm -r $src' EXIT; echo new > $src/doc; chmod 640 $src/doc; touch -d '+5 seconds' $src/doc; `

// 8.6 Programs that put the file aside, or write beside it, as scripts of what they do.
func TestSaveSequences(t *testing.T) {
	for _, mode := range []string{"sync", "async"} {
		m := newMount(t, newServer(t), "--write-mode", mode)
		for name, script := range map[string]string{
			"word":        `echo new > '~WRD0001.tmp'; chmod 640 '~WRD0001.tmp'; mv doc '~WRL0002.tmp'; mv '~WRD0001.tmp' doc; rm '~WRL0002.tmp'`,
			"excel":       `echo new > 1A2B3C00; chmod 640 1A2B3C00; mv doc 1A2B3C4D.tmp; mv 1A2B3C00 doc; rm 1A2B3C4D.tmp`,
			"replacefile": `echo new > '~new.tmp'; chmod 640 '~new.tmp'; mv doc 'doc~RF1a2b.TMP'; mv '~new.tmp' doc; rm 'doc~RF1a2b.TMP'`,
			"emacs":       `mv doc doc~; (umask 027; echo new > doc); chmod 640 doc; rm doc~`,
			"gnome":       `echo new > .goutputstream-AB12CD; chmod 640 .goutputstream-AB12CD; mv .goutputstream-AB12CD doc`,
			"sed":         `sed -i s/old/new/ doc`,
			"rsync":       fromElsewhere + `rsync -a $src/doc .`,
			"inplace":     fromElsewhere + `rsync -a --inplace --no-whole-file $src/doc .`,
			"cp":          fromElsewhere + `cp -p $src/doc .`,
		} {
			t.Run(mode+" "+name, func(t *testing.T) {
				s := beforeSave(t, m, name)
				if mode == "async" {
					s = s.wait(t)
				}
				before := m.requests()
				sh(t, "set -e; cd %s; %s", m.ws(s.name), script)
				if mode == "async" {
					s.wait(t)
				}
				d := m.since(before)
				t.Logf("requests: %v", d)
				assert.Equal(t, 1, d["PUT /files/{id}"], "the content goes up once, as a version: %v", d)
				if name != "excel" { // whose new content has a name that may be anybody's
					assert.Zero(t, d["POST /files"]+d["DELETE /files/{id}"], "no other file is made or goes: %v", d)
				}
				s.check(t, "new\n", "doc\n")
			})
		}
	}
}

// 8.6 What is put aside keeps its content, also when its file goes.
func TestPutAsideIsKept(t *testing.T) {
	m := newMount(t, newServer(t))
	s := beforeSave(t, m, "kept")
	r, err := os.Open(m.ws("kept/doc"))
	require.NoError(t, err)
	defer r.Close()
	sh(t, "cd %s && mv doc doc~ && echo new > doc && chmod 640 doc", m.ws("kept"))
	s.check(t, "new\n", "doc\ndoc~\n")
	b := make([]byte, 10)
	n, err := r.Read(b)
	require.NoError(t, err)
	assert.Equal(t, "old\n", string(b[:n]), "who had it open reads on")
	// The failed save of an editor: what was put aside comes back.
	sh(t, "cd %s && mv doc~ doc", m.ws("kept"))
	assert.Equal(t, "old\n", read(t, m.ws("kept/doc")))
	assert.Equal(t, []string{"1.0", "2.0", "3.0"}, m.versions("kept/doc"))
	assert.Equal(t, s.id, s.onServer(t)["doc"].ID)
	// A plain rename to a temporary name happens at the store, and nothing follows.
	sh(t, "cd %s && mv doc doc~", m.ws("kept"))
	assert.Equal(t, s.id, s.onServer(t)["doc~"].ID)
	sh(t, "cd %s && mv doc~ doc", m.ws("kept"))
	// Other names mean another file, as log rotation wants it.
	sh(t, "cd %s && mv doc doc.1 && echo next > doc", m.ws("kept"))
	files := s.onServer(t)
	assert.Equal(t, s.id, files["doc.1"].ID)
	assert.NotEqual(t, s.id, files["doc"].ID)
}

// 2.12, 8.7 Of mkstemp's names one in 190 has small letters only. It is a temporary
// one all the same, also for the next run; that name of another program's is a file.
func TestTemporaryNameThatMaySpellAWord(t *testing.T) {
	m := newMount(t, newServer(t))
	s := beforeSave(t, m, "word")
	made := func(name string, flags int, mode os.FileMode) *os.File {
		f, err := os.OpenFile(m.ws("word", name), flags|os.O_CREATE|os.O_EXCL, mode)
		require.NoError(t, err)
		_, err = f.WriteString("new\n")
		require.NoError(t, err)
		require.NoError(t, f.Chmod(0o640))
		require.NoError(t, f.Sync())
		return f
	}
	for _, name := range []string{".doc.backup", "sedoctets"} {
		require.NoError(t, made(name, os.O_RDWR, 0o600).Close())
		require.NoError(t, made(name+"1", os.O_RDWR, 0o600).Close())
	}
	defer made(".doc.opened", os.O_RDWR, 0o600).Close()
	require.NoError(t, made(".doc.config", os.O_WRONLY, 0o600).Close())
	require.NoError(t, made(".doc.readme", os.O_RDWR, 0o644).Close())
	m.kill()
	m.start()
	assert.ElementsMatch(t, []string{"doc", ".doc.backup1", "sedoctets1", ".doc.config", ".doc.readme"}, slices.Collect(maps.Keys(s.onServer(t))))
	sh(t, "cd %s && rm .doc.[cor]* *1 .*1 sedoctets", m.ws("word"))
	before := m.requests()
	sh(t, "cd %s && mv .doc.backup doc", m.ws("word"))
	d := m.since(before)
	assert.Zero(t, d["POST /files"]+d["DELETE /files/{id}"], "%v", d)
	s.check(t, "new\n", "doc\n")
}

// 8.6 What is renamed to a temporary name that is for new content only is at the
// store and stays there, whoever takes the old name.
func TestRenamedToTemporaryStaysAtTheStore(t *testing.T) {
	m := newMount(t, newServer(t))
	for i, to := range []string{".doc.AbC123", "doc.part", ".goutputstream-AB12CD", "sedAb12Cd"} {
		s := beforeSave(t, m, fmt.Sprintf("other%d", i))
		sh(t, "cd %s && mv doc %s && echo new > doc", m.ws(s.name), to)
		files := s.onServer(t)
		assert.Equal(t, s.id, files[to].ID, to)
		assert.Contains(t, files, "doc")
		assert.NotEqual(t, s.id, files["doc"].ID, to)
		assert.Equal(t, []string{"1.0"}, m.versions(s.name+"/doc"), to)
		assert.Equal(t, "old\n", read(t, m.ws(s.name, to)))
	}
}

// 8.6 What is put aside and stays is on this machine soon, and needs neither the
// file's history nor this run of the mount.
func TestPutAsideOutlivesItsFile(t *testing.T) {
	m := newMount(t, newServer(t))
	src := content(t, 3*mib)
	for _, name := range []string{"soon", "later"} {
		sh(t, "cp %s %s && cd %s && mv %s %s~ && echo new > %s", src, m.ws(name), m.ws(), name, name, name)
	}
	sh(t, "rm %s && cmp %s %s", m.ws("soon"), src, m.ws("soon~"))
	require.Eventually(t, func() bool {
		out, err := try(patience, fmt.Sprintf("grep -ch later~ %s/journal/*.json && ! grep -q partial_content %s/journal/*.json", m.state, m.state))
		return err == nil && strings.Contains(out, "1")
	}, patience, 50*time.Millisecond, "it is not on the disk")
	m.kill()
	m.start()
	sh(t, "cmp %s %s && cmp %s %s", src, m.ws("later~"), src, m.ws("soon~"))
	sh(t, "cd %s && rm later && mv later~ rescued && cmp %s rescued", m.ws(), src)
	assert.Equal(t, []string{"1.0"}, m.versions("rescued"))
}

// 8.7 What rsync costs.
func TestRsyncRequests(t *testing.T) {
	const files = 1000
	m := newMount(t, newServer(t))
	src := t.TempDir()
	sh(t, "cd %s && for i in $(seq %d); do echo $i > f$i; done", src, files)
	sum := func(d map[string]int) (n int) {
		for _, v := range d {
			n += v
		}
		return n
	}
	before := m.requests()
	sh(t, "rsync -a %s/ %s", src, m.ws("r"))
	first := m.since(before)
	before = m.requests()
	assert.Empty(t, sh(t, "rsync -aiO %s/ %s", src, m.ws("r")))
	second := m.since(before)
	t.Logf("first run: %d requests %v; second run: %d requests %v", sum(first), first, sum(second), second)
	assert.Equal(t, files, first["POST /files"])
	assert.LessOrEqual(t, sum(first), files+files/10, "one upload a file, with its attributes")
	assert.LessOrEqual(t, sum(second), 20, "no request for each file")
	for kind := range second {
		assert.True(t, strings.HasPrefix(kind, "GET ") || strings.HasPrefix(kind, "HEAD "), "the second run changes something: %s", kind)
	}
}
