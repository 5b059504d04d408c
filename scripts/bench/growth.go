package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// get downloads a file by curl.
func (e *env) get(ctx context.Context, token string, id client.FileID) (time.Duration, error) {
	return timed(ctx, "curl", "-sf", "-o", "/dev/null", "-H", "x-auth-token: "+token, e.url(client.File{ID: id}))
}

func growSize(ctx context.Context, e *env) error {
	token, err := e.token()
	if err != nil {
		return err
	}
	p := newPlot("one file, until it is published; and read cold", "MiB", "MB/s")
	rss := newPlot("memory of the mount after it", "MiB", "MiB")
	for _, mib := range strings.Split(e.sizes, ",") {
		n, err := strconv.ParseInt(mib, 10, 64)
		if err != nil {
			return err
		}
		size := n << 20
		local, holes, err := e.sourceOf(ctx, size)
		if err != nil {
			return err
		}
		t, peaks := newTable("MB/s"), newTable("mount peak RSS MiB")
		mbs := func(d time.Duration) float64 { return float64(size) / 1e6 / d.Seconds() }
		for range e.rounds {
			settle()
			d, err := e.post(ctx, token, local, "large")
			if err != nil {
				return err
			}
			t.add("curl, write", mbs(d))
			f, err := e.client.Workspace("default").LookupFile(ctx, client.RootDir, "large")
			if err != nil {
				return err
			}
			if d, err = e.get(ctx, token, f.ID); err != nil {
				return err
			}
			t.add("curl, read", mbs(d))
			if err := e.remove(ctx, "large"); err != nil {
				return err
			}
			settle()
			if err := e.mount(); err != nil {
				return err
			}
			if d, err = dd(ctx, local, e.path("large"), holes...); err != nil {
				return err
			}
			t.add("mount, write", mbs(d))
			peak, err := e.peak()
			if err != nil {
				return err
			}
			peaks.add("write", float64(peak)/(1<<20))
			if err := e.mount(); err != nil {
				return err
			}
			if d, err = dd(ctx, e.path("large"), "/dev/null"); err != nil {
				return err
			}
			t.add("mount, read", mbs(d))
			if peak, err = e.peak(); err != nil {
				return err
			}
			peaks.add("read", float64(peak)/(1<<20))
			if err := os.Remove(e.path("large")); err != nil {
				return err
			}
			e.unmount()
		}
		if err := os.Remove(local); err != nil {
			return err
		}
		e.caption(fmt.Sprintf("one file of %d MiB", size>>20))
		e.show(t, "curl, write")
		e.show(peaks, "")
		for _, name := range t.names {
			p.add(name, float64(size>>20), median(t.rows[name]))
		}
		for _, name := range peaks.names {
			rss.add(name, float64(size>>20), median(peaks.rows[name]))
		}
	}
	return errors.Join(p.save(e.plots, "size-speed.svg"), rss.save(e.plots, "size-memory.svg"))
}

// sourceOf is source, or a file of one hole and the options that make dd keep it.
func (e *env) sourceOf(ctx context.Context, size int64) (local string, dd []string, err error) {
	if e.sparse == 0 || size < e.sparse<<20 {
		local, err = e.source(ctx, size)
		return local, nil, err
	}
	local = filepath.Join(e.dir, "local")
	return local, []string{"conv=sparse"}, errors.Join(os.WriteFile(local, nil, 0o600), os.Truncate(local, size))
}

func growWriters(ctx context.Context, e *env) error {
	const each = 16 << 20
	local, err := e.source(ctx, each)
	if err != nil {
		return err
	}
	defer os.Remove(local)
	token, err := e.token()
	if err != nil {
		return err
	}
	p := newPlot("programs writing 16 MiB each at once", "programs", "MB/s in all")
	for _, n := range []int{1, 4, 16, 64} {
		t, peaks := newTable("MB/s"), newTable("mount peak RSS MiB")
		mbs := func(d time.Duration) float64 { return float64(n) * each / 1e6 / d.Seconds() }
		for round := range e.rounds {
			settle()
			d, err := together(n, func(i int) error {
				_, err := e.post(ctx, token, local, fmt.Sprintf("curl-%d-%d-%d", n, round, i))
				return err
			})
			if err != nil {
				return err
			}
			t.add("curl", mbs(d))
			if err := e.mount(); err != nil {
				return err
			}
			dir := e.path(fmt.Sprintf("w-%d-%d", n, round))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			if d, err = together(n, func(i int) error {
				_, err := dd(ctx, local, dir+"/f"+strconv.Itoa(i))
				return err
			}); err != nil {
				return err
			}
			t.add("mount", mbs(d))
			peak, err := e.peak()
			if err != nil {
				return err
			}
			peaks.add("mount", float64(peak)/(1<<20))
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			for i := range n {
				if err := e.remove(ctx, fmt.Sprintf("curl-%d-%d-%d", n, round, i)); err != nil {
					return err
				}
			}
			e.unmount()
		}
		e.caption(fmt.Sprintf("%d programs", n))
		e.show(t, "curl")
		e.show(peaks, "")
		for _, name := range t.names {
			p.add(name, float64(n), median(t.rows[name]))
		}
	}
	return p.save(e.plots, "writers-speed.svg")
}

// together runs do n times at once.
func together(n int, do func(i int) error) (time.Duration, error) {
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return time.Since(start), errors.Join(errs...)
}
