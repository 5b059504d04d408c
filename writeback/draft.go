package writeback

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// State is where a draft is on its way.
type State int

// The states of the package's diagram.
const (
	Writing State = iota
	Sealed
	Uploading
	Committing
	Committed
	Stuck
	Discarded
)

var stateNames = [...]string{"open", "sealed", "uploading", "committing", "published", "stuck", "discarded"}

func (s State) String() string { return stateNames[s] }

// Final reports whether nothing can be written any more.
func (s State) Final() bool { return s == Discarded }

// Draft is local content on its way to become a version of a file, or a
// breakpoint file. Safe for concurrent use. It lives while it is dirty or a
// handle is held.
type Draft struct {
	q     *Queue
	id    string
	spool *spool

	handed atomic.Int64 // end of what the increment under way has read of the spool, 0: none is

	journalMu sync.Mutex // held over writing the record; outside mu

	mu struct {
		sync.Mutex
		target  Target
		fileID  client.FileID // the id the file has or will have
		onto    *client.File  // next version of this file; nil: a new file
		origin  client.Content
		extents extents // bytes in the spool; the rest comes from origin
		sums    sums    // of beginnings of the spool
		partial bool    // extents count: part of the content is not local
		untold  bool    // published, and nobody has said that he knows yet
		unnamed bool    // out of the tables for good
		size    int64
		modTime time.Time
		meta    map[string]string
		metaSet bool // meta differs from what the store has

		gen        int64 // counts changes of content
		published  int64 // gen that the store has; -1: nothing yet
		closing    int64 // gen that a close asked to publish, and its size
		closedSize int64
		cuts       int64 // counts truncations
		handles    int
		charged    int64 // bytes taken from the spool budget
		gone       bool

		seal      *seal         // being published, or stuck
		working   bool          // a worker runs
		held      bool          // closed under a temporary name
		mkstemp   bool          // that function made its name
		abandoned bool          // its writer was killed: nothing is published
		discard   bool          // the worker is to clean up at the server
		dead      bool          // unlinked: nothing is published any more
		fetching  bool          // bytes of its origin are on their way here
		filing    bool          // the record of a publication is being removed
		created   bool          // a publication of it made the file that it is of
		unmake    client.FileID // what was made, and is to be deleted: the draft is dead
		dooming   bool          // about to be: the record says so first, and no step begins
		forced    bool          // a person said to publish it in spite of a conflict
		recovered bool          // of an earlier run: no program waits for it
		err       error         // why it is stuck

		up        upload
		promise   *promised // what the record promises, nil: nothing
		recorded  bool      // a record may exist
		restamped bool      // the attributes were changed since it was written
		outdated  bool      // the record of a published content could not be removed
		journaled string    // the breakpoint file that the record surely names
		inherited string    // an earlier write's record, which ours replaces

		changed  chan struct{} // closed and replaced at every step of the worker
		watchers []func(Event)
	}
}

// seal is one publication: the content as it was at gen.
type seal struct {
	gen    int64
	size   int64
	commit *intent // not nil: the commit may have been carried out
	stale  bool    // the content was changed after a failure: ask, do not send again
}

// Event tells a watcher what became of a draft.
type Event struct {
	Kind EventKind
	File client.File // of Published
	Err  error       // of Failed
}

// EventKind tells events apart.
type EventKind int

// The kinds of events.
const (
	Published EventKind = iota
	Failed
)

// Info describes a draft to people.
type Info struct {
	ID     string        `json:"id"`
	Target Target        `json:"target"`
	File   client.FileID `json:"file_id"`
	State  string        `json:"state"`
	Size   int64         `json:"size"`
	Acked  int64         `json:"acknowledged"`
	// Handed is Acked and what the request under way has handed to the network. It
	// goes back to Acked when the request fails.
	Handed     int64     `json:"sent"`
	Handles    int       `json:"handles"`
	Held       bool      `json:"held,omitempty"`
	Promised   bool      `json:"promised,omitempty"`
	Breakpoint string    `json:"breakpoint_file,omitempty"`
	Error      string    `json:"error,omitempty"`
	Modified   time.Time `json:"modified"`
}

func (q *Queue) newDraft(t Target, meta map[string]string) *Draft {
	d := &Draft{q: q, id: newDraftID()}
	d.spool = newSpool(q.fs, q.spoolPath(d.id), q.o.MemorySpool, q.memory)
	d.spool.eager = q.rules(t.Workspace).writeMode == Async // close syncs it
	d.mu.target = t
	d.mu.fileID = client.NewFileID(q.o.Now())
	d.mu.meta = maps.Clone(meta)
	d.mu.modTime = q.o.Now()
	d.mu.published, d.mu.closing = -1, -1
	d.mu.changed = make(chan struct{})
	d.mu.handles = 1
	return d
}

// ID names the draft in this state directory.
func (d *Draft) ID() string { return d.id }

// FileID is the id the file has, or will have if the store keeps our choice.
func (d *Draft) FileID() client.FileID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.fileID
}

