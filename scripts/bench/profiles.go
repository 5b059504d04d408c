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
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// profiled is one main path: setup, then work over and over while it is profiled.
type profiled struct {
	name  string
	flags []string // more of scmfs mount
	setup func(ctx context.Context, e *env) error
	work  func(ctx context.Context, e *env, round int) error
}

const (
	profileTime = 10 * time.Second
	profileRows = 15
	// hidden are packages whose cost counts as their caller's: what matters is which
	// of our steps, of go-fuse's or of the codecs it was spent for.
	hidden = `^(runtime|internal/|syscall|net|bufio|io|os|sync|time|context|maps|slices|strings|bytes|container|reflect|golang.org|github.com/(cenkalti|prometheus))\b`
)

func mainPaths(local string) []profiled {
	none := func(context.Context, *env) error { return nil }
	upload := func(ctx context.Context, e *env) error {
		token, err := e.token()
		if err != nil {
			return err
		}
		_, err = e.post(ctx, token, local, "large")
		return err
	}
	return []profiled{
		{"sequential write", nil, none, func(ctx context.Context, e *env, round int) error {
			name := fmt.Sprintf("written-%d", round)
			if _, err := dd(ctx, local, e.path(name)); err != nil {
				return err
			}
			return e.remove(ctx, name)
		}},
		{"sequential read", nil, upload, func(ctx context.Context, e *env, _ int) error {
			_, err := timed(ctx, "dd", "if="+e.path("large"), "of=/dev/null", "bs=1M", "status=none")
			if err != nil {
				return err
			}
			return e.forget("large")
		}},
		{"small create", nil, none, func(_ context.Context, e *env, round int) error {
			content := make([]byte, smallSize)
			for i := range 100 {
				if err := os.WriteFile(e.path(fmt.Sprintf("small-%d-%d", round, i)), content, 0o644); err != nil {
					return err
				}
			}
			return nil
		}},
		{"listing", []string{"--expiry", "10ms"}, func(ctx context.Context, e *env) error {
			_, err := e.fill(ctx, "listed", 2000)
			return err
		}, func(ctx context.Context, e *env, _ int) error {
			_, err := timed(ctx, "sh", "-c", "ls -l "+e.path("listed")+" >/dev/null; sleep 0.02") // an expiry later it is asked again
			return err
		}},
		{"random read", nil, none, func(_ context.Context, e *env, _ int) error {
			f, err := os.Open(e.path("large"))
			if err != nil {
				return err
			}
			defer f.Close()
			p := make([]byte, 4<<10)
			for range 500 {
				if _, err := f.ReadAt(p, rand.Int64N(e.size/4096-1)*4096); err != nil {
					return err
				}
			}
			return e.forget("large")
		}},
	}
}

// profiles takes a processor and an allocation profile of the mount on each of the
// main paths and keeps their heads as text.
func profiles(ctx context.Context, e *env) error {
	local, err := e.source(ctx, e.size)
	if err != nil {
		return err
	}
	defer os.Remove(local)
	var text strings.Builder
	for _, p := range mainPaths(local) {
		if err := p.setup(ctx, e); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		// A small cache, so that what is read again is fetched again.
		if err := e.mount(append(p.flags, "--pprof", "--cache-size", "32MiB")...); err != nil {
			return err
		}
		cpu, allocs, err := e.profile(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		e.unmount()
		fmt.Printf("  -- %s\n%s\n%s\n", p.name, cpu, allocs)
		fmt.Fprintf(&text, "\n### %s\n\nProcessor:\n\n```\n%s```\n\nAllocations:\n\n```\n%s```\n", p.name, cpu, allocs)
	}
	if e.profiles == "" {
		return nil
	}
	return replaceSection(e.profiles, text.String())
}

// forget lets the kernel drop the pages of a file.
func (e *env) forget(name string) error {
	f, err := os.Open(e.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// allAllocs is where allocations are counted up to now; the profile called allocs
// knows those up to the last collection.
const allAllocs = "heap?gc=1"

// profile works for profileTime and returns both profiles as text.
func (e *env) profile(ctx context.Context, p profiled) (cpu, allocs string, err error) {
	before := filepath.Join(e.dir, "allocs.before")
	if err := e.fetchProfile(ctx, allAllocs, before); err != nil {
		return "", "", err
	}
	taken := make(chan error, 1)
	name := filepath.Join(e.dir, "cpu")
	go func() {
		taken <- e.fetchProfile(ctx, fmt.Sprintf("profile?seconds=%d", int(profileTime.Seconds())), name)
	}()
	var workErr error
	for round, end := 0, time.Now().Add(profileTime); time.Now().Before(end) && workErr == nil; round++ {
		workErr = p.work(ctx, e, round)
	}
	if err := <-taken; err != nil {
		return "", "", err
	}
	if workErr != nil {
		return "", "", workErr
	}
	after := filepath.Join(e.dir, "allocs")
	if err := e.fetchProfile(ctx, allAllocs, after); err != nil {
		return "", "", err
	}
	if cpu, err = e.top(ctx, name); err != nil {
		return "", "", err
	}
	allocs, err = e.top(ctx, "-sample_index=alloc_space", "-base="+before, after)
	return cpu, allocs, err
}

func (e *env) fetchProfile(ctx context.Context, what, to string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.http+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("profile: %s", res.Status)
	}
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// top is the head of a profile as text.
func (e *env) top(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"tool", "pprof", "-top", "-hide=" + hidden, fmt.Sprintf("-nodecount=%d", profileRows)}, args...)
	b, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	return shortTop(string(b)), nil
}

// shortTop leaves out what differs between runs and type parameters, which are
// spelled out over several hundred characters.
func shortTop(s string) string {
	var out strings.Builder
	table := false
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, " \n")
		if strings.Contains(line, "flat%") {
			table = true
		}
		switch {
		case strings.HasPrefix(line, "Duration:"), strings.HasPrefix(line, "Showing nodes"):
		case !table:
			continue
		}
		if i := strings.Index(line, "[go.shape"); i >= 0 {
			rest := ""
			if j := strings.LastIndex(line, "]"); j > i {
				rest = line[j+1:]
			}
			line = line[:i] + "[…]" + rest
		}
		line = strings.ReplaceAll(line, "github.com/sequoiacm/scmfs/", "")
		line = strings.ReplaceAll(line, "github.com/hanwen/", "")
		out.WriteString(line + "\n")
	}
	return out.String()
}

const (
	sectionBegin = "<!-- written by scripts/bench -profiles: begin -->\n"
	sectionEnd   = "<!-- written by scripts/bench -profiles: end -->\n"
)

// replaceSection puts text between the marks of a file, or behind all else when it
// has none.
func replaceSection(name, text string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(b), sectionBegin)
	_, after, closed := strings.Cut(rest, sectionEnd)
	if ok != closed {
		return fmt.Errorf("%s: one of the two marks is missing", name)
	}
	return os.WriteFile(name, []byte(before+sectionBegin+text+sectionEnd+after), 0o644)
}
