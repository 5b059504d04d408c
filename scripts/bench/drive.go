package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// drive is a mounted file system that unmodified programs are measured on: ours,
// go-fuse's loopback, the local disk, and whichever peers are installed.
type drive struct {
	name string
	// root is where the programs work.
	root string
	// start mounts anew, so that nothing is cached.
	start func(ctx context.Context) error
	// stop unmounts and leaves the content for the next start.
	stop func()
	// pids are the processes whose processor time is the mount's.
	pids func() []int
	// settle returns when all that was written is in the store, for those whose
	// close returns earlier.
	settle func(ctx context.Context) error
}

func (d *drive) path(name ...string) string {
	return filepath.Join(append([]string{d.root}, name...)...)
}

// slug tells apart what drives of the same store make.
func (d *drive) slug() string { return strings.NewReplacer(" ", "-", ",", "").Replace(d.name) }

func (d *drive) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range d.pids() {
		t, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// measured is the time and the processor time of fn, settling included.
func (d *drive) measured(ctx context.Context, fn func() error) (wall, cpu time.Duration, err error) {
	before, err := d.cpu()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := fn(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", d.name, err)
	}
	if d.settle != nil {
		if err := d.settle(ctx); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", d.name, err)
		}
	}
	wall = time.Since(start)
	after, err := d.cpu()
	return wall, after - before, err
}

// ours is the mount of e.
func (e *env) ours(flags ...string) *drive {
	name := "scmfs"
	for _, f := range flags {
		name += " " + f
	}
	return &drive{
		name:  name,
		root:  e.path(),
		start: func(context.Context) error { return e.mount(flags...) },
		stop:  e.unmount,
		pids:  func() []int { return []int{e.mountPID} },
	}
}

// disk is the local file system below e.dir.
func (e *env) disk() *drive {
	root := filepath.Join(e.dir, "disk")
	return &drive{
		name:  "local disk",
		root:  root,
		start: func(context.Context) error { return os.MkdirAll(root, 0o700) },
		stop:  func() {},
		pids:  func() []int { return nil },
	}
}

// process is a mount program in the foreground.
type process struct {
	cmd *exec.Cmd
	mnt string
}

// startMount runs a mount program and waits until mnt is another file system.
func startMount(ctx context.Context, mnt string, name string, args ...string) (*process, error) {
	if err := os.MkdirAll(mnt, 0o700); err != nil {
		return nil, err
	}
	before, err := device(mnt)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, name, args...), mnt: mnt}
	log, err := os.OpenFile(mnt+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for range 600 {
		if now, err := device(mnt); err == nil && now != before {
			return p, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s did not mount within 30 s: see %s.log", name, mnt)
}

func (p *process) stop() {
	if p == nil || p.cmd == nil {
		return
	}
	if err := exec.Command("fusermount3", "-u", p.mnt).Run(); err != nil {
		_ = exec.Command("fusermount3", "-uz", p.mnt).Run()
	}
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
	p.cmd = nil
}

func (p *process) pids() []int {
	if p == nil || p.cmd == nil {
		return nil
	}
	return []int{p.cmd.Process.Pid}
}

// every runs fn on each drive, one after the other, and joins what went wrong, so
// that one peer's fault does not cost the figures of the others.
func every(ctx context.Context, drives []*drive, fn func(*drive) error) error {
	var errs []error
	for _, d := range drives {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := d.start(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.name, err))
			continue
		}
		if err := fn(d); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.name, err))
		}
		d.stop()
	}
	return errors.Join(errs...)
}
