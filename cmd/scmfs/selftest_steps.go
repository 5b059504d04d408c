package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const testMiB = 1 << 20

// pattern is content that is found out when a part of it is lost, doubled or
// moved. Shorter ones with the same seed are its beginnings.
func pattern(seed uint64, n int) []byte {
	b := make([]byte, (n+7)/8*8)
	r := rand.NewPCG(seed, 0)
	for i := 0; i < len(b); i += 8 {
		v := r.Uint64()
		for k := range 8 {
			b[i+k] = byte(v >> (8 * k))
		}
	}
	return b[:n]
}

// put writes a file as cp does and expects close to succeed.
func put(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// fresh reads a file, not from the kernel's pages.
func fresh(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	return io.ReadAll(f)
}

func same(path string, want []byte) error {
	got, err := fresh(path)
	switch {
	case err != nil:
		return err
	case len(got) != len(want):
		return fmt.Errorf("%s has %d bytes instead of %d", filepath.Base(path), len(got), len(want))
	case !bytes.Equal(got, want):
		for i := range got {
			if got[i] != want[i] {
				return fmt.Errorf("%s is wrong from byte %d on", filepath.Base(path), i)
			}
		}
	}
	return nil
}

func (t *selftest) putAndCompare(name string, b []byte) error {
	if err := put(t.path(name), b); err != nil {
		return err
	}
	return same(t.path(name), b)
}

func (t *selftest) sizes(ctx context.Context) error {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 64<<10 - 1, 64 << 10, 64<<10 + 1, testMiB - 1, testMiB, testMiB + 1, 5*testMiB - 1, 5 * testMiB, 5*testMiB + 1} {
		if err := t.putAndCompare(fmt.Sprintf("size-%d", n), pattern(1, n)); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// large is over the default increment on both sides of it.
func (t *selftest) large(context.Context) error {
	for _, n := range []int{15 * testMiB, 15*testMiB + 1, 33*testMiB + 12345} {
		if err := t.putAndCompare("large", pattern(2, n)); err != nil {
			return err
		}
	}
	return nil
}

func (t *selftest) names(context.Context) error {
	for _, name := range []string{"with space", "报告-最终.pdf", "é", "quote\"'`$(x)", "a%20b%", "semi;colon", "back\\slash", "[brackets] {braces} & more", "-dash", "~tilde",
		"..two.dots", strings.Repeat("n", 255-len(t.id)-1), "UPPER", "upper"} {
		if err := t.putAndCompare(name, []byte(name)); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	entries, err := os.ReadDir(t.dir)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Name()] = true
	}
	for _, name := range []string{"报告-最终.pdf", "a%20b%", "semi;colon", "UPPER", "upper"} {
		if !seen[filepath.Base(t.path(name))] {
			return fmt.Errorf("%q was written and is not listed", name)
		}
	}
	return nil
}

// refused must fail at once and leave nothing.
func (t *selftest) refused(context.Context) error {
	for name, want := range map[string]syscall.Errno{strings.Repeat("n", 256): syscall.ENAMETOOLONG, "control\x01": syscall.EINVAL} {
		if err := put(filepath.Join(t.dir, name), []byte("x")); !errors.Is(err, want) {
			return fmt.Errorf("%.20q: wanted %v, got %v", name, want, err)
		}
	}
	return nil
}

func (t *selftest) versions(name string) ([]fileVersion, error) { return versionsOf(t.path(name)) }

func (t *selftest) newVersion(context.Context) error {
	first, second := pattern(3, 100_000), pattern(4, 90_000)
	if err := put(t.path("versioned"), first); err != nil {
		return err
	}
	id := attribute(t.path("versioned"), "id")
	if err := t.putAndCompare("versioned", second); err != nil {
		return err
	}
	all, err := t.versions("versioned")
	switch {
	case err != nil:
		return err
	case len(all) != 2:
		return fmt.Errorf("saving over a file left %d versions instead of 2", len(all))
	case attribute(t.path("versioned"), "id") != id:
		return errors.New("saving over a file made another file")
	}
	return same(all[1].path, first)
}

func (t *selftest) rewrite(context.Context) error {
	b := pattern(5, 300_000)
	p := t.path("rewritten")
	if err := put(p, b); err != nil {
		return err
	}
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("appended")
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if f, err = os.OpenFile(p, os.O_RDWR, 0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("in the middle"), 150_000)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	copy(b[150_000:], "in the middle")
	if err := same(p, append(b, "appended"...)); err != nil {
		return err
	}
	if err := os.Truncate(p, 1000); err != nil {
		return err
	}
	return same(p, b[:1000])
}

func (t *selftest) rename(context.Context) error {
	b := pattern(6, 50_000)
	if err := put(t.path("old name"), b); err != nil {
		return err
	}
	if err := os.Rename(t.path("old name"), t.path("new name")); err != nil {
		return err
	}
	if _, err := os.Lstat(t.path("old name")); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the old name is still there (%v)", err)
	}
	return same(t.path("new name"), b)
}

