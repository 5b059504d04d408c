package writeback

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sequoiacm/scmfs/client"
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
func slow(w *world) { w.store.latency = slowness }

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
			time.Sleep(7 * slowness / 2) // the commit is under way
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

func stores() []scenario {
	return []scenario{
		{name: "no breakpoint files: small", setup: func(w *world) { w.store.noBP = client.Unsupported }, run: written("f", 40)},
		{name: "no breakpoint files: large", setup: func(w *world) { w.store.noBP = client.Unsupported }, run: written("f", 150, 90)},
		{name: "no breakpoint files: edit", setup: func(w *world) { w.has("f", 200); w.store.noBP = client.Permission }, run: func(w *world) {
			f := w.open("f", false)
			f.write(100, 120)
			f.fsync()
			f.close()
		}},
		{name: "no breakpoint files: overwrite in async mode", async: true, setup: func(w *world) { w.has("f", 200); w.store.noBP = client.Permission }, run: func(w *world) {
			f := w.open("f", true)
			f.append(220)
			f.close()
		}},
		{name: "chosen ids are ignored", setup: func(w *world) { w.store.ownIDs = true }, run: func(w *world) {
			written("f", 40)(w)
			written("g", 150)(w)
		}},
		{name: "increments must be aligned", setup: func(w *world) { w.store.align = incr }, run: func(w *world) {
			f := w.create("f")
			f.append(150)
			f.fsync()
			f.append(70)
			f.close()
		}},
		{name: "somebody else makes a version", setup: func(w *world) { w.has("f", 50) }, run: func(w *world) {
			f := w.open("f", true)
			f.append(150)
			w.store.put("f", w.fresh(33))
			_, theirs, _ := w.store.stat("f")
			w.at("f").maybe(&theirs)
			f.close()
		}},
		{name: "somebody else takes the name", run: func(w *world) {
			f := w.create("f")
			f.append(150)
			theirs := w.fresh(33)
			w.at("f").maybe(&theirs)
			w.store.put("f", theirs)
			f.close()
		}},
		{name: "somebody else removes the file", setup: func(w *world) { w.has("f", 50) }, run: func(w *world) {
			f := w.open("f", true)
			f.append(150)
			w.at("f").maybe(nil)
			w.store.remove("f")
			f.close()
		}},
	}
}

func partialTarget(name string) Target { return Target{Workspace: ws, Partial: true, Name: name} }

// partialFile opens .partial/name for writing, from the start or to go on.
func (w *world) partialFile(name string, truncate bool) *file {
	bp, data, ok := w.store.partial(name)
	var d *Draft
	w.try("open .partial", func(ctx context.Context) (err error) {
		if !ok {
			d, err = w.q.Create(ctx, partialTarget(name), nil)
		} else {
			d, err = w.q.EditPartial(ctx, partialTarget(name), bp, truncate)
		}
		return err
	})
	if truncate {
		data = nil
	}
	return w.adopt(d, name, data)
}

// complete closes a breakpoint file; it must be at the store whatever happens then.
func (f *file) complete() {
	refused := false
	f.w.try("complete", func(ctx context.Context) error {
		_, err := f.d.Publish(ctx)
		if errors.Is(err, ErrNotLocal) && f.w.store.lostBytes() {
			refused, err = true, f.d.Discard()
		}
		return err
	})
	if refused {
		delete(f.w.bps, f.name)
		f.release()
		return
	}
	f.w.bps[f.name] = f.data
	f.gone = true // not a name of the tree
	f.release()
}

// sent puts an incomplete breakpoint file of somebody else into the store.
func (w *world) sent(name string, data []byte) {
	data = bytes.Clone(data)
	w.store.bps[name] = &fakeBP{BreakpointFile: client.BreakpointFile{Name: name, ChecksumType: client.ChecksumCRC32, Size: int64(len(data)),
		Checksum: client.ChecksumCRC32.Extend(0, 0, data), Data: client.DataID(w.store.newID('d'))}, data: data}
	w.bps[name] = nil
}

