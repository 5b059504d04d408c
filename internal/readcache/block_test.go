package readcache

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A block agrees with a list of booleans, and install never touches valid bytes.
func TestBlockAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Int64Range(1, 4*pageSize).Draw(t, "length")
		b := newBlock(nil, 0, length)
		model := make([]bool, (length+sectorSize-1)/sectorSize)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			i := rapid.Int64Range(0, int64(len(b.pages))-1).Draw(t, "page")
			end := min((i+1)*pageSize, length)
			sectors := (end - i*pageSize + sectorSize - 1) / sectorSize
			first := rapid.Int64Range(0, sectors-1).Draw(t, "first")
			last := rapid.Int64Range(first+1, sectors).Draw(t, "last")
			lo, hi := first*sectorSize, min(last*sectorSize, end-i*pageSize)
			data := make([]byte, pageSize)
			pattern(data[lo:hi], i*pageSize+lo)
			b.install(i, data, lo, hi)
			for s := first; s < last; s++ {
				model[i*sectorsPerPage+s] = true
			}
			missing := 0
			for _, v := range model {
				if !v {
					missing++
				}
			}
			require.Equal(t, missing, b.missing)
			lo = rapid.Int64Range(0, length-1).Draw(t, "lo")
			hi = rapid.Int64Range(lo+1, length).Draw(t, "hi")
			gap := hi
			for x := lo; x < hi; x = (x/sectorSize + 1) * sectorSize {
				if !model[x/sectorSize] {
					gap = x / sectorSize * sectorSize
					break
				}
			}
			require.Equal(t, gap == hi, b.has(lo, hi))
			require.Equal(t, gap, b.firstMissing(lo, hi))
			if gap == hi {
				p := make([]byte, hi-lo)
				b.copyOut(p, lo)
				require.Equal(t, want(lo, hi-lo), p)
			}
		}
	})
}

func TestRecency(t *testing.T) {
	var r recency
	bs := make([]*block, 4)
	for i := range bs {
		bs[i] = &block{index: int64(i)}
		r.push(bs[i])
	}
	order := func() (is []int64) {
		for b := r.newest; b != nil; b = b.older {
			is = append(is, b.index)
		}
		return is
	}
	assert.Equal(t, []int64{3, 2, 1, 0}, order())
	r.touch(bs[1])
	r.touch(bs[1])
	assert.Equal(t, []int64{1, 3, 2, 0}, order())
	r.remove(bs[0])
	assert.Equal(t, int64(2), r.oldest.index)
	r.remove(bs[3])
	assert.Equal(t, []int64{1, 2}, order())
	assert.Equal(t, 2, r.n)
}
