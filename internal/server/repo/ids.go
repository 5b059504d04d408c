package repo

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// idSource makes ids of the layout of part 2 section 2.1; the serial starts at a
// random value and increases.
type idSource struct {
	now    func() time.Time
	serial atomic.Uint32
}

func (s *idSource) init(now func() time.Time) {
	s.now = now
	s.serial.Store(rand.Uint32())
}

func (s *idSource) next() string { return s.at(s.now().Unix()) }

func (s *idSource) at(seconds int64) string {
	return wire.ID{Seconds: seconds, Cluster: 1, Server: 1, Serial: s.serial.Add(1)}.String()
}

// floorSeconds divides towards minus infinity: -1 ms is second -1.
func floorSeconds(ms int64) int64 {
	s := ms / 1000
	if ms%1000 < 0 {
		s--
	}
	return s
}

// ErrTimeRange is answered by the framework as HTTP 500 with status 500 (part 2
// section 2.6, C35).
var ErrTimeRange = Errorf(500, "create_time is out of range")

// CheckTimeRange refuses a create_time whose seconds no id can hold.
func CheckTimeRange(ms int64) error {
	if s := floorSeconds(ms); s < wire.MinSeconds || s > wire.MaxSeconds {
		return ErrTimeRange
	}
	return nil
}
