package readcache

// recency orders blocks by last use. Guarded by Cache.mu.
type recency struct {
	newest, oldest *block
	n              int
}

func (r *recency) push(b *block) {
	b.older, b.newer = r.newest, nil
	if r.newest != nil {
		r.newest.newer = b
	} else {
		r.oldest = b
	}
	r.newest = b
	r.n++
}

func (r *recency) remove(b *block) {
	if b.newer != nil {
		b.newer.older = b.older
	} else {
		r.newest = b.older
	}
	if b.older != nil {
		b.older.newer = b.newer
	} else {
		r.oldest = b.newer
	}
	b.older, b.newer = nil, nil
	r.n--
}

// spend makes b the oldest: it goes first, until it is touched.
func (r *recency) spend(b *block) {
	r.remove(b)
	b.spent = true
	if b.newer = r.oldest; b.newer != nil {
		b.newer.older = b
	} else {
		r.newest = b
	}
	r.oldest = b
	r.n++
}

// touch makes b the newest.
func (r *recency) touch(b *block) {
	b.spent = false
	if r.newest != b {
		r.remove(b)
		r.push(b)
	}
}
