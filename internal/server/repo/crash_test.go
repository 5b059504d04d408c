package repo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/wire"
)

const (
	waitLimit = 10 * time.Second
	pollEvery = time.Millisecond
	crashEnv  = "SCMFS_REPO_CRASH_DIR"
)

// body is the content of a version of a file, known from its name. Some are in
// the database, some in files.
func body(name string, version int) string {
	n := (len(name)*7919 + version*4241 + int(name[len(name)-1])*997) % 40000
	return strings.Repeat(fmt.Sprintf("%s/%d ", name, version), n/10+1)
}

// The states a crash worker takes a name through, in this order.
const (
	stNone = iota
	stFirst
	stSecond
	stDeleted
	stStarted   // a breakpoint file with its first increment
	stCompleted // with its second
	stConverted // a file
)

// crashChild is the process that TestKill kills: it works until then and says
// what was acknowledged.
func crashChild() bool {
	dir := os.Getenv(crashEnv)
	if dir == "" {
		return false
	}
	r, err := Open(dir, Options{HashCost: 4})
	if err != nil {
		fmt.Println("fatal", err)
		os.Exit(1)
	}
	var out sync.Mutex
	say := func(name string, state int) {
		out.Lock()
		defer out.Unlock()
		fmt.Println(name, state)
	}
	run := fmt.Sprint(os.Getpid())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := 0; ; k++ {
				if err := crashSteps(r, fmt.Sprintf("%s-%d-%d", run, i, k), k, say); err != nil {
					fmt.Println("fatal", err)
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
	return true
}

func crashSteps(r *Repo, name string, k int, say func(string, int)) error {
	ctx := context.Background()
	if k%3 == 2 {
		whole := body(name, 1)
		half := len(whole) / 2
		_, err := r.CreateBreakpoint(ctx, admin, "ws", name, NewBreakpoint{Type: wire.ChecksumCRC32, Body: strings.NewReader(whole[:half])})
		if err != nil {
			return err
		}
		say(name, stStarted)
		if _, err := r.AppendBreakpoint(ctx, admin, "ws", name, int64(half), true, strings.NewReader(whole[half:])); err != nil {
			return err
		}
		say(name, stCompleted)
		unlock, err := r.LockBreakpoint(ctx, "ws", name)
		if err != nil {
			return err
		}
		if _, err := r.CreateFileFromBreakpoint(admin, "ws", named(name, ""), UploadConfig{}, name, unlock); err != nil {
			return err
		}
		say(name, stConverted)
		return nil
	}
	d, err := r.CreateFile(admin, "ws", named(name, ""), UploadConfig{}, strings.NewReader(body(name, 1)))
	if err != nil {
		return err
	}
	say(name, stFirst)
	if _, err := r.UpdateContent(admin, "ws", str(d, "id"), Version{1, 0}, false, strings.NewReader(body(name, 2))); err != nil {
		return err
	}
	say(name, stSecond)
	if k%2 == 0 {
		return nil
	}
	if err := r.DeleteFile(admin, "ws", FileRef{ID: str(d, "id")}); err != nil {
		return err
	}
	say(name, stDeleted)
	return nil
}

// kill -9 at any moment loses nothing that was acknowledged.
func TestKill(t *testing.T) {
	f := newFixture(t, Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	acked := map[string]int{}
	for round := range 8 {
		f.close()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashEnv+"="+f.dir)
		cmd.Stderr = os.Stderr
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		// The child dies after a number of acknowledgements, in the middle of others.
		limit := 20 + rng.IntN(200)
		lines := bufio.NewScanner(stdout)
		for n := 0; lines.Scan(); n++ {
			var name string
			var state int
			_, err := fmt.Sscan(lines.Text(), &name, &state)
			require.NoError(t, err, lines.Text())
			acked[name] = state
			if n == limit {
				require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
			}
		}
		require.Error(t, cmd.Wait(), "killed")
		f.open()
		for name, state := range acked {
			f.checkCrashed(name, state)
		}
		assert.Empty(t, f.problems(), "round %d", round)
		assert.Empty(t, f.Checked().Missing)
	}
	assert.Greater(t, len(acked), 100)
}

// checkCrashed compares a name with its last acknowledged state; the step after
// that may have happened, too.
func (f *fixture) checkCrashed(name string, state int) {
	f.t.Helper()
	t := f.t
	d, err := f.File(admin, "ws", FileRef{Path: "/" + name}, Current)
	bp, bpErr := f.Breakpoint(background, admin, "ws", name)
	var have []int
	switch {
	case err == nil && num(t, d, "major_version") == 2:
		have = []int{stSecond}
		require.Equal(t, body(name, 2), f.content("ws", str(d, "id"), Current))
		require.Equal(t, body(name, 1), f.content("ws", str(d, "id"), Version{1, 0}))
	case err == nil:
		have = []int{stFirst, stConverted}
		require.Equal(t, body(name, 1), f.content("ws", str(d, "id"), Current))
	case bpErr == nil:
		size := num(t, bp, "upload_size")
		have = []int{stStarted}
		if done, _ := docBool(bp, "completed"); done {
			have = []int{stCompleted}
		}
		want := body(name, 1)[:size]
		require.EqualValues(t, wire.ChecksumCRC32.Extend(0, 0, []byte(want)), num(t, bp, "checksum"))
		b, err := os.ReadFile(f.dataPath(str(bp, "data_id")))
		require.NoError(t, err)
		require.Equal(t, want, string(b[:size]))
	default:
		have = []int{stDeleted}
	}
	for _, h := range have {
		if h == state || h == state+1 {
			return
		}
	}
	assert.Fail(t, "acknowledged state is lost", "%s: acknowledged %d, found %v", name, state, have)
}

// script is a run of operations on content files; ok tells which succeeded.
type script struct {
	r  *Repo
	ok map[string]string // name -> content that must be there
	no map[string]bool   // names whose deletion was acknowledged
}

func (s *script) run() {
	const big = inlineMax * 3
	s.ok, s.no = map[string]string{}, map[string]bool{}
	create := func(name string) string {
		want := strings.Repeat(name, big/len(name)+1)
		d, err := s.r.CreateFile(admin, "ws", named(name, ""), UploadConfig{}, strings.NewReader(want))
		if err != nil {
			return ""
		}
		s.ok[name] = want
		return str(d, "id")
	}
	if id := create("updated"); id != "" {
		want := strings.Repeat("second", big)
		if _, err := s.r.UpdateContent(admin, "ws", id, Current, true, strings.NewReader(want)); err == nil {
			s.ok["updated"] = want
		}
	}
	if id := create("deleted"); id != "" {
		delete(s.ok, "deleted") // from here on either is right
		s.no["deleted"] = s.r.DeleteFile(admin, "ws", FileRef{ID: id}) == nil
		s.r.trash.Wait()
	}
	s.upload("converted", strings.Repeat("part", big))
	create("last")
}

func (s *script) upload(name, want string) {
	ctx := context.Background()
	if _, err := s.r.CreateBreakpoint(ctx, admin, "ws", name, NewBreakpoint{}); err != nil {
		return
	}
	for offset := 0; offset < len(want); {
		n := min(len(want)/3+1, len(want)-offset)
		d, err := s.r.AppendBreakpoint(ctx, admin, "ws", name, int64(offset), offset+n == len(want), strings.NewReader(want[offset:offset+n]))
		if err != nil {
			// A client asks again and goes on; the disk may have recovered.
			if d, err = s.r.Breakpoint(ctx, admin, "ws", name); err != nil {
				return
			}
			if done, _ := docBool(d, "completed"); !done && s.no["retried"] {
				return
			}
			s.no["retried"] = true
		}
		v, _ := d.Get("upload_size")
		size, _ := integer(v)
		offset = int(size)
	}
	unlock, err := s.r.LockBreakpoint(ctx, "ws", name)
	if err != nil {
		return
	}
	if _, err := s.r.CreateFileFromBreakpoint(admin, "ws", named(name, ""), UploadConfig{}, name, unlock); err == nil {
		s.ok[name] = want
	}
}

// verify reads back everything that was acknowledged.
func (s *script) verify(t *testing.T, r *Repo) {
	t.Helper()
	for name, want := range s.ok {
		d, err := r.File(admin, "ws", FileRef{Path: "/" + name}, Current)
		require.NoError(t, err, name)
		rd, _, err := r.OpenFile(admin, "ws", str(d, "id"), Current)
		require.NoError(t, err, name)
		got, err := io.ReadAll(rd.ReadSeeker)
		require.NoError(t, err)
		require.NoError(t, rd.Close())
		require.True(t, bytes.Equal([]byte(want), got), "%s has other content", name)
	}
	if s.no["deleted"] {
		_, err := r.File(admin, "ws", FileRef{Path: "/deleted"}, Current)
		require.Equal(t, wire.CodeFileNotFound, CodeOf(err))
	}
	assert.Empty(t, r.problems())
}

func openOn(t *testing.T, dir string, m *disk.Mem) *Repo {
	t.Helper()
	r, err := Open(dir, Options{Disk: m, HashCost: 4})
	require.NoError(t, err)
	require.NoError(t, r.Provision("admin", "ws", true))
	return r
}

// Every operation of the content disk fails once; whatever was acknowledged is
// there, the rest left nothing inconsistent.
func TestFailEveryDiskOperation(t *testing.T) {
	seen := map[string]bool{}
	for n := 1; ; n++ {
		m, dir := disk.NewMem(), t.TempDir()
		r := openOn(t, dir, m)
		m.FailNth(n, unix.ENOSPC)
		s := &script{r: r}
		s.run()
		op := m.Failed()
		m.FailNth(0, nil) // disarm
		s.verify(t, r)
		require.NoError(t, r.Close())
		r = openOn(t, dir, m)
		s.verify(t, r)
		require.NoError(t, r.Close())
		if op == "" {
			require.Len(t, s.ok, 3, "a run without failures")
			break
		}
		seen[op] = true
	}
	for _, op := range []string{"data.create", "data.sync", "data.syncdir", "data.remove", "breakpoint.sync", "breakpoint.syncdir", "breakpoint.truncate"} {
		if op != "breakpoint.truncate" { // happens only after another failure
			assert.True(t, seen[op], "%s never failed", op)
		}
	}
}

// The power fails after every operation of the content disk; what was not synced
// is lost or kept by chance.
func TestPowerCutAfterEveryDiskOperation(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := 1; ; n++ {
		m, dir := disk.NewMem(), t.TempDir()
		r := openOn(t, dir, m)
		m.CutNth(n)
		s := &script{r: r}
		s.run()
		require.NoError(t, r.Close())
		_, err := m.OpenFile("probe", "/probe", os.O_RDONLY)
		cut := errors.Is(err, disk.ErrPowerLost)
		next := m.Crash(rng)
		r = openOn(t, dir, next)
		assert.Empty(t, r.Checked().Missing)
		s.verify(t, r)
		require.NoError(t, r.Close())
		if !cut {
			break
		}
	}
}
