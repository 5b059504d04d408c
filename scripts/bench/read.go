package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

func readAll(r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	return string(b), err
}

// large makes a file of e.size random bytes, on the server and beside it.
func (e *env) large(ctx context.Context) (f client.File, local string, err error) {
	local = filepath.Join(e.dir, "local")
	if err := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf("head -c %d /dev/urandom > %s", e.size, local)).Run(); err != nil {
		return f, "", err
	}
	body := client.Body{Size: e.size, Open: func() (io.Reader, error) { return os.Open(local) }}
	f, err = e.client.Workspace("default").CreateFile(ctx, client.NewFile{Name: "large"}, body)
	return f, local, err
}

func (e *env) url(f client.File) string {
	return fmt.Sprintf("http://%s/%s/api/v1/files/%s?workspace_name=default", e.listen, site, f.ID)
}

func sequential(ctx context.Context, e *env) error {
	f, local, err := e.large(ctx)
	if err != nil {
		return err
	}
	defer os.Remove(local)
	token, err := e.token()
	if err != nil {
		return err
	}
	speed, cpu := newTable("MB/s"), newTable("s/GiB")
	mbs := func(d time.Duration) float64 { return float64(e.size) / 1e6 / d.Seconds() }
	read := func(path string) (time.Duration, error) {
		return timed(ctx, "dd", "if="+path, "of=/dev/null", "bs=1M", "status=none")
	}
	for range e.rounds {
		d, err := timed(ctx, "curl", "-sf", "-o", "/dev/null", "-H", "x-auth-token: "+token, e.url(f))
		if err != nil {
			return err
		}
		speed.add("curl", mbs(d))
		if err := e.mount(); err != nil {
			return err
		}
		before, err := e.cpu()
		if err != nil {
			return err
		}
		if d, err = read(e.path("large")); err != nil {
			return err
		}
		speed.add("mount, cold", mbs(d))
		after, err := e.cpu()
		if err != nil {
			return err
		}
		cpu.add("mount, cold", (after-before).Seconds()*float64(1<<30)/float64(e.size))
		if d, err = read(e.path("large")); err != nil {
			return err
		}
		speed.add("mount, warm", mbs(d))
		if d, err = read(local); err != nil {
			return err
		}
		speed.add("local file", mbs(d))
	}
	e.show(speed, "curl")
	e.show(cpu, "")
	return nil
}

func random(ctx context.Context, e *env) error {
	f, local, err := e.large(ctx)
	if err != nil {
		return err
	}
	defer os.Remove(local)
	token, err := e.token()
	if err != nil {
		return err
	}
	t, cpu := newTable("op/s"), newTable("us/op")
	for range e.rounds {
		for _, jobs := range []int{1, 8} {
			seed := rand.Uint64()
			hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: jobs, DisableCompression: true}}
			bare := func(off int64, p []byte) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s&offset=%d&length=%d", e.url(f), off, len(p)), nil)
				if err != nil {
					return err
				}
				req.Header.Set("x-auth-token", token)
				res, err := hc.Do(req)
				if err != nil {
					return err
				}
				defer res.Body.Close()
				_, err = io.ReadFull(res.Body, p)
				return err
			}
			if err := e.race(t, fmt.Sprintf("bare client, %d jobs", jobs), jobs, seed, bare); err != nil {
				return err
			}
			hc.CloseIdleConnections()
			if err := e.mount(); err != nil {
				return err
			}
			file, err := os.Open(e.path("large"))
			if err != nil {
				return err
			}
			before, err := e.cpu()
			if err != nil {
				return err
			}
			err = e.race(t, fmt.Sprintf("mount, %d jobs", jobs), jobs, seed, func(off int64, p []byte) error {
				_, err := file.ReadAt(p, off)
				return err
			})
			_ = file.Close()
			if err != nil {
				return err
			}
			after, err := e.cpu()
			if err != nil {
				return err
			}
			cpu.add(fmt.Sprintf("mount, %d jobs", jobs), float64((after-before).Microseconds())/float64(jobs*e.ops))
		}
	}
	e.show(t, "bare client, 1 jobs")
	e.show(cpu, "")
	for _, jobs := range []int{1, 8} {
		m, b := t.rows[fmt.Sprintf("mount, %d jobs", jobs)], t.rows[fmt.Sprintf("bare client, %d jobs", jobs)]
		fmt.Printf("  %d jobs: mount is %.2f of the bare client\n", jobs, median(m)/median(b))
	}
	return nil
}

// race lets jobs read e.ops blocks each, no block twice.
func (e *env) race(t *table, name string, jobs int, seed uint64, read func(off int64, p []byte) error) error {
	order := rand.New(rand.NewPCG(seed, seed)).Perm(int(e.size / 4096))
	var wg sync.WaitGroup
	errs := make(chan error, jobs)
	start := time.Now()
	for j := range jobs {
		wg.Go(func() {
			p := make([]byte, 4096)
			for _, i := range order[j*e.ops : (j+1)*e.ops] {
				if err := read(int64(i)*4096, p); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	t.add(name, float64(jobs*e.ops)/time.Since(start).Seconds())
	return <-errs
}
