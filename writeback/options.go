package writeback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/sequoiacm/scmfs/client"
)

// Store is what the queue needs of a workspace; [*client.Store] has it.
type Store interface {
	File(ctx context.Context, id client.FileID) (client.File, error)
	Versions(ctx context.Context, id client.FileID) ([]client.File, error)
	LookupFile(ctx context.Context, dir client.DirID, name string) (client.File, error)
	Open(ctx context.Context, c client.Content, offset int64) (io.ReadCloser, error)
	CreateFile(ctx context.Context, nf client.NewFile, body client.Body) (client.File, error)
	CreateFileFromBreakpoint(ctx context.Context, nf client.NewFile, bp string) (client.File, error)
	UpdateContent(ctx context.Context, id client.FileID, expect client.Version, body client.Body) (client.File, error)
	UpdateContentFromBreakpoint(ctx context.Context, id client.FileID, expect client.Version, bp string) (client.File, error)
	DeleteFile(ctx context.Context, id client.FileID) error
	SetMetadata(ctx context.Context, id client.FileID, m map[string]string) (client.File, error)
	BreakpointFile(ctx context.Context, name string) (client.BreakpointFile, error)
	BreakpointFiles(ctx context.Context, prefix string) iter.Seq2[client.BreakpointFile, error]
	CreateBreakpointFile(ctx context.Context, name string, o client.BreakpointOptions) (client.BreakpointFile, error)
	AppendBreakpointFile(ctx context.Context, name string, offset int64, body client.Body, last bool) (client.BreakpointFile, error)
	DeleteBreakpointFile(ctx context.Context, name string) error
}

// BaseReader reads committed content, cached where possible: the parts of an
// edited file that were not written.
type BaseReader interface {
	ReadAt(ctx context.Context, workspace string, c client.Content, p []byte, off int64) (int, error)
}

// Keeper takes the bytes of a small content that is at the store from now on, before
// anybody is told of it: programs read back what they wrote. It is called from the
// queue's goroutines with no lock held, and the bytes are its own.
type Keeper func(c client.Content, data []byte)

// keepMax is the largest content in bytes that a [Keeper] is given.
const keepMax = 64 << 10

// WriteMode says what close promises.
type WriteMode int

// The write modes.
const (
	Sync  WriteMode = iota // the store has it
	Async                  // it is on stable local storage and will be uploaded
)

// ConflictMode says what happens when somebody else made a version meanwhile.
type ConflictMode int

// The conflict modes.
const (
	ConflictVersion ConflictMode = iota // publish on top; both contents are versions
	ConflictFail                        // refuse; the content becomes a stuck draft
)

// Options configures a [Queue]. The zero value works.
type Options struct {
	Increment    int64             // bytes per increment, 15 MiB
	Uploads      int               // requests with content under way at once, 8
	WriteMode    WriteMode         //
	Conflict     ConflictMode      //
	MaxSpool     int64             // bytes in all spools together, 0: no limit
	MinFree      int64             // bytes to leave free on the spool's disk, 64 MiB
	MemorySpool  int64             // a draft stays in memory up to this, 1 MiB
	MemoryPool   int64             // bytes in memory spools together, 256 MiB
	RetryTimeout time.Duration     // how long an upload without progress is retried, 5 min
	OpTimeout    time.Duration     // how long a writer waits for space, 60 s
	UploadLimit  int64             // bytes per second of all uploads, 0: no limit
	HeldNames    []string          // patterns of temporary names, nil: DefaultHeldNames
	Policies     map[string]Policy // by workspace, for what differs there; not changed after Open
	Base         BaseReader        // nil: read from the store
	Keep         Keeper            // nil: nobody keeps what was published
	Logger       logrus.FieldLogger
	Registerer   prometheus.Registerer
	Now          func() time.Time
}

func (o Options) withDefaults() Options {
	def := func(n *int64, v int64) {
		if *n <= 0 {
			*n = v
		}
	}
	def(&o.Increment, defaultIncrement)
	def(&o.MemorySpool, 1<<20)
	def(&o.MemoryPool, 256<<20)
	def(&o.MinFree, 64<<20)
	if o.Uploads <= 0 {
		o.Uploads = 8
	}
	if o.RetryTimeout <= 0 {
		o.RetryTimeout = 5 * time.Minute
	}
	if o.OpTimeout <= 0 {
		o.OpTimeout = time.Minute
	}
	if o.HeldNames == nil {
		o.HeldNames = DefaultHeldNames
	}
	if o.Logger == nil {
		l := logrus.New()
		l.SetOutput(io.Discard)
		o.Logger = l
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Target is where a draft is to be published: a name in a directory, or with
// Partial the breakpoint file of that name.
type Target struct {
	Workspace string       `json:"workspace"`
	Partial   bool         `json:"partial,omitempty"`
	Dir       client.DirID `json:"dir,omitempty"`
	Name      string       `json:"name"`
}

func (t Target) String() string {
	if t.Partial {
		return t.Workspace + "/.partial/" + t.Name
	}
	if t.Dir == client.RootDir {
		return t.Workspace + "/" + t.Name
	}
	return t.Workspace + "/…/" + t.Name
}

// noSpace is the error of a write for which the disk has no room.
func noSpace(err error) error { return fmt.Errorf("%w: %w", ErrNoSpace, err) }

// Errors of this package; those of the store are [*client.Error].
var (
	// ErrNoSpace: no room in the spool within Options.OpTimeout.
	ErrNoSpace = fmt.Errorf("no space for written data: %w", syscall.ENOSPC)
	// ErrBusy: the draft is being published and does not take this change now.
	ErrBusy = fmt.Errorf("being published: %w", syscall.EBUSY)
	// ErrNotLocal: bytes of a breakpoint file that this mount did not write; the
	// store cannot read them back.
	ErrNotLocal = fmt.Errorf("not on this machine, and a breakpoint file cannot be read back: %w", syscall.EIO)
	// ErrGone: the draft was discarded or its last handle released.
	ErrGone = fmt.Errorf("draft is gone: %w", syscall.ESTALE)
	// ErrPublished: the draft was published as a file of its own before.
	ErrPublished = errors.New("published already")
	// ErrTaken: a draft with that name is there already.
	ErrTaken = fmt.Errorf("name is taken: %w", syscall.EEXIST)
	// ErrIncomplete: a breakpoint file that is not complete cannot be converted.
	ErrIncomplete = fmt.Errorf("upload is not complete: %w", syscall.EBUSY)
	// ErrUnknown: no draft has that id.
	ErrUnknown = fmt.Errorf("no such draft: %w", syscall.ENOENT)
)
