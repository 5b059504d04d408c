package server

import (
	"sync"
	"time"
)

// throttle slows guessing: after some failures for a name and address, logins
// are refused for a while, and longer the more there were. A success forgets
// them.
type throttle struct {
	mu    sync.Mutex
	fails map[string]failCount
}

type failCount struct {
	n     int
	until time.Time
}

const (
	freeFailures = 10
	maxThrottled = 10_000
	throttleStep = 100 * time.Millisecond // per failure
	throttleMax  = 6 * time.Second
	forgetAfter  = time.Minute
)

func (t *throttle) refused(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.fails[key]
	return f.n > freeFailures && now.Before(f.until)
}

func (t *throttle) note(key string, ok bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.fails[key]
	if ok {
		delete(t.fails, key)
		return
	}
	if f.stale(now) {
		f.n = 0
	}
	f.n++
	f.until = now.Add(min(time.Duration(f.n)*throttleStep, throttleMax))
	if t.fails == nil {
		t.fails = map[string]failCount{}
	}
	t.makeRoom(now)
	t.fails[key] = f
}

func (f failCount) stale(now time.Time) bool { return now.After(f.until.Add(forgetAfter)) }

// makeRoom bounds memory: it drops what is over, else the one with the fewest
// failures, so that many names cannot wash out the one that is being guessed.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.fails) < maxThrottled {
		return
	}
	least := ""
	for key, f := range t.fails {
		if f.stale(now) {
			delete(t.fails, key)
		} else if least == "" || f.n < t.fails[least].n {
			least = key
		}
	}
	if len(t.fails) >= maxThrottled {
		delete(t.fails, least)
	}
}
