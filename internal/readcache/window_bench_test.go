package readcache

import "testing"

// BenchmarkWindow advances the prefetch window as one reader's requests do: a run
// of 1 MiB, strays in between, a seek.
func BenchmarkWindow(b *testing.B) {
	b.ReportAllocs()
	var w window
	for i := int64(0); b.Loop(); i++ {
		switch {
		case i%64 == 63:
			w, _ = w.next(i<<30, 4<<10, 64<<20)
		case i%16 == 15:
			w, _ = w.next(0, 4<<10, 64<<20)
		default:
			w, _ = w.next(w.head, 1<<20, 64<<20)
		}
	}
	if w.end() == 0 {
		b.Fatal("nothing was read")
	}
}
