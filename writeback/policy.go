package writeback

import "time"

// Policy is what may differ from one workspace to another. A zero field stands
// for the field of the same name in [Options].
type Policy struct {
	Increment int64         // bytes per increment
	WriteMode *WriteMode    // nil: as in Options
	Conflict  *ConflictMode // nil: as in Options
	HeldNames []string      // nil: as in Options; empty: none is held
}

// rules are the resolved policy of a workspace.
type rules struct {
	increment int64
	writeMode WriteMode
	conflict  ConflictMode
	heldNames []string
}

const (
	defaultIncrement = 15 << 20
	// longIncrement is the longest that is safe on every storage (part 2 section 5.12).
	longIncrement = 45 << 20
)

// quickly tells whether an increment of n bytes was through soon enough for the next
// to be long: what a broken connection costs is a second of sending then. The rate
// counts, not the time: a long increment would be followed by a short one otherwise.
func quickly(n int64, took time.Duration) bool {
	return took.Seconds() <= float64(n)/longIncrement
}

// end tells where the increment behind acked ends. Each one waits for a sync at
// the server and a round trip, so a writer who is far ahead on a quick link is
// caught up with in longer ones. One that was set to another length is kept to:
// there may be something on the way that takes no more.
func (r rules) end(acked, size int64, quick bool) int64 {
	if quick && r.increment == defaultIncrement && size-acked > longIncrement {
		return acked + longIncrement
	}
	return acked + r.increment
}

// rules returns what counts for a workspace. It is asked anew each time: a map
// lookup is cheaper than a copy in every draft that could go stale.
func (q *Queue) rules(workspace string) rules {
	r := rules{increment: q.o.Increment, writeMode: q.o.WriteMode, conflict: q.o.Conflict, heldNames: q.o.HeldNames}
	p, ok := q.o.Policies[workspace]
	if !ok {
		return r
	}
	if p.Increment > 0 {
		r.increment = p.Increment
	}
	if p.WriteMode != nil {
		r.writeMode = *p.WriteMode
	}
	if p.Conflict != nil {
		r.conflict = *p.Conflict
	}
	if p.HeldNames != nil {
		r.heldNames = p.HeldNames
	}
	return r
}
