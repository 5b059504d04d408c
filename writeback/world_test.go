package writeback

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

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
	hurt   bool // the disk failed some time: a draft may be stuck until it is retried
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
	for again := 0; ; again++ {
		err := fn(w.ctx)
		if !w.disk.Alive() {
			panic(died{})
		}
		if err == nil {
			return
		}
		if (!w.mayErr || w.disk.Failed() == "") && (!w.hurt || again > 2) {
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
			if (!w.mayErr || w.disk.Failed() == "") && !w.hurt {
				w.fatalf("stuck: %+v", in)
			}
			again = true
			for d, sh := range w.files { // what a person retries is published as it is
				if data := sh.data; d.ID() == in.ID && !sh.gone {
					w.at(sh.name).maybe(&data)
				}
			}
			w.try("retry", func(context.Context) error {
				err := w.q.Retry(in.ID)
				if errors.Is(err, ErrUnknown) {
					return nil // done already: only its record could not be written at first
				}
				return err
			})
		}
		if !again {
			return
		}
		w.mayErr = false
	}
}
