package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sequoiacm/scmfs/writeback"
)

func waitingFile(name string, size, acked int64) writeback.Info {
	return writeback.Info{Target: writeback.Target{Workspace: "ws", Name: name}, State: "uploading", Size: size, Acked: acked}
}

func TestWaiting(t *testing.T) {
	stuck, held, open := waitingFile("stuck", 1, 0), waitingFile("held", 1, 0), waitingFile("open", 1, 0)
	stuck.Error, held.Held, open.State = "quota", true, writeback.Writing.String()
	assert.Empty(t, waiting([]writeback.Info{stuck, held, open}), "a stop does not wait for these")
	assert.Equal(t, "1 file, 3.0 KiB: a", waiting([]writeback.Info{stuck, waitingFile("a", 4096, 1024)}))
	assert.Equal(t, "5 files, 5.0 MiB: a, b, c and 2 more", waiting([]writeback.Info{
		waitingFile("a", 1<<20, 0), waitingFile("b", 1<<20, 0), waitingFile("c", 1<<20, 0), waitingFile("d", 1<<20, 0), waitingFile("e", 1<<20, 0)}))
}

// Elsewhere than on a terminal each state is one line, said once.
func TestProgressLines(t *testing.T) {
	var b bytes.Buffer
	now := time.Now()
	p := newProgress(&b, now)
	p.show([]writeback.Info{waitingFile("a", 2048, 0)}, now)
	p.show([]writeback.Info{waitingFile("a", 2048, 0)}, now)
	p.show([]writeback.Info{waitingFile("a", 2048, 1024)}, now)
	p.show(nil, now)
	p.end()
	assert.Equal(t, "waiting for 1 file, 2.0 KiB: a\nwaiting for 1 file, 1.0 KiB: a\n", b.String())
}

func TestProgressBar(t *testing.T) {
	var b bytes.Buffer
	start := time.Now()
	p := &stopProgress{out: &b, width: 60, started: start}
	p.show([]writeback.Info{waitingFile("a", 4<<20, 0)}, start)
	assert.Equal(t, "\r\x1b[K[--------------------]   0%  1 file, 4.0 MiB: a", b.String())
	b.Reset()
	p.show([]writeback.Info{waitingFile("a", 4<<20, 3<<20)}, start.Add(3*time.Second))
	assert.Equal(t, "\r\x1b[K[###############-----]  75% 1.0 MiB/s  1 file, 1.0 MiB: a", b.String())
	b.Reset()
	p.width = 40
	p.show([]writeback.Info{waitingFile("a", 4<<20, 3<<20)}, start.Add(3*time.Second))
	assert.Equal(t, "\r\x1b[K[###############-----]  75% 1.0 MiB/s  ", b.String(), "never wider than the terminal")
	b.Reset()
	half := waitingFile("a", 4<<20, 2<<20)
	half.Handed = 3 << 20
	p.show([]writeback.Info{half}, start)
	assert.Equal(t, "\r\x1b[K[##########=====-----]  50%  1 file, 2.", b.String(), "sent is not done")
	b.Reset()
	p.end()
	p.end()
	assert.Equal(t, "\r\x1b[K", b.String())
}

func TestMountTable(t *testing.T) {
	table := mountTable(`22 1 0:20 / /proc rw - proc proc rw
30 1 0:31 / /mnt/scm rw,relatime shared:1 - autofs systemd-1 rw,fd=52
31 30 0:44 / /mnt/scm rw,nosuid - fuse.scmfs scm:gw:8080/rootsite rw,user_id=0
32 1 0:45 / /mnt/with\040space rw - fuse.scmfs scm rw
33 1 0:46 / /mnt/waiting rw - autofs systemd-1 rw
34 1 0:47 / /mnt/cov rw - fuse.scmfs scm rw
35 34 0:48 / /mnt/cov rw - tmpfs tmpfs rw
`)
	assert.Equal(t, []string{"autofs", "fuse.scmfs"}, table.typesAt("/mnt/scm"))
	assert.Equal(t, "fuse.scmfs", table.top("/mnt/scm"))
	assert.Equal(t, "fuse.scmfs", table.top("/mnt/with space"))
	assert.Equal(t, "autofs", table.top("/mnt/waiting"))
	assert.Equal(t, "tmpfs", table.top("/mnt/cov"), "what is on top counts")
	assert.Empty(t, table.top("/mnt"))
	assert.Equal(t, []string{"/mnt/scm", "/mnt/with space", "/mnt/cov"}, table.ours())
}
