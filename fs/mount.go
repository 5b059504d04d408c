package fs

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// MountOptions of a mount. The zero value works.
type MountOptions struct {
	// FsName is the first column of df; "scmfs" when empty.
	FsName string
	// AllowOther lets users other than the one that mounts use it.
	AllowOther bool
	// Options are kernel mount options such as "ro" or "sync".
	Options []string
	// ReadAhead is how far the kernel reads ahead, in bytes; root only. 0 means
	// 4 MiB, negative leaves the kernel's default. With 5 ms per request 128 KiB
	// (the default) read 46 MB/s and 4 MiB 924 MB/s.
	ReadAhead int
	// Debug logs every request.
	Debug bool
}

// Limits of the connection to the kernel, with the reason for each.
const (
	maxWrite      = 1 << 20   // the kernel's cap; a request costs the same whatever its length
	maxBackground = 64        // 12, the default, halves read-ahead at 5 ms a request
	maxInflight   = 256 << 20 // each waiting reader and writer holds a maxWrite buffer
	readAhead     = 4 << 20
)

// Mounted is a mount that answers.
type Mounted struct {
	fs     *FS
	server *fuse.Server
	dir    string
	done   chan struct{}
}

// ErrBusy reports that something still uses the mount.
var ErrBusy = errors.New("mount point is in use")

// Mount attaches the tree to a directory and returns when it answers. Requests
// are served by goroutines of their own until Unmount.
func (fs *FS) Mount(mountpoint string, o MountOptions) (*Mounted, error) {
	dir, err := filepath.Abs(mountpoint)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", mountpoint, err)
	}
	if o.FsName == "" {
		o.FsName = "scmfs"
	}
	fs.noatime = slices.Contains(o.Options, "noatime")
	opts := fs.nodeOptions(fs.kernelOptions(o))
	raw := observe(roomy{killPriv{fusefs.NewNodeFS(fs.top, opts)}}, &fs.opt)
	server, err := fuse.NewServer(raw, dir, &opts.MountOptions)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	m := &Mounted{fs: fs, server: server, dir: dir, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		server.Serve()
	}()
	if err := server.WaitMount(); err != nil {
		return nil, fmt.Errorf("mount %s: %w", dir, err)
	}
	fs.spawn(fs.notify.run)
	fs.spawn(fs.sweepTrash)
	if err := setReadAhead(dir, o.ReadAhead); err != nil {
		fs.log.WithError(err).Debug("read-ahead stays as the kernel has it")
	}
	return m, nil
}

func (fs *FS) kernelOptions(o MountOptions) fuse.MountOptions {
	kernel := append([]string{"default_permissions"}, o.Options...)
	if fs.opt.ReadOnly {
		kernel = append(kernel, "ro")
	}
	var flags uintptr // 0: go-fuse's default
	if os.Geteuid() == 0 {
		flags, kernel = directFlags(kernel)
	}
	return fuse.MountOptions{
		DirectMountFlags:  flags,
		FsName:            o.FsName,
		Name:              "scmfs",
		DirectMountStrict: os.Geteuid() == 0, // no fusermount3, no fork
		AllowOther:        o.AllowOther,
		Options:           kernel,

		MaxWrite:                maxWrite,
		MaxBackground:           maxBackground,
		MaxInflightRequestBytes: maxInflight,
		// The pipe that splice needs for a full request is larger than the kernel
		// allows, so it would fall back and log a line for every read.
		DisableSplice: true,
		MaxStackDepth: 1,
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC | // open(O_TRUNC) says so, in one request
			fuse.CAP_HANDLE_KILLPRIV_V2 | // no GETXATTR before every write
			fuse.CAP_READDIRPLUS_AUTO | fuse.CAP_ASYNC_DIO | fuse.CAP_DIRECT_IO_ALLOW_MMAP,
		DisableReadDirPlus: fs.opt.Audit != nil, // its entries are given ids where audited does not see it
		PanicHandler:       fs.panicked,
		Debug:              o.Debug,
		Logger:             logLines(fs.log),
	}
}

func (fs *FS) nodeOptions(mo fuse.MountOptions) *fusefs.Options {
	ttl := fs.opt.Expiry
	return &fusefs.Options{
		MountOptions: mo,
		EntryTimeout: &ttl, AttrTimeout: &ttl, NegativeTimeout: &ttl,
		NullPermissions: true, // a file of mode 0 is one
		RootStableAttr:  fs.topAttr(),
		Logger:          logLines(fs.log),
	}
}

func (fs *FS) panicked(v any) fuse.Status {
	fs.log.WithField("stack", string(debug.Stack())).Errorf("panic in a handler, please report it: %v; that operation failed with EIO, the mount goes on, what was closed or synced before is not affected", v)
	return fuse.EIO
}

// Dir is the mount point, absolute.
func (m *Mounted) Dir() string { return m.dir }

// Wait returns when the mount is gone, however that came about.
func (m *Mounted) Wait() { <-m.done }

// Done is closed when the mount is gone.
func (m *Mounted) Done() <-chan struct{} { return m.done }

// Unmount detaches the tree and waits for the requests being answered. While
// something uses the mount it tries again until ctx ends, then returns [ErrBusy]
// and the mount stays.
func (m *Mounted) Unmount(ctx context.Context) error {
	for {
		result := make(chan error, 1)
		go func() { result <- m.server.Unmount() }()
		var err error
		select {
		case err = <-result:
		case <-m.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("unmount %s: %w", m.dir, ctx.Err())
		}
		if err == nil {
			<-m.done
			return nil
		}
		select {
		case <-m.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("unmount %s: %w: %v", m.dir, ErrBusy, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Detach takes the mount out of the tree of names at once, although something
// uses it; it ends when the last user does.
func (m *Mounted) Detach() error { return Detach(m.dir) }

// Detach takes whatever is mounted at dir out of the tree of names, dead or
// alive: with umount2 as root, with fusermount3 otherwise.
func Detach(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH)
	if err == nil {
		return nil
	}
	out, ferr := exec.Command("fusermount3", "-uz", dir).CombinedOutput()
	if ferr == nil {
		return nil
	}
	return fmt.Errorf("detach %s: %w; fusermount3: %w: %s", dir, err, ferr, strings.TrimSpace(string(out)))
}

// setReadAhead raises the kernel's read-ahead of the mount by sysfs: the FUSE
// protocol can only lower it.
func setReadAhead(dir string, n int) error {
	if n < 0 || os.Geteuid() != 0 {
		return nil
	}
	if n == 0 {
		n = readAhead
	}
	dev, err := deviceOf(dir)
	if err != nil {
		return err
	}
	return os.WriteFile("/sys/class/bdi/"+dev+"/read_ahead_kb", []byte(strconv.Itoa(n>>10)), 0o644)
}

// deviceOf finds a mount's device number in mountinfo. A stat would ask the
// mount itself, and this process must not wait for itself.
func deviceOf(dir string) (string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	var dev string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 4 && unescapeMount(f[4]) == dir {
			dev = f[2] // the last one is on top
		}
	}
	if dev == "" {
		return "", fmt.Errorf("%s is not in mountinfo", dir)
	}
	return dev, nil
}

func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// logLines lets go-fuse's messages come out where ours do.
func logLines(l logrus.FieldLogger) *log.Logger {
	return log.New(lineWriter{l}, "", 0)
}

type lineWriter struct{ log logrus.FieldLogger }

func (w lineWriter) Write(p []byte) (int, error) {
	w.log.WithField("from", "go-fuse").Debug(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