func (t *selftest) renameOnto(context.Context) error {
	kept, b := pattern(7, 20_000), pattern(8, 30_000)
	if err := errors.Join(put(t.path("target"), kept), put(t.path("source"), b)); err != nil {
		return err
	}
	if err := os.Rename(t.path("source"), t.path("target")); err != nil {
		return err
	}
	if err := same(t.path("target"), b); err != nil {
		return err
	}
	all, err := t.versions("target")
	if err != nil {
		return err
	}
	if len(all) < 2 {
		return errors.New("the target's history is gone")
	}
	return same(all[len(all)-1].path, kept)
}

func (t *selftest) directories(context.Context) error {
	if t.flat {
		return skipped{"the workspace has no directories"}
	}
	deep := t.path("a/b/c")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		return err
	}
	if err := put(filepath.Join(deep, "file"), []byte("deep")); err != nil {
		return err
	}
	if err := os.Remove(t.path("a")); !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("removing a directory that is not empty: wanted ENOTEMPTY, got %v", err)
	}
	if err := os.Rename(t.path("a/b"), t.path("moved")); err != nil {
		return err
	}
	return same(t.path("moved/c/file"), []byte("deep"))
}

func (t *selftest) attributes(context.Context) error {
	p := t.path("attributes")
	when := time.Date(2001, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	if err := errors.Join(put(p, []byte("x")), os.Chmod(p, 0o640), os.Chtimes(p, when, when), unix.Setxattr(p, "user.selftest", []byte("value"), 0)); err != nil {
		return err
	}
	fi, err := os.Stat(p)
	if err != nil {
		return err
	}
	buf := make([]byte, 64)
	n, err := unix.Getxattr(p, "user.selftest", buf)
	if err != nil || string(buf[:n]) != "value" {
		return fmt.Errorf("extended attribute: %q %w", buf[:max(n, 0)], err)
	}
	if fi.Mode().Perm() != 0o640 || !fi.ModTime().Equal(when) {
		return fmt.Errorf("mode %v, time %v instead of 0640, %v", fi.Mode(), fi.ModTime(), when)
	}
	return nil
}

// closeMeansPublished asks the store's side: the version list is not made from
// what is here.
func (t *selftest) closeMeansPublished(ctx context.Context) error {
	b := pattern(9, 2*testMiB)
	if err := put(t.path("published"), b); err != nil {
		return err
	}
	for attribute(t.path("published"), "state") != "published" { // write mode async
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	all, err := t.versions("published")
	if err != nil {
		return err
	}
	if len(all) != 1 {
		return fmt.Errorf("the store has %d versions instead of 1", len(all))
	}
	return same(all[0].path, b)
}

func (t *selftest) fsync(context.Context) error {
	f, err := os.Create(t.path("synced"))
	if err != nil {
		return err
	}
	_, err = f.Write(pattern(10, testMiB))
	err = errors.Join(err, f.Sync())
	if state := attribute(t.path("synced"), "state"); err == nil && state == "published" {
		err = errors.New("it was published before it was closed")
	}
	return errors.Join(err, f.Close())
}

const victimSeed = 11

// beVictim writes until it is killed.
func beVictim(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(pattern(victimSeed, 2*testMiB)); err != nil {
		return err
	}
	fmt.Println("written")
	select {}
}

// kill starts a writer of a file and kills it in the middle.
func (t *selftest) kill(ctx context.Context, path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "selftest", "victim", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, rerr := io.ReadFull(out, make([]byte, len("written\n")))
	kerr := cmd.Process.Kill()
	_ = cmd.Wait() // killed
	return errors.Join(rerr, kerr)
}

// killedWriter must publish nothing: half a file must not look whole.
func (t *selftest) killedWriter(ctx context.Context) error {
	p := filepath.Join(t.dir, t.id+"-killed") // the name that is left in .partial
	if err := t.kill(ctx, p); err != nil {
		return err
	}
	if _, err := versionsOf(p); err == nil {
		return errors.New("a writer was killed in the middle, and its half of the file was published")
	}
	return nil
}

// resume is the second attempt of a copy whose first one was killed.
func (t *selftest) resume(ctx context.Context) error {
	if t.bp == "" {
		return skipped{"there are no breakpoint files here"}
	}
	p := filepath.Join(t.bp, t.id+"-resumed")
	if err := t.kill(ctx, p); err != nil {
		return err
	}
	b := pattern(victimSeed, 20*testMiB)
	if err := put(p, b); err != nil {
		return fmt.Errorf("the second attempt: %w", err)
	}
	if err := os.Rename(p, t.path("resumed")); err != nil {
		return fmt.Errorf("conversion into a file: %w", err)
	}
	return same(t.path("resumed"), b)
}

func (t *selftest) many(ctx context.Context) error {
	g, _ := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range 64 {
		g.Go(func() error { return t.putAndCompare(fmt.Sprintf("many-%d", i), pattern(uint64(100+i), 20_000+i)) })
	}
	return g.Wait()
}

func (t *selftest) remove(context.Context) error {
	p := t.path("versioned")
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(p); err != nil {
		return err
	}
	if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("it is still there (%v)", err)
	}
	if b, err := io.ReadAll(f); err != nil || len(b) != 90_000 {
		return fmt.Errorf("a program that has it open reads %d bytes, %w", len(b), err)
	}
	return nil
}
