package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/sequoiacm/scmfs/client"
)

// gigabit is the rate of the link in kilobytes per second.
const gigabit = 125_000

// link is a proxy to the server with the round trip time and the rate of a wide
// area link. It stands in for tc netem, which many kernels are built without; it
// costs both sides the same processor time.
func (e *env) link(rtt time.Duration) (over *env, stop func(), err error) {
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "link", "127.0.0.1:0", e.listen)
	if err := p.Start(); err != nil {
		return nil, nil, err
	}
	for _, stream := range []string{"upstream", "downstream"} {
		for _, toxic := range []string{
			fmt.Sprintf(`{"name":"l-%s","type":"latency","stream":"%s","attributes":{"latency":%d}}`, stream, stream, rtt.Milliseconds()/2),
			fmt.Sprintf(`{"name":"b-%s","type":"bandwidth","stream":"%s","attributes":{"rate":%d}}`, stream, stream, gigabit),
		} {
			if _, err := p.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
				p.Stop()
				return nil, nil, err
			}
		}
	}
	copied := *e
	copied.listen = p.Listen
	return &copied, p.Stop, nil
}

// latency writes and reads one large file and writes small ones over links of
// several round trip times, beside curl on the same link.
func latency(ctx context.Context, e *env) error {
	local, err := e.source(ctx, e.size)
	if err != nil {
		return err
	}
	defer os.Remove(local)
	token, err := e.token()
	if err != nil {
		return err
	}
	shares := newPlot("share of curl on the same link", "round trip, ms", "mount / curl")
	small := newPlot("files of 4 KiB published over a link", "round trip, ms", "files/s")
	for _, rtt := range []time.Duration{0, 2 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
		over, stop, err := e.link(rtt)
		if err != nil {
			return err
		}
		speed, files := newTable("MB/s"), newTable("files/s")
		for round := range e.rounds {
			if err := over.onLink(ctx, token, local, fmt.Sprintf("small-%s-%d", rtt, round), speed, files); err != nil {
				over.unmount()
				stop()
				return err
			}
		}
		stop()
		e.caption(fmt.Sprintf("round trip %s, 1 Gbit/s", rtt))
		e.show(speed, "curl, write")
		e.show(files, "1 thread")
		x := float64(rtt.Milliseconds())
		for _, what := range []string{"write", "read"} {
			shares.add(what, x, median(speed.rows["mount, "+what])/median(speed.rows["curl, "+what]))
		}
		for _, name := range files.names {
			small.add(name, x, median(files.rows[name]))
		}
	}
	return errors.Join(shares.save(e.plots, "latency-share.svg"), small.save(e.plots, "latency-small.svg"))
}

func (e *env) onLink(ctx context.Context, token, local, small string, speed, files *table) error {
	mbs := func(d time.Duration) float64 { return float64(e.size) / 1e6 / d.Seconds() }
	d, err := e.post(ctx, token, local, "by-curl")
	if err != nil {
		return err
	}
	speed.add("curl, write", mbs(d))
	f, err := e.client.Workspace("default").LookupFile(ctx, client.RootDir, "by-curl")
	if err != nil {
		return err
	}
	if d, err = e.get(ctx, token, f.ID); err != nil {
		return err
	}
	speed.add("curl, read", mbs(d))
	if err := e.remove(ctx, "by-curl"); err != nil {
		return err
	}
	if err := e.mount(); err != nil {
		return err
	}
	if d, err = dd(ctx, local, e.path("large")); err != nil {
		return err
	}
	speed.add("mount, write", mbs(d))
	for _, threads := range []int{1, 8} {
		dir := e.path(fmt.Sprintf("%s-%d", small, threads))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		few := *e
		few.smallFiles = min(e.smallFiles, 200*threads)
		d, err := few.share(ctx, threads, func(i int) error {
			return os.WriteFile(fmt.Sprintf("%s/f%d", dir, i), make([]byte, smallSize), 0o644)
		})
		if err != nil {
			return err
		}
		files.add(map[int]string{1: "1 thread", 8: "8 threads"}[threads], float64(few.smallFiles)/d.Seconds())
	}
	if err := e.mount(); err != nil {
		return err
	}
	if d, err = dd(ctx, e.path("large"), "/dev/null"); err != nil {
		return err
	}
	speed.add("mount, read", mbs(d))
	err = os.Remove(e.path("large"))
	e.unmount()
	return err
}
