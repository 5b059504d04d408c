package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// checkMachine looks at what a mount needs of this machine.
func checkMachine() []finding {
	out := []finding{checkKernel(), checkFUSE("/dev/fuse")}
	if os.Geteuid() != 0 {
		out = append(out, checkFusermount(), checkAllowOther("/etc/fuse.conf"))
	}
	return append(out, checkFiles(), checkClock())
}

func checkKernel() finding {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return warn("kernel", "", "%v", err)
	}
	return kernelFinding(unix.ByteSliceToString(u.Release[:]))
}

func kernelFinding(release string) finding {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return warn("kernel", "", "%s: not a version that is understood", release)
	}
	switch v := major*1000 + minor; {
	case v < 4020:
		return broken("kernel", "use Linux 5.4 or newer", "%s has a FUSE that is too old", release)
	case v < 5004:
		return warn("kernel", "use Linux 5.4 or newer", "%s is older than what is tested", release)
	}
	return good("kernel", "%s", release)
}

func checkFUSE(dev string) finding {
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err == nil {
		_ = f.Close()
		return good("fuse", "%s can be opened", dev)
	}
	fix := "modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN"
	if errors.Is(err, os.ErrPermission) {
		fix = "chmod 666 " + dev + ", or run as root; in a container the device must be allowed too"
	}
	return broken("fuse", fix, "%v", err)
}

func checkFusermount() finding {
	path, err := exec.LookPath("fusermount3")
	if err != nil {
		return broken("fusermount3", "install the package fuse3, or mount as root", "is not there, and only root mounts without it")
	}
	return good("fusermount3", "%s", path)
}

func checkAllowOther(conf string) finding {
	b, _ := os.ReadFile(conf)
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return good("allow_other", "allowed by %s", conf)
		}
	}
	return warn("allow_other", "write the line user_allow_other into "+conf, "--allow-other is not possible for users other than root")
}

func checkFiles() finding {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return warn("open files", "", "%v", err)
	}
	if l.Max < 4096 {
		return warn("open files", "raise it: LimitNOFILE=65536 in a unit, or ulimit -n 65536", "at most %d: every file being written needs one", l.Max)
	}
	return good("open files", "at most %d", l.Max)
}

func checkClock() finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil || state == unix.TIME_ERROR {
		return warn("clock", "run chrony or systemd-timesyncd", "is not synchronised as far as the kernel knows; times of files are this machine's")
	}
	return good("clock", "synchronised")
}

// Numbers of statfs's file system types that matter here.
var diskKinds = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.NFS_SUPER_MAGIC: "nfs", unix.SMB2_SUPER_MAGIC: "smb", unix.CIFS_SUPER_MAGIC: "cifs", unix.FUSE_SUPER_MAGIC: "fuse",
}

// checkDisk looks at the disk that the state directory is on, or will be on.
func checkDisk(dir string) []finding {
	at := dir
	for {
		if fi, err := os.Stat(at); err == nil {
			if !fi.IsDir() {
				return []finding{broken("state", "give another --state-dir", "%s is not a directory", at)}
			}
			break
		}
		if at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(at, &fs); err != nil {
		return []finding{broken("state", "give another --state-dir", "%s: %v", at, err)}
	}
	var out []finding
	switch kind := diskKinds[int64(fs.Type)]; kind { //nolint:unconvert // the type differs by architecture
	case "":
	case "tmpfs", "ramfs":
		out = append(out, broken("state", "use --state-dir on a disk", "%s is in memory (%s): a power cut would lose what close and fsync promised", dir, kind))
	default:
		out = append(out, broken("state", "use --state-dir on a local disk", "%s is on a network or FUSE file system (%s)", dir, kind))
	}
	free := int64(fs.Bavail) * fs.Bsize //nolint:unconvert // likewise
	switch {
	case free < 64<<20:
		out = append(out, broken("space", "free some, or use --state-dir on another disk", "%s free at %s: nothing can be written", human(free), at))
	case free < 2<<30:
		out = append(out, warn("space", "free some, or use --state-dir on another disk", "%s free at %s: large files wait for uploads", human(free), at))
	default:
		out = append(out, good("space", "%s free at %s", human(free), at))
	}
	return append(out, checkSync(dir, at))
}

// checkSync measures what an fsync costs there: every close in async mode and
// every fsync wait for one.
func checkSync(dir, at string) finding {
	f, err := os.CreateTemp(at, ".scmfs-doctor-*")
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EROFS) {
		return broken("state", "give another --state-dir, or change its owner", "%s cannot be written: %v", dir, err)
	}
	if err != nil {
		return broken("state", "look at the disk, or give another --state-dir", "%v", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.Write(make([]byte, 4096))
	began := time.Now()
	if err = errors.Join(err, f.Sync()); err != nil {
		return broken("state", "look at the disk", "%v", err)
	}
	took := time.Since(began)
	if took > 100*time.Millisecond {
		return warn("state", "use --state-dir on a faster disk", "an fsync takes %s there", took.Round(time.Millisecond))
	}
	return good("state", "%s, an fsync takes %s", dir, took.Round(10*time.Microsecond))
}
