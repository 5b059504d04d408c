package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// storm is one program that does one thing after the other in a directory of its
// own, and knows what must be there. Uploads go on all the while, and each of its
// operations may meet the end of one.
type storm struct {
	dir   string
	r     *rand.Rand
	files map[string]stormFile
	done  []string // for the message
}

type stormFile struct {
	content, note string
	mode          os.FileMode
}

var stormNames = []string{"a", "b", "c", "d", ".a.XyZ123", "b.part"}

// step does one thing and looks at all that it concerns.
func (s *storm) step() error {
	name, other := stormNames[s.r.IntN(len(stormNames))], stormNames[s.r.IntN(len(stormNames))]
	f, there := s.files[name]
	path := filepath.Join(s.dir, name)
	deed, err := "", error(nil)
	switch k := s.r.IntN(12); {
	case k < 4:
		deed = "write " + name
		f.content = strings.Repeat(fmt.Sprintf("%s %d ", name, len(s.done)), s.r.IntN(300))
		if !there {
			f.mode, f.note = 0o644, ""
		}
		err = os.WriteFile(path, []byte(f.content), 0o644)
	case k < 5 && there:
		deed = "append " + name
		var h *os.File
		if h, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			_, err = h.WriteString("more")
			err = errors.Join(err, h.Close())
		}
		f.content += "more"
	case k < 6 && there:
		deed = "chmod " + name
		f.mode = []os.FileMode{0o600, 0o640, 0o755}[s.r.IntN(3)]
		err = os.Chmod(path, f.mode)
	case k < 7 && there:
		deed = "setxattr " + name
		f.note = fmt.Sprint("note ", len(s.done))
		err = unix.Setxattr(path, "user.note", []byte(f.note), 0)
	case k < 8 && there:
		deed = "unlink " + name
		err = os.Remove(path)
		delete(s.files, name)
		if err == nil {
			_, err = os.Lstat(path)
			if errors.Is(err, os.ErrNotExist) {
				err = nil
			} else {
				err = fmt.Errorf("it is still there: %w", err)
			}
		}
		s.done = append(s.done, deed)
		return s.told(deed, err)
	case there && name != other:
		deed = "rename " + name + " " + other
		err = os.Rename(path, filepath.Join(s.dir, other))
		delete(s.files, name)
		if old, ok := s.files[other]; ok && f.note == "" && old.note != "" {
			// A version keeps what the source does not have; what was never published is replaced.
			b := make([]byte, 100)
			if n, err := unix.Getxattr(filepath.Join(s.dir, other), "user.note", b); err == nil {
				f.note = string(b[:n])
			}
		}
		name = other
	default:
		return nil
	}
	s.done = append(s.done, deed)
	if err == nil {
		s.files[name] = f
		err = s.look(name)
	}
	return s.told(deed, err)
}

func (s *storm) told(deed string, err error) error {
	if err != nil {
		return fmt.Errorf("%s in %s: %w\nafter %s", deed, s.dir, err, strings.Join(s.done[max(0, len(s.done)-12):], ", "))
	}
	return nil
}

// look compares a file with what must be in it.
func (s *storm) look(name string) error {
	want, path := s.files[name], filepath.Join(s.dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(b) != want.content {
		return fmt.Errorf("%s has %d bytes %.20q, want %d %.20q", path, len(b), b, len(want.content), want.content)
	}
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.Mode() != want.mode || fi.Size() != int64(len(want.content)) {
		return fmt.Errorf("%s has mode %v and %d bytes, want %v and %d", path, fi.Mode(), fi.Size(), want.mode, len(want.content))
	}
	note := make([]byte, 100)
	n, err := unix.Getxattr(path, "user.note", note)
	if want.note == "" && errors.Is(err, unix.ENODATA) {
		return nil
	}
	if err != nil || string(note[:n]) != want.note {
		return fmt.Errorf("%s has the note %q, want %q: %w", path, note[:max(n, 0)], want.note, err)
	}
	return nil
}

// all compares the directory with what must be in it.
func (s *storm) all() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	var names, want []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	for name := range s.files {
		want = append(want, name)
		if err := s.look(name); err != nil {
			return s.told("at the end", err)
		}
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		return s.told("at the end", fmt.Errorf("there are %q, want %q", names, want))
	}
	return nil
}

// 2.1, 4 Whatever a program does while what it wrote is still on its way: it is
// there at once, and in the end it is at the store.
func TestAsyncStorm(t *testing.T) {
	s := newServer(t, "--fault", "jitter=10ms")
	m := newMount(t, s, "--write-mode", "async")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var storms []*storm
	var g errgroup.Group
	for i := range uint64(6) {
		st := &storm{dir: m.ws(fmt.Sprint("s", i)), r: rand.New(rand.NewPCG(seed, i)), files: map[string]stormFile{}}
		storms = append(storms, st)
		require.NoError(t, os.Mkdir(st.dir, 0o755))
		g.Go(func() error {
			for range 150 {
				if err := st.step(); err != nil {
					return err
				}
			}
			return st.all()
		})
	}
	require.NoError(t, g.Wait())
	// Temporary names are not published: they get others, and the rest is waited for.
	for _, st := range storms {
		for i, name := range stormNames[4:] {
			if f, ok := st.files[name]; ok {
				to := fmt.Sprint("end", i)
				require.NoError(t, os.Rename(filepath.Join(st.dir, name), filepath.Join(st.dir, to)))
				delete(st.files, name)
				st.files[to] = f
			}
		}
	}
	sh(t, "%s umount %s", binary, m.dir)
	other := newMount(t, s)
	for i, st := range storms {
		st.dir = other.ws(fmt.Sprint("s", i))
		assert.NoError(t, st.all(), "seen by another mount")
	}
	for _, st := range storms {
		t.Logf("%s: %s", st.dir, strings.Join(st.done, ", ")) // shown when something failed
	}
	assert.NotContains(t, m.log(), "panic")
	assert.NotContains(t, m.log(), "somebody else")
	assert.NotContains(t, m.log(), "not published")
}
