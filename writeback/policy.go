package writeback

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
