package fs

import (
	"context"
	"syscall"
	"time"
)

// refreshPatience is how long an open file's attributes wait for the store.
const refreshPatience = 250 * time.Millisecond

// refresh brings the attributes up to date. Those of an open file are answered
// as they were last known when the store takes its time: the kernel asks for
// attributes before it reads, also before it reads what is cached, and what a
// handle reads cannot change. So a reader whose content is cached goes on while
// the server is away. It learns nothing later than it would otherwise: a name
// that is looked up asks the store all the same.
func (n *fileNode) refresh(ctx context.Context) syscall.Errno {
	n.mu.Lock()
	if n.opens == 0 || n.rec == nil || n.detached || n.liveLocked() != nil || n.freshLocked() > 0 {
		n.mu.Unlock()
		return n.revalidate(ctx)
	}
	if n.asking {
		n.mu.Unlock()
		return 0
	}
	n.asking = true
	n.mu.Unlock()
	answered := make(chan struct{})
	n.ws.fs.spawn(func(ctx context.Context) {
		defer close(answered)
		ctx, cancel := context.WithTimeout(ctx, n.ws.fs.opt.OpTimeout)
		defer cancel()
		_ = n.revalidate(ctx) // the next open meets the error itself
		n.mu.Lock()
		defer n.mu.Unlock()
		n.asking = false
	})
	late := time.NewTimer(refreshPatience)
	defer late.Stop()
	select {
	case <-answered:
	case <-late.C:
	case <-ctx.Done():
	}
	return 0
}
