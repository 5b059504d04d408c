package integration

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killRounds is how often each of the three is killed.
const killRounds = 25

// A manifest says of each file which contents were tried, and how many of them
// close or fsync acknowledged.
type manifest struct {
	mu    sync.Mutex
	files map[string]*attempts
	acks  int
	steps chan struct{} // one entry for each step of a worker
}

type attempts struct {
	tried [][]byte
	acked int // tried[:acked] were acknowledged
}

func (m *manifest) try(path string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[path] == nil {
		m.files[path] = &attempts{}
	}
	m.files[path].tried = append(m.files[path].tried, content)
}

func (m *manifest) ack(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.files[path]
	if a.acked < len(a.tried) {
		m.acks++
	}
	a.acked = len(a.tried)
}

// work writes files into dir until stop is closed or something fails, whose error
// it returns: new ones, new versions of the last one, with and without fsync, from
// a few bytes to more than an increment.
func (m *manifest) work(dir string, id int, rng *rand.Rand, stop <-chan struct{}) error {
	sizes := []int{0, 100, 4096, 300_000, 6 * mib}
	path := ""
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if path == "" || rng.IntN(3) > 0 {
			path = filepath.Join(dir, fmt.Sprintf("w%d-%d", id, n))
		}
		content := bytes.Repeat([]byte(fmt.Sprintf("%d %d.", id, n)), 1+sizes[rng.IntN(len(sizes))]/6)
		m.try(path, content)
		if err := m.write(path, content, rng.IntN(3) == 0); err != nil {
			return err
		}
	}
}

func (m *manifest) write(path string, content []byte, sync bool) error {
	step := func() { m.steps <- struct{}{} }
	step()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for rest := content; len(rest) > 0; {
		step()
		n, err := f.Write(rest[:min(len(rest), mib)])
		if err != nil {
			_ = f.Close()
			return err
		}
		rest = rest[n:]
	}
	if sync {
		step()
		if err := f.Sync(); err != nil {
			_ = f.Close()
			return err
		}
		m.ack(path)
	}
	step()
	if err := f.Close(); err != nil {
		return err
	}
	m.ack(path)
	return nil
}

// start runs four workers; the returned function ends them and gives their errors.
func (m *manifest) start(dir string, seed uint64) (wait func() []error) {
	stop := make(chan struct{})
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = m.work(dir, i, rand.New(rand.NewPCG(seed, uint64(i))), stop) })
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	return func() []error {
		close(stop)
		for {
			select {
			case <-m.steps:
			case <-ended:
				return errs
			}
		}
	}
}

// await lets n steps happen.
func (m *manifest) await(t *testing.T, n int) {
	late := time.After(patience)
	for range n {
		select {
		case <-m.steps:
		case <-late:
			t.Fatal("the workers make no progress")
		}
	}
}

// check compares what was acknowledged with what is there.
func (m *manifest) check(t *testing.T, mnt *mount) {
	require.Eventually(t, func() bool {
		return strings.Contains(sh(t, "%s pending list %s", binary, mnt.dir), "nothing is waiting")
	}, patience, 50*time.Millisecond)
	for path, a := range m.files {
		b, err := os.ReadFile(path)
		if a.acked == 0 && os.IsNotExist(err) {
			continue
		}
		if !assert.NoError(t, err, "%s: %d of %d acknowledged", path, a.acked, len(a.tried)) {
			continue
		}
		ok := false
		for _, c := range a.tried[max(a.acked-1, 0):] {
			ok = ok || bytes.Equal(b, c)
		}
		assert.True(t, ok, "%s: %d bytes are none of the contents that it may have (%d of %d acknowledged)", path, len(b), a.acked, len(a.tried))
		history := strings.Replace(path, "/default/", "/default/.versions/", 1)
		if versions := strings.Fields(sh(t, "ls %s", history)); len(versions) > len(a.tried) {
			t.Errorf("%s: published twice:\n%s", path, sh(t, "md5sum %s/*; ls -l %s", history, history))
			for i, c := range a.tried {
				t.Logf("tried: %x, %d bytes, acknowledged %t", md5.Sum(c), len(c), i < a.acked)
			}
		}
	}
}

// 6.3 and 2.8 The mount, the server, or both are killed at random moments of a
// mixed load; what close and fsync acknowledged is there, once.
func TestKillAtRandomMoments(t *testing.T) {
	for _, c := range []struct {
		name          string
		mount, server bool
	}{{"mount", true, false}, {"server", false, true}, {"both", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			m := newMount(t, s, "--increment-size", "5MiB")
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 99))
			files, acks, start := 0, 0, time.Now()
			for round := range killRounds {
				dir := m.ws(fmt.Sprintf("round%d", round))
				require.NoError(t, os.Mkdir(dir, 0o755))
				man := &manifest{files: map[string]*attempts{}, steps: make(chan struct{})}
				wait := man.start(dir, seed+uint64(round))
				man.await(t, 1+rng.IntN(100))
				if c.server {
					s.kill()
				}
				if c.mount {
					m.kill()
				} else {
					s.start()
					man.await(t, 20)
				}
				errs := wait()
				if c.mount {
					if c.server {
						s.start()
					}
					m.start()
				} else {
					for _, err := range errs {
						assert.NoError(t, err, "a program noticed that the server was gone")
					}
				}
				man.check(t, m)
				files, acks = files+len(man.files), acks+man.acks
				if t.Failed() {
					return
				}
			}
			t.Logf("%d rounds in %s: %d files, %d contents acknowledged, none lost, none twice", killRounds, time.Since(start).Round(time.Second), files, acks)
		})
	}
}
