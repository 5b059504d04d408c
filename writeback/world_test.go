package writeback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

const (
	ws    = "ws"
	incr  = 64 // bytes per increment in these tests
	state = "/state"
)

// world is a store, a disk and one mount after another on them. Its verbs are
// what programs do; it keeps book of what they were promised.
type world struct {
	t      failer
	label  string // which scenario and fault
	disk   *disk.Mem
	store  *fakeStore
	o      Options
	q      *Queue
	ctx    context.Context // ends with the process
	kill   context.CancelFunc
	done   chan struct{}
	logs   *logLines
	names  map[string]*promise // by name
	once   map[string]string   // published contents, each may exist once
	bps    map[string][]byte   // complete breakpoint files that must be there
	files  map[*Draft]*shadow
	seq    int
	lives  int
	mayErr bool // one verb may fail: the disk is made to
	merge  bool // asynchronous closes in short order may become one version
	kept   bool // a killed writer's bytes may stay in .partial
}

// failer is what a world needs of a test.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// promise is what is known of a name: what must be there, and what may be there
// because something later was tried.
type promise struct {
	must    *[]byte // nil: nothing, the name is free
	may     []*[]byte
	mixed   bool // was fsynced and written on: a crash leaves some of both
	unclear bool // nothing is promised
}

// shadow is what a draft's content should be.
type shadow struct {
	name    string
	data    []byte
	gone    bool
	handles int
}

type logLines struct{ lines []string }

func (l *logLines) Write(p []byte) (int, error) {
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

// died ends a scenario whose process is dead.
type died struct{}

func newWorld(t failer, label string, o Options) *world {
	w := &world{t: t, label: label, disk: disk.NewMem(), store: newFakeStore(), o: o, names: map[string]*promise{}, once: map[string]string{}, bps: map[string][]byte{}}
	w.store.alive = func() bool { return w.disk.Alive() }
	w.store.die = func() { w.disk.Cut(); w.kill() }
	if w.o.Increment == 0 {
		w.o.Increment = incr
	}
	if w.o.MemorySpool == 0 {
		w.o.MemorySpool = 100
	}
	w.logs = &logLines{}
	log := logrus.New()
	log.SetOutput(w.logs)
	log.SetLevel(logrus.DebugLevel)
	w.o.Logger = log
	return w
}

// mount starts a queue on the disk.
func (w *world) mount() error {
	w.lives++
	w.files = map[*Draft]*shadow{}
	q, err := Open(w.disk, state, func(string) Store { return w.store }, w.o)
	if err != nil {
		return err
	}
	w.q = q
	w.ctx, w.kill = context.WithCancel(context.Background())
	w.done = make(chan struct{})
	go func(ctx context.Context, done chan struct{}) {
		defer close(done)
		_ = q.Run(ctx)
	}(w.ctx, w.done)
	return nil
}

// stop ends the process without a word.
func (w *world) stop() {
	if w.kill != nil {
		w.kill()
		<-w.done
		w.kill = nil
	}
}

// crash loses power; the next mount finds what the disk kept.
func (w *world) crash(rng *rand.Rand) {
	w.disk.Cut()
	w.stop()
	w.disk = w.disk.Crash(rng)
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s: %s\nrequests: %s\nlog: %s", w.label, fmt.Sprintf(format, args...), strings.Join(w.store.said(), "; "), strings.Join(w.logs.lines, ""))
}

// try runs a verb. A dead process ends the scenario; one failure is allowed when
// the disk was made to fail, and the program tries again.
func (w *world) try(what string, fn func(ctx context.Context) error) {
	w.t.Helper()
	for {
		err := fn(w.ctx)
		if !w.disk.Alive() {
			panic(died{})
		}
		if err == nil {
			return
		}
		if !w.mayErr || w.disk.Failed() == "" {
			w.fatalf("%s: %v", what, err)
		}
		w.mayErr = false
		for _, in := range w.q.Pending() {
			if in.State == Stuck.String() {
				_ = w.q.Retry(in.ID)
			}
		}
		w.settle()
	}
}

func (w *world) at(name string) *promise {
	if w.names[name] == nil {
		p := &promise{}
		if _, data, ok := w.store.stat(name); ok {
			p.must = &data
		}
		w.names[name] = p
	}
	return w.names[name]
}

func (p *promise) maybe(data *[]byte) { p.may = append(p.may, data) }

func (p *promise) settle(data *[]byte) { *p = promise{must: data} }

// fresh makes n bytes that nothing else has.
func (w *world) fresh(n int) []byte {
	w.seq++
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(w.seq), 7))
	for i := range b {
		b[i] = byte(r.Uint32()) | 1 // never 0, which is what holes are
	}
	return b
}

// has puts a file of another client into the store.
func (w *world) has(name string, n int) {
	data := w.fresh(n)
	w.store.put(name, data)
	w.at(name).settle(&data)
}

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
func (f *file) held() bool { return held(DefaultHeldNames, f.name) && f.d.mu.onto == nil }

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
	closed := f.handles == 0 && !held(DefaultHeldNames, to)
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

func (f *file) unlink() {
	f.w.t.Helper()
	p := f.w.at(f.name)
	p.maybe(nil)
	f.w.try("unlink", func(context.Context) error { return f.d.Discard() })
	p.settle(nil)
	f.gone = true
}

// settle lets the uploads of all open files go as far as they go by themselves.
func (w *world) settle() { time.Sleep(50*time.Millisecond + 20*w.store.latency) }

// drain waits until everything that was closed is published.
func (w *world) drain() {
	w.t.Helper()
	for range 3 {
		w.try("drain", w.q.Drain)
		again := false
		for _, in := range w.q.Pending() {
			if in.State != Stuck.String() {
				continue
			}
			if !w.mayErr || w.disk.Failed() == "" {
				w.fatalf("stuck: %+v", in)
			}
			again = true
			w.try("retry", func(context.Context) error { return w.q.Retry(in.ID) })
		}
		if !again {
			return
		}
		w.mayErr = false
	}
}
