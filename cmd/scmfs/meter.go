package main

import (
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sequoiacm/scmfs/writeback"
)

// meter counts what the parts report. Every name is documented in
// docs/METRICS.md; a test compares.
type meter struct {
	reg      *prometheus.Registry
	ops      *prometheus.HistogramVec
	moved    *prometheus.CounterVec
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	bodies   *prometheus.CounterVec
	logged   *prometheus.CounterVec

	read, written, sent, received atomic.Int64 // bytes, for the status page
}

func newMeter() *meter {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "scmfs", Name: name, Help: help}, labels)
	}
	buckets := prometheus.ExponentialBuckets(0.0001, 4, 11) // 100 µs to 105 s
	m := &meter{
		reg: prometheus.NewRegistry(),
		ops: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "scmfs", Name: "operation_seconds", Buckets: buckets,
			Help: "Kernel operations, by what they ended with."}, []string{"operation", "errno"}),
		moved:    counter("operation_bytes_total", "Bytes that programs read and wrote through the mount.", "operation"),
		requests: counter("requests_total", "Requests to the server; status 0: no answer.", "endpoint", "status"),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "scmfs", Name: "request_seconds", Buckets: buckets,
			Help: "Requests to the server, until the answer was read."}, []string{"endpoint"}),
		bodies: counter("request_bytes_total", "Bytes in bodies of requests and answers.", "endpoint", "direction"),
		logged: counter("log_messages_total", "Warnings and errors in the log.", "level"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "scmfs", Name: "build_info", Help: "Always 1; the version is a label.",
		ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.logged.WithLabelValues("warning")
	m.logged.WithLabelValues("error")
	m.moved.WithLabelValues("read")
	m.moved.WithLabelValues("write")
	m.reg.MustRegister(m.ops, m.moved, m.requests, m.took, m.bodies, m.logged, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// request takes client.Options.Observe.
func (m *meter) request(endpoint string, status int, took time.Duration, sent, received int64) {
	m.requests.WithLabelValues(endpoint, strconv.Itoa(status)).Inc()
	m.took.WithLabelValues(endpoint).Observe(took.Seconds())
	m.bodies.WithLabelValues(endpoint, "sent").Add(float64(sent))
	m.bodies.WithLabelValues(endpoint, "received").Add(float64(received))
	m.sent.Add(sent)
	m.received.Add(received)
}

// operation takes fs.Options.Observe.
func (m *meter) operation(op string, errno syscall.Errno, took time.Duration) {
	m.ops.WithLabelValues(op, errnoName(errno)).Observe(took.Seconds())
}

// bytes takes fs.Options.Moved.
func (m *meter) bytes(op string, n int) {
	m.moved.WithLabelValues(op).Add(float64(n))
	if op == "read" {
		m.read.Add(int64(n))
	} else {
		m.written.Add(int64(n))
	}
}

// queueGauges are figures of the queue that are read when asked for.
type queueGauges struct {
	r                                          *running
	files, bytes, oldest, free, floor, maximum *prometheus.Desc
}

func newQueueGauges(r *running) *queueGauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("scmfs_"+name, help, labels, nil)
	}
	return &queueGauges{r: r,
		files:   desc("queue_files", "Files that are not published, by state.", "state"),
		bytes:   desc("queue_bytes", "Bytes that the server has not acknowledged."),
		oldest:  desc("queue_oldest_seconds", "Time since the last change of the file that waits longest, files being written not counted."),
		free:    desc("spool_free_bytes", "Bytes left on the disk of the state directory."),
		floor:   desc("spool_floor_bytes", "Bytes to be left there (--spool-min-free)."),
		maximum: desc("spool_limit_bytes", "Bytes the spool may take (--spool-max-size); 0: no limit."),
	}
}

// Describe implements prometheus.Collector.
func (g *queueGauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.files, g.bytes, g.oldest, g.free, g.floor, g.maximum} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *queueGauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	states := map[string]int{}
	for _, s := range []writeback.State{writeback.Writing, writeback.Sealed, writeback.Uploading, writeback.Committing, writeback.Stuck} {
		states[s.String()] = 0
	}
	var bytes int64
	var oldest time.Duration
	for _, p := range g.r.queue.Pending() {
		states[p.State]++
		bytes += max(p.Size-p.Acked, 0)
		if p.State != writeback.Writing.String() {
			oldest = max(oldest, time.Since(p.Modified))
		}
	}
	for s, n := range states {
		gauge(g.files, float64(n), s)
	}
	gauge(g.bytes, float64(bytes))
	gauge(g.oldest, oldest.Seconds())
	if u := g.r.queue.Usage(); u.Free >= 0 {
		gauge(g.free, float64(u.Free))
	}
	gauge(g.floor, float64(g.r.m.spoolFree))
	gauge(g.maximum, float64(g.r.m.spoolMax))
}
