package writeback

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/sequoiacm/scmfs/client"
)

// file is one open file of a program.
type file struct {
	w *world
	d *Draft
	*shadow
}

func target(name string) Target { return Target{Workspace: ws, Dir: client.RootDir, Name: name} }

func (w *world) adopt(d *Draft, name string, data []byte) *file {
	s := w.files[d]
	if s == nil {
		s = &shadow{name: name, data: bytes.Clone(data)}
		w.files[d] = s
	}
	s.handles++
	return &file{w, d, s}
}

// create opens a name that is free; content and metadata are new.
func (w *world) create(name string) *file {
	var d *Draft
	w.at(name)
	w.try("create", func(ctx context.Context) (err error) {
		d, err = w.q.Create(ctx, target(name), map[string]string{"posix": name})
		return err
	})
	return w.adopt(d, name, nil)
}

// open opens what is there, as open(2) without O_CREAT.
func (w *world) open(name string, truncate bool) *file {
	w.at(name)
	if d, ok := w.q.Lookup(target(name)); ok && d.Retain() == nil {
		f := w.adopt(d, name, nil)
		if truncate {
			f.truncate(0)
		}
		return f
	}
	base, data, ok := w.store.stat(name)
	if !ok {
		w.fatalf("open: %s is not there", name)
	}
	var d *Draft
	w.try("open", func(ctx context.Context) (err error) {
		d, err = w.q.Edit(ctx, target(name), base, truncate)
		return err
	})
	if truncate {
		data = nil
	}
	return w.adopt(d, name, data)
}

func (f *file) write(off, n int) {
	f.w.t.Helper()
	p := f.w.fresh(n)
	data := bytes.Clone(f.data)
	if grow := off + n - len(data); grow > 0 {
		data = append(data, make([]byte, grow)...)
	}
	copy(data[off:], p)
	if at := f.w.at(f.name); at.mixed {
		at.maybe(&data)
	}
	f.w.try("write", func(ctx context.Context) error {
		k, err := f.d.WriteAt(ctx, p, int64(off))
		if err == nil && k != n {
			err = io.ErrShortWrite
		}
		return err
	})
	f.data = data
}

func (f *file) append(n int) { f.w.t.Helper(); f.write(len(f.data), n) }

func (f *file) truncate(n int) {
	f.w.t.Helper()
	data := make([]byte, n)
	copy(data, f.data)
	if p := f.w.at(f.name); p.mixed {
		p.maybe(&data)
	}
	f.w.try("truncate", func(ctx context.Context) error { return f.d.Truncate(ctx, int64(n)) })
	f.data = data
}

// reads checks that the same mount sees what was written.
func (f *file) reads() {
	f.w.t.Helper()
	got := make([]byte, len(f.data)+10)
	n := 0
	f.w.try("read", func(ctx context.Context) (err error) {
		n, err = f.d.ReadAt(ctx, got, 0)
		for range 3 { // a read that the network broke is the reader's to repeat
			if err == nil || errors.Is(err, io.EOF) || f.w.store.happened() == 0 {
				break
			}
			n, err = f.d.ReadAt(ctx, got, 0)
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	})
	if !bytes.Equal(got[:n], f.data) {
		f.w.fatalf("read %d bytes of %s, want %d, or other ones", n, f.name, len(f.data))
	}
}

func (f *file) fsync() {
	f.w.t.Helper()
	data := f.data
	p := f.w.at(f.name)
	p.maybe(&data)
	f.w.try("fsync", f.d.Fsync)
	p.settle(&data)
	p.mixed = true
}

// held tells whether closing publishes nothing.
func (f *file) held() bool {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return held(DefaultHeldNames, f.name, false) && f.d.mu.onto == nil
}

// close is what the last close of a program does: FLUSH, then RELEASE.
func (f *file) close() {
	f.w.t.Helper()
	if f.d.Dirty() {
		f.flush()
	}
	f.release()
}

func (f *file) flush() {
	f.w.t.Helper()
	data := f.data
	p := f.w.at(f.name)
	p.maybe(&data)
	f.w.try("close", func(ctx context.Context) error {
		_, err := f.d.Publish(ctx)
		return err
	})
	if f.held() {
		if f.w.o.WriteMode == Async {
			p.settle(&data)
		} else {
			p.maybe(nil) // durable in a second only
		}
		p.mixed = true
		return
	}
	p.settle(&data)
	p.mixed = f.w.merge && f.w.o.WriteMode == Async // when it gets stuck it is changed in place
	f.w.once[string(data)] = f.name
}

func (f *file) release() {
	f.w.t.Helper()
	if f.d.Dirty() && !f.gone {
		data := f.data
		f.w.at(f.name).maybe(&data)
	}
	f.handles--
	f.w.try("release", f.d.Release)
}

// rename gives an unpublished file another name.
func (f *file) rename(to string) {
	f.w.t.Helper()
	f.moved(to, func(ctx context.Context) error { return f.d.Rename(ctx, target(to)) })
}

// renameOnto makes it the next version of a file that is there.
func (f *file) renameOnto(to string) {
	f.w.t.Helper()
	f.w.at(to)
	base, _, ok := f.w.store.stat(to)
	if !ok {
		f.w.fatalf("rename onto %s: it is not there", to)
	}
	f.moved(to, func(ctx context.Context) error { return f.d.RenameOnto(ctx, target(to), base) })
}

func (f *file) moved(to string, rename func(context.Context) error) {
	f.w.t.Helper()
	from, dest, data := f.w.at(f.name), f.w.at(to), f.data
	from.maybe(nil)
	dest.may = append(append(dest.may, from.may...), from.must, &data)
	dest.mixed = dest.mixed || from.mixed
	closed := f.handles == 0 && !held(DefaultHeldNames, to, false)
	if f.handles == 0 { // as the tree does
		f.w.try("retain", func(context.Context) error { return f.d.Retain() })
		defer f.d.Release(f.w.ctx)
	}
	f.w.try("rename", rename)
	old := *from
	from.settle(nil)
	f.name = to
	if closed {
		dest.settle(&data)
		f.w.once[string(data)] = to
	} else if old.must != nil { // fsynced before
		dest.settle(old.must)
		dest.may, dest.mixed = old.may, old.mixed
	}
}

// unlink removes a file of which the tree has not heard that it is published.
func (f *file) unlink() {
	f.w.t.Helper()
	p := f.w.at(f.name)
	p.maybe(nil)
	f.w.try("unlink", func(context.Context) error { return f.d.Remove() })
	p.settle(nil)
	f.gone = true
}
