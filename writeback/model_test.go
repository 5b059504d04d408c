package writeback

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// The model test plays random programs: files are made, changed, renamed and
// removed, requests fail, other clients write, the machine loses power, the
// mount is stopped and started. The world's book says after every restart, and
// at the end, whether what is there was promised.

type opKind int

const (
	opOpen opKind = iota
	opWrite
	opAppend
	opTruncate
	opFsync
	opClose
	opFlush
	opRename
	opUnlink
	opAbandon
	opFault
	opWait
	opDrain
	opTheirs
	opCrash
	opRemount
	opDisk
	opKinds
)

var opNames = [...]string{"open", "write", "append", "truncate", "fsync", "close", "flush", "rename", "unlink", "abandon", "fault", "wait", "drain", "theirs", "crash", "remount", "disk"}

// op is one step; what its numbers mean depends on what there is when it runs.
type op struct {
	kind        opKind
	who, a, b   int
	name, kind2 int
}

func (o op) String() string {
	return fmt.Sprintf("%s(%d,%d,%d,%d,%d)", opNames[o.kind], o.who, o.a, o.b, o.name, o.kind2)
}

func drawOps(t *rapid.T) []op {
	one := rapid.Custom(func(t *rapid.T) op {
		return op{
			kind: opKind(rapid.SampledFrom([]int{0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 4, 4, 5, 5, 5, 6, 7, 7, 8, 9, 10, 10, 10, 11, 12, 13, 14, 15, 16}).Draw(t, "op")),
			who:  rapid.IntRange(0, 3).Draw(t, "who"), a: rapid.IntRange(0, 260).Draw(t, "a"), b: rapid.IntRange(1, 150).Draw(t, "b"),
			name: rapid.IntRange(0, 3).Draw(t, "name"), kind2: rapid.IntRange(0, 9).Draw(t, "kind"),
		}
	})
	return rapid.SliceOfN(one, 3, 30).Draw(t, "ops")
}

var modelNames = []string{"a", "b", "c", tmp}

// model plays ops in a world.
type model struct {
	*world
	open []*file // handles of programs
	shut []*file // closed under a temporary name
}

type broken struct{ text string }

type panics struct{}

func (panics) Helper() {}

func (panics) Fatalf(format string, args ...any) { panic(broken{fmt.Sprintf(format, args...)}) }

func (m *model) drafted(name string) bool {
	d, ok := m.q.Lookup(target(name))
	return ok && (d.Dirty() || d.Info().Handles > 0)
}

// unborn tells whether no version of the file exists yet.
func unborn(f *file) bool {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return f.d.mu.onto == nil && f.d.dirtyLocked() && !f.gone
}

func (m *model) pick(o op) *file {
	if len(m.open) == 0 {
		return nil
	}
	return m.open[o.who%len(m.open)]
}

func (m *model) drop(f *file) {
	m.open = slices.DeleteFunc(m.open, func(g *file) bool { return g == f })
}

func (m *model) step(o op) {
	name := modelNames[o.name]
	f := m.pick(o)
	switch o.kind {
	case opOpen:
		if len(m.open) > 3 {
			return
		}
		_, live := m.q.Lookup(target(name)) // first: its end is that the store has it
		if _, _, there := m.store.stat(name); !there && !live {
			m.open = append(m.open, m.create(name))
		} else {
			m.open = append(m.open, m.world.open(name, o.kind2%2 == 0))
		}
		m.shut = slices.DeleteFunc(m.shut, func(g *file) bool { return g.name == name })
	case opFault:
		kinds := []fault{{faultRefuse, 0}, {faultLose, 0}, {faultGateway, 0}, {faultGarble, 0}, {faultCut, o.a % 3}, {faultExpire, 0}, {faultAuth, 0}, {faultStall, 0}, {faultQuota, 0}, {faultFlip, 0}}
		m.store.fail(1+o.b%4, kinds[o.kind2])
	case opWait:
		time.Sleep(time.Duration(o.a) * 20 * time.Millisecond)
	case opDrain:
		m.drain()
	case opTheirs:
		if !m.drafted(name) {
			m.drain()
			m.has(name, o.b)
		}
	case opCrash:
		m.crash(dice(o.a)[o.kind2%4])
		m.again()
	case opRemount:
		m.stop()
		m.disk.FailNth(0, nil)
		if err := m.q.Close(); err != nil {
			m.fatalf("close: %v", err)
		}
		m.again()
	case opDisk:
		if o.kind2 < 3 {
			m.store.delay(time.Duration(o.kind2) * 5 * time.Millisecond)
		} else {
			m.hurt = true
			m.disk.FailNth(1+o.b%20, []error{syscall.EIO, syscall.ENOSPC}[o.a%2])
		}
	case opRename:
		if f == nil && len(m.shut) > 0 {
			f = m.shut[o.who%len(m.shut)]
		}
		m.drain() // what is published meanwhile is the tree's to rename
		if f != nil && unborn(f) && f.name != name && !m.drafted(name) {
			m.move(f, name)
		}
	default:
		if f != nil {
			m.change(f, o)
		}
	}
}

