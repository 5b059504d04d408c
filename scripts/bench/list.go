package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sequoiacm/scmfs/client"
)

// fileName names file i of a directory, in bytewise order.
func fileName(i int) string { return fmt.Sprintf("file-%07d.dat", i) }

// fill makes a directory with n empty files on the server.
func (e *env) fill(ctx context.Context, name string, n int) (client.DirID, error) {
	ws := e.client.Workspace("default")
	d, err := ws.CreateDirectory(ctx, client.RootDir, name)
	if err != nil {
		return "", err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	start := time.Now()
	for i := range n {
		g.Go(func() error {
			_, err := ws.CreateFile(ctx, client.NewFile{Name: fileName(i), Dir: d.ID}, client.BytesBody([]byte("x")))
			return err
		})
	}
	err = g.Wait()
	fmt.Printf("  (%d files made in %s)\n", n, time.Since(start).Round(time.Second))
	return d.ID, err
}

// rowURLs are the requests that list a directory of n files as a mount asks for it.
func (e *env) rowURLs(dir client.DirID, n int) []string {
	const page = 1000
	selector := `{"id":null,"name":null,"directory_id":null,"size":null,"create_time":null,"update_time":null,` +
		`"major_version":null,"minor_version":null,"mime_type":null,"user":null,"update_user":null,` +
		`"data_id":null,"data_create_time":null,"custom_metadata":null}`
	base := "http://" + e.listen + "/" + site + "/api/v1/directories/"
	list := func(path, filter, selector string) string {
		q := url.Values{"workspace_name": {"default"}, "orderby": {`{"name":1}`}, "skip": {"0"}, "limit": {strconv.Itoa(page)}}
		if filter != "" {
			q.Set("filter", filter)
		}
		if selector != "" {
			q.Set("selector", selector)
		}
		return base + path + "?" + q.Encode()
	}
	urls := []string{list("", `{"parent_directory_id":"`+string(dir)+`"}`, "")}
	for i := 0; i <= n; i += page {
		filter := ""
		if i > 0 {
			filter = `{"name":{"$gt":"` + fileName(i-1) + `"}}`
		}
		urls = append(urls, list("id/"+string(dir)+"/listfiles", filter, selector))
	}
	return urls
}

// curl fetches all urls over one connection.
func curl(ctx context.Context, token string, urls []string) (time.Duration, error) {
	var config bytes.Buffer
	fmt.Fprintf(&config, "silent\nfail\nheader = \"x-auth-token: %s\"\n", token)
	for _, u := range urls {
		fmt.Fprintf(&config, "url = \"%s\"\noutput = /dev/null\n", u)
	}
	cmd := exec.CommandContext(ctx, "curl", "-K", "-")
	cmd.Stdin = &config
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("curl: %w: %s", err, out)
	}
	return time.Since(start), err
}

func listing(ctx context.Context, e *env) error {
	token, err := e.token()
	if err != nil {
		return err
	}
	for _, s := range strings.Split(e.counts, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return err
		}
		name := "d" + s
		dir, err := e.fill(ctx, name, n)
		if err != nil {
			return err
		}
		if err := e.list(ctx, token, name, dir, n); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) list(ctx context.Context, token, name string, dir client.DirID, n int) error {
	t, req := newTable("s"), newTable("requests")
	for range e.rounds {
		d, err := curl(ctx, token, e.rowURLs(dir, n))
		if err != nil {
			return err
		}
		t.add("curl of the rows", d.Seconds())
		for _, cmd := range [][]string{{"ls", "-l"}, {"find"}, {"ls", "-f"}} {
			if err := e.mount(); err != nil {
				return err
			}
			if _, err := os.Stat(e.path(name)); err != nil {
				return err
			}
			for _, state := range []string{"cold", "warm"} {
				before, err := e.requests()
				if err != nil {
					return err
				}
				d, err := timed(ctx, cmd[0], append(cmd[1:], e.path(name))...)
				if err != nil {
					return err
				}
				after, err := e.requests()
				if err != nil {
					return err
				}
				what := strings.Join(cmd, " ") + ", " + state
				t.add(what, d.Seconds())
				req.add(what, float64(after-before))
			}
		}
		// The last listing is fresh or not, as it comes: a stat costs no request of
		// its own while the kernel or the listing knows the name.
		start := time.Now()
		k := min(n, 10_000)
		for i := range k {
			if _, err := os.Lstat(e.path(name, fileName(i))); err != nil {
				return err
			}
		}
		t.add(fmt.Sprintf("stat of %d names", k), time.Since(start).Seconds())
	}
	fmt.Printf("  %d files\n", n)
	e.show(t, "curl of the rows")
	e.show(req, "")
	return nil
}

// inodes lists a directory of the largest count and tells what the mount's
// memory grew by.
func inodes(ctx context.Context, e *env) error {
	counts := strings.Split(e.counts, ",")
	n, err := strconv.Atoi(counts[len(counts)-1])
	if err != nil {
		return err
	}
	if _, err := e.fill(ctx, "many", n); err != nil {
		return err
	}
	t := newTable("B/inode")
	for range e.rounds {
		if err := e.mount(); err != nil {
			return err
		}
		before, err := e.rss()
		if err != nil {
			return err
		}
		if _, err := timed(ctx, "ls", "-l", e.path("many")); err != nil {
			return err
		}
		after, err := e.rss()
		if err != nil {
			return err
		}
		t.add("after ls -l", float64(after-before)/float64(n))
	}
	e.show(t, "")
	return nil
}
