package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sequoiacm/scmfs/fs"
)

// busyPatience is how long a stop tries again while something uses the mount:
// enough for a program that was just told to end.
const busyPatience = 5 * time.Second

// wait stays until the mount ends or a signal asks for it. The second signal
// stops at once: everything that was promised is in the journal. signals must
// have been registered before ctx could be ended by one of them.
func (r *running) wait(ctx context.Context, signals <-chan os.Signal, sup *supervisor) error {
	seen := 0
	select {
	case <-r.mounted.Done():
		r.log.Info("unmounted from outside")
		sup.stopping(0)
		return r.close()
	case <-signals:
		seen = 1
	case <-ctx.Done(): // the signal that ended it comes on signals as well
	}
	sup.stopping(r.m.stopTimeout + busyPatience)
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.m.stopTimeout)
	defer cancel()
	go func() {
		for ; seen < 2; seen++ {
			select {
			case <-signals:
			case <-stopCtx.Done():
				return
			}
		}
		cancel()
	}()
	r.log.Info("stopping: waiting for uploads; a second signal leaves them to the next mount")
	err := r.stop(stopCtx)
	cut := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	if cut || errors.Is(err, fs.ErrBusy) {
		r.log.WithError(err).Warn("stopping although the mount is in use or uploads are left")
		if derr := r.mounted.Detach(); derr != nil {
			r.log.WithError(derr).Warn("the mount point stays; the next mount takes it away")
		}
		err = nil
	}
	left := waiting(r.queue.Pending())
	err = errors.Join(err, r.close())
	if err == nil && cut && left != "" {
		return failure(exitPending, fmt.Errorf("stopped before everything was uploaded, the next mount goes on: %s", left))
	}
	return err
}

// stop drains and unmounts. When the mount is in use it stays, and stop says so
// with [fs.ErrBusy].
func (r *running) stop(ctx context.Context) error {
	select {
	case r.stopping <- struct{}{}: // one stop at a time
		defer func() { <-r.stopping }()
	case <-ctx.Done():
		return fmt.Errorf("another stop is under way: %w", ctx.Err())
	}
	if err := r.queue.Drain(ctx); err != nil {
		return fmt.Errorf("uploads are left: %w", err)
	}
	if err := r.unmount(ctx); err != nil {
		return err
	}
	return r.queue.Drain(ctx)
}

// unmount takes the mount away unless something uses it.
func (r *running) unmount(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, busyPatience)
	defer cancel()
	err := r.mounted.Unmount(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil && !errors.Is(err, fs.ErrBusy) {
		return fmt.Errorf("%w: %w", fs.ErrBusy, err)
	}
	return err
}
