package writeback

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/sequoiacm/scmfs/client"
)

func TestNextStep(t *testing.T) {
	whole := facts{streamable: true, size: 200, increment: 64}
	with := func(change func(*facts)) facts {
		f := whole
		change(&f)
		return f
	}
	for name, c := range map[string]struct {
		f    facts
		want step
	}{
		"more than an increment":       {whole, stepStream},
		"exactly an increment waits":   {with(func(f *facts) { f.size = 64 }), stepNone},
		"an increment and a byte":      {with(func(f *facts) { f.size = 65 }), stepStream},
		"the rest is one increment":    {with(func(f *facts) { f.acked = 136 }), stepNone},
		"not streamable":               {with(func(f *facts) { f.streamable = false }), stepNone},
		"fewer bytes than to compare":  {with(func(f *facts) { f.resumeAt = 201 }), stepNone},
		"as many bytes as to compare":  {with(func(f *facts) { f.resumeAt = 200 }), stepStream},
		"sealed":                       {with(func(f *facts) { f.sealed = true }), stepPublish},
		"sealed small":                 {facts{sealed: true}, stepPublish},
		"sealed and killed":            {facts{sealed: true, abandoned: true}, stepPublish},
		"closed again":                 {with(func(f *facts) { f.closed = true }), stepSeal},
		"closed while older goes up":   {facts{closed: true, sealed: true}, stepPublish},
		"killed":                       {with(func(f *facts) { f.abandoned = true }), stepAbandon},
		"stuck":                        {with(func(f *facts) { f.sealed, f.stuck = true, true }), stepNone},
		"stuck and killed":             {facts{abandoned: true, stuck: true}, stepNone},
		"discarded":                    {facts{discard: true}, stepDiscard},
		"discarded though stuck":       {facts{discard: true, stuck: true, sealed: true}, stepDiscard},
		"discarded while it is sealed": {facts{discard: true, sealed: true}, stepDiscard},
		"nothing":                      {facts{}, stepNone},
	} {
		assert.Equal(t, c.want, next(c.f), name)
	}
}

func TestLongIncrements(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		increment, acked, size int64
		quick                  bool
		want                   int64
	}{
		"at first":                    {15, 0, 1000, false, 15},
		"far ahead on a quick link":   {15, 15, 1000, true, 60},
		"far ahead on a slow link":    {15, 15, 1000, false, 30},
		"the last one is never empty": {15, 15, 60, true, 30},
		"one more MiB":                {15, 15, 61, true, 60},
		"set to another length":       {5, 15, 1000, true, 20},
		"set to another length, long": {30, 0, 1000, true, 30},
		"the end is the caller's":     {15, 90, 91, true, 105},
	} {
		r := rules{increment: c.increment * mib}
		assert.Equal(t, c.want*mib, r.end(c.acked*mib, c.size*mib, c.quick), name)
	}
}

// What was through at 45 MiB a second is followed by a long increment, however long
// it was itself.
func TestQuickly(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		mib  int64
		took time.Duration
		want bool
	}{
		{15, 330 * time.Millisecond, true}, {15, 340 * time.Millisecond, false},
		{45, 990 * time.Millisecond, true}, {45, 1010 * time.Millisecond, false},
		{15, 232 * time.Millisecond, true}, {45, 496 * time.Millisecond, true}, // 1 Gbit/s, a round trip of 100 ms
	} {
		assert.Equal(t, c.want, quickly(c.mib*mib, c.took), "%d MiB in %s", c.mib, c.took)
	}
}

// Extents are a set of bytes: the same operations on a slice of bools agree.
func TestExtents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 40
		var e extents
		var set [n]bool
		pair := func(label string) (int64, int64) {
			a, b := rapid.Int64Range(0, n).Draw(t, label), rapid.Int64Range(0, n).Draw(t, label)
			return min(a, b), max(a, b)
		}
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			from, to := pair("range")
			if rapid.IntRange(0, 3).Draw(t, "op") == 0 {
				before := append(extents(nil), e...)
				e2 := e.clip(from)
				assert.Equal(t, before, append(extents(nil), e...), "clip changed the old value")
				e = e2
				for i := from; i < n; i++ {
					set[i] = false
				}
				continue
			}
			e = e.add(from, to)
			for i := from; i < to; i++ {
				set[i] = true
			}
		}
		for i, x := range e {
			if x.from >= x.to || i > 0 && e[i-1].to >= x.from {
				t.Fatalf("%v is not sorted, disjoint and non-touching", e)
			}
		}
		from, to := pair("gaps")
		var got [n]bool
		for _, g := range e.gaps(from, to) {
			if g.from >= g.to {
				t.Fatalf("empty gap in %v", e.gaps(from, to))
			}
			for i := g.from; i < g.to; i++ {
				got[i] = true
			}
		}
		all := true
		for i := range int64(n) {
			want := i >= from && i < to && !set[i]
			all = all && !want
			if got[i] != want {
				t.Fatalf("gaps(%d, %d) of %v: byte %d is %v", from, to, e, i, got[i])
			}
		}
		if e.covers(from, to) != all {
			t.Fatalf("covers(%d, %d) of %v is not %v", from, to, e, all)
		}
	})
}

