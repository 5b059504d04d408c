package writeback

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

// Queue holds all drafts of one mount in one state directory.
type Queue struct {
	fs      disk.FS
	dir     string
	stores  func(workspace string) Store
	o       Options
	mount   string // 6 hex digits in the names of our breakpoint files
	lock    interface{ Close() error }
	memory  *budget
	space   *budget
	slots   chan struct{}
	limiter *rate.Limiter
	metrics *metrics
	workers sync.WaitGroup

	mu struct {
		sync.Mutex
		run       context.Context
		early     []*Draft
		drafts    map[string]*Draft
		byTarget  map[Target]*Draft
		byFile    map[fileKey]*Draft
		byDir     map[dirKey]map[*Draft]struct{}
		abandoned map[Target]*left // breakpoint files of ours that the same copy may resume
		flat      map[string]bool  // workspaces without breakpoint support
		conflicts []Conflict
		changed   chan struct{} // closed and replaced when a worker ends
	}
}

type fileKey struct {
	ws string
	id client.FileID
}

type dirKey struct {
	ws      string
	dir     client.DirID
	partial bool
}

// left is what an earlier, unfinished write left at the server.
type left struct{ id, bp string }

// Conflict is an event where somebody else's version was found under ours.
type Conflict struct {
	Time           time.Time      `json:"time"`
	Target         Target         `json:"target"`
	Expected, Made client.Version `json:",omitempty"`
}

func keyOfTarget(t Target) dirKey { return dirKey{t.Workspace, t.Dir, t.Partial} }

// Open locks the state directory and reads its journal. It starts nothing. It
// returns [disk.ErrLocked] when another mount uses the directory.
func Open(fsys disk.FS, dir string, stores func(workspace string) Store, o Options) (*Queue, error) {
	o = o.withDefaults()
	q := &Queue{fs: fsys, dir: dir, stores: stores, o: o, memory: newBudget(o.MemoryPool), space: newBudget(o.MaxSpool), slots: make(chan struct{}, o.Uploads)}
	q.metrics = newMetrics(o.Registerer, q)
	if o.UploadLimit > 0 {
		q.limiter = rate.NewLimiter(rate.Limit(o.UploadLimit), int(max(o.UploadLimit, 256<<10)))
	}
	q.mu.drafts, q.mu.byTarget, q.mu.byFile = map[string]*Draft{}, map[Target]*Draft{}, map[fileKey]*Draft{}
	q.mu.byDir, q.mu.abandoned, q.mu.flat = map[dirKey]map[*Draft]struct{}{}, map[Target]*left{}, map[string]bool{}
	q.mu.changed = make(chan struct{})
	for _, sub := range []string{"spool", "journal"} {
		if err := fsys.MkdirAll("state.mkdir", filepath.Join(dir, sub)); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
	}
	lock, err := fsys.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	q.lock = lock
	if err := q.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("state directory: %w", err), lock.Close())
	}
	return q, nil
}

// Run does the uploads until ctx is done; it returns when all workers have ended.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	q.mu.run = ctx
	early := q.mu.early
	q.mu.early = nil
	q.mu.Unlock()
	for _, d := range early {
		q.start(d)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			q.workers.Wait()
			return ctx.Err()
		case <-tick.C:
			q.keepHeld()
		}
	}
}

// keepHeld makes drafts durable that are closed under a temporary name and stay
// so: a program that renames at once never pays for it.
func (q *Queue) keepHeld() {
	for _, d := range q.all() {
		d.mu.Lock()
		due := d.mu.held && !d.mu.recorded && q.o.Now().Sub(d.mu.modTime) > time.Second
		d.mu.Unlock()
		if due {
			if err := d.promise(false); err != nil && !errors.Is(err, ErrGone) {
				q.o.Logger.WithError(err).WithField("file", d.Target().String()).Error("a closed temporary file would not survive a crash")
			}
		}
	}
}

// Close releases the state directory. Run must have returned. Drafts under
// temporary names are kept for the next mount.
func (q *Queue) Close() error {
	var errs []error
	for _, d := range q.all() {
		d.mu.Lock()
		keep := d.mu.held && !d.mu.recorded && d.mu.gen != d.mu.published
		d.mu.Unlock()
		if keep {
			errs = append(errs, d.promise(false))
		}
	}
	return errors.Join(append(errs, q.lock.Close())...)
}

