package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/sequoiacm/scmfs/fs"
	"github.com/sequoiacm/scmfs/writeback"
)

// size is a flag value such as "15MiB".
type size int64

func (s *size) String() string { return humanize.IBytes(uint64(max(*s, 0))) }
func (s *size) Type() string   { return "size" }
func (s *size) Set(v string) error {
	n, err := humanize.ParseBytes(v)
	if err != nil || n > 1<<62 {
		return fmt.Errorf("want a size such as 15MiB")
	}
	*s = size(n)
	return nil
}

// mountFlags are the options of mount.
type mountFlags struct {
	target      target
	place       placement
	policies    policies // of the configuration file
	foreground  bool
	stateDir    string
	logFile     string
	logLevel    string
	increment   size
	uploads     int
	writeMode   string
	conflict    string
	readOnly    bool
	allowOther  bool
	uid, gid    uint32
	umask       string
	trash       string
	trashDays   int
	expiry      time.Duration
	timeout     time.Duration
	closing     time.Duration
	retry       time.Duration
	stall       time.Duration
	stopTimeout time.Duration
	cacheSize   size
	cacheDir    string
	cacheMax    size
	cacheFree   size
	streams     int
	spoolMax    size
	spoolFree   size
	uploadLimit size
	heldNames   []string
	kernel      []string
	http        string
	ops         opsFlags
}

func (m *mountFlags) flags(cmd *cobra.Command) {
	m.increment, m.cacheSize, m.spoolFree = 15<<20, 256<<20, 64<<20
	m.cacheMax, m.cacheFree = 10<<30, 1<<30
	m.target.flags(cmd)
	m.place.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&m.foreground, "foreground", false, "stay in the foreground")
	f.StringVar(&m.stateDir, "state-dir", "", "directory for what is not uploaded yet, on a local disk (default: /var/lib/scmfs/… or $XDG_STATE_HOME/scmfs/…)")
	f.StringVar(&m.logFile, "log-file", "", "log to this file (default: scmfs.log in the state directory; the terminal with --foreground)")
	f.StringVar(&m.logLevel, "log-level", "info", "error, warn, info or debug")
	f.Var(&m.increment, "increment-size", "bytes sent at a time, a multiple of 5MiB up to 45MiB")
	f.IntVar(&m.uploads, "uploads", 8, "requests with content under way at once")
	f.StringVar(&m.writeMode, "write-mode", "sync", "what close promises: sync = the store has it, async = it is safe here and will be uploaded")
	f.StringVar(&m.conflict, "conflict", "version", "somebody else made a version meanwhile: version = publish on top, fail = refuse")
	f.BoolVar(&m.readOnly, "read-only", false, "refuse every change")
	f.BoolVar(&m.allowOther, "allow-other", os.Geteuid() == 0, "let other users use the mount")
	f.Uint32Var(&m.uid, "uid", uint32(os.Getuid()), "owner of files that have none stored")
	f.Uint32Var(&m.gid, "gid", uint32(os.Getgid()), "group of files that have none stored")
	f.StringVar(&m.umask, "umask", "022", "octal permission bits to take away from files that have none stored")
	f.StringVar(&m.trash, "trash", "", "directory of each workspace, such as .Trash, that deleted files are moved into (default: none, they are deleted)")
	f.IntVar(&m.trashDays, "trash-days", 0, "days after which files in --trash are deleted (default: never)")
	f.DurationVar(&m.expiry, "expiry", time.Second, "how long names and attributes are believed without asking the server")
	f.DurationVar(&m.timeout, "timeout", time.Minute, "how long an operation may take")
	f.DurationVar(&m.closing, "close-timeout", 2*time.Minute, "how long close waits for an upload that makes no progress; the upload goes on")
	f.DurationVar(&m.retry, "retry-timeout", 5*time.Minute, "how long an upload without progress is retried before it is stuck; in async mode an outage is waited for")
	f.DurationVar(&m.stall, "stall-timeout", time.Minute, "how long a server may be silent in the middle of a request before it is made again")
	f.DurationVar(&m.stopTimeout, "stop-timeout", 2*time.Minute, "how long a stop waits for uploads; the rest is kept for the next mount")
	f.Var(&m.cacheSize, "cache-size", "memory for content that was read, and a 32nd of it for small files that were written")
	f.IntVar(&m.streams, "read-streams", 1, "connections on which one large file is read; more help where one does not fill the line")
	f.StringVar(&m.cacheDir, "cache-dir", "", "directory for content that was read (default: none)")
	f.Var(&m.cacheMax, "cache-max-size", "bytes in --cache-dir")
	f.Var(&m.cacheFree, "cache-min-free", "free space to leave on the disk of --cache-dir")
	f.Var(&m.spoolMax, "spool-max-size", "bytes of written content kept until it is uploaded; writers wait when it is reached (default: no limit but the disk)")
	f.Var(&m.spoolFree, "spool-min-free", "free space to leave on the disk of the state directory; writers wait below it")
	f.Var(&m.uploadLimit, "upload-limit", "bytes per second of all uploads (default: no limit)")
	f.StringSliceVar(&m.heldNames, "held-names", writeback.DefaultHeldNames, "patterns of temporary names that are not published until renamed")
	f.StringSliceVarP(&m.kernel, "options", "o", nil, "mount options as in fstab: flags as KEY=VALUE, and the kernel's such as noexec")
	f.StringVar(&m.http, "http", "", "serve a status page, /metrics, /healthz and /readyz at this address, such as 127.0.0.1:9100")
	m.ops.flags(cmd)
}

