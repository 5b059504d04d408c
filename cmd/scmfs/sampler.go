package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/writeback"
)

// point is one second of traffic, in bytes.
type point struct {
	At       time.Time `json:"at"`
	Written  int64     `json:"written"`  // by programs
	Read     int64     `json:"read"`     // by programs
	Sent     int64     `json:"sent"`     // to the server
	Received int64     `json:"received"` // from the server
}

const (
	keptPoints = 300              // five minutes
	rateSpan   = 10 * time.Second // increments arrive in lumps: rates are means over this
)

// sampler remembers what went on: traffic by the second, and how fast each file
// goes up. Safe for concurrent use.
type sampler struct {
	meter   *meter
	pending func() []writeback.Info
	fetched func() int64 // content received from the server, which comes in streams

	mu     sync.Mutex
	points []point
	last   [4]int64
	files  map[string][]ackedAt // by draft
}

type ackedAt struct {
	at    time.Time
	acked int64
}

func newSampler(m *meter, pending func() []writeback.Info, fetched func() int64) *sampler {
	return &sampler{meter: m, pending: pending, fetched: fetched, files: map[string][]ackedAt{}}
}

// run samples every second until ctx is done.
func (s *sampler) run(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			s.sample(now)
		}
	}
}

func (s *sampler) sample(now time.Time) {
	pending := s.pending()
	s.mu.Lock()
	defer s.mu.Unlock()
	next := [4]int64{s.meter.written.Load(), s.meter.read.Load(), s.meter.sent.Load(), s.meter.received.Load() + s.fetched()}
	p := point{At: now, Written: next[0] - s.last[0], Read: next[1] - s.last[1], Sent: next[2] - s.last[2], Received: next[3] - s.last[3]}
	s.last = next
	s.points = append(s.points, p)
	if n := len(s.points); n > keptPoints {
		s.points = slices.Delete(s.points, 0, n-keptPoints)
	}
	old := s.files
	s.files = make(map[string][]ackedAt, len(pending))
	for _, d := range pending {
		h := append(old[d.ID], ackedAt{now, d.Acked})
		for len(h) > 2 && now.Sub(h[0].at) > rateSpan {
			h = h[1:]
		}
		s.files[d.ID] = h
	}
}

// rates returns the bytes per second of each file on its way.
func (s *sampler) rates() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int64{}
	for id, h := range s.files {
		first, last := h[0], h[len(h)-1]
		if d := last.at.Sub(first.at).Seconds(); d > 0 && last.acked > first.acked {
			out[id] = int64(float64(last.acked-first.acked) / d)
		}
	}
	return out
}

// history returns the kept seconds, oldest first.
func (s *sampler) history() []point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.points)
}
