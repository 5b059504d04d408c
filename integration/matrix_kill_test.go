package integration

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killUniverses is how many servers with a mount each are killed beside each other.
const killUniverses = 3

// killing is one moment of one deed at which something is killed.
type killing struct {
	deed     *deed
	endpoint string
	what     string // mount, server
	when     string // before the request, during, after
}

func (k killing) String() string {
	return fmt.Sprintf("%s killed %s %s of %s", k.what, k.when, k.endpoint, k.deed.name)
}

// killings are all moments of the deeds that change something. A run takes every
// third; SCMFS_MATRIX=all takes them all.
func killings(t *testing.T, sl *slot) (out []killing) {
	n := 0
	for _, d := range deeds() {
		if d.group == "read" || d.group == "list" {
			continue
		}
		c := &cell{slot: sl, deed: d, name: fmt.Sprintf("look%d", len(out))}
		require.NoError(t, c.prepare())
		look := sl.p.watch(sl.ws)
		require.NoError(t, d.do(c), d.name)
		for _, endpoint := range slices.Sorted(maps.Keys(look())) {
			if strings.HasPrefix(endpoint, http.MethodGet) || strings.HasPrefix(endpoint, http.MethodHead) {
				continue
			}
			for _, what := range []string{"mount", "server"} {
				for _, when := range []string{"before", "during", "after"} {
					if n++; os.Getenv("SCMFS_MATRIX") == "all" || n%3 == 0 {
						out = append(out, killing{d, endpoint, what, when})
					}
				}
			}
			n++ // so that thirds differ from request to request
		}
	}
	return out
}

// The mount and the server are killed at every request that changes something, of
// every operation: the store holds the old state or the new one, never both or
// neither, what returned is true, and the deed can be done again.
func TestKillInEveryOperation(t *testing.T) {
	var all []killing
	var once sync.Once
	for i := range killUniverses {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			p := newMatrixProxy(t, s.addr)
			api := s.api()
			_, err := api.CreateWorkspace(t.Context(), "w", true)
			require.NoError(t, err)
			via := *s
			via.seed = p.addr() + "/rootsite"
			m := newMount(t, &via, "--increment-size", "5MiB", "--expiry", expiry.String())
			sl := &slot{ctx: t.Context(), m: m, p: p, ws: "w", store: api.Workspace("w"), contents: contents(), crossing: &sync.Mutex{}}
			sl.control, err = controlOf(m)
			require.NoError(t, err)
			once.Do(func() { all = killings(t, sl) })
			for j := i; j < len(all); j += killUniverses {
				if wrong := sl.kill(t, s, all[j], fmt.Sprintf("k%d", j)); wrong != "" {
					t.Errorf("%s: %s", all[j], wrong)
				}
			}
			t.Logf("%d moments in all", len(all))
		})
	}
}

// kill lets one killing happen and returns what is wrong afterwards.
func (sl *slot) kill(t *testing.T, s *server, k killing, name string) string {
	c := &cell{slot: sl, deed: k.deed, endpoint: k.endpoint, name: name}
	if err := c.prepare(); err != nil {
		return "cannot prepare: " + err.Error()
	}
	killed := make(chan struct{})
	var first sync.Once
	sl.p.set(sl.ws, k.endpoint, &matrixFault{name: k.String(), do: func(x *exchange) {
		first.Do(func() {
			end := s.kill
			if k.what == "mount" {
				end = sl.m.kill
			}
			switch k.when {
			case "before":
				end()
			case "during":
				sent := make(chan struct{})
				go func() { defer close(sent); x.forward(len(x.body)) }()
				end()
				<-sent
			case "after":
				x.forward(len(x.body))
				end()
			}
			close(killed)
		})
		x.reset(nil)
	}}, true)
	done := make(chan error, 1)
	go func() { done <- k.deed.do(c) }()
	select {
	case <-killed:
	case <-time.After(patience):
		return "its request was never made"
	}
	if k.what == "server" {
		s.start()
	}
	err := <-done
	sl.p.lift(sl.ws)
	if c.slow != "" {
		return err.Error()
	}
	if k.what == "mount" {
		sl.m.start()
		var cerr error
		sl.control, cerr = controlOf(sl.m)
		require.NoError(t, cerr)
	}
	if err == nil {
		if _, left := c.settle(); left != "" {
			return left
		}
		if now := c.holds(); now != c.deed.after {
			return fmt.Sprintf("false success: the store holds [%s]", now)
		}
		return c.shows()
	}
	if k.what == "mount" {
		c.wrote = false // close did not return: nothing was promised
		return c.recover(err)
	}
	// A server that comes back goes unnoticed, but for a signal in between, behind
	// which a deed is repeated, and a breakpoint file: whether one of that name is
	// still the one to delete nobody can tell.
	unnoticed := slices.ContainsFunc(k.deed.repeated, func(ok error) bool { return errors.Is(err, ok) }) || k.endpoint == "DELETE /breakpointfiles/{}"
	assert.True(t, unnoticed, "%s: a program noticed it: %v", k, err)
	return c.recover(err)
}