// Drain waits until nothing closed is left to upload. Stuck and held drafts are
// not waited for.
func (q *Queue) Drain(ctx context.Context) error {
	for {
		q.mu.Lock()
		ch := q.mu.changed
		q.mu.Unlock()
		if q.busy() == 0 {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *Queue) busy() int {
	n := 0
	for _, d := range q.all() {
		d.mu.Lock()
		if d.mu.working || d.mu.seal != nil && d.mu.err == nil {
			n++
		}
		d.mu.Unlock()
	}
	return n
}

func (q *Queue) progress() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.mu.changed)
	q.mu.changed = make(chan struct{})
}

func (q *Queue) all() []*Draft {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]*Draft, 0, len(q.mu.drafts))
	for _, d := range q.mu.drafts {
		out = append(out, d)
	}
	return out
}

// insert puts a draft into the tables; false when its name is taken.
func (q *Queue) insert(d *Draft) bool {
	d.mu.Lock()
	t, id := d.mu.target, d.mu.fileID
	d.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if old := q.mu.byTarget[t]; old != nil && old.Dirty() {
		return false
	}
	q.mu.drafts[d.id] = d
	q.indexLocked(d, t, id)
	return true
}

func (q *Queue) indexLocked(d *Draft, t Target, id client.FileID) {
	q.mu.byTarget[t] = d
	if !t.Partial {
		q.mu.byFile[fileKey{t.Workspace, id}] = d
	}
	k := keyOfTarget(t)
	if q.mu.byDir[k] == nil {
		q.mu.byDir[k] = map[*Draft]struct{}{}
	}
	q.mu.byDir[k][d] = struct{}{}
}

func (q *Queue) unindexLocked(d *Draft, t Target, id client.FileID) {
	if q.mu.byTarget[t] == d {
		delete(q.mu.byTarget, t)
	}
	if k := (fileKey{t.Workspace, id}); q.mu.byFile[k] == d {
		delete(q.mu.byFile, k)
	}
	k := keyOfTarget(t)
	delete(q.mu.byDir[k], d)
	if len(q.mu.byDir[k]) == 0 {
		delete(q.mu.byDir, k)
	}
}

// moved updates the tables after a change of target or file id.
func (q *Queue) moved(d *Draft, from Target, fromID client.FileID) {
	d.mu.Lock()
	t, id := d.mu.target, d.mu.fileID
	d.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.drafts[d.id] == nil {
		return
	}
	q.unindexLocked(d, from, fromID)
	q.indexLocked(d, t, id)
}

func (q *Queue) rekey(d *Draft, old client.FileID) { q.moved(d, d.Target(), old) }

// forget takes a draft's names out of the tables; its handles go on.
func (q *Queue) forget(d *Draft) {
	d.mu.Lock()
	t, id := d.mu.target, d.mu.fileID
	d.mu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unindexLocked(d, t, id)
}

// free ends a draft that is clean and has no handle.
func (q *Queue) free(d *Draft) {
	q.mu.Lock()
	d.mu.Lock()
	if d.mu.gone || d.mu.handles > 0 || d.dirtyLocked() || d.mu.working || d.mu.discard {
		d.mu.Unlock()
		q.mu.Unlock()
		return
	}
	d.mu.gone = true
	t, id, charged := d.mu.target, d.mu.fileID, d.mu.charged
	d.mu.charged = 0
	d.wakeLocked()
	d.mu.Unlock()
	delete(q.mu.drafts, d.id)
	q.unindexLocked(d, t, id)
	q.mu.Unlock()
	if err := d.spool.discard(); err != nil {
		q.o.Logger.WithError(err).Warn("a spool file stays; the next start removes it")
	}
	q.space.give(charged)
}

// Create makes a draft of a new file, or of a new breakpoint file. One handle is
// held. [ErrTaken] when a draft has the name.
func (q *Queue) Create(_ context.Context, t Target, meta map[string]string) (*Draft, error) {
	d := q.newDraft(t, meta)
	q.adopt(d, t)
	if !q.insert(d) {
		return nil, fmt.Errorf("%s: %w", t, ErrTaken)
	}
	return d, nil
}

