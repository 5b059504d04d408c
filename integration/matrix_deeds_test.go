package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/sequoiacm/scmfs/client"
)

// deed is something that programs do in a mount. What the store holds before and
// after is written as cell.holds says it.
type deed struct {
	name, group string
	prepare     string // what is made at the store first, in the words of holds
	after       string
	middle      string // what may be there when it failed half way, "" if nothing
	do          func(c *cell) error
	repeated    []error // what the same deed may say when it was done already
}

// errLie is a success that is not true.
var errLie = errors.New("not true")

// contents are what the deeds read and write, by the word that stands for them.
func contents() map[string][]byte {
	edited := bytes.Repeat([]byte("old."), 50_000)
	copy(edited[100_000:], "changed here")
	return map[string][]byte{
		"old": bytes.Repeat([]byte("old."), 50_000), "new": bytes.Repeat([]byte("new content."), 10_000),
		"big": bytes.Repeat([]byte("big one."), (5*mib)/8+100), "edited": edited,
	}
}

func deeds() []*deed {
	missing := []error{syscall.ENOENT}
	return []*deed{
		{name: "read", group: "read", prepare: "f: old", after: "f: old", do: func(c *cell) error {
			return c.readFile("f", "old")
		}},
		{name: "list", group: "list", prepare: "f: old, s/", after: "f: old, s/", do: func(c *cell) error {
			var names []string
			err := c.step("readdir", func() error {
				all, err := os.ReadDir(c.path())
				for _, e := range all {
					names = append(names, e.Name())
				}
				return err
			})
			if err == nil && !slices.Equal(names, []string{"f", "s"}) {
				return fmt.Errorf("the directory shows %v: %w", names, errLie)
			}
			return err
		}},
		{name: "list .partial", group: "list", prepare: ".partial: new", after: ".partial: new", do: func(c *cell) error {
			found := false
			err := c.step("readdir", func() error {
				all, err := os.ReadDir(filepath.Dir(c.partial()))
				for _, e := range all {
					found = found || e.Name() == c.name
				}
				return err
			})
			if err == nil && !found {
				return fmt.Errorf(".partial does not show it: %w", errLie)
			}
			return err
		}},
		{name: "new", group: "new file", after: "f: new", do: func(c *cell) error { return c.writeFile(c.path("f"), "new") }},
		{name: "new, large", group: "new file", after: "f: big", do: func(c *cell) error { return c.writeFile(c.path("f"), "big") }},
		{name: "mkdir", group: "new file", after: "s/", repeated: []error{syscall.EEXIST}, do: func(c *cell) error {
			return c.step("mkdir", func() error { return os.Mkdir(c.path("s"), 0o755) })
		}},
		{name: "overwrite", group: "overwrite", prepare: "f: old", after: "f: old new", do: func(c *cell) error { return c.writeFile(c.path("f"), "new") }},
		{name: "overwrite, large", group: "overwrite", prepare: "f: old", after: "f: old big", do: func(c *cell) error { return c.writeFile(c.path("f"), "big") }},
		{name: "edit", group: "overwrite", prepare: "f: old", after: "f: old edited", do: func(c *cell) error { return c.editFile("f") }},
		{name: "rename", group: "rename", prepare: "f: old", after: "g: old", repeated: missing, do: func(c *cell) error {
			return c.rename(c.path("f"), c.path("g"))
		}},
		{name: "rename onto", group: "rename", prepare: "f: old, g: new", after: "g: new old", middle: "f: old, g: new old", repeated: missing, do: func(c *cell) error {
			return c.rename(c.path("f"), c.path("g"))
		}},
		{name: "rename directory", group: "rename", prepare: "s/", after: "t/", repeated: missing, do: func(c *cell) error {
			return c.rename(c.path("s"), c.path("t"))
		}},
		{name: "upload to .partial", group: "convert", after: ".partial: new", middle: ".partial: 0 bytes, completed false, <nil>", do: func(c *cell) error { return c.writeFile(c.partial(), "new") }},
		{name: "convert", group: "convert", prepare: ".partial: new", after: "g: new", repeated: missing, do: func(c *cell) error {
			return c.rename(c.partial(), c.path("g"))
		}},
		{name: "convert onto", group: "convert", prepare: "g: old, .partial: new", after: "g: old new", repeated: missing, do: func(c *cell) error {
			return c.rename(c.partial(), c.path("g"))
		}},
		{name: "delete", group: "delete", prepare: "f: old, g: new", after: "g: new", repeated: missing, do: func(c *cell) error {
			return c.step("unlink", func() error { return syscall.Unlink(c.path("f")) })
		}},
		{name: "delete of .partial", group: "delete", prepare: ".partial: new", repeated: missing, do: func(c *cell) error {
			return c.step("unlink", func() error { return syscall.Unlink(c.partial()) })
		}},
		{name: "rmdir", group: "delete", prepare: "s/", repeated: missing, do: func(c *cell) error {
			return c.step("rmdir", func() error { return syscall.Rmdir(c.path("s")) })
		}},
	}
}

func (c *cell) rename(from, to string) error {
	if filepath.Dir(from) != filepath.Dir(to) {
		c.crossing.Lock()
		defer c.crossing.Unlock()
	}
	// Not os.Rename, which asks for the new name first.
	return c.step("rename", func() error { return syscall.Rename(from, to) })
}

func (c *cell) readFile(name, want string) error {
	var f *os.File
	err := c.step("open", func() (err error) { f, err = os.Open(c.path(name)); return })
	if err != nil {
		return err
	}
	defer f.Close()
	got := make([]byte, len(c.contents[want])+1)
	n := 0
	for err == nil && n < len(got) {
		k := 0
		err = c.step("read", func() (err error) { k, err = f.Read(got[n:]); return })
		n += k
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if !bytes.Equal(got[:n], c.contents[want]) {
		return fmt.Errorf("%d wrong bytes: %w", n, errLie)
	}
	return nil
}

func (c *cell) writeFile(path, what string) error {
	return c.change(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, c.contents[what], 0)
}

func (c *cell) editFile(name string) error {
	return c.change(c.path(name), os.O_WRONLY, []byte("changed here"), 100_000)
}

// change writes as a program does that gives up at the first error.
func (c *cell) change(path string, flags int, b []byte, off int64) error {
	var f *os.File
	err := c.step("open", func() (err error) { f, err = os.OpenFile(path, flags, 0o644); return })
	if err != nil {
		return err
	}
	werr := c.step("write", func() error { _, err := f.WriteAt(b, off); return err })
	c.wrote = werr == nil
	return errors.Join(werr, c.step("close", f.Close))
}

// make prepares what stands in the words of holds, past the mount and the proxy.
func (c *cell) make(what string) error {
	ctx := c.ctx
	for _, item := range parseHolds(what) {
		switch {
		case item.name == ".partial":
			b := c.contents[item.versions[0]]
			if _, err := c.store.CreateBreakpointFile(ctx, c.name, client.BreakpointOptions{ChecksumType: client.ChecksumCRC32}); err != nil {
				return err
			}
			if _, err := c.store.AppendBreakpointFile(ctx, c.name, 0, client.BytesBody(b), true); err != nil {
				return err
			}
		case item.versions == nil:
			if _, err := c.store.CreateDirectory(ctx, c.dir, item.name); err != nil {
				return err
			}
		default:
			if _, err := c.store.CreateFile(ctx, client.NewFile{Name: item.name, Dir: c.dir}, client.BytesBody(c.contents[item.versions[0]])); err != nil {
				return err
			}
		}
	}
	return nil
}
