package fs

import (
	"io"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

// Options of a tree. The zero value works.
type Options struct {
	// Expiry is how long names and attributes are believed without asking the
	// store again. 0 means 1 s.
	Expiry time.Duration
	// OpTimeout bounds every operation but close. 0 means 60 s.
	OpTimeout time.Duration
	// CloseTimeout is how long close waits for an upload that makes no progress.
	// The upload goes on when it is over; only the waiting ends. 0 means 2 min.
	CloseTimeout time.Duration
	// ListingRows bounds the names held by all cached directory listings
	// together. 0 means 1,048,576.
	ListingRows int

	// UID and GID own whatever has no stored owner.
	UID, GID uint32
	// FileMode and DirMode are the permissions of whatever has none stored.
	// 0 means 0644 and 0755.
	FileMode, DirMode uint32
	// Umask takes bits away from FileMode and DirMode.
	Umask uint32
	// ReadOnly refuses every change with EROFS.
	ReadOnly bool
	// Policies says by workspace what counts there instead; not changed after New.
	Policies map[string]Policy

	// Trash is a directory of each workspace that unlink moves files into; ""
	// deletes them. See [CheckTrash].
	Trash string
	// TrashDays is after how many days they are deleted there; 0 is never.
	TrashDays int

	// Reports are the files of .scmfs by name: text as it is, anything else as
	// JSON. They are called at each look, from many goroutines.
	Reports map[string]func() any
	// Observe is called once per finished operation, from many goroutines.
	Observe func(op string, errno syscall.Errno, d time.Duration)
	// Moved is told how many bytes a finished "read" or "write" moved.
	Moved func(op string, n int)
	// Audit is told of every operation that changes something, see [AuditEvent].
	// With it a directory is listed without attributes, so that names are known.
	Audit func(AuditEvent)
	// Logger gets what an errno cannot say. nil discards.
	Logger logrus.FieldLogger
	// Proc is the proc file system, "/proc" when empty.
	Proc string
	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// Policy is what may differ from one workspace to another. It counts as a whole;
// only ReadOnly cannot take back that of [Options].
type Policy struct {
	// ReadOnly refuses every change in the workspace with EROFS.
	ReadOnly bool
	// Trash and TrashDays are those of the workspace, in place of Options'.
	Trash     string
	TrashDays int
}

func (o Options) withDefaults() Options {
	if o.Expiry == 0 {
		o.Expiry = time.Second
	}
	if o.OpTimeout == 0 {
		o.OpTimeout = time.Minute
	}
	if o.CloseTimeout == 0 {
		o.CloseTimeout = 2 * time.Minute
	}
	if o.ListingRows == 0 {
		o.ListingRows = 1 << 20
	}
	if o.FileMode == 0 {
		o.FileMode = 0o644
	}
	if o.DirMode == 0 {
		o.DirMode = 0o755
	}
	o.FileMode &= 0o7777 &^ o.Umask
	o.DirMode &= 0o7777 &^ o.Umask
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		l := logrus.New()
		l.SetOutput(io.Discard)
		o.Logger = l
	}
	return o
}