// Base returns the file of which the draft is the next version, under the name that it
// has here; false when nothing of it is at the store. Of a draft that an earlier
// process left it has what the journal kept: id, version, data and size. Any goroutine
// may call it.
func (d *Draft) Base() (client.File, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.onto == nil {
		return client.File{}, false
	}
	f := *d.mu.onto
	f.Name, f.Dir = d.mu.target.Name, d.mu.target.Dir
	return f, true
}

// Target is where the draft is to be published.
func (d *Draft) Target() Target {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.target
}

// Size is the length of the content in bytes.
func (d *Draft) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.size
}

// ModTime is when the content was last changed.
func (d *Draft) ModTime() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.modTime
}

// Meta returns a copy of the attributes to be sent.
func (d *Draft) Meta() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.mu.meta)
}

// SetMeta replaces the attributes; they are sent with the next publication. It
// answers false when none is due: the draft was published meanwhile.
func (d *Draft) SetMeta(m map[string]string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.meta, d.mu.metaSet, d.mu.restamped = maps.Clone(m), true, true
	return d.dirtyLocked()
}

// Dirty reports whether content, or the existence of the file, is not published.
func (d *Draft) Dirty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirtyLocked()
}

// Ahead reports whether the draft has something that its watchers do not know to be
// published: it is dirty, or was published a moment ago and they have not heard. For
// whoever knows the file by them its content is here until then. Safe for concurrent
// use.
func (d *Draft) Ahead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dirtyLocked() || d.mu.untold
}

// Heard says that the caller knows f, which the draft published last, and need not wait
// for the watchers. Any goroutine may call it.
func (d *Draft) Heard(f client.File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.up.last.ID == f.ID && d.mu.up.last.Version == f.Version {
		d.mu.untold = false
	}
}

func (d *Draft) dirtyLocked() bool {
	return !d.mu.gone && !d.mu.dead && d.mu.gen != d.mu.published
}

// State returns the state, derived from what is known.
func (d *Draft) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stateLocked()
}

func (d *Draft) stateLocked() State {
	switch {
	case d.mu.gone:
		return Discarded
	case d.mu.err != nil:
		return Stuck
	case d.mu.seal != nil && d.mu.seal.commit != nil:
		return Committing
	case d.mu.seal != nil && d.mu.up.acked > 0:
		return Uploading
	case d.mu.seal != nil || d.mu.held:
		return Sealed
	case d.mu.gen == d.mu.published:
		return Committed
	}
	return Writing
}

// Info describes the draft.
func (d *Draft) Info() Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	in := Info{ID: d.id, Target: d.mu.target, File: d.mu.fileID, State: d.stateLocked().String(), Size: d.mu.size, Acked: d.mu.up.acked,
		Handles: d.mu.handles, Held: d.mu.held, Promised: d.mu.promise != nil, Breakpoint: d.mu.up.name, Modified: d.mu.modTime}
	in.Handed = min(max(in.Acked, d.handed.Load()), in.Size)
	if d.mu.err != nil {
		in.Error = d.mu.err.Error()
	}
	return in
}

// OnChange adds a watcher. It is called from the queue's goroutines with no lock held.
func (d *Draft) OnChange(fn func(Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.watchers = append(d.mu.watchers, fn)
}

// Watched tells whether OnChange was called. A draft that an earlier process left
// is not watched yet. Safe for concurrent use.
func (d *Draft) Watched() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.watchers) > 0
}

func (d *Draft) tell(e Event) {
	d.mu.Lock()
	ws := d.mu.watchers
	d.mu.Unlock()
	for _, fn := range ws {
		fn(e)
	}
}

// wake tells everybody who waits for a step.
func (d *Draft) wakeLocked() {
	close(d.mu.changed)
	d.mu.changed = make(chan struct{})
}

// Retain adds a handle; [ErrGone] when the draft has ended.
func (d *Draft) Retain() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.gone {
		return ErrGone
	}
	d.mu.handles++
	return nil
}

// Release takes a handle away. The last one publishes what is still dirty in the
// background, unless its name is a temporary one, and frees a clean draft.
func (d *Draft) Release(context.Context) error {
	d.mu.Lock()
	d.mu.handles--
	if d.mu.handles > 0 || d.mu.gone {
		d.mu.Unlock()
		return nil
	}
	dirty := d.dirtyLocked()
	if dirty && !d.mu.held && !d.mu.abandoned && d.mu.err == nil {
		if d.temporaryLocked() {
			d.mu.held = true
		} else {
			d.closeLocked()
		}
	}
	d.mu.Unlock()
	if dirty {
		d.q.nudge(d)
	} else {
		d.q.free(d)
	}
	return nil
}

// changedLocked notes a change of content at off.
func (d *Draft) changedLocked(off int64) {
	d.mu.gen++
	d.mu.modTime = d.q.o.Now()
	d.mu.held = false
	if off < d.mu.up.sent {
		d.mu.up.rewrites++
	}
}

func (d *Draft) String() string { return fmt.Sprintf("draft %s of %s", d.id, d.Target()) }
