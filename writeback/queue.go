package writeback

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
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
	idle    chan *Draft // to a worker that has nothing to do
	flat    flat

	foreignIDs atomic.Bool // the server chooses the ids of files itself

	mu struct {
		sync.Mutex
		run       context.Context // of Run; nil before
		over      bool            // Run is ending: no new workers
		early     []*Draft
		drafts    map[string]*Draft
		byTarget  map[Target]*Draft
		byFile    map[fileKey]*Draft
		byDir     map[dirKey]map[*Draft]struct{}
		abandoned map[Target]*left // breakpoint files of ours that the same copy may resume
		stale     []*left          // what is to be removed at the server
		tidying   bool             // somebody does
		damaged   map[string]error // set aside: records that cannot be read, by id
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
	q := &Queue{fs: fsys, dir: dir, stores: stores, o: o, memory: newBudget(o.MemoryPool), space: newBudget(o.MaxSpool), slots: make(chan struct{}, o.Uploads), idle: make(chan *Draft)}
	q.metrics = newMetrics(o.Registerer, q)
	if o.UploadLimit > 0 {
		q.limiter = rate.NewLimiter(rate.Limit(o.UploadLimit), int(min(max(o.UploadLimit/4, 1<<10), 1<<20)))
	}
	q.mu.drafts, q.mu.byTarget, q.mu.byFile = map[string]*Draft{}, map[Target]*Draft{}, map[fileKey]*Draft{}
	q.mu.byDir, q.mu.abandoned, q.flat.names = map[dirKey]map[*Draft]struct{}{}, map[Target]*left{}, map[string]bool{}
	q.mu.changed, q.mu.damaged = make(chan struct{}), map[string]error{}
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
	q.workers.Go(func() { q.review(ctx) })
	q.tidyLater(q.firstStale())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			q.mu.Lock()
			q.mu.over = true
			q.mu.Unlock()
			q.workers.Wait()
			return ctx.Err()
		case <-tick.C:
			q.keepHeld(ctx)
		}
	}
}

// keepHeld makes drafts durable that are closed under a temporary name and stay
// so: a program that renames at once never pays for it.
func (q *Queue) keepHeld(ctx context.Context) {
	for _, d := range q.all() {
		d.mu.Lock()
		due := d.mu.held && (d.mu.promise == nil || d.mu.promise.gen < d.mu.gen || d.mu.restamped) && d.dirtyLocked() && q.o.Now().Sub(d.mu.modTime) > time.Second
		fetch := d.mu.held && d.mu.partial && d.mu.onto == nil && !d.mu.fetching && q.o.Now().Sub(d.mu.modTime) > time.Second
		d.mu.fetching = d.mu.fetching || fetch
		d.mu.Unlock()
		if fetch {
			q.workers.Go(func() { d.fetch(ctx) })
		}
		if due {
			if err := d.promise(ctx, false); err != nil && !errors.Is(err, ErrGone) && ctx.Err() == nil {
				q.o.Logger.WithError(err).WithField("file", d.Target().String()).Error("a file closed under a temporary name would be lost by a crash: the disk of the state directory does not take it; free space there, or rename the file to publish it")
			}
		}
	}
}

// Close releases the state directory. Run must have returned. What was closed
// and is not published is kept for the next mount: drafts under temporary names,
// stuck ones, and those whose upload did not end in time.
func (q *Queue) Close() error {
	// No waiting for space: nobody frees it any more.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var errs []error
	for _, d := range q.all() {
		d.mu.Lock()
		s, want, keep := d.mu.seal, d.mu.gen, d.dirtyLocked()
		switch {
		case d.mu.held || d.mu.err != nil || d.mu.closing == d.mu.gen:
			s = nil
		case s != nil:
			want = s.gen
		default:
			keep = false // its programs never closed it
		}
		keep = keep && (d.mu.promise == nil || d.mu.promise.gen < want || d.mu.restamped)
		d.mu.Unlock()
		switch {
		case keep && s != nil:
			errs = append(errs, d.promiseClosed(ctx, s.gen, s.size))
		case keep:
			errs = append(errs, d.promise(ctx, false))
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

func (q *Queue) firstStale() *left {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.stale) == 0 {
		return nil
	}
	l := q.mu.stale[0]
	q.mu.stale = q.mu.stale[1:]
	return l
}
