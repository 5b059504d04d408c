package fs

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/assert"
)

// A handled signal ends what reads after a grace, and what changes names never; a
// fatal one ends both.
func TestInterruptedOperation(t *testing.T) {
	for name, c := range map[string]struct {
		patient, fatal, ends bool
	}{
		"read, handled":   {false, false, true},
		"read, fatal":     {false, true, true},
		"rename, handled": {true, false, false},
		"rename, fatal":   {true, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newFakeProc(t, 1)
			p.write("10/status", "SigPnd:\t0000000000400000\n") // SIGURG
			if c.fatal {
				p.write("10/status", "SigPnd:\t0000000000000100\n")
			}
			synctest.Test(t, func(t *testing.T) {
				fs := &FS{proc: newProcFS(p.root), opt: Options{OpTimeout: time.Minute}}
				interrupt := make(chan struct{})
				ctx := &fuse.Context{Caller: fuse.Caller{Pid: 10}, Cancel: interrupt}
				op, end := fs.op(ctx)
				if c.patient {
					end()
					op, end = fs.deed(ctx)
				}
				defer end()
				close(interrupt)
				time.Sleep(2 * interruptGrace)
				if c.ends {
					assert.ErrorIs(t, op.Err(), context.Canceled)
				} else {
					assert.NoError(t, op.Err())
				}
			})
		})
	}
}
