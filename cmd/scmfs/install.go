package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

//go:embed assets
var assets embed.FS

// helperNames are what mount(8) and umount(8) call for the types scmfs and
// fuse.scmfs.
var helperNames = []string{"mount.scmfs", "mount.fuse.scmfs", "umount.scmfs", "umount.fuse.scmfs"}

type installFlags struct {
	prefix    string
	destdir   string
	dryRun    bool
	uninstall bool
}

func installCommand() *cobra.Command {
	i := &installFlags{}
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Put program, mount helper, manual, completion and systemd unit in place",
		Long: `Copies this program and what belongs to it below PREFIX: bin/scmfs, the helpers of
mount(8) and umount(8) in sbin, manual pages, completion for bash, zsh and fish, and the
systemd unit scmfs@.service. An example configuration is written to ` + defaultConfig + `
unless there is one. mount(8) looks for helpers in /sbin only: with another prefix than
/usr, call them by their path or link them there.`,
		Example: "  scmfs install --dry-run\n  scmfs install --prefix /usr\n  scmfs install --uninstall",
		Args:    exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := i.files(cmd.Root())
			if err != nil {
				return err
			}
			for _, f := range files {
				if err := i.place(cmd, f); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&i.prefix, "prefix", "/usr", "where to install")
	cmd.Flags().StringVar(&i.destdir, "destdir", "", "put everything below this directory, to make a package of it")
	cmd.Flags().BoolVar(&i.dryRun, "dry-run", false, "only say what would be done")
	cmd.Flags().BoolVar(&i.uninstall, "uninstall", false, "remove what install put in place; configuration and state stay")
	_ = cmd.MarkFlagDirname("prefix")
	_ = cmd.MarkFlagDirname("destdir")
	return cmd
}

// installed is one file of an installation.
type installed struct {
	path   string // absolute, without destdir
	mode   os.FileMode
	text   []byte
	link   string // not "": a symbolic link to it
	config bool   // belongs to the administrator: never replaced or removed
}

// files lists an installation.
func (i *installFlags) files(root *cobra.Command) ([]installed, error) {
	if !filepath.IsAbs(i.prefix) {
		return nil, usage(fmt.Errorf("--prefix %s: must be absolute", i.prefix))
	}
	under := func(parts ...string) string { return filepath.Join(append([]string{i.prefix}, parts...)...) }
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return nil, err
	}
	files := []installed{{path: under("bin", "scmfs"), mode: 0o755, text: program}}
	for _, name := range helperNames {
		files = append(files, installed{path: under("sbin", name), link: "../bin/scmfs"})
	}
	for _, p := range manualPages(root) {
		files = append(files, installed{path: under("share", "man", "man"+p.section, p.name+"."+p.section), mode: 0o644, text: p.text})
	}
	for _, name := range helperNames[1:] {
		files = append(files, installed{path: under("share", "man", "man8", name+".8"), mode: 0o644, text: []byte(".so man8/mount.scmfs.8\n")})
	}
	var bash, zsh, fish bytes.Buffer
	if err := errors.Join(root.GenBashCompletionV2(&bash, true), root.GenZshCompletion(&zsh), root.GenFishCompletion(&fish, true)); err != nil {
		return nil, err
	}
	unit, err := assets.ReadFile("assets/scmfs@.service")
	if err != nil {
		return nil, err
	}
	config, err := assets.ReadFile("assets/scmfs.yaml")
	if err != nil {
		return nil, err
	}
	return append(files,
		installed{path: under("share", "bash-completion", "completions", "scmfs"), mode: 0o644, text: bash.Bytes()},
		installed{path: under("share", "zsh", "vendor-completions", "_scmfs"), mode: 0o644, text: zsh.Bytes()},
		installed{path: under("share", "fish", "vendor_completions.d", "scmfs.fish"), mode: 0o644, text: fish.Bytes()},
		installed{path: under("lib", "systemd", "system", "scmfs@.service"), mode: 0o644, text: bytes.ReplaceAll(unit, []byte("@BINDIR@"), []byte(under("bin")))},
		installed{path: defaultConfig, mode: 0o644, text: config, config: true},
	), nil
}

func (i *installFlags) place(cmd *cobra.Command, f installed) error {
	path := filepath.Join(i.destdir, f.path)
	_, err := os.Lstat(path)
	there := err == nil
	if f.config && (there || i.uninstall) {
		return nil
	}
	switch {
	case i.uninstall && !there:
		return nil
	case i.uninstall:
		cmd.Println("remove", path)
	case f.link != "":
		cmd.Println("link", path, "->", f.link)
	default:
		cmd.Println("write", path)
	}
	if i.dryRun {
		return nil
	}
	if i.uninstall {
		return os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return f.put(path)
}

// put replaces a file in one step: the running program may be what is replaced.
func (f installed) put(path string) error {
	tmp := path + ".new"
	_ = os.Remove(tmp)
	if f.link != "" {
		if err := os.Symlink(f.link, tmp); err != nil {
			return err
		}
		return os.Rename(tmp, path)
	}
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, bytes.NewReader(f.text))
	if err = errors.Join(err, out.Chmod(f.mode), out.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return os.Rename(tmp, path)
}
