package repo

import (
	"context"
	"sync"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// keyedLocks is one exclusive lock per key. The zero value is ready.
type keyedLocks struct {
	mu   sync.Mutex
	held map[string]*keyedLock
}

// keyedLock lives as long as somebody holds it or waits for it.
type keyedLock struct {
	free chan struct{} // holds one token while nobody has the lock
	refs int           // holder and waiters
}

// lock waits until the key is free or ctx is done; the latter is -104. The
// returned function must be called exactly once.
func (k *keyedLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*keyedLock{}
	}
	l := k.held[key]
	if l == nil {
		l = &keyedLock{free: make(chan struct{}, 1)}
		l.free <- struct{}{}
		k.held[key] = l
	}
	l.refs++
	k.mu.Unlock()
	unlock = func() { l.free <- struct{}{}; k.release(key, l) }
	select {
	case <-l.free: // a free lock is taken whatever the context says
		return unlock, nil
	default:
	}
	select {
	case <-l.free:
		return unlock, nil
	case <-ctx.Done():
		k.release(key, l)
		return nil, Errorf(wire.CodeLockError, "waiting for %s: %v", key, ctx.Err())
	}
}

func (k *keyedLocks) release(key string, l *keyedLock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.refs--; l.refs == 0 {
		delete(k.held, key)
	}
}
