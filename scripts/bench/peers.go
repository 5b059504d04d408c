package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// peers are other mounts that are installed here. rclone and s3fs talk to an S3
// server (rclone's own, over a local directory); JuiceFS keeps its blocks in a local
// directory and its metadata in SQLite, both as its own quick start does.
func (e *env) peers(ctx context.Context) (drives []*drive, stop func(), err error) {
	stop = func() {}
	for _, name := range []string{"juicefs.store", "juicefs.db"} {
		if err := os.RemoveAll(filepath.Join(e.dir, name)); err != nil {
			return nil, stop, err
		}
	}
	store, err := e.fresh("s3")
	if err != nil {
		return nil, stop, err
	}
	if rclone, err := exec.LookPath("rclone"); err == nil {
		if err := os.MkdirAll(filepath.Join(store, "bucket"), 0o700); err != nil {
			return nil, stop, err
		}
		const addr = "127.0.0.1:21090"
		s3 := exec.CommandContext(ctx, rclone, "serve", "s3", "--addr", addr, "--auth-key", "key,secret", store)
		if err := s3.Start(); err != nil {
			return nil, stop, err
		}
		stop = func() { _ = s3.Process.Kill(); _ = s3.Wait() }
		if err := answers(ctx, "http://"+addr); err != nil {
			return nil, stop, err
		}
		for _, mode := range []string{"writes", "full"} {
			drives = append(drives, e.rclone(rclone, addr, mode))
		}
		if s3fs, err := exec.LookPath("s3fs"); err == nil {
			drives = append(drives, e.s3fs(s3fs, addr))
		}
	}
	if juicefs, err := exec.LookPath("juicefs"); err == nil {
		drives = append(drives, e.juicefs(juicefs))
	}
	return drives, stop, nil
}

func answers(ctx context.Context, url string) error {
	for range 200 {
		if res, err := http.Get(url); err == nil {
			return res.Body.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer", url)
}

// fresh is an empty directory for a peer's cache.
func (e *env) fresh(name string) (string, error) {
	dir := filepath.Join(e.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

func (e *env) rclone(binary, s3, mode string) *drive {
	const rc = "127.0.0.1:21091"
	d := &drive{name: "rclone " + mode, root: filepath.Join(e.dir, "rclone")}
	remote := fmt.Sprintf(":s3,provider=Rclone,access_key_id=key,secret_access_key=secret,endpoint='http://%s',force_path_style=true:bucket", s3)
	var p *process
	d.start = func(ctx context.Context) error {
		cache, err := e.fresh("rclone.cache")
		if err != nil {
			return err
		}
		p, err = startMount(ctx, d.root, binary, "mount", remote, d.root, "--vfs-cache-mode", mode, "--vfs-write-back", "0s",
			"--cache-dir", cache, "--config", "/dev/null", "--rc", "--rc-addr", rc, "--rc-no-auth", "--transfers", "8")
		return err
	}
	d.stop = func() { p.stop(); p = nil }
	d.pids = func() []int { return p.pids() }
	// Close returns before the upload: what it is worth comparing with is the store.
	// The kernel tells a mount of the close after the program: the queue counts as
	// empty when it was found so several times.
	d.settle = func(ctx context.Context) error {
		for empty := 0; ; {
			res, err := http.Post("http://"+rc+"/vfs/stats", "application/json", strings.NewReader("{}"))
			if err != nil {
				return err
			}
			var s struct {
				DiskCache struct{ UploadsInProgress, UploadsQueued int }
			}
			err = json.NewDecoder(res.Body).Decode(&s)
			_ = res.Body.Close()
			if err != nil {
				return err
			}
			if empty++; s.DiskCache.UploadsInProgress+s.DiskCache.UploadsQueued > 0 {
				empty = 0
			}
			if empty == 10 {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return d
}

func (e *env) s3fs(binary, s3 string) *drive {
	d := &drive{name: "s3fs", root: filepath.Join(e.dir, "s3fs")}
	var p *process
	d.start = func(ctx context.Context) error {
		secret := filepath.Join(e.dir, "s3fs.secret")
		if err := os.WriteFile(secret, []byte("key:secret\n"), 0o600); err != nil {
			return err
		}
		cache, err := e.fresh("s3fs.cache")
		if err != nil {
			return err
		}
		p, err = startMount(ctx, d.root, binary, "bucket", d.root, "-f", "-o", "url=http://"+s3, "-o", "use_path_request_style",
			"-o", "passwd_file="+secret, "-o", "use_cache="+cache)
		return err
	}
	d.stop = func() { p.stop(); p = nil }
	d.pids = func() []int { return p.pids() }
	return d
}

func (e *env) juicefs(binary string) *drive {
	d := &drive{name: "JuiceFS", root: filepath.Join(e.dir, "juicefs")}
	meta := "sqlite3://" + filepath.Join(e.dir, "juicefs.db")
	var p *process
	d.start = func(ctx context.Context) error {
		if _, err := os.Stat(filepath.Join(e.dir, "juicefs.db")); err != nil {
			out, err := exec.CommandContext(ctx, binary, "format", "--storage", "file", "--bucket", filepath.Join(e.dir, "juicefs.store")+"/",
				"--trash-days", "0", meta, "bench").CombinedOutput()
			if err != nil {
				return fmt.Errorf("juicefs format: %w: %s", err, out)
			}
		}
		cache, err := e.fresh("juicefs.cache")
		if err != nil {
			return err
		}
		p, err = startMount(ctx, d.root, binary, "mount", meta, d.root, "--cache-dir", cache, "--no-usage-report", "--log", d.root+".log",
			"--metrics", "127.0.0.1:0")
		return err
	}
	d.stop = func() { p.stop(); p = nil }
	// It serves from a child of the process that was started.
	d.pids = func() []int { return append(p.pids(), children(p.pids())...) }
	return d
}

func children(pids []int) (all []int) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			var c int
			if _, err := fmt.Sscan(f, &c); err == nil {
				all = append(all, c)
			}
		}
	}
	return all
}
