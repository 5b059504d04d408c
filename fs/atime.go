package fs

import (
	"syscall"
	"time"
)

// relatime is the age at which a time of access that is later than all changes is
// brought up to date all the same, as the kernel has it for local disks.
const relatime = 24 * time.Hour

// marksAccess tells whether reading through a handle opened with flags moves the
// time of access.
func (fs *FS) marksAccess(flags uint32) bool {
	return flags&syscall.O_NOATIME == 0 && !fs.noatime && !fs.opt.ReadOnly
}

// accessed moves the time of access by the rule of relatime: programs look whether
// a file was read since it changed. It is kept in memory only and costs no request.
// Reads that the kernel answers from its pages are not seen here. On FUSE the kernel
// leaves the time of access to us, whatever the mount says.
func (n *fileNode) accessed() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.ws.fs.opt.Now()
	mtime := n.mtimeLocked(n.liveLocked())
	atime := n.atimeLocked(mtime)
	if atime.After(mtime) && atime.After(n.ctimeLocked(mtime)) && now.Sub(atime) < relatime {
		return
	}
	n.atime = now
}

// atimeLocked is the time of access: as set or moved, else that of the content.
func (n *fileNode) atimeLocked(mtime time.Time) time.Time {
	if n.atime.IsZero() {
		return mtime
	}
	return n.atime
}

// ctimeLocked is the last of all changes that are known.
func (n *fileNode) ctimeLocked(mtime time.Time) time.Time {
	ctime := mtime
	if n.rec != nil && n.rec.UpdateTime.After(ctime) {
		ctime = n.rec.UpdateTime
	}
	if n.ctime.After(ctime) {
		ctime = n.ctime
	}
	return ctime
}
