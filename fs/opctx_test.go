package fs

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/assert"
)

// A process that cannot be looked at, in another PID namespace, is let go.
func TestInterruptOfAStranger(t *testing.T) {
	p := newProcFS(newFakeProc(t, 1).root)
	assert.True(t, p.told(0))
	assert.True(t, p.told(10))
	assert.False(t, p.killed(0))
}

// A signal that asks a program to stop ends what reads after a grace, and what changes
// names never; a fatal one ends both, and any other neither.
func TestInterruptedOperation(t *testing.T) {
	const nothing, kill, interrupt, terminate, urgent = 0, 0x100, 0x2, 0x4000, 0x400000
	for name, c := range map[string]struct {
		patient              bool
		own, shared, blocked uint64
		ends                 bool
	}{
		"read, ^C":                  {false, nothing, interrupt, nothing, true},
		"read, TERM of the thread":  {false, terminate | urgent, nothing, nothing, true},
		"read, ^C, blocked":         {false, urgent, interrupt, interrupt, false},
		"read, the runtime's own":   {false, urgent, nothing, nothing, false},
		"read, fatal":               {false, kill, nothing, nothing, true},
		"rename, ^C":                {true, nothing, interrupt, nothing, false},
		"rename, the runtime's own": {true, urgent, nothing, nothing, false},
		"rename, fatal":             {true, kill, nothing, nothing, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newFakeProc(t, 1)
			p.write("10/status", fmt.Sprintf("SigPnd:\t%016x\nShdPnd:\t%016x\nSigBlk:\t%016x\n", c.own, c.shared, c.blocked))
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
