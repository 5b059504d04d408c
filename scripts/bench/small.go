package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sequoiacm/scmfs/internal/wire"
)

const smallSize = 4 << 10

// small creates, writes and closes files of 4 KiB, each published by its close,
// beside a bare keep-alive client that posts as many.
func small(ctx context.Context, e *env) error {
	token, err := e.token()
	if err != nil {
		return err
	}
	content := bytes.Repeat([]byte("0123456789abcdef"), smallSize/16)
	rate, cpu, req := newTable("files/s"), newTable("mount CPU us/file"), newTable("requests/file")
	for round := range e.rounds {
		for _, jobs := range []int{1, 8} {
			hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: jobs, DisableCompression: true}}
			u := fmt.Sprintf("http://%s%s/files?%s", e.listen, wire.SitePrefix(site, true),
				wire.Params{}.Add(wire.ParamWorkspace, "default").Add(wire.ParamUploadConfig, `{"is_overwrite":false}`).Encode())
			d, err := e.share(ctx, jobs, func(i int) error {
				return post(ctx, hc, u, token, fmt.Sprintf("bare-%d-%d-%d", round, jobs, i), content)
			})
			hc.CloseIdleConnections()
			if err != nil {
				return err
			}
			rate.add(fmt.Sprintf("bare client, %d connections", jobs), float64(e.smallFiles)/d.Seconds())
			if err := e.mount(); err != nil {
				return err
			}
			dir := e.path(fmt.Sprintf("small-%d-%d", round, jobs))
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			before, err := e.cpu()
			if err != nil {
				return err
			}
			asked, err := e.requests()
			if err != nil {
				return err
			}
			d, err = e.share(ctx, jobs, func(i int) error {
				f, err := os.Create(fmt.Sprintf("%s/f%d", dir, i))
				if err != nil {
					return err
				}
				if _, err := f.Write(content); err != nil {
					return err
				}
				return f.Close()
			})
			if err != nil {
				return err
			}
			side := fmt.Sprintf("mount, %d threads", jobs)
			rate.add(side, float64(e.smallFiles)/d.Seconds())
			after, err := e.cpu()
			if err != nil {
				return err
			}
			now, err := e.requests()
			if err != nil {
				return err
			}
			cpu.add(side, float64((after-before).Microseconds())/float64(e.smallFiles))
			req.add(side, float64(now-asked)/float64(e.smallFiles))
			e.unmount()
		}
	}
	for _, jobs := range []int{1, 8} {
		e.show(rate.only(fmt.Sprintf("bare client, %d connections", jobs), fmt.Sprintf("mount, %d threads", jobs)), fmt.Sprintf("bare client, %d connections", jobs))
	}
	e.show(cpu, "")
	e.show(req, "")
	return nil
}

// share lets jobs do the numbers below e.smallFiles.
func (e *env) share(ctx context.Context, jobs int, do func(i int) error) (time.Duration, error) {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for range jobs {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(e.smallFiles) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := do(int(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return time.Since(start), err
}

func post(ctx context.Context, hc *http.Client, u, token, name string, content []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, bytes.NewReader(content))
	if err != nil {
		return err
	}
	req.Header.Set("x-auth-token", token)
	req.Header.Set("Content-Type", wire.ContentTypeBinary)
	req.Header.Set(wire.HeaderDescription, description(name))
	res, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("post: %s: %s", res.Status, b)
	}
	return err
}
