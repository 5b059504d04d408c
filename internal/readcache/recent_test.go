package readcache

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func small(i, n int) (client.Content, []byte) {
	return client.Content{File: "f", Data: client.DataID(fmt.Sprint("d", i)), Size: int64(n)}, bytes.Repeat([]byte{byte(i)}, n)
}

// What was written here is read back without a request, in whole and in parts.
func TestKeptContentCostsNoRequest(t *testing.T) {
	c := newCache(t, Options{})
	f := &fake{}
	content, data := small(1, 5000)
	c.Keep(content, data)
	r := c.Reader(f, content)
	defer r.Close()
	p := make([]byte, 8000)
	n, _ := r.ReadAt(t.Context(), p, 0)
	assert.Equal(t, data, p[:n])
	n, err := r.ReadAt(t.Context(), p[:100], 4800)
	require.NoError(t, err)
	assert.Equal(t, data[4800:4900], p[:n])
	n, err = r.ReadAt(t.Context(), p, 6000)
	assert.Zero(t, n)
	assert.Error(t, err, "behind the end")
	v, err := r.View(t.Context(), 1<<20, 4000)
	require.NoError(t, err)
	assert.Equal(t, [][]byte{data[4000:]}, v.Slices())
	v.Release()
	opens, ranges, _, _ := f.counts()
	assert.Zero(t, opens+ranges)
	assert.EqualValues(t, 3, c.Stats().Hits)
}

// It is bounded by bytes, who was first goes first, and what cannot be right is not taken.
func TestKeptContentIsBounded(t *testing.T) {
	c := newCache(t, Options{Memory: 64 * mib}) // 2 MiB of it
	has := func(i, n int) bool {
		content, data := small(i, n)
		got := c.recent.get(content)
		return got != nil && assert.Equal(t, data, got)
	}
	for i := range 100 {
		content, data := small(i, RecentMax)
		c.Keep(content, data)
		c.Keep(content, data) // twice is once
		assert.LessOrEqual(t, c.Stats().Memory, 2*mib)
	}
	assert.True(t, has(99, RecentMax))
	assert.True(t, has(68, RecentMax))
	assert.False(t, has(67, RecentMax))
	assert.False(t, has(99, RecentMax-1), "another size")
	before := c.Stats().Memory
	content, data := small(200, RecentMax+1)
	c.Keep(content, data)
	c.Keep(client.Content{Data: "short", Size: 10}, data[:9])
	c.Keep(client.Content{Size: 9}, data[:9])
	c.Keep(client.Content{Data: "empty"}, nil)
	assert.Equal(t, before, c.Stats().Memory)

	tiny := newCache(t, Options{Memory: 63 * mib})
	content, data = small(1, 10)
	tiny.Keep(content, data)
	assert.Zero(t, tiny.Stats().Memory, "all of it is for reading")
}
