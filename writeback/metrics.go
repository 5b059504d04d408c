package writeback

import "github.com/prometheus/client_golang/prometheus"

// metrics are the queue's counters; without a registerer they are just not shown.
type metrics struct {
	published, conflicts, stuck, bytes prometheus.Counter
}

func newMetrics(r prometheus.Registerer, q *Queue) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "scmfs", Subsystem: "writeback", Name: name, Help: help})
	}
	m := &metrics{
		published: counter("published_total", "Contents that became a version or a complete breakpoint file."),
		conflicts: counter("conflicts_total", "Versions of others found under ours."),
		stuck:     counter("stuck_total", "Drafts that could not be published."),
		bytes:     counter("sent_bytes_total", "Content bytes acknowledged by the store."),
	}
	if r == nil {
		return m
	}
	r.MustRegister(m.published, m.conflicts, m.stuck, m.bytes,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "scmfs", Subsystem: "writeback", Name: "spool_bytes", Help: "Bytes reserved for drafts."},
			func() float64 { return float64(q.space.used()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "scmfs", Subsystem: "writeback", Name: "memory_bytes", Help: "Bytes of drafts in memory."},
			func() float64 { return float64(q.memory.used()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "scmfs", Subsystem: "writeback", Name: "drafts", Help: "Drafts that are not published."},
			func() float64 { return float64(len(q.Pending())) }))
	return m
}

func (m *metrics) sent(n int64) { m.bytes.Add(float64(n)) }