func (m *model) move(f *file, to string) {
	from := f.name
	if _, _, there := m.store.stat(to); there {
		f.renameOnto(to)
	} else {
		f.rename(to)
	}
	for _, g := range m.files {
		if g.name == from && g == f.shadow {
			g.name = to
		}
	}
	if !held(DefaultHeldNames, to, false) {
		m.shut = slices.DeleteFunc(m.shut, func(g *file) bool { return g == f })
	}
}

func (m *model) change(f *file, o op) {
	switch o.kind {
	case opWrite:
		f.write(min(o.a, len(f.data)+20), o.b)
	case opAppend:
		f.append(o.b)
	case opTruncate:
		f.truncate(o.a)
		f.write(0, 16) // no content comes back
	case opFsync:
		if f.d.Dirty() && !f.gone {
			f.fsync()
		}
	case opFlush:
		if f.d.Dirty() && !f.gone {
			f.flush()
		}
	case opClose:
		if f.gone {
			f.release()
		} else {
			f.close()
		}
		m.drop(f)
		if f.held() && f.handles == 0 && f.d.Dirty() {
			m.shut = append(m.shut, f)
		}
	case opUnlink:
		if m.drain(); unborn(f) {
			f.unlink()
		}
	case opAbandon:
		if m.drain(); unborn(f) && f.handles == 1 {
			p := m.at(f.name)
			m.try("abandon", func(ctx context.Context) error { return f.d.Abandon(ctx, "killed") })
			p.settle(nil)
			if _, data, ok := m.store.stat(f.name); ok { // an earlier asynchronous close was first
				p.settle(&data)
			}
			f.gone = true
			f.release()
			m.drop(f)
		}
	}
}

// again mounts after a crash or a stop; what is there then is what counts.
func (m *model) again() {
	m.open, m.shut = nil, nil
	m.store.calm()
	if err := m.mount(); err != nil {
		m.fatalf("mount: %v", err)
	}
	m.drain()
	m.world.settle()
	m.check("after a start")
	m.verdict(true)
	for _, in := range m.q.Pending() {
		if in.Held {
			m.try("discard", func(context.Context) error { return m.q.Discard(in.ID) })
		}
	}
	m.drain()
	for name, p := range m.names {
		if _, data, ok := m.store.stat(name); ok {
			p.settle(&data)
		} else {
			p.settle(nil)
		}
	}
	left := map[string]bool{}
	for _, data := range m.store.everything() {
		left[data] = true
	}
	for data := range m.once {
		if !left[data] {
			delete(m.once, data)
		}
	}
}

func (m *model) play(ops []op) (text string) {
	defer func() {
		if r := recover(); r != nil {
			b, ok := r.(broken)
			if !ok {
				panic(r)
			}
			text = b.text
		}
		m.stop()
	}()
	if err := m.mount(); err != nil {
		return err.Error()
	}
	for i, o := range ops {
		m.label = fmt.Sprintf("step %d, %v", i, o)
		m.step(o)
	}
	m.label = "the end"
	for _, f := range slices.Clone(m.open) {
		m.change(f, op{kind: opClose})
	}
	m.finish(false)
	return ""
}

func TestModel(t *testing.T) {
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		ops := drawOps(rt)
		async := rapid.Bool().Draw(rt, "async")
		n++
		text := ""
		synctest.Test(t, func(*testing.T) {
			o := Options{}
			if async {
				o.WriteMode = Async
			}
			m := &model{world: newWorld(panics{}, "model", o)}
			m.kept, m.merge = true, true
			text = m.play(ops)
		})
		if text != "" {
			rt.Fatalf("%s", text)
		}
	})
	t.Logf("%d programs", n)
}
