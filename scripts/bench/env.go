package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// env is a server and a mount of it, each in a process of its own.
type env struct {
	binary, dir, listen, http   string
	fault, extra, counts, sizes string
	sparse                      int64
	plots, profiles             string
	rounds, ops, treeFiles      int
	size, writerSize            int64
	smallFiles, writers         int
	report                      *report

	server     *exec.Cmd
	user, pass string
	mnt        string
	client     *client.Client
	mountPID   int
}

const site = "rootsite"

// with runs fn with a server on an empty store.
func (e *env) with(ctx context.Context, fn func(context.Context, *env) error) (err error) {
	e.mnt = filepath.Join(e.dir, "mnt")
	store := filepath.Join(e.dir, "store")
	if err := os.RemoveAll(store); err != nil {
		return err
	}
	if err := os.MkdirAll(e.mnt, 0o700); err != nil {
		return err
	}
	args := []string{"serve", store, "--listen", e.listen, "--site", site, "--session-ttl", "24h"}
	if e.fault != "" {
		args = append(args, "--fault", e.fault)
	}
	e.server = exec.Command(e.binary, args...)
	e.server.Stderr = os.Stderr
	if err := e.server.Start(); err != nil {
		return err
	}
	defer func() {
		_ = e.server.Process.Kill()
		_ = e.server.Wait()
		err = errors.Join(err, os.RemoveAll(store))
	}()
	if err := e.login(ctx, store); err != nil {
		return err
	}
	defer e.client.Close()
	defer e.unmount()
	return fn(ctx, e)
}

func (e *env) login(ctx context.Context, store string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		res, err := http.Get("http://" + e.listen + "/" + site + wire.PathHealth)
		if err == nil {
			_ = res.Body.Close()
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	b, err := os.ReadFile(filepath.Join(store, "credentials"))
	if err != nil {
		return err
	}
	var c struct{ User, Password string }
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	e.user, e.pass = c.User, c.Password
	e.client, err = client.New([]string{e.listen + "/" + site}, client.Options{User: c.User, Password: func() (string, error) { return c.Password, nil }})
	if err != nil {
		return err
	}
	return e.client.Login(ctx)
}

// token logs in for requests that do not go through package client.
func (e *env) token() (string, error) {
	res, err := http.PostForm("http://"+e.listen+wire.PathLogin, url.Values{wire.ParamUsername: {e.user}, wire.ParamPassword: {e.pass}})
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if t := res.Header.Get(wire.HeaderToken); t != "" {
		return t, nil
	}
	return "", fmt.Errorf("log in: %s", res.Status)
}

// mount mounts anew: nothing is cached, neither here nor in the kernel.
func (e *env) mount(flags ...string) error {
	e.unmount()
	args := append([]string{"mount", e.listen + "/" + site, e.mnt, "--state-dir", filepath.Join(e.dir, "state"), "--http", e.http}, flags...)
	cmd := exec.Command(e.binary, append(args, strings.Fields(e.extra)...)...)
	cmd.Env = append(os.Environ(), "SCMFS_USER="+e.user, "SCMFS_PASSWORD="+e.pass)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	b, err := os.ReadFile(e.mnt + "/.scmfs/status")
	if err != nil {
		return err
	}
	var s struct{ PID int }
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	e.mountPID = s.PID
	return nil
}

func (e *env) unmount() {
	if e.mountPID != 0 {
		_ = exec.Command(e.binary, "umount", e.mnt, "--timeout", "20s").Run()
		e.mountPID = 0
	}
}

func (e *env) path(name ...string) string {
	return filepath.Join(append([]string{e.mnt, "default"}, name...)...)
}

// cpu is the processor time that the mount has used.
func (e *env) cpu() (time.Duration, error) { return cpuOf(e.mountPID) }

// cpuOf is the processor time of a process, to a hundredth of a second.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	ticks := 0
	for _, i := range []int{11, 12} { // utime, stime
		n, err := strconv.Atoi(f[i])
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// rss is the memory of the mount in bytes.
func (e *env) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.mountPID))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(l, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// requests counts what the mount has asked the server, heartbeats left out.
func (e *env) requests() (int, error) {
	res, err := http.Get("http://" + e.http + "/metrics")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	out, err := readAll(res.Body)
	if err != nil {
		return 0, err
	}
	n := 0
	for l := range strings.Lines(out) {
		if strings.HasPrefix(l, "scmfs_requests_total{") {
			f := strings.Fields(l)
			v, err := strconv.ParseFloat(f[len(f)-1], 64)
			if err != nil {
				return 0, err
			}
			n += int(v)
		}
	}
	return n, nil
}

// timed runs a program to its end.
func timed(ctx context.Context, name string, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, stderr.String())
	}
	return time.Since(start), err
}
