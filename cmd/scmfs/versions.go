package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/client"
)

// fileVersion is a version of a file as the mount shows it.
type fileVersion struct {
	Version  string    `json:"version"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	User     string    `json:"user,omitempty"`
	DataID   string    `json:"data_id,omitempty"`
	MD5      string    `json:"md5,omitempty"` // base64
	Current  bool      `json:"current"`
	path     string
}

func versionsCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "versions PATH", Short: "List the versions of a file", Args: exactArgs(1),
		Long:    "Lists the versions of a file, newest first. Each can be read in .versions of its workspace.",
		Example: "  scmfs versions /mnt/scm/archive/report.pdf",
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := versionsOf(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "VERSION\tSIZE\tMODIFIED\tBY\tREAD IT AT")
			for _, v := range all {
				mark := ""
				if v.Current {
					mark = " *"
				}
				fmt.Fprintf(w, "%s%s\t%d\t%s\t%s\t%s\n", v.Version, mark, v.Size, v.Modified.Format(time.DateTime), v.User, v.path)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// versionsOf lists versions, newest first.
func versionsOf(path string) ([]fileVersion, error) {
	at, err := placeOf(path)
	if err != nil {
		return nil, err
	}
	dir, err := at.versionsDir()
	if err != nil {
		return nil, err
	}
	if fi, err := os.Lstat(path); err != nil {
		return nil, err
	} else if fi.IsDir() {
		return nil, fmt.Errorf("%s is a directory: SCM keeps versions of files", path)
	}
	current := attribute(path, "version")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) && attribute(path, "state") != "published" {
		return nil, fmt.Errorf("%s is not published yet and has no version", path)
	}
	if err != nil {
		return nil, err
	}
	var out []fileVersion
	for _, e := range entries {
		p := filepath.Join(dir, e.Name())
		fi, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		out = append(out, fileVersion{Version: e.Name(), Size: fi.Size(), Modified: fi.ModTime(), User: attribute(p, "user"),
			DataID: attribute(p, "data_id"), MD5: attribute(p, "md5"), Current: e.Name() == current, path: p})
	}
	slices.SortFunc(out, func(a, b fileVersion) int {
		x, _ := client.ParseVersion(a.Version)
		y, _ := client.ParseVersion(b.Version)
		if x.Major != y.Major {
			return y.Major - x.Major
		}
		return y.Minor - x.Minor
	})
	return out, nil
}

func restoreCommand() *cobra.Command {
	to := ""
	cmd := &cobra.Command{
		Use: "restore PATH@VERSION", Short: "Make an older version the newest one again",
		Long: `Makes a new version of PATH with the content of an older one. All versions stay. The
file changes in one step, when the content is at the server; if anything fails it is as
it was. With --to the content goes into another file, which must not exist.`,
		Example: "  scmfs restore /mnt/scm/archive/report.pdf@2.0\n  scmfs restore /mnt/scm/archive/report.pdf@2.0 --to /tmp/old.pdf",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			i := strings.LastIndexByte(args[0], '@')
			if i < 1 {
				return usage(errors.New("want PATH@VERSION, such as report.pdf@2.0"))
			}
			path, version := args[0][:i], args[0][i+1:]
			if _, err := client.ParseVersion(version); err != nil {
				return usage(err)
			}
			all, err := versionsOf(path)
			if err != nil {
				return err
			}
			n := slices.IndexFunc(all, func(v fileVersion) bool { return v.Version == version })
			if n < 0 {
				return fmt.Errorf("%s has no version %s: see 'scmfs versions %s'", path, version, path)
			}
			if to != "" {
				return copyNew(all[n].path, to)
			}
			if all[n].Current {
				cmd.Printf("%s is at version %s already\n", path, version)
				return nil
			}
			if err := restore(path, all[n].path); err != nil {
				return fmt.Errorf("%s is as it was: %w", path, err)
			}
			cmd.Printf("%s has the content of version %s again\n", path, version)
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "copy into this file instead")
	return cmd
}

// restore writes an old version beside the file, under a name that the mount holds
// back, and renames it onto the file: that makes the next version in one step.
func restore(path, old string) error {
	if state := attribute(path, "state"); state != "published" {
		return fmt.Errorf("it is %s: close it first", state)
	}
	now, err := os.Stat(path)
	if err != nil {
		return err
	}
	in, err := os.Open(old)
	if err != nil {
		return err
	}
	defer in.Close()
	dir, name := filepath.Split(path)
	// Named like rsync's temporaries, ".NAME.XXXXXX", which the mount holds back.
	name = strings.ToValidUTF8(name[:min(len(name), 200)], "")
	out, err := os.OpenFile(dir+"."+name+"."+rand.Text()[:6], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = fillFrom(out, in)
	if err == nil {
		err = os.Chmod(out.Name(), now.Mode().Perm())
	}
	if err == nil {
		err = copyAttributes(path, out.Name())
	}
	if err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		_ = os.Remove(out.Name())
	}
	return err
}

// fillFrom copies and closes; the size is compared, so that a short read is not
// taken for the end.
func fillFrom(out, in *os.File) error {
	fi, err := in.Stat()
	if err != nil {
		return errors.Join(err, out.Close())
	}
	n, err := io.Copy(out, in)
	if err == nil && n != fi.Size() {
		err = fmt.Errorf("read %d of %d bytes", n, fi.Size())
	}
	return errors.Join(err, out.Close())
}

// copyNew makes a file that those can read who could read the version, as cp does,
// and its owner can write.
func copyNew(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	fi, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fi.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	if err := fillFrom(out, in); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// copyAttributes carries user attributes over.
func copyAttributes(from, to string) error {
	buf := make([]byte, 64<<10)
	n, err := unix.Listxattr(from, buf)
	if err != nil {
		return err
	}
	value := make([]byte, 64<<10)
	for name := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if name == "" || strings.HasPrefix(name, "user.scm.") {
			continue
		}
		k, err := unix.Getxattr(from, name, value)
		if err != nil {
			return err
		}
		if err := unix.Setxattr(to, name, value[:k], 0); err != nil {
			return err
		}
	}
	return nil
}
