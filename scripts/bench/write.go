package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// source makes a local file of n random bytes and leaves it in the page cache.
func (e *env) source(ctx context.Context, n int64) (string, error) {
	name := filepath.Join(e.dir, "local")
	return name, exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf("head -c %d /dev/urandom > %s && sync %s", n, name, name)).Run()
}

// post uploads a local file by curl, as one streamed request.
func (e *env) post(ctx context.Context, token, local, name string) (time.Duration, error) {
	u := fmt.Sprintf("http://%s%s/files?%s", e.listen, wire.SitePrefix(site, true),
		wire.Params{}.Add(wire.ParamWorkspace, "default").Add(wire.ParamUploadConfig, `{"is_overwrite":false}`).Encode())
	return timed(ctx, "curl", "-sf", "-o", "/dev/null", "-X", "POST", "-T", local, "-H", "Expect:", "-H", "x-auth-token: "+token,
		"-H", "Content-Type: "+wire.ContentTypeBinary, "-H", wire.HeaderDescription+": "+description(name), u)
}

func description(name string) string {
	return wire.Escape(`{"name":"` + name + `","title":"","author":"","mime_type":"","tags":[]}`)
}

// remove deletes a file at the server, for its room.
func (e *env) remove(ctx context.Context, name string) error {
	ws := e.client.Workspace("default")
	f, err := ws.LookupFile(ctx, client.RootDir, name)
	if err != nil {
		return err
	}
	return ws.DeleteFile(ctx, f.ID)
}

// settle lets the disk finish with what the side before has left and removed: on a
// disk that is told of freed blocks (mount option discard), removing a GiB slows
// down what is written in the second after it, whoever writes.
func settle() {
	unix.Sync()
	time.Sleep(2 * time.Second)
}

// dd copies a local file in pieces of 1 MiB; it ends when close has returned.
func dd(ctx context.Context, from, to string, more ...string) (time.Duration, error) {
	return timed(ctx, "dd", append([]string{"if=" + from, "of=" + to, "bs=1M", "status=none"}, more...)...)
}

// write: with write_mode=sync a close has published what was written, so its
// limit is one streamed request of the same bytes to the same server. With async
// it is safe on the local disk, so its limit is a write and fsync there.
func write(ctx context.Context, e *env) error {
	local, err := e.source(ctx, e.size)
	if err != nil {
		return err
	}
	defer os.Remove(local)
	token, err := e.token()
	if err != nil {
		return err
	}
	gib := float64(e.size) / (1 << 30)
	sync, async, cpu, server, rss := newTable("MB/s, close has published"), newTable("MB/s, close is durable here"), newTable("mount CPU s/GiB"), newTable("server CPU s/GiB"), newTable("mount peak RSS MiB")
	mbs := func(d time.Duration) float64 { return float64(e.size) / 1e6 / d.Seconds() }
	for range e.rounds {
		settle()
		s0, err := cpuOf(e.server.Process.Pid)
		if err != nil {
			return err
		}
		d, err := e.post(ctx, token, local, "large")
		if err != nil {
			return err
		}
		sync.add("curl", mbs(d))
		s1, err := cpuOf(e.server.Process.Pid)
		if err != nil {
			return err
		}
		server.add("curl", (s1-s0).Seconds()/gib)
		if err := e.remove(ctx, "large"); err != nil {
			return err
		}
		for _, mode := range []string{"sync", "async"} {
			if err := e.mount("--write-mode", mode); err != nil {
				return err
			}
			settle()
			before, err := e.cpu()
			if err != nil {
				return err
			}
			s0, err := cpuOf(e.server.Process.Pid)
			if err != nil {
				return err
			}
			d, err := dd(ctx, local, e.path("large"))
			if err != nil {
				return err
			}
			if mode == "sync" {
				sync.add("mount, sync", mbs(d))
			} else {
				async.add("mount, async", mbs(d))
				if err := e.drained(ctx); err != nil {
					return err
				}
			}
			after, err := e.cpu()
			if err != nil {
				return err
			}
			s1, err := cpuOf(e.server.Process.Pid)
			if err != nil {
				return err
			}
			cpu.add("mount, "+mode, (after-before).Seconds()/gib)
			server.add("mount, "+mode, (s1-s0).Seconds()/gib)
			peak, err := e.peak()
			if err != nil {
				return err
			}
			rss.add("mount, "+mode, float64(peak)/(1<<20))
			if err := e.remove(ctx, "large"); err != nil {
				return err
			}
			e.unmount()
		}
		settle()
		beside := filepath.Join(e.dir, "beside")
		if d, err = dd(ctx, local, beside, "conv=fsync"); err != nil {
			return err
		}
		async.add("local disk, fsync", mbs(d))
		if err := os.Remove(beside); err != nil {
			return err
		}
	}
	e.show(sync, "curl")
	e.show(async, "local disk, fsync")
	e.show(cpu, "")
	e.show(server, "curl")
	e.show(rss, "")
	return nil
}