// Edit makes a draft of new content of an existing file, or joins the one there
// is. One handle is held. Unless truncated it starts with the base's content.
func (q *Queue) Edit(ctx context.Context, t Target, base client.File, truncate bool) (*Draft, error) {
	if d, ok := q.ForFile(t.Workspace, base.ID); ok {
		if d.Retain() == nil {
			if truncate {
				if err := d.Truncate(ctx, 0); err != nil {
					return nil, errors.Join(err, d.Release(ctx))
				}
			}
			return d, nil
		}
	}
	d := q.newDraft(t, base.Metadata)
	d.mu.fileID, d.mu.onto, d.mu.published = base.ID, &base, 0
	if truncate {
		d.mu.gen = 1
		q.adopt(d, t)
	} else {
		d.mu.partial, d.mu.origin, d.mu.size = base.Size > 0, base.Content(), base.Size
	}
	if !q.insert(d) {
		return nil, fmt.Errorf("%s: %w", t, ErrTaken)
	}
	return d, nil
}

// adopt lets a new draft resume what an interrupted copy to the same name left.
func (q *Queue) adopt(d *Draft, t Target) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.mu.abandoned[t]; l != nil && !t.Partial {
		delete(q.mu.abandoned, t)
		d.mu.up = upload{name: l.bp, typ: client.ChecksumCRC32, doubt: true, resume: true, resumeAt: -1, local: true}
		// Its record is replaced by ours at the next write of one.
		d.mu.recorded = true
		d.id, d.spool.path = l.id, q.spoolPath(l.id)
	}
}

// Lookup finds the live draft of a name.
func (q *Queue) Lookup(t Target) (*Draft, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d, ok := q.mu.byTarget[t]
	return d, ok
}

// ForFile finds the live draft of a file.
func (q *Queue) ForFile(ws string, id client.FileID) (*Draft, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	d, ok := q.mu.byFile[fileKey{ws, id}]
	return d, ok
}

// InDir returns the drafts of a directory that are not published yet.
func (q *Queue) InDir(ws string, dir client.DirID) []*Draft {
	return q.dirty(dirKey{ws: ws, dir: dir})
}

// Partials returns the drafts of a workspace's breakpoint files.
func (q *Queue) Partials(ws string) []*Draft { return q.dirty(dirKey{ws: ws, partial: true}) }

func (q *Queue) dirty(k dirKey) []*Draft {
	q.mu.Lock()
	var out []*Draft
	for d := range q.mu.byDir[k] {
		out = append(out, d)
	}
	q.mu.Unlock()
	kept := out[:0]
	for _, d := range out {
		if d.Dirty() {
			kept = append(kept, d)
		}
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].id < kept[j].id })
	return kept
}

func (q *Queue) withoutBreakpoints(ws string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.flat[ws]
}

// noBreakpoints learns that a workspace has no breakpoint files for us.
func (q *Queue) noBreakpoints(ws string, why error) {
	q.mu.Lock()
	known := q.mu.flat[ws]
	q.mu.flat[ws] = true
	q.mu.Unlock()
	if !known {
		q.o.Logger.WithError(why).WithField("workspace", ws).Warn("no breakpoint files here: large files are sent in one request when they are closed")
	}
}

func (q *Queue) conflict(t Target, expected, made client.Version) {
	q.o.Logger.WithField("file", t.String()).Warnf("somebody else published a version meanwhile (expected %s, found or made %s); both contents are kept as versions", expected, made)
	q.metrics.conflicts.Inc()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.conflicts = append(q.mu.conflicts, Conflict{q.o.Now(), t, expected, made})
	if n := len(q.mu.conflicts); n > 100 {
		q.mu.conflicts = q.mu.conflicts[n-100:]
	}
}

// Conflicts returns the newest conflicts, at most 100.
func (q *Queue) Conflicts() []Conflict {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]Conflict(nil), q.mu.conflicts...)
}

func (q *Queue) acquire(ctx context.Context) error {
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *Queue) release() { <-q.slots }

// throttle holds uploads to Options.UploadLimit.
func (q *Queue) throttle(ctx context.Context, n int) error {
	if q.limiter == nil {
		return nil
	}
	return q.limiter.WaitN(ctx, min(n, q.limiter.Burst()))
}

// roomy tells whether the spool's disk keeps its free space floor.
func (q *Queue) roomy() error {
	free, err := q.fs.Free(q.dir)
	if err == nil && free < q.o.MinFree {
		return fmt.Errorf("%w: the disk of the state directory has %d bytes left, the floor is %d; free some, or set --spool-min-free or --state-dir", ErrNoSpace, free, q.o.MinFree)
	}
	return err
}
