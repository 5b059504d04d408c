package main

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func documented(t *testing.T, path string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	out := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(scmfs_[a-z0-9_]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		out[m[1]] = true
	}
	return out
}

// docs/METRICS.md names every metric, and none that is not there.
func TestMetricsAreDocumented(t *testing.T) {
	g := newRig(t)
	g.draft("a", "content", false)
	g.r.meter.operation("flush", 0, 1)
	text := g.ask(http.MethodGet, "/metrics", nil).body
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (scmfs_[a-z0-9_]+) `).FindAllStringSubmatch(text, -1) {
		shown[m[1]] = true
	}
	require.Equal(t, documented(t, "../../docs/METRICS.md"), shown)
	require.Contains(t, text, `scmfs_requests_total{endpoint="POST /files",status="200"} 1`)
	require.Contains(t, text, `scmfs_operation_seconds_count{errno="OK",operation="flush"} 1`)
	require.Contains(t, text, `scmfs_queue_files{state="stuck"} 0`)
	require.Contains(t, text, "go_goroutines")
	require.Contains(t, text, "process_resident_memory_bytes")
}

// Alerts and the dashboard speak of metrics that there are.
func TestAlertsAndDashboardAreCurrent(t *testing.T) {
	known := documented(t, "../../docs/METRICS.md")
	for _, path := range []string{"../../contrib/prometheus/scmfs.rules.yml", "../../contrib/grafana/scmfs.json"} {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		found := regexp.MustCompile(`scmfs_[a-z0-9_]+`).FindAllString(string(b), -1)
		require.NotEmpty(t, found)
		for _, name := range found {
			base := regexp.MustCompile(`_seconds_(count|sum|bucket)$`).ReplaceAllString(name, "_seconds")
			require.True(t, known[base], "%s: %s", path, name)
		}
	}
}

func TestQueueGauges(t *testing.T) {
	g := newRig(t)
	id := g.draft("stuck", "12345", true)
	text := g.ask(http.MethodGet, "/metrics", nil).body
	require.Contains(t, text, `scmfs_queue_files{state="stuck"} 1`)
	require.Contains(t, text, "scmfs_queue_bytes 5")
	require.Contains(t, text, "scmfs_writeback_stuck_total 1")
	require.Contains(t, text, `scmfs_log_messages_total{level="error"} 1`)
	require.Regexp(t, `scmfs_spool_free_bytes [1-9]`, text)
	require.Equal(t, http.StatusOK, g.act("/api/pending/discard", url.Values{"id": {id}}).status)
	require.NoError(t, g.r.queue.Drain(t.Context()))
	require.Contains(t, g.ask(http.MethodGet, "/metrics", nil).body, `scmfs_queue_files{state="stuck"} 0`)
}
