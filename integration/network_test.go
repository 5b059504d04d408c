package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// 2.10 A network that stalls, cuts, resets and crawls: programs wait and succeed,
// and every content is there once.
func TestNetworkTrouble(t *testing.T) {
	s := newServer(t)
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "scm", "127.0.0.1:0", s.addr)
	require.NoError(t, p.Start())
	t.Cleanup(p.Stop)
	s.seed = p.Listen + "/rootsite"
	m := newMount(t, s, "--increment-size", "5MiB")

	toxics := []string{
		`{"name":"x","type":"limit_data","stream":"upstream","attributes":{"bytes":3000000}}`,
		`{"name":"x","type":"limit_data","stream":"upstream","attributes":{"bytes":700}}`,
		`{"name":"x","type":"limit_data","stream":"downstream","attributes":{"bytes":300}}`,
		`{"name":"x","type":"reset_peer","stream":"upstream","attributes":{"timeout":20}}`,
		`{"name":"x","type":"reset_peer","stream":"downstream","attributes":{"timeout":5}}`,
		`{"name":"x","type":"timeout","stream":"upstream","attributes":{"timeout":300}}`,
		`{"name":"x","type":"timeout","stream":"downstream","attributes":{"timeout":300}}`,
		`{"name":"x","type":"slicer","stream":"downstream","attributes":{"average_size":7,"size_variation":3,"delay":100}}`,
		`{"name":"x","type":"latency","stream":"downstream","attributes":{"latency":200,"jitter":100}}`,
		`{"name":"x","type":"bandwidth","stream":"upstream","attributes":{"rate":2000}}`,
	}
	for round, toxic := range toxics {
		dir := m.ws(fmt.Sprintf("round%d", round))
		require.NoError(t, os.Mkdir(dir, 0o755))
		man := &manifest{files: map[string]*attempts{}, steps: make(chan struct{})}
		wait := man.start(dir, uint64(round))
		man.await(t, 10)
		_, err := p.Toxics.AddToxicJson(strings.NewReader(toxic))
		require.NoError(t, err)
		bad := time.After(2 * time.Second)
	trouble:
		for {
			select {
			case <-man.steps:
			case <-bad:
				break trouble
			}
		}
		require.NoError(t, p.Toxics.RemoveToxic(t.Context(), "x"))
		man.await(t, 10)
		for _, err := range wait() {
			assert.NoError(t, err, "%s: a program noticed", toxic)
		}
		man.check(t, m)
		if t.Failed() {
			return
		}
	}
}
