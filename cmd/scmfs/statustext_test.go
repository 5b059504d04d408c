package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/writeback"
)

func exampleStatus(now time.Time) status {
	return status{Version: "scmfs 1", PID: 7, Mountpoint: "/mnt/scm", Seed: "gw:8080/rootsite", StateDir: "/var/lib/scmfs/x", WriteMode: "sync", Started: now.Add(-90 * time.Minute),
		Pending: []writeback.Info{
			{ID: "id1", Target: writeback.Target{Workspace: "ws", Dir: "d1", Name: "big.iso"}, State: "uploading", Size: 100 << 20, Acked: 25 << 20, Handed: 35 << 20},
			{ID: "id2", Target: writeback.Target{Workspace: "ws", Dir: client.RootDir, Name: "bad"}, State: "stuck", Size: 5, Error: "quota exceeded"},
			{ID: "id3", Target: writeback.Target{Workspace: "ws", Partial: true, Name: "p"}, State: "sealed", Held: true, Size: 5},
		},
		more: more{Session: client.Session{User: "alice", Logins: 1}, Server: serverState{Asked: now, Took: 3 * time.Millisecond},
			Paths: map[string]string{"ws/d1": "2026/11"}, Rates: map[string]int64{"id1": 5 << 20}, Limits: limits{Uploads: 8, Increment: 15 << 20},
			Workspaces: []workspaceState{{Name: "ws", Directories: true}, {Name: "f", NoBreakpoints: true}},
			Errors:     []logLine{{Time: now, Level: "error", Message: "not published", File: "ws/bad", Error: "quota exceeded", Count: 3}},
			Page:       "http://127.0.0.1:9100/", Token: "TOKEN"}}
}

func TestStatusForPeople(t *testing.T) {
	now := time.Date(2026, 11, 5, 12, 0, 0, 0, time.UTC)
	s := exampleStatus(now)
	text := statusText(s, false, now)
	for _, want := range []string{
		"pid 7, up 1h30m",
		"gw:8080/rootsite, answers in 3ms",
		"alice, since",
		"ws, f (flat) (no breakpoint files)",
		"2 files not published, 75 MiB to send at 5.0 MiB/s, about 15s; 1 STUCK",
		"25 MiB of 100 MiB, 10 MiB more on the way  5.0 MiB/s  ws/2026/11/big.iso",
		"temporary name",
		"ws/.partial/p",
		"id2  ws/bad  5 B\n    why: quota exceeded\n    do:  scmfs pending retry|export|discard /mnt/scm id2",
		"ERROR ws/bad: not published (quota exceeded), 3 times",
		"http://127.0.0.1:9100/  token TOKEN",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "[#", "bars are for those who watch")
	require.Contains(t, statusText(s, true, now), "[#####==-------------]  25%  25 MiB of 100 MiB")
	s.Server.Error, s.Workspaces = "connection refused", nil
	require.Contains(t, statusText(s, false, now), "does not answer: connection refused")
	s.Pending = nil
	require.Contains(t, statusText(s, false, now), "nothing is waiting to be published")
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		want        string
	}{{0, 10, "[----]   0%"}, {5, 10, "[##--]  50%"}, {10, 10, "[####] 100%"}, {99, 100, "[###-]  99%"}, {0, 0, "[####] 100%"}, {20, 10, "[####] 100%"}, {-1, 10, "[----]   0%"}} {
		require.Equal(t, c.want, bar(c.done, 0, c.total, 4), "%+v", c)
	}
	require.Equal(t, "[#==-]  25%", bar(25, 75, 100, 4), "what is sent does not count as done")
	require.Equal(t, "[#===]  25%", bar(25, 200, 100, 4))
}

func TestStatusIsTheSameAsJSON(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, statusView{out: &b, json: true}.once(exampleStatus(time.Now())))
	for _, key := range []string{`"pid"`, `"pending"`, `"session"`, `"server"`, `"workspaces"`, `"bytes_per_second"`, `"cache"`, `"limits"`, `"recent_errors"`} {
		require.Contains(t, b.String(), key)
	}
}

func TestRates(t *testing.T) {
	at := time.Unix(1000, 0)
	acked := int64(0)
	s := newSampler(newMeter(), func() []writeback.Info {
		return []writeback.Info{{ID: "a", Acked: acked}, {ID: "idle"}}
	}, func() int64 { return 0 })
	for i := range 30 {
		if i%5 == 0 {
			acked += 50 // in lumps
		}
		s.meter.bytes("write", 7)
		s.sample(at.Add(time.Duration(i) * time.Second))
	}
	require.Equal(t, int64(10), s.rates()["a"])
	require.NotContains(t, s.rates(), "idle")
	h := s.history()
	require.Len(t, h, 30)
	require.Equal(t, int64(7), h[29].Written)
	for range keptPoints {
		s.sample(at)
	}
	require.Len(t, s.history(), keptPoints)
	s.pending = func() []writeback.Info { return nil }
	s.sample(at)
	require.Empty(t, s.files, "what is published is forgotten")
}