// check refuses what can be seen to be wrong without asking anybody.
func (m *mountFlags) check() error {
	if bad := m.checkWriting(); bad != nil {
		return bad
	}
	switch {
	case m.uploads < 1 || m.uploads > 256:
		return &badSetting{"uploads", fmt.Sprintf("%d: must be between 1 and 256", m.uploads)}
	case m.streams < 1 || m.streams > 16:
		return &badSetting{"read-streams", fmt.Sprintf("%d: must be between 1 and 16", m.streams)}
	case m.spoolMax > 0 && m.spoolMax < 2*m.increment:
		return &badSetting{"spool-max-size", fmt.Sprintf("%s: must hold at least two increments of %s", m.spoolMax.String(), m.increment.String())}
	case m.uploadLimit > 0 && m.uploadLimit < 16<<10:
		return &badSetting{"upload-limit", fmt.Sprintf("%s: must be at least 16KiB a second, or uploads look stalled", m.uploadLimit.String())}
	case m.expiry < 0:
		return &badSetting{"expiry", "must not be negative"}
	case m.timeout <= 0:
		return &badSetting{"timeout", "must be positive"}
	case m.closing <= 0:
		return &badSetting{"close-timeout", "must be positive"}
	case m.retry <= 0:
		return &badSetting{"retry-timeout", "must be positive"}
	case m.stall <= 0:
		return &badSetting{"stall-timeout", "must be positive"}
	case m.stopTimeout < 0:
		return &badSetting{"stop-timeout", "must not be negative"}
	}
	if _, err := m.umaskBits(); err != nil {
		return &badSetting{"umask", fmt.Sprintf("%q: must be octal, such as 022", m.umask)}
	}
	if bad := m.ops.check(m.http); bad != nil {
		return bad
	}
	if _, err := logrus.ParseLevel(m.logLevel); err != nil {
		return &badSetting{"log-level", fmt.Sprintf("%q: must be error, warn, info or debug", m.logLevel)}
	}
	if err := m.place.check(); err != nil {
		return err
	}
	return m.checkPolicies()
}

// checkWriting is the part of check that may differ by workspace.
func (m *mountFlags) checkWriting() *badSetting {
	switch {
	case m.increment <= 0 || m.increment%(5<<20) != 0 || m.increment > 45<<20:
		return &badSetting{"increment-size", m.increment.String() + ": must be a multiple of 5MiB, at most 45MiB"}
	case m.writeMode != "sync" && m.writeMode != "async":
		return &badSetting{"write-mode", fmt.Sprintf("%q: must be sync or async", m.writeMode)}
	case m.conflict != "version" && m.conflict != "fail":
		return &badSetting{"conflict", fmt.Sprintf("%q: must be version or fail", m.conflict)}
	case m.trash != "" && !fs.CheckTrash(strings.Trim(m.trash, "/")):
		return &badSetting{"trash", fmt.Sprintf("%q: must be a directory name that the store takes", m.trash)}
	case m.trashDays < 0 || m.trashDays > 0 && m.trash == "":
		return &badSetting{"trash-days", fmt.Sprintf("%d: must be positive, and needs trash", m.trashDays)}
	}
	for _, pattern := range m.heldNames {
		if _, err := path.Match(pattern, ""); err != nil {
			return &badSetting{"held-names", fmt.Sprintf("%q: malformed pattern", pattern)}
		}
	}
	return nil
}

func (m *mountFlags) umaskBits() (uint32, error) {
	n, err := strconv.ParseUint(m.umask, 8, 12)
	if err == nil && n > 0o777 {
		err = errors.New("out of range")
	}
	return uint32(n), err
}

func (m *mountFlags) writeback() writeback.Options {
	o := writeback.Options{Increment: int64(m.increment), Uploads: m.uploads, MaxSpool: int64(m.spoolMax), MinFree: int64(m.spoolFree),
		RetryTimeout: m.retry, OpTimeout: m.timeout, UploadLimit: int64(m.uploadLimit), HeldNames: m.heldNames}
	if m.writeMode == "async" {
		o.WriteMode = writeback.Async
	}
	if m.conflict == "fail" {
		o.Conflict = writeback.ConflictFail
	}
	return o
}

// stateDirFor names the state directory of a mount: the same mount point gets
// the same one again, so that what was left is found.
func stateDirFor(mountpoint string) (string, error) {
	name := strings.NewReplacer("_", "__", "/", "_").Replace(strings.Trim(mountpoint, "/"))
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib/scmfs", name), nil
	}
	if base := os.Getenv("XDG_STATE_HOME"); base != "" {
		return filepath.Join(base, "scmfs", name), nil
	}
	u, err := user.Current()
	if err != nil {
		return "", usage(fmt.Errorf("user %d has no home directory: give --state-dir", os.Geteuid()))
	}
	return filepath.Join(u.HomeDir, ".local", "state", "scmfs", name), nil
}