func TestHeldNames(t *testing.T) {
	for _, name := range []string{".report.pdf.Ab3xYz", "4913", "report~", ".report.txt.swp", ".x.swx", ".~lock.report.odt#", "lu1234abcd.tmp",
		"~$report.docx", ".goutputstream-ABC123", "film.mkv.part", "film.crdownload", "sedX1y2Z3", "~WRL0002.tmp", "~WRD0001.tmp", "1A2B3C4D.tmp", "pptC1F0.tmp", "a.docx~RF1a2b3c.TMP"} {
		assert.True(t, held(DefaultHeldNames, name, false), name)
	}
	for _, name := range []string{"report.pdf", ".config.backup", ".bashrc", "49131", "sedate", "sedation", "partial", "a.parts", ".a.b", "x.swp", "~report", "", "…", "a.tmp", "report12.tmp", "1A2B3C00"} {
		assert.False(t, held(DefaultHeldNames, name, false), name)
	}
	for _, name := range []string{".report.pdf.abcdef", ".config.backup", "sedfghijk"} {
		assert.False(t, held(DefaultHeldNames, name, false), name)
		assert.True(t, held(DefaultHeldNames, name, true), name)
	}
	for _, name := range []string{".bashrc", "sedation", "report.backup", ".config.back-p"} {
		assert.False(t, held(DefaultHeldNames, name, true), name)
	}
	assert.True(t, held([]string{"*.tmp"}, "a.tmp", false))
	assert.False(t, held([]string{"*.tmp"}, "a~", false), "configured patterns replace the built-in ones")
	assert.False(t, held([]string{"[bad"}, "[bad", false), "a pattern that is none matches nothing")
}

// A file that was renamed to a name which is only for new content stays where it
// is: what is under the old name afterwards is another file.
func TestNamesThatPutAside(t *testing.T) {
	q := &Queue{o: Options{HeldNames: append([]string{"*.mine"}, DefaultHeldNames...)}}
	for _, name := range []string{"report~", "~WRL0002.tmp", "1A2B3C4D.tmp", "pptC1F0.tmp", "a.docx~RF1a2b3c.TMP", "report.mine"} {
		assert.True(t, q.PutsAside(Target{Name: name}), name)
		assert.False(t, q.PutsAside(Target{Name: name, Partial: true}), name)
	}
	for _, name := range []string{".a.AbC123", "4913", ".report.txt.swp", ".~lock.report.odt#", "lu1234abcd.tmp", "~$report.docx",
		".goutputstream-ABC123", "film.mkv.part", "film.crdownload", "sedX1y2Z3"} {
		assert.True(t, q.Temporary(Target{Name: name}), name)
		assert.False(t, q.PutsAside(Target{Name: name}), name)
	}
	assert.False(t, q.PutsAside(Target{Name: "report.pdf"}))
}

func TestBreakpointNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := breakpointName("a1b2c3", rapid.String().Draw(t, "name"))
		if len(name) > 200 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || strings.HasPrefix(name, "..") {
			t.Fatalf("%q is not safe (part 2 section 5.2)", name)
		}
		if err := client.CheckBreakpointName(name); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if !strings.Contains(name, ".a1b2c3-") {
			t.Fatalf("%q does not name its mount", name)
		}
	})
	assert.NotEqual(t, breakpointName("m", "f"), breakpointName("m", "f"))
}

func TestStateNames(t *testing.T) {
	for s := Writing; s <= Discarded; s++ {
		assert.NotEmpty(t, s.String())
		assert.Equal(t, s == Discarded, s.Final())
	}
}

// Every kind of error is either surely a refusal, or leaves it open whether the
// commit was carried out. These leave it open.
func TestRefused(t *testing.T) {
	open := map[client.Kind]bool{client.Other: true, client.Busy: true, client.Timeout: true, client.Unavailable: true,
		client.Uncertain: true, client.Canceled: true, client.Protocol: true}
	for _, k := range client.Kinds() {
		assert.Equal(t, !open[k], refused(k), k.String())
	}
}

func TestBudgetWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		assert.True(t, b.tryTake(90))
		assert.False(t, b.tryTake(20))
		roomy := func() error { return nil }
		start := time.Now()
		assert.ErrorIs(t, b.wait(t.Context(), 20, 3*time.Second, roomy), ErrNoSpace)
		assert.Equal(t, 3*time.Second, time.Since(start), "it waits to the deadline, and not longer")
		go func() {
			time.Sleep(time.Second)
			b.give(50)
		}()
		start = time.Now()
		assert.NoError(t, b.wait(t.Context(), 20, 3*time.Second, roomy))
		assert.Equal(t, time.Second, time.Since(start), "it goes on as soon as there is room")
		assert.EqualValues(t, 60, b.used())
		none := newBudget(0)
		assert.True(t, none.tryTake(1<<60), "0 is no limit")
	})
}
