package main

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"hash/crc32"
	"io"
	iofs "io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func verifyCommand() *cobra.Command {
	against := ""
	cmd := &cobra.Command{
		Use: "verify PATH...", Short: "Compare content with the server's checksum",
		Long: `Reads each file, drops it from the kernel's cache first, and compares it with the md5 that
the server computes from what it has stored; a breakpoint file with the checksum the
server keeps of it. A directory means every file below it. A file that is not published
yet, or that cannot be compared, counts as a failure. With --against a local file is
compared instead of what the mount reads: whether a copy arrived.`,
		Example: "  scmfs verify /mnt/scm/archive/big.iso\n  scmfs verify /mnt/scm/archive/big.iso --against big.iso",
		Args:    atLeast(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if against != "" && len(args) != 1 {
				return usage(errors.New("--against needs one PATH"))
			}
			v := verifier{cmd: cmd, against: against, mounts: map[string]*controlClient{}}
			for _, path := range args {
				if err := v.walk(path); err != nil {
					return err
				}
			}
			cmd.Printf("%d compared and equal, %d not\n", v.good, v.bad)
			if v.bad > 0 {
				return fmt.Errorf("%d of %d files are not verified", v.bad, v.good+v.bad)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&against, "against", "", "compare this local file with the server's checksum")
	return cmd
}

type verifier struct {
	cmd       *cobra.Command
	against   string
	mounts    map[string]*controlClient
	good, bad int
}

func (v *verifier) walk(path string) error {
	if _, err := placeOf(path); err != nil {
		return err
	}
	fi, err := os.Lstat(path)
	if err != nil {
		return fileFailure("cannot verify", err)
	}
	if !fi.IsDir() {
		v.one(path)
		return nil
	}
	if v.against != "" {
		return usage(errors.New("--against compares one file"))
	}
	return filepath.WalkDir(path, func(p string, d iofs.DirEntry, err error) error {
		switch {
		case err != nil:
			v.result(p, "UNKNOWN", err.Error())
		case d.Type().IsRegular():
			v.one(p)
		}
		return v.cmd.Context().Err()
	})
}

func (v *verifier) result(path, verdict, detail string) {
	if verdict == "OK" {
		v.good++
	} else {
		v.bad++
	}
	v.cmd.Printf("%-8s %s  %s\n", verdict, path, detail)
}

func (v *verifier) one(path string) {
	ctx := v.cmd.Context()
	theirs, err := v.server(ctx, path)
	if err != nil {
		v.result(path, "UNKNOWN", err.Error())
		return
	}
	from := path
	if v.against != "" {
		from = v.against
	}
	n, ours, err := sumOf(from, theirs.Type)
	what := strings.ToLower(theirs.Type) + " " + readable(theirs)
	if theirs.Version != "" {
		what += ", version " + theirs.Version
	}
	switch {
	case err != nil:
		v.result(path, "UNKNOWN", "cannot be read: "+err.Error()+"; compare the original with --against")
	case n != theirs.Size:
		v.result(path, "DIFFERS", fmt.Sprintf("%d bytes here, %d at the server", n, theirs.Size))
	case ours != theirs.Sum:
		v.result(path, "DIFFERS", fmt.Sprintf("%s at the server, %s here", what, readable(serverSum{Type: theirs.Type, Sum: ours})))
	default:
		v.result(path, "OK", what)
	}
}

// server asks for the server's checksum of a path.
func (v *verifier) server(ctx context.Context, path string) (serverSum, error) {
	at, err := placeOf(path)
	if err != nil {
		return serverSum{}, err
	}
	form := url.Values{}
	if name := at.partial(); name != "" {
		form.Set("partial", name)
	} else {
		if state := attribute(path, "state"); state != "published" {
			return serverSum{}, fmt.Errorf("it is not published, it is %s", state)
		}
		form.Set("id", attribute(path, "id"))
	}
	c, known := v.mounts[at.mount]
	if !known {
		c, err = attach(at.mount)
		if err != nil && !notOwner(err) {
			return serverSum{}, err
		}
		v.mounts[at.mount] = c
	}
	if c == nil {
		fi, err := os.Stat(path)
		sum := attribute(path, "md5")
		if err != nil || sum == "" {
			return serverSum{}, errors.Join(errors.New("the server has no md5 of it, and only the owner of the mount can have one computed"), err)
		}
		return serverSum{Size: fi.Size(), Type: "MD5", Sum: sum, Version: attribute(path, "version")}, nil
	}
	form.Set("workspace", at.workspace(c.status.Root))
	var b strings.Builder
	if _, err := c.do(ctx, http.MethodPost, "/checksum", form, &b); err != nil {
		return serverSum{}, err
	}
	var s serverSum
	return s, json.Unmarshal([]byte(b.String()), &s)
}

// sumOf reads a file and sums it as the server does.
func sumOf(path, kind string) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // not what is in memory here
	var h hash.Hash
	switch kind {
	case "MD5":
		h = md5.New()
	case "CRC32":
		h = crc32.NewIEEE()
	case "ADLER32":
		h = adler32.New()
	default:
		return 0, "", fmt.Errorf("the server's checksum is of kind %q, which is not known", kind)
	}
	n, err := io.Copy(h, f)
	if err != nil {
		return n, "", err
	}
	switch s := h.(type) {
	case hash.Hash32:
		if n == 0 {
			return 0, "0", nil // whatever the kind (part 2 section 5.5)
		}
		return n, strconv.FormatUint(uint64(s.Sum32()), 10), nil
	default:
		return n, base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
	}
}

// readable shows an md5 as md5sum does.
func readable(s serverSum) string {
	if b, err := base64.StdEncoding.DecodeString(s.Sum); s.Type == "MD5" && err == nil {
		return hex.EncodeToString(b)
	}
	return s.Sum
}
