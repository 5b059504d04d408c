package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sourceTree copies the first n files of Go's own sources to dir.
func sourceTree(dir string, n int) error {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	enough := errors.New("enough")
	err = filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if n--; n < 0 {
			return enough
		}
		return os.WriteFile(to, b, 0o644)
	})
	if errors.Is(err, enough) {
		return nil
	}
	return err
}

// trees copies, compares, unpacks, clones and removes a source tree on every drive.
func trees(ctx context.Context, e *env) error {
	drives, stop, err := e.all(ctx, e.disk())
	if err != nil {
		return err
	}
	defer stop()
	local := filepath.Join(e.dir, "tree")
	defer os.RemoveAll(local)
	src := filepath.Join(local, "src")
	if err := sourceTree(src, e.treeFiles); err != nil {
		return err
	}
	tarball, repo := filepath.Join(local, "src.tar"), filepath.Join(local, "repo.git")
	script := strings.NewReplacer("TAR", tarball, "SRC", src, "REPO", repo).Replace(`set -e
tar cf TAR -C SRC .
git init -q SRC && git -C SRC add -A && git -C SRC -c user.name=b -c user.email=b@localhost commit -qm tree
git clone -q --bare SRC REPO && rm -rf SRC/.git`)
	if out, err := exec.CommandContext(ctx, "sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("prepare the tree: %w: %s", err, out)
	}
	steps := [][]string{
		{"cp -a", "cp -a " + src + " copy"},
		{"rsync -a, first", "rsync -a " + src + "/ sync/"},
		{"rsync -a, second", "rsync -a " + src + "/ sync/"},
		{"tar x", "mkdir tar && tar xf " + tarball + " -C tar"},
		{"git clone", "git -c safe.directory='*' clone -q " + repo + " clone"},
		{"find", "find copy > /dev/null"},
		{"rm -rf", "rm -rf copy"},
	}
	t, req := newTable("s"), newTable("requests")
	var errs []error
	for range e.rounds {
		errs = append(errs, every(ctx, drives, func(d *drive) error {
			work := d.path("work-" + d.slug())
			if err := os.Mkdir(work, 0o755); err != nil {
				return err
			}
			for _, step := range steps {
				before := 0
				if d.name == "scmfs" {
					if before, err = e.requests(); err != nil {
						return err
					}
				}
				wall, _, err := d.measured(ctx, func() error {
					cmd := exec.CommandContext(ctx, "sh", "-c", step[1])
					cmd.Dir = work
					out, err := cmd.CombinedOutput()
					if err != nil {
						err = fmt.Errorf("%s: %w: %.300s", step[0], err, out)
					}
					return err
				})
				if err != nil {
					return err
				}
				t.add(d.name+": "+step[0], wall.Seconds())
				if d.name == "scmfs" {
					after, err := e.requests()
					if err != nil {
						return err
					}
					req.add(step[0]+", per file", float64(after-before)/float64(e.treeFiles))
				}
			}
			return os.RemoveAll(work)
		}))
	}
	e.caption(fmt.Sprintf("a tree of %d files", e.treeFiles))
	e.show(t, "")
	e.show(req, "")
	return errors.Join(errs...)
}
