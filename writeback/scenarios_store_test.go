package writeback

import (
	"bytes"
	"context"
	"errors"

	"github.com/sequoiacm/scmfs/client"
)

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
