package repo

import (
	"errors"
	"fmt"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// commitQueue is group commit: transactions that arrive while one is being
// synced share the next sync. There is no delay and no goroutine: the first
// waiter commits for all who queued behind it. bbolt's own Batch was rejected,
// it delays a lone writer.
type commitQueue struct {
	db *bolt.DB
	mu struct {
		sync.Mutex
		pending []*commit
		leading bool
	}
}

type commit struct {
	fn   func(*bolt.Tx) error
	err  error
	done chan bool // true: it is your turn to lead; closed: err is set
}

// maxGroup bounds how many transactions share one sync.
const maxGroup = 256

// run executes fn in a durable transaction. fn may return an [*Error] only
// before it has changed anything: the group it is in is committed all the same.
// With any other error it runs again, alone, if others were in its group, so it
// must be repeatable.
func (q *commitQueue) run(fn func(*bolt.Tx) error) error {
	c := &commit{fn: fn, done: make(chan bool, 1)}
	q.mu.Lock()
	q.mu.pending = append(q.mu.pending, c)
	lead := !q.mu.leading
	q.mu.leading = true
	q.mu.Unlock()
	if !lead {
		if turn := <-c.done; !turn {
			return c.err
		}
	}
	q.lead()
	return c.err
}

// lead commits the group at the head of the queue, which contains the caller,
// then hands the lead to the first of the rest.
func (q *commitQueue) lead() {
	q.mu.Lock()
	n := min(len(q.mu.pending), maxGroup)
	group := q.mu.pending[:n:n]
	q.mu.pending = q.mu.pending[n:]
	q.mu.Unlock()
	if q.commit(group) != nil && n > 1 {
		// One of them failed for a reason that is not a refusal: it must not
		// take the others with it.
		for i := range group {
			_ = q.commit(group[i : i+1])
		}
	}
	q.mu.Lock()
	var next *commit
	if len(q.mu.pending) > 0 {
		next = q.mu.pending[0]
	} else {
		q.mu.leading = false
		q.mu.pending = nil
	}
	q.mu.Unlock()
	for _, c := range group[1:] {
		close(c.done)
	}
	if next != nil {
		next.done <- true
	}
}

// commit runs a group in one transaction and sets everybody's error.
func (q *commitQueue) commit(group []*commit) error {
	err := q.db.Update(func(tx *bolt.Tx) error {
		for _, c := range group {
			c.err = guarded(c.fn, tx)
			if _, refused := errors.AsType[*Error](c.err); c.err != nil && !refused {
				return c.err
			}
		}
		return nil
	})
	if err != nil {
		for _, c := range group {
			c.err = err
		}
	}
	return err
}

// guarded turns a panic into an error: unwinding the leader would leave
// everybody behind it waiting for ever.
func guarded(fn func(*bolt.Tx) error, tx *bolt.Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transaction panicked: %v", p)
		}
	}()
	return fn(tx)
}