// writers lets e.writers programs write at once, beside as many curls.
func writers(ctx context.Context, e *env) error {
	local, err := e.source(ctx, e.writerSize)
	if err != nil {
		return err
	}
	defer os.Remove(local)
	token, err := e.token()
	if err != nil {
		return err
	}
	total := float64(e.writers) * float64(e.writerSize)
	name := func(i int) string { return "writer-" + strconv.Itoa(i) }
	all := func(one func(ctx context.Context, i int) error) (time.Duration, error) {
		g, ctx := errgroup.WithContext(ctx)
		start := time.Now()
		for i := range e.writers {
			g.Go(func() error { return one(ctx, i) })
		}
		err := g.Wait()
		return time.Since(start), err
	}
	clean := func() error {
		_, err := all(func(ctx context.Context, i int) error { return e.remove(ctx, name(i)) })
		settle()
		return err
	}
	speed, cpu, rss := newTable("MB/s, all together"), newTable("mount CPU s/GiB"), newTable("mount peak RSS MiB")
	for range e.rounds {
		d, err := all(func(ctx context.Context, i int) error { _, err := e.post(ctx, token, local, name(i)); return err })
		if err != nil {
			return err
		}
		speed.add(fmt.Sprintf("%d curls", e.writers), total/1e6/d.Seconds())
		if err := clean(); err != nil {
			return err
		}
		if err := e.mount(); err != nil {
			return err
		}
		before, err := e.cpu()
		if err != nil {
			return err
		}
		if d, err = all(func(ctx context.Context, i int) error { _, err := dd(ctx, local, e.path(name(i))); return err }); err != nil {
			return err
		}
		speed.add("mount", total/1e6/d.Seconds())
		after, err := e.cpu()
		if err != nil {
			return err
		}
		cpu.add("mount", (after-before).Seconds()/(total/(1<<30)))
		peak, err := e.peak()
		if err != nil {
			return err
		}
		rss.add("mount", float64(peak)/(1<<20))
		if err := clean(); err != nil {
			return err
		}
		e.unmount()
	}
	e.show(speed, fmt.Sprintf("%d curls", e.writers))
	e.show(cpu, "")
	e.show(rss, "")
	return nil
}

// drained waits until the mount has nothing left to upload.
func (e *env) drained(ctx context.Context) error {
	_, err := timed(ctx, e.binary, "wait", e.mnt)
	return err
}

// peak is the most memory that the mount has had, in bytes.
func (e *env) peak() (int64, error) {
	v := field(fmt.Sprintf("/proc/%d/status", e.mountPID), "VmHWM")
	n, err := strconv.ParseInt(strings.TrimSuffix(v, " kB"), 10, 64)
	if err != nil {
		err = errors.Join(errors.New("no VmHWM"), err)
	}
	return n << 10, err
}
