package writeback

import (
	"context"
	"fmt"
	"sync"
)

// flat are the workspaces without breakpoint files for us. Its lock is the
// innermost: it is asked while a draft's is held.
type flat struct {
	sync.Mutex
	names map[string]bool // guarded by Mutex
}

func (q *Queue) withoutBreakpoints(ws string) bool {
	q.flat.Lock()
	defer q.flat.Unlock()
	return q.flat.names[ws]
}

// noBreakpoints learns that a workspace has no breakpoint files for us.
func (q *Queue) noBreakpoints(ws string, why error) {
	q.flat.Lock()
	known := q.flat.names[ws]
	q.flat.names[ws] = true
	q.flat.Unlock()
	if !known {
		q.o.Logger.WithError(why).WithField("workspace", ws).Warn("no breakpoint files here: large files are sent in one request when they are closed")
	}
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

// chunk is how much of an upload may pass at a time: with a limit little, so
// that every upload moves on often enough not to look stalled.
func (q *Queue) chunk() int64 {
	if q.limiter == nil {
		return 1 << 20
	}
	return max(512, min(int64(q.limiter.Burst()), q.o.UploadLimit/int64(4*q.o.Uploads)))
}

// part is what an increment's offset has to be a multiple of on Ceph S3 (part 2
// section 5.12).
func part(increment int64) int64 {
	const s3 = 5 << 20
	if increment%s3 != 0 {
		return increment
	}
	return s3
}

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
