package writeback

import (
	"context"
	"slices"
	"time"
)

// scenario is what programs do, beside what they were promised.
type scenario struct {
	name  string
	async bool
	setup func(*world)
	run   func(*world)
}

func scenarios() []scenario {
	return slices.Concat(newFiles(), changes(), naming(), promises(), stores(), partialScenarios())
}

func written(name string, sizes ...int) func(*world) {
	return func(w *world) {
		f := w.create(name)
		for _, n := range sizes {
			f.append(n)
		}
		f.reads()
		f.close()
	}
}

// slow makes every request take its time, so that things happen meanwhile.
func slow(w *world) { w.store.delay(slowness) }

const slowness = 10 * time.Millisecond

func newFiles() []scenario {
	return []scenario{
		{name: "new empty", run: written("f")},
		{name: "new small", run: written("f", 10)},
		{name: "new in memory to the limit", run: written("f", 40, 24)},
		{name: "new of one increment and a byte", run: written("f", incr+1)},
		{name: "new large", run: written("f", 90, 90, 90, 70)},
		{name: "new large of whole increments", run: written("f", incr, incr, incr)},
		{name: "new large written slowly", run: func(w *world) {
			f := w.create("f")
			for range 5 {
				f.append(70)
				w.settle()
			}
			f.close()
		}},
		{name: "new sparse", run: func(w *world) {
			f := w.create("f")
			f.write(300, 20)
			f.write(10, 30)
			f.reads()
			f.close()
		}},
		{name: "new grown by truncate", run: func(w *world) {
			f := w.create("f")
			f.append(20)
			f.truncate(200)
			f.reads()
			f.close()
		}},
		{name: "new rewritten below the sent mark", run: func(w *world) {
			f := w.create("f")
			f.append(200)
			w.settle()
			f.write(10, 20)
			f.append(100)
			f.close()
		}},
		{name: "new truncated below the sent mark", run: func(w *world) {
			f := w.create("f")
			f.append(250)
			w.settle()
			f.truncate(70)
			f.append(200)
			f.close()
		}},
		{name: "new truncated to nothing after streaming", run: func(w *world) {
			f := w.create("f")
			f.append(250)
			w.settle()
			f.truncate(0)
			f.close()
		}},
		{name: "two files at once", run: func(w *world) {
			f, g := w.create("f"), w.create("g")
			f.append(150)
			g.append(30)
			f.append(50)
			g.append(150)
			g.close()
			f.close()
		}},
		{name: "released without a flush", run: func(w *world) {
			f := w.create("f")
			f.append(150)
			f.release()
			w.drain()
		}},
		{name: "two handles on one draft", run: func(w *world) {
			f := w.create("f")
			f.append(80)
			g := w.open("f", false)
			g.append(80)
			f.write(5, 10)
			f.release() // not the last one
			g.reads()
			g.close()
		}},
		{name: "written again after close", run: func(w *world) {
			f := w.create("f")
			f.append(30)
			f.flush()
			f.append(100)
			f.flush()
			f.write(3, 20)
			f.close()
		}},
		{name: "closed twice at once", setup: slow, run: func(w *world) {
			f := w.create("f")
			f.append(150)
			g := w.open("f", false)
			other := make(chan error, 1)
			data := f.data
			w.at("f").maybe(&data)
			go func(ctx context.Context) {
				_, err := g.d.Publish(ctx)
				other <- err
			}(w.ctx)
			f.flush()
			<-other
			g.release()
			f.release()
		}},
		{name: "appended while an older content is published", setup: slow, run: func(w *world) {
			f := w.create("f")
			f.append(150)
			g := w.open("f", false)
			data := f.data
			w.at("f").maybe(&data)
			other := make(chan error, 1)
			go func(ctx context.Context) {
				_, err := g.d.Publish(ctx)
				other <- err
			}(w.ctx)
			time.Sleep(slowness / 2) // it is under way
			f.append(60)
			f.fsync()
			<-other
			g.release()
			f.release()
			w.drain()
		}},
	}
}

func changes() []scenario {
	old := func(n int) func(*world) { return func(w *world) { w.has("f", n) } }
	return []scenario{
		{name: "overwrite small", setup: old(50), run: func(w *world) {
			f := w.open("f", true)
			f.append(30)
			f.close()
		}},
		{name: "overwrite large", setup: old(50), run: func(w *world) {
			f := w.open("f", true)
			f.append(150)
			f.append(50)
			f.close()
		}},
		{name: "overwrite with nothing", setup: old(50), run: func(w *world) {
			f := w.open("f", true)
			f.close()
		}},
		{name: "overwrite with metadata", setup: old(50), run: func(w *world) {
			f := w.open("f", true)
			f.append(30)
			f.d.SetMeta(map[string]string{"posix": "new"})
			f.close()
			if r, _, _ := w.store.stat("f"); r.Metadata["posix"] != "new" {
				w.fatalf("published without its attributes: %v", r.Metadata)
			}
		}},
		{name: "append small", setup: old(50), run: func(w *world) {
			f := w.open("f", false)
			f.append(10)
			f.reads()
			f.close()
		}},
		{name: "append large", setup: old(200), run: func(w *world) {
			f := w.open("f", false)
			f.append(150)
			f.reads()
			f.close()
		}},
		{name: "edit small", setup: old(50), run: func(w *world) {
			f := w.open("f", false)
			f.write(10, 5)
			f.reads()
			f.close()
		}},
		{name: "edit large", setup: old(300), run: func(w *world) {
			f := w.open("f", false)
			f.write(100, 20)
			f.write(30, 5)
			f.write(250, 100)
			f.reads()
			f.close()
		}},
		{name: "edit, then cut and grow", setup: old(300), run: func(w *world) {
			f := w.open("f", false)
			f.write(100, 20)
			f.truncate(110)
			f.truncate(200)
			f.write(150, 10)
			f.reads()
			f.close()
		}},
		{name: "cut, then written behind a gap", setup: old(200), run: func(w *world) {
			f := w.open("f", false)
			f.truncate(40)
			f.write(120, 30)
			f.fsync()
			f.reads()
			f.close()
		}},
		{name: "truncate to the middle", setup: old(200), run: func(w *world) {
			f := w.open("f", false)
			f.truncate(90)
			f.reads()
			f.close()
		}},
		{name: "grow by truncate", setup: old(50), run: func(w *world) {
			f := w.open("f", false)
			f.truncate(170)
			f.reads()
			f.close()
		}},
		{name: "opened for writing and not changed", setup: old(50), run: func(w *world) {
			f := w.open("f", false)
			f.reads()
			f.close()
		}},
		{name: "three versions", setup: old(50), run: func(w *world) {
			for _, n := range []int{20, 150, 40} {
				f := w.open("f", true)
				f.append(n)
				f.close()
			}
		}},
	}
}
