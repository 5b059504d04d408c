package readcache

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWindow(t *testing.T) {
	const k, m = int64(1 << 10), int64(1 << 20)
	type step struct {
		off, n int64
		move   move
		size   int64
	}
	tests := []struct {
		name  string
		limit int64
		steps []step
	}{
		{"doubles when a window is consumed", 32 * m, []step{
			{0, m, inSequence, m}, {m, m, inSequence, 2 * m}, {2 * m, 2 * m, inSequence, 4 * m}, {4 * m, 4 * m, inSequence, 8 * m},
			{8 * m, 8 * m, inSequence, 16 * m}, {16 * m, 16 * m, inSequence, 32 * m}, {32 * m, m, inSequence, 32 * m},
		}},
		{"respects a limit that shrinks", 2 * m, []step{{0, m, inSequence, m}, {m, 4 * m, inSequence, 2 * m}}},
		{"small steps from the start", 32 * m, []step{
			{0, 16 * k, inSequence, 16 * k}, {16 * k, 32 * k, inSequence, 48 * k}, {48 * k, 64 * k, inSequence, 112 * k},
		}},
		{"read-ahead out of order", 32 * m, []step{
			{2 * m, m, inSequence, 3 * m}, {0, m, inSequence, 3 * m}, {3 * m, m, inSequence, 4 * m}, {m, m, inSequence, 4 * m},
			{6 * m, m, inSequence, 7 * m}, {5 * m, m, inSequence, 7 * m}, {4 * m, m, inSequence, 7 * m}, {7 * m, m, inSequence, 8 * m},
		}},
		{"read-ahead from the far end", 32 * m, []step{{7 * m, m, inSequence, 8 * m}, {0, m, inSequence, 8 * m}}},
		{"out of order from the middle", 32 * m, []step{
			{103 * m, m, seek, 0}, {100 * m, m, inSequence, 0}, {102 * m, m, inSequence, 0}, {101 * m, m, inSequence, 0}, {104 * m, m, inSequence, m},
		}},
		{"the same place again does not grow", 32 * m, []step{{0, m, inSequence, m}, {0, m, inSequence, m}, {512 * k, 4 * k, inSequence, m}}},
		{"seek quarters", 32 * m, []step{
			{0, 4 * m, inSequence, 4 * m}, {500 * m, m, seek, m}, {100 * m, m, seek, 256 * k}, {300 * m, m, seek, 64 * k}, {900 * m, m, seek, 0},
		}},
		{"a stray read ends nothing", 32 * m, []step{
			{0, 4 * m, inSequence, 4 * m}, {900 * m, 4 * k, stray, 4 * m}, {4 * m, m, inSequence, 5 * m}, {900 * m, 4 * k, stray, 5 * m},
			{5 * m, m, inSequence, 6 * m},
		}},
		{"three strays are a seek", 32 * m, []step{
			{0, 4 * m, inSequence, 4 * m}, {900 * m, 4 * k, stray, 4 * m}, {700 * m, 4 * k, stray, 4 * m}, {500 * m, 4 * k, seek, m},
		}},
		{"random small reads have no window", 32 * m, []step{
			{100 * m, 4 * k, seek, 0}, {7 * m, 4 * k, seek, 0}, {55 * m, 4 * k, seek, 0},
		}},
		{"random reads turn into a sequence", 32 * m, []step{
			{100 * m, 128 * k, seek, 0}, {100*m + 128*k, 128 * k, inSequence, 128 * k}, {100*m + 256*k, 128 * k, inSequence, 256 * k},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w window
			for i, s := range tt.steps {
				var got move
				w, got = w.next(s.off, s.n, tt.limit)
				assert.Equal(t, s.move, got, "step %d", i)
				assert.Equal(t, s.size, w.size, "size after step %d", i)
			}
		})
	}
}