func TestWhereIsAPath(t *testing.T) {
	table := strings.Join([]string{
		`20 1 0:1 / / rw - ext4 /dev/sda rw`,
		`21 20 0:50 / /mnt/scm rw,nosuid - fuse.scmfs scm:gw rw`,
		`22 20 0:51 / /mnt/scm/inner rw - fuse.scmfs scm:gw rw`,
		`23 20 0:52 / /mnt/with\040space rw shared:1 - fuse.scmfs scm:gw rw`,
		`24 20 0:53 / /mnt/other rw - fuse.sshfs x rw`,
	}, "\n")
	all := mountsIn(table)
	require.Equal(t, []string{"/mnt/scm", "/mnt/scm/inner", "/mnt/with space"}, all)
	for path, want := range map[string]place{
		"/mnt/scm":             {mount: "/mnt/scm"},
		"/mnt/scm/ws/a/b":      {mount: "/mnt/scm", rel: "ws/a/b"},
		"/mnt/scm/inner/ws":    {mount: "/mnt/scm/inner", rel: "ws"},
		"/mnt/with space/ws/x": {mount: "/mnt/with space", rel: "ws/x"},
	} {
		got, err := placeIn(all, path)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, path := range []string{"/mnt/scmother/x", "/mnt/other/x", "/"} {
		_, err := placeIn(all, path)
		require.Error(t, err, path)
	}
}

// A path means what the mount was made with.
func TestPlaceInAWorkspace(t *testing.T) {
	for _, tc := range []struct {
		at                       place
		ws, top, versions, partl string
	}{
		{at: place{"/m", "", false}},
		{at: place{"/m", "ws", false}, ws: "ws", top: "/m/ws"},
		{at: place{"/m", "ws/a/x", false}, ws: "ws", top: "/m/ws", versions: "/m/ws/.versions/a/x"},
		{at: place{"/m", "ws/.partial/x", false}, ws: "ws", top: "/m/ws", partl: "x"},
		{at: place{"/m", "ws/.versions/x", false}, ws: "ws", top: "/m/ws"},
		{at: place{"/m", "", true}, ws: "root", top: "/m"},
		{at: place{"/m", "x", true}, ws: "root", top: "/m", versions: "/m/.versions/x"},
		{at: place{"/m", "a/x", true}, ws: "root", top: "/m", versions: "/m/.versions/a/x"},
		{at: place{"/m", ".partial/x", true}, ws: "root", top: "/m", partl: "x"},
	} {
		require.Equal(t, tc.ws, tc.at.workspace("root/dir"), "%+v", tc.at)
		top, _ := tc.at.split()
		require.Equal(t, tc.top, top, "%+v", tc.at)
		require.Equal(t, tc.partl, tc.at.partial(), "%+v", tc.at)
		dir, err := tc.at.versionsDir()
		require.Equal(t, tc.versions == "", err != nil, "%+v: %v", tc.at, err)
		require.Equal(t, tc.versions, dir, "%+v", tc.at)
	}
}

// Pending files are named as they are seen below the mount point.
func TestNamesBelowARoot(t *testing.T) {
	in := func(ws, dir, name string, partial bool) writeback.Target {
		return writeback.Target{Workspace: ws, Dir: client.DirID(dir), Name: name, Partial: partial}
	}
	paths := map[string]string{"ws/1": "a", "ws/2": "a/b", "ws/3": "ab"}
	whole, ws, dir := more{Paths: paths}, more{Paths: paths, Root: "ws"}, more{Paths: paths, Root: "ws/a"}
	for _, tc := range []struct {
		target                writeback.Target
		whole, inWS, inFolder string
	}{
		{in("ws", "", "x", false), "ws/x", "x", "/ws/x"},
		{in("ws", "1", "x", false), "ws/a/x", "a/x", "x"},
		{in("ws", "2", "x", false), "ws/a/b/x", "a/b/x", "b/x"},
		{in("ws", "3", "x", false), "ws/ab/x", "ab/x", "/ws/ab/x"},
		{in("ws", "9", "x", false), "ws/…/x", "…/x", "…/x"},
		{in("ws", "", "x", true), "ws/.partial/x", ".partial/x", ".partial/x"},
		{in("other", "", "x", true), "other/.partial/x", "/other/.partial/x", "/other/.partial/x"},
	} {
		require.Equal(t, tc.whole, whole.pathOf(tc.target))
		require.Equal(t, tc.inWS, ws.pathOf(tc.target))
		require.Equal(t, tc.inFolder, dir.pathOf(tc.target))
	}
}

func TestOpsFlagsAreChecked(t *testing.T) {
	good := opsFlags{logFormat: "auto", logMaxSize: 1 << 20, logKeep: 1}
	require.Nil(t, good.check("127.0.0.1:0"))
	for name, change := range map[string]func(*opsFlags){
		"format": func(o *opsFlags) { o.logFormat = "xml" }, "size": func(o *opsFlags) { o.logMaxSize = 10 }, "keep": func(o *opsFlags) { o.logKeep = 0 },
	} {
		o := good
		change(&o)
		require.NotNil(t, o.check(""), name)
	}
	o := good
	o.pprof = true
	require.NotNil(t, o.check(""), "profiles need an address")
	require.NotNil(t, good.check("9100"), "no colon")
}

func TestSumsAreTheServers(t *testing.T) {
	path := t.TempDir() + "/f"
	require.NoError(t, os.WriteFile(path, []byte("123456789"), 0o600))
	for kind, want := range map[string]string{"CRC32": "3421780262", "ADLER32": "152961502", "MD5": "JfnnlDI7RTiF9RgfG2JNCw=="} {
		n, sum, err := sumOf(path, kind)
		require.NoError(t, err)
		require.Equal(t, int64(9), n)
		require.Equal(t, want, sum, kind)
	}
	require.Equal(t, "25f9e794323b453885f5181f1b624d0b", readable(serverSum{Type: "MD5", Sum: "JfnnlDI7RTiF9RgfG2JNCw=="}))
	_, _, err := sumOf(path, "SHA3")
	require.Error(t, err)
}
