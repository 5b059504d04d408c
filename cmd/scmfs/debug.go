package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func debugCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "debug", Short: "Collect what helps to find out what is wrong"}
	b := &bundle{}
	sub := &cobra.Command{
		Use: "bundle [MOUNTPOINT]", Short: "Write logs, configuration, metrics and profiles into one archive", Args: rangeArgs(0, 1),
		Long: `Writes a tar.gz with the status, metrics, goroutines, memory and CPU profiles of a running
mount, its logs, its settings, and what the machine says. Works also when the mount hangs:
what does not answer is noted. Passwords and tokens are taken out; names of files are not,
so look at it before it leaves the house.`,
		Example: "  scmfs debug bundle /mnt/scm --output scmfs-bundle.tar.gz",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := mountArg(args)
			if err != nil {
				return err
			}
			return b.write(cmd, dir)
		},
	}
	f := sub.Flags()
	f.StringVarP(&b.to, "output", "o", "", "the archive (default: scmfs-bundle-TIME.tar.gz)")
	f.DurationVar(&b.cpu, "cpu", 3*time.Second, "how long to profile the CPU")
	f.StringVar(&b.stateDir, "state-dir", "", "the mount's state directory, when it does not answer and has not the usual one")
	cmd.AddCommand(sub)
	return cmd
}

// bundle is an archive of what helps.
type bundle struct {
	to, stateDir string
	cpu          time.Duration
	out          *tar.Writer
	now          time.Time
	notes        strings.Builder
}

// bundleLog bounds what of each log file is taken: its end.
const bundleLog = 8 << 20

func (b *bundle) write(cmd *cobra.Command, dir string) (err error) {
	b.now = time.Now()
	if b.to == "" {
		b.to = "scmfs-bundle-" + b.now.Format("20060102-150405") + ".tar.gz"
	}
	f, err := os.OpenFile(b.to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(f)
	b.out = tar.NewWriter(z)
	err = b.collect(cmd.Context(), dir)
	if err = errors.Join(err, b.out.Close(), z.Close(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(b.to))
	}
	cmd.Printf("%s\n%s", b.to, b.notes.String())
	return nil
}

func (b *bundle) collect(ctx context.Context, dir string) error {
	c, err := attach(dir)
	if err != nil {
		b.note("status", err)
		c = b.bySocket(dir)
	}
	logs := filepath.Join(b.stateDir, "scmfs.log")
	if c != nil {
		for _, p := range []struct {
			name, path string
			wait       time.Duration
		}{
			{"goroutines.txt", "/debug/pprof/goroutine?debug=2", 10 * time.Second}, // first: the rest may hang
			{"status.json", "/details", 10 * time.Second}, {"metrics.txt", "/metrics", 10 * time.Second}, {"settings.txt", "/settings", 10 * time.Second},
			{"heap.pprof", "/debug/pprof/heap", 10 * time.Second}, {"mutex.pprof", "/debug/pprof/mutex", 10 * time.Second}, {"block.pprof", "/debug/pprof/block", 10 * time.Second},
			{"cpu.pprof", fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(b.cpu.Seconds()))), b.cpu + 10*time.Second},
		} {
			if err := b.ask(ctx, c, p.name, p.path, p.wait); err != nil {
				return err
			}
		}
		if c.status.LogFile != "" {
			logs = c.status.LogFile
		}
	}
	found, _ := filepath.Glob(logs + "*")
	for _, path := range found {
		if err := b.tail("log/"+filepath.Base(path), path); err != nil {
			return err
		}
	}
	var doc strings.Builder
	d := &doctor{arg: dir, out: &doc, readOnly: true}
	dctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_ = d.run(dctx) // what fails is in its text
	if err := b.add("doctor.txt", []byte(doc.String())); err != nil {
		return err
	}
	for name, path := range map[string]string{"machine/mountinfo": "/proc/self/mountinfo", "machine/meminfo": "/proc/meminfo", "machine/kernel": "/proc/version",
		"machine/os-release": "/etc/os-release", "machine/fuse.conf": "/etc/fuse.conf", "machine/resolv.conf": "/etc/resolv.conf"} {
		if err := b.tail(name, path); err != nil {
			return err
		}
	}
	if err := b.add("version.txt", []byte(versionText()+"\n")); err != nil {
		return err
	}
	return b.add("notes.txt", []byte(b.notes.String()))
}

// bySocket reaches a mount whose tree does not answer.
func (b *bundle) bySocket(dir string) *controlClient {
	if b.stateDir == "" {
		b.stateDir, _ = stateDirFor(dir)
	}
	socket := controlPath(b.stateDir)
	if _, err := os.Stat(socket); err != nil {
		b.note("control socket", err)
		return nil
	}
	return &controlClient{http: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}}
}

func (b *bundle) note(what string, err error) { fmt.Fprintf(&b.notes, "missing: %s: %v\n", what, err) }

// ask adds an answer of the mount; one that does not come is noted.
func (b *bundle) ask(ctx context.Context, c *controlClient, name, path string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var text strings.Builder
	if _, err := c.do(ctx, http.MethodGet, path, nil, &text); err != nil {
		b.note(name, err)
		return nil
	}
	return b.add(name, []byte(text.String()))
}

// tail adds the end of a file.
func (b *bundle) tail(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		b.note(name, err)
		return nil
	}
	defer f.Close()
	if n, err := f.Seek(0, io.SeekEnd); err == nil && n > bundleLog {
		_, _ = f.Seek(-bundleLog, io.SeekEnd)
	} else {
		_, _ = f.Seek(0, io.SeekStart)
	}
	text, err := io.ReadAll(io.LimitReader(f, bundleLog))
	if err != nil {
		b.note(name, err)
	}
	return b.add(name, text)
}

func (b *bundle) add(name string, text []byte) error {
	if !strings.HasSuffix(name, ".pprof") {
		text = scrubSecrets(text)
	}
	h := &tar.Header{Name: "scmfs-bundle/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: b.now, Typeflag: tar.TypeReg}
	if err := b.out.WriteHeader(h); err != nil {
		return err
	}
	_, err := b.out.Write(text)
	return err
}

var secrets = []*regexp.Regexp{
	// "password":"…", token=…, x-auth-token: …, and the like; the value ends at a quote, white space or a separator.
	regexp.MustCompile(`(?i)((?:password|passwd|pwd|token|secret|authorization|sessionid|session_id|credentials?)["']?\s*[:=]\s*(?:bearer\s+)?["']?)([^"'\s,;&}]+)`),
	// user:password@host
	regexp.MustCompile(`(://[^/\s:@]+:)([^@/\s]+)(@)`),
}

// scrubSecrets takes out what looks like a password or a token.
func scrubSecrets(text []byte) []byte {
	text = secrets[0].ReplaceAll(text, []byte("${1}REMOVED"))
	return secrets[1].ReplaceAll(text, []byte("${1}REMOVED${3}"))
}
