package readcache

import (
	"testing"

	"github.com/sequoiacm/scmfs/client"
	"github.com/stretchr/testify/assert"
)

// A large file that one reader reads once goes through little memory, and what others
// read stays.
func TestReadOnceMakesRoomForItself(t *testing.T) {
	const window, size = 8 * mib, 96 * mib
	c := newCache(t, Options{Memory: 64 * mib, MaxWindow: window})
	f := &fake{}
	small := client.Content{Data: "small", Size: 16 * mib}
	all := func(content client.Content) {
		r := c.Reader(f, content)
		defer r.Close()
		for off := int64(0); off < content.Size; off += mib {
			mustRead(t, r, off, mib)
		}
	}
	all(small)
	all(contentOf(size))
	before := c.Stats()
	assert.LessOrEqual(t, before.Allocated, small.Size+behind+window+4*mib)
	for content, from := range map[client.Content]int64{small: 0, contentOf(size): size - behind} {
		p := make([]byte, content.Size-from)
		_, err := c.ReadAt(t.Context(), f, content, p, from)
		assert.NoError(t, err)
		assert.Equal(t, want(from, int64(len(p))), p)
	}
	assert.Equal(t, before.Fetched, c.Stats().Fetched, "the small one and what is near are still there")
	// What was given up and is read again counts as read.
	lo := int64(size - behind - mib)
	p := make([]byte, mib)
	_, err := c.ReadAt(t.Context(), f, contentOf(size), p, lo)
	assert.NoError(t, err)
	assert.Equal(t, want(lo, mib), p)
}

// What two readers share is given up for neither, nor what takes little of the memory.
func TestReadByTwoStays(t *testing.T) {
	c := newCache(t, Options{Memory: 96 * mib})
	f := &fake{}
	big := contentOf(48 * mib)
	other := c.Reader(f, big)
	defer other.Close()
	little := client.Content{Data: "little", Size: 24 * mib}
	for _, content := range []client.Content{big, little} {
		r := c.Reader(f, content)
		for off := int64(0); off < content.Size; off += mib {
			mustRead(t, r, off, mib)
		}
		assert.NoError(t, r.Close())
	}
	before := c.Stats()
	assert.Equal(t, big.Size+little.Size, before.Memory)
	assert.Equal(t, before.Allocated, before.Memory)
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.False(t, c.blocks.oldest.spent)
}
