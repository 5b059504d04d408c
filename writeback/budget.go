package writeback

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// budget is an amount that is taken and given back. Zero limit means no limit.
type budget struct {
	limit int64
	mu    struct {
		sync.Mutex
		used  int64
		freed chan struct{} // closed and replaced whenever something is given back
	}
}

func newBudget(limit int64) *budget {
	b := &budget{limit: limit}
	b.mu.freed = make(chan struct{})
	return b
}

func (b *budget) tryTake(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit > 0 && b.mu.used+n > b.limit {
		return false
	}
	b.mu.used += n
	return true
}

// force takes n whatever the limit says: it is there already.
func (b *budget) force(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.used += n
}

func (b *budget) give(n int64) {
	if b == nil || n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.used -= n
	close(b.mu.freed)
	b.mu.freed = make(chan struct{})
}

func (b *budget) used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.used
}

func (b *budget) freed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.freed
}

// poll is how often free disk space is looked at: others may free it.
const poll = 200 * time.Millisecond

// wait takes n once enough is free, until the time is up.
func (b *budget) wait(ctx context.Context, n int64, d time.Duration, roomy func() error) error {
	var t *time.Timer
	for {
		freed := b.freed()
		err := roomy()
		if err == nil {
			if b.tryTake(n) {
				return nil
			}
			err = fmt.Errorf("%w: spool.max_size is reached and uploads do not free it; raise --spool-max-size or look at the server", ErrNoSpace)
		}
		if t == nil {
			t = time.NewTimer(d)
			defer t.Stop()
		}
		tick := time.NewTimer(poll)
		select {
		case <-freed:
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		case <-t.C:
			tick.Stop()
			return err
		}
		tick.Stop()
	}
}
