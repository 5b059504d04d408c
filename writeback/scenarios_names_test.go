package writeback

import (
	"context"
	"time"
)

const tmp = ".f.AbC123" // rsync's temporary name of f

func naming() []scenario {
	return []scenario{
		{name: "rename while open", run: func(w *world) {
			f := w.create("a")
			f.append(30)
			f.rename("b")
			f.append(30)
			f.close()
		}},
		{name: "rename after streaming began", run: func(w *world) {
			f := w.create("a")
			f.append(200)
			w.settle()
			f.rename("b")
			f.append(30)
			f.close()
		}},
		{name: "rename after fsync", run: func(w *world) {
			f := w.create("a")
			f.append(30)
			f.fsync()
			f.rename("b")
			f.append(100)
			f.close()
		}},
		{name: "held, then named", run: func(w *world) {
			f := w.create(tmp)
			f.append(40)
			f.close()
			f.rename("f")
		}},
		{name: "held large, then named", run: func(w *world) {
			f := w.create(tmp)
			f.append(200)
			f.close()
			time.Sleep(3 * time.Second) // long enough to be made durable
			f.rename("f")
		}},
		{name: "held, then onto an existing file", setup: func(w *world) { w.has("f", 90) }, run: func(w *world) {
			f := w.create(tmp)
			f.append(150)
			f.close()
			f.renameOnto("f")
		}},
		{name: "held, then held, then named", run: func(w *world) {
			f := w.create(tmp)
			f.append(40)
			f.close()
			f.rename("f.part")
			f.rename("f")
		}},
		{name: "held and removed", run: func(w *world) {
			f := w.create(tmp)
			f.append(150)
			f.close()
			time.Sleep(3 * time.Second)
			f.unlink()
		}},
		{name: "made just now, written again and removed by who has not heard of it", run: func(w *world) {
			f := w.create("f")
			f.append(40)
			f.flush()
			f.append(30)
			f.unlink()
			f.release()
		}},
		{name: "made just now and removed by who has not heard of it", run: func(w *world) {
			f := w.create("f")
			f.append(40)
			f.flush()
			f.unlink()
			f.release()
		}},
		{name: "closed in the background twice and removed", async: true, run: func(w *world) {
			f := w.create("f")
			f.append(40)
			f.flush()
			f.append(30)
			f.flush()
			f.unlink()
			f.release()
		}},
		{name: "held and left", run: func(w *world) {
			f := w.create(tmp)
			f.append(150)
			f.close()
			w.at(tmp).maybe(nil)
		}},
		{name: "open, renamed onto an existing file", setup: func(w *world) { w.has("f", 90) }, run: func(w *world) {
			f := w.create("g")
			f.append(150)
			f.renameOnto("f")
			f.append(20)
			f.close()
		}},
		{name: "unlink while open", run: func(w *world) {
			f := w.create("f")
			f.append(40)
			f.unlink()
			f.write(3, 10)
			f.reads()
			f.close()
		}},
		{name: "unlink while streaming", run: func(w *world) {
			f := w.create("f")
			f.append(300)
			f.unlink()
			f.append(100)
			f.reads()
			f.close()
		}},
		{name: "unlink after fsync", run: func(w *world) {
			f := w.create("f")
			f.append(100)
			f.fsync()
			f.unlink()
			f.close()
		}},
		{name: "unlink while it is published", setup: slow, run: func(w *world) {
			f := w.create("f")
			f.append(150)
			f.fsync()
			other := make(chan error, 1)
			data := f.data
			w.at("f").maybe(&data)
			go func(ctx context.Context) {
				_, err := f.d.Publish(ctx)
				other <- err
			}(w.ctx)
			time.Sleep(9 * slowness / 2) // the commit is under way
			if f.d.Dirty() {
				f.unlink()
			}
			<-other
			f.release()
		}},
		{name: "unlink and write again under the name", run: func(w *world) {
			f := w.create("f")
			f.append(150)
			f.fsync()
			f.unlink()
			g := w.create("f")
			g.append(40)
			g.close()
			f.close()
		}},
	}
}

func promises() []scenario {
	old := func(n int) func(*world) { return func(w *world) { w.has("f", n) } }
	return []scenario{
		{name: "fsync small", run: func(w *world) {
			f := w.create("f")
			f.append(40)
			f.fsync()
			f.close()
		}},
		{name: "fsync large in the middle", run: func(w *world) {
			f := w.create("f")
			f.append(150)
			f.fsync()
			f.append(100)
			f.fsync()
			f.append(100)
			f.close()
		}},
		{name: "fsync, then rewritten", run: func(w *world) {
			f := w.create("f")
			f.append(150)
			f.fsync()
			f.write(20, 30)
			f.close()
		}},
		{name: "fsync, then cut", run: func(w *world) {
			f := w.create("f")
			f.append(150)
			f.fsync()
			f.truncate(40)
			f.append(20)
			f.close()
		}},
		{name: "fsync of an edit", setup: old(200), run: func(w *world) {
			f := w.open("f", false)
			f.write(50, 20)
			f.fsync()
			f.write(120, 20)
			f.fsync()
			f.close()
		}},
		{name: "fsync of an edit, then cut and grown", setup: old(200), run: func(w *world) {
			f := w.open("f", false)
			f.write(50, 20)
			f.fsync()
			f.truncate(60)
			f.truncate(100)
			f.close()
		}},
		{name: "async small", async: true, run: written("f", 40)},
		{name: "async large", async: true, run: written("f", 90, 90, 90)},
		{name: "async empty", async: true, run: written("f")},
		{name: "async overwrite twice", async: true, setup: old(50), run: func(w *world) {
			for _, n := range []int{40, 100} {
				f := w.open("f", true)
				f.append(n)
				f.close()
			}
		}},
		{name: "async, then appended", async: true, run: func(w *world) {
			f := w.create("f")
			f.append(100)
			f.flush()
			f.append(50)
			f.close()
		}},
		{name: "async edit", async: true, setup: old(200), run: func(w *world) {
			f := w.open("f", false)
			f.write(50, 20)
			f.close()
		}},
		{name: "async held, then named", async: true, run: func(w *world) {
			f := w.create(tmp)
			f.append(40)
			f.close()
			f.rename("f")
		}},
		{name: "async, then unlinked", async: true, run: func(w *world) {
			f := w.create("f")
			f.append(150)
			f.flush()
			if f.d.Dirty() {
				f.unlink()
			}
			f.release()
		}},
	}
}