func partialScenarios() []scenario {
	content := bytes.Repeat([]byte("0123456789"), 30)
	fill := func(f *file, p []byte) {
		off := int64(len(f.data))
		for at := 0; at < len(p); at += 50 {
			part := p[at:min(at+50, len(p))]
			f.w.try("write", func(ctx context.Context) error { _, err := f.d.WriteAt(ctx, part, off+int64(at)); return err })
		}
		f.data = append(bytes.Clone(f.data), p...)
	}
	return []scenario{
		{name: "partial: create and complete", run: func(w *world) {
			w.bps["p"] = nil
			f := w.partialFile("p", true)
			f.gone = true
			fill(f, content)
			f.complete()
		}},
		{name: "partial: the same copy resumes", setup: func(w *world) { w.sent("p", content[:130]) }, run: func(w *world) {
			f := w.partialFile("p", true)
			f.gone = true
			fill(f, content)
			f.complete()
		}},
		{name: "partial: another copy starts over", setup: func(w *world) { w.sent("p", content[:130]) }, run: func(w *world) {
			f := w.partialFile("p", true)
			f.gone = true
			fill(f, bytes.ToUpper(bytes.Repeat([]byte("abcdefghij"), 25)))
			f.complete()
		}},
		{name: "partial: append goes on", setup: func(w *world) { w.sent("p", content[:130]) }, run: func(w *world) {
			f := w.partialFile("p", false)
			f.gone = true
			fill(f, content[130:])
			f.complete()
		}},
		{name: "partial: convert to a file", setup: func(w *world) { w.at("f") }, run: func(w *world) {
			w.bps["p"] = nil
			f := w.partialFile("p", true)
			f.gone = true
			fill(f, content)
			f.complete()
			w.convert("p", "f", nil)
		}},
		{name: "partial: convert to a version", setup: func(w *world) { w.has("f", 70) }, run: func(w *world) {
			w.bps["p"] = nil
			f := w.partialFile("p", true)
			f.gone = true
			fill(f, content)
			f.complete()
			base, _, _ := w.store.stat("f")
			w.convert("p", "f", &base)
		}},
		{name: "killed writer, and the same copy again", setup: func(w *world) { w.kept = true }, run: func(w *world) {
			f := w.create("f")
			f.append(200)
			data := f.data
			w.try("abandon", func(ctx context.Context) error { return f.d.Abandon(ctx, "killed") })
			f.release()
			w.settle()
			g := w.create("f")
			w.try("write", func(ctx context.Context) error { _, err := g.d.WriteAt(ctx, data, 0); return err })
			g.data = data
			g.append(90)
			g.close()
		}},
		{name: "killed writer, another copy by a temporary name", setup: func(w *world) { w.kept = true }, run: func(w *world) {
			f := w.create("f")
			f.append(200)
			w.try("abandon", func(ctx context.Context) error { return f.d.Abandon(ctx, "killed") })
			f.release()
			w.settle()
			g := w.create(tmp)
			g.append(90)
			g.close()
			g.rename("f")
		}},
		{name: "killed writer after fsync", setup: func(w *world) { w.kept = true }, run: func(w *world) {
			f := w.create("f")
			f.append(200)
			f.fsync()
			w.at("f").maybe(nil)
			w.try("abandon", func(ctx context.Context) error { return f.d.Abandon(ctx, "killed") })
			f.release()
			w.settle()
			w.at("f").settle(nil)
			g := w.create("f")
			g.append(90)
			g.close()
		}},
	}
}

func (w *world) convert(bp, to string, onto *client.File) {
	data := w.bps[bp]
	w.at(to).maybe(&data)
	w.bps[bp] = nil // it may be there or not
	w.try("convert", func(ctx context.Context) error {
		_, err := w.q.Convert(ctx, ws, bp, target(to), nil, onto)
		return err
	})
	delete(w.bps, bp)
	w.at(to).settle(&data)
	w.once[string(data)] = to
}
