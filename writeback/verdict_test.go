package writeback

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// finish lets everything end and holds what is there against what was promised.
// After a crash the programs run again: what they were not told to be safe they
// copy once more. Then nothing temporary may be left anywhere.
func (w *world) finish(crashed bool) {
	w.t.Helper()
	files := w.files
	if crashed {
		if err := w.mount(); err != nil {
			w.fatalf("mount after the crash: %v", err)
		}
	}
	w.drain()
	w.settle()
	w.check("at rest")
	w.verdict(crashed)
	if crashed {
		w.copyAgain(files)
		w.resumeOthers()
	}
	for _, in := range w.q.Pending() {
		if in.Held {
			w.try("discard", func(context.Context) error { return w.q.Discard(in.ID) })
		}
	}
	w.settle()
	w.drain()
	w.settle()
	if w.store.happened() > 0 {
		time.Sleep(2 * tidyPause)
	}
	w.clean()
}

// copyAgain repeats what a crash interrupted.
func (w *world) copyAgain(files map[*Draft]*shadow) {
	w.t.Helper()
	want := map[string][]byte{}
	for _, s := range files {
		if !s.gone && !held(DefaultHeldNames, s.name, false) && len(s.data) >= len(want[s.name]) {
			want[s.name] = s.data
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		data := want[name]
		_, have, ok := w.store.stat(name)
		if ok && bytes.Equal(have, data) {
			continue
		}
		var f *file
		if _, found := w.q.Lookup(target(name)); ok || found {
			f = w.open(name, true)
		} else {
			f = w.create(name)
		}
		for off := 0; off < len(data); off += 50 {
			p := data[off:min(off+50, len(data))]
			w.try("write again", func(ctx context.Context) error { _, err := f.d.WriteAt(ctx, p, int64(off)); return err })
		}
		f.data = bytes.Clone(data)
		w.try("close again", func(ctx context.Context) error { _, err := f.d.Publish(ctx); return err })
		f.release()
		w.drain()
		if _, have, _ := w.store.stat(name); !bytes.Equal(have, data) {
			w.fatalf("%s copied again has %d bytes, want %d, or others", name, len(have), len(data))
		}
	}
}

// resumeOthers writes every name again for which an upload waits: a rename that
// a crash interrupted may have left it under a name that no program knows.
func (w *world) resumeOthers() {
	w.t.Helper()
	w.q.mu.Lock()
	var all []Target
	for t := range w.q.mu.abandoned {
		all = append(all, t)
	}
	w.q.mu.Unlock()
	for _, t := range all {
		var f *file
		if _, _, ok := w.store.stat(t.Name); ok {
			f = w.open(t.Name, true)
		} else {
			f = w.create(t.Name)
		}
		f.append(100)
		f.close()
	}
}

// verdict checks every name, every publication and every breakpoint file.
func (w *world) verdict(crashed bool) {
	w.t.Helper()
	for name, p := range w.names {
		_, have, ok := w.store.stat(name)
		if d, live := w.q.Lookup(target(name)); live && d.Info().Held {
			have, ok = w.content(d), true // it waits for its real name
		}
		if !p.allows(have, ok, crashed) {
			w.fatalf("%s: exists %v with %d bytes %x; promised %s", name, ok, len(have), head(have), p)
		}
	}
	count := map[string]int{}
	for _, data := range w.store.everything() {
		count[data]++
	}
	for data, n := range count {
		if n > 1 && len(data) > 0 {
			w.fatalf("a content of %d bytes was published %d times", len(data), n)
		}
	}
	for data, name := range w.once {
		p := w.names[name]
		gone := p.must == nil || slices.Contains(p.may, nil)
		// Of several asynchronous closes a crash, or a local failure that made the
		// draft stuck, leaves the newest.
		newest := w.o.WriteMode == Async && (crashed || w.disk.Failed() != "" || w.merge)
		if count[data] == 0 && !gone && !newest {
			w.fatalf("a content of %d bytes that close of %s acknowledged is no version", len(data), name)
		}
	}
	for name, want := range w.bps {
		if want == nil {
			continue // may be there in any state
		}
		b, have, ok := w.store.partial(name)
		if !ok || !b.Completed || !bytes.Equal(have, want) {
			w.fatalf(".partial/%s: exists %v, complete %v, %d bytes; want %d", name, ok, b.Completed, len(have), len(want))
		}
	}
}

// content reads a draft.
func (w *world) content(d *Draft) []byte {
	w.t.Helper()
	var b bytes.Buffer
	if err := w.q.Export(w.ctx, d.ID(), &b); err != nil {
		w.fatalf("export: %v", err)
	}
	return b.Bytes()
}

func head(b []byte) []byte { return b[:min(8, len(b))] }

func (p *promise) String() string {
	out := "nothing"
	if p.must != nil {
		out = fmt.Sprintf("%d bytes %x", len(*p.must), head(*p.must))
	}
	for _, m := range p.may {
		if m == nil {
			out += " or nothing"
		} else {
			out += fmt.Sprintf(" or %d bytes %x", len(*m), head(*m))
		}
	}
	return out
}

func (p *promise) allows(have []byte, ok, crashed bool) bool {
	is := func(m *[]byte) bool { return m == nil && !ok || m != nil && ok && bytes.Equal(*m, have) }
	if p.unclear || is(p.must) || slices.ContainsFunc(p.may, is) {
		return true
	}
	if !crashed || !p.mixed || !ok {
		return false
	}
	// Written on in place after an fsync: each byte is old or new.
	var all []*[]byte
	shortest, longest := math.MaxInt, -1
	for _, m := range append([]*[]byte{p.must}, p.may...) {
		if m != nil {
			all = append(all, m)
			shortest, longest = min(shortest, len(*m)), max(longest, len(*m))
		}
	}
	if len(have) < shortest || len(have) > longest {
		return false
	}
	for i, b := range have {
		if !slices.ContainsFunc(all, func(m *[]byte) bool { return i < len(*m) && (*m)[i] == b }) {
			return false
		}
	}
	return true
}

// clean checks that nothing is left and that the next mount finds nothing.
func (w *world) clean() {
	w.t.Helper()
	w.check("at the end")
	if p := w.q.Pending(); len(p) > 0 {
		w.fatalf("left over: %+v", p)
	}
	for _, name := range w.store.partials() {
		if _, ok := w.bps[name]; !ok && !(w.kept && w.q.knows(name)) {
			w.fatalf("breakpoint file %s is left at the store", name)
		}
	}
	if n := len(w.q.all()); n > 0 {
		w.fatalf("%d drafts are left: %v", n, w.q.all())
	}
	failed := w.disk.Failed()
	if failed == "" && !w.hurt { // otherwise the next start may have to do it
		w.noFiles()
	}
	if n := w.q.space.used(); n != 0 {
		w.fatalf("%d bytes of the spool are still charged", n)
	}
	if n := w.q.memory.used(); n != 0 {
		w.fatalf("%d bytes of memory are still charged", n)
	}
	w.disk.FailNth(0, nil)
	w.store.calm()
	w.stop()
	if err := w.q.Close(); err != nil {
		w.fatalf("close: %v", err)
	}
	if err := w.mount(); err != nil {
		w.fatalf("mount again: %v", err)
	}
	w.settle()
	if p := w.q.Pending(); len(p) > 0 || len(w.q.mu.abandoned) > 0 && !w.kept {
		w.fatalf("the next mount found %+v, %v", p, w.q.mu.abandoned)
	}
	w.noFiles()
}

// noFiles checks that the state directory is empty but for what waits in .partial.
func (w *world) noFiles() {
	w.t.Helper()
	for _, dir := range []string{"spool", "journal"} {
		names, err := w.disk.ReadDir("test", filepath.Join(state, dir))
		names = slices.DeleteFunc(names, func(name string) bool { return w.kept && w.q.keeps(strings.TrimSuffix(name, ".json")) })
		if err != nil || len(names) > 0 {
			w.fatalf("%s holds %v, %v", dir, names, err)
		}
	}
}

// check holds the queue's tables and counts against each other.
func (w *world) check(when string) {
	w.t.Helper()
	if err := w.q.check(); err != nil {
		w.fatalf("%s: %v", when, err)
	}
}

// check verifies the invariants of the tables; the queue must be quiet.
func (q *Queue) check() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var charged, memory int64
	for id, d := range q.mu.drafts {
		d.mu.Lock()
		t, fid, gone, c := d.mu.target, d.mu.fileID, d.mu.gone, d.mu.charged
		bad := d.mu.published > d.mu.gen || d.mu.handles < 0 || d.mu.up.acked > 0 && d.mu.up.name == "" || d.mu.extents != nil && !d.mu.partial
		d.mu.Unlock()
		charged += c
		d.spool.mu.RLock()
		memory += int64(len(d.spool.mu.mem))
		d.spool.mu.RUnlock()
		switch {
		case bad:
			return fmt.Errorf("%v: generations, handles or extents are impossible", d)
		case d.id != id:
			return fmt.Errorf("%v is filed under %s", d, id)
		case gone:
			return fmt.Errorf("%v is gone and still filed", d)
		case q.mu.byTarget[t] == d && q.mu.byDir[keyOfTarget(t)] == nil:
			return fmt.Errorf("%v is not in its directory", d)
		case !t.Partial && q.mu.byTarget[t] == d && q.mu.byFile[fileKey{t.Workspace, fid}] == nil:
			return fmt.Errorf("%v is not filed under its id", d)
		}
	}
	for t, d := range q.mu.byTarget {
		if q.mu.drafts[d.id] != d || d.Target() != t {
			return fmt.Errorf("%s is filed under %s", d, t)
		}
	}
	for k, d := range q.mu.byFile {
		if q.mu.drafts[d.id] != d || d.FileID() != k.id {
			return fmt.Errorf("%s is filed under %s", d, k.id)
		}
	}
	for k, set := range q.mu.byDir {
		for d := range set {
			if q.mu.drafts[d.id] != d || keyOfTarget(d.Target()) != k {
				return fmt.Errorf("%s is filed in %v", d, k)
			}
		}
		if len(set) == 0 {
			return fmt.Errorf("%v is empty", k)
		}
	}
	if used := q.space.used(); used != charged {
		return fmt.Errorf("drafts have %d bytes of the spool, %d are counted", charged, used)
	}
	if used := q.memory.used(); used != memory {
		return fmt.Errorf("drafts have %d bytes of memory, %d are counted", memory, used)
	}
	return nil
}

func (q *Queue) keeps(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.mu.abandoned {
		if l.id == id {
			return true
		}
	}
	return false
}

// knows tells whether a breakpoint file waits for the same copy.
func (q *Queue) knows(bp string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.mu.abandoned {
		if l.bp == bp {
			return true
		}
	}
	return false
}
