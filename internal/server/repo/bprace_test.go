package repo

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// outcomes runs fn n times at once and counts the codes.
func outcomes(n int, fn func(i int) error) map[wire.Code]int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[wire.Code]int{}
	for i := range n {
		wg.Go(func() {
			err := fn(i)
			mu.Lock()
			defer mu.Unlock()
			out[CodeOf(err)]++
		})
	}
	wg.Wait()
	return out
}

// The lock of part 2 section 7.1: one at a time, held during the body, waiting
// ends with the context.
func TestBreakpointLock(t *testing.T) {
	f := newFixture(t, Options{})
	f.create("b", NewBreakpoint{})
	reading, proceed := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := f.AppendBreakpoint(background, admin, "ws", "b", 0, false, &gate{strings.NewReader("hello"), func() { close(reading); <-proceed }})
		assert.NoError(t, err)
	})
	<-reading
	gone, cancel := context.WithCancel(background)
	cancel()
	_, err := f.Breakpoint(gone, admin, "ws", "b")
	requireCode(t, wire.CodeLockError, err)
	_, err = f.Breakpoint(gone, admin, "ws", "other")
	requireCode(t, -262, err) // C52: names are independent
	_, err = f.AppendBreakpoint(gone, admin, "ws", "b", 0, false, strings.NewReader("x"))
	requireCode(t, wire.CodeLockError, err)
	requireCode(t, wire.CodeLockError, f.DeleteBreakpoint(gone, admin, "ws", "b"))
	assert.Len(t, collect(t, f.Breakpoints(admin, "ws", nil)), 1, "a list waits for nobody")
	waited := make(chan wire.Doc)
	wg.Go(func() {
		d, err := f.Breakpoint(background, admin, "ws", "b")
		assert.NoError(t, err)
		waited <- d
	})
	close(proceed)
	assert.EqualValues(t, 5, num(t, <-waited, "upload_size"), "HEAD waits for the increment and tells the truth")
	wg.Wait()
	assert.Empty(t, f.Repo.bps.held)
}

func TestBreakpointRaces(t *testing.T) {
	f := newFixture(t, Options{})
	assert.Equal(t, map[wire.Code]int{0: 1, -261: 3}, outcomes(4, func(int) error {
		_, err := f.CreateBreakpoint(background, admin, "ws", "c51", NewBreakpoint{})
		return err
	}), "C51")
	assert.Equal(t, map[wire.Code]int{0: 1, -101: 3}, outcomes(4, func(int) error {
		_, err := f.append("c51", 0, pattern(30000), false)
		return err
	}), "C48: appends at one offset")
	assert.Equal(t, map[wire.Code]int{0: 1, -262: 3}, outcomes(4, func(int) error { return f.DeleteBreakpoint(background, admin, "ws", "c51") }), "C53")
	f.bp("c55", "hello", NewBreakpoint{})
	id := str(f.put("ws", named("target", ""), ""), "id")
	assert.Equal(t, map[wire.Code]int{0: 1, -101: 1}, outcomes(2, func(i int) error {
		var err error
		if i == 0 {
			_, err = f.convert("c55", named("fresh", ""), UploadConfig{})
		} else {
			_, err = f.convertOnto("c55", id, Current, false)
		}
		return err
	}), "C55")
	f.bp("c50", "hello", NewBreakpoint{})
	assert.Equal(t, map[wire.Code]int{0: 1, -261: 1}, outcomes(2, func(i int) error {
		if i == 0 {
			_, err := f.convert("c50", named("c50", ""), UploadConfig{})
			return err
		}
		_, err := f.CreateFile(admin, "ws", named("c50", ""), UploadConfig{}, strings.NewReader(""))
		return err
	}), "C50")
}

// Races with more than one right ending; the store is consistent after each.
func TestBreakpointRacesEitherWay(t *testing.T) {
	f := newFixture(t, Options{})
	for range 10 {
		t.Run("C49 create against delete", func(t *testing.T) {
			got := outcomes(2, func(i int) error {
				if i == 0 {
					_, err := f.CreateBreakpoint(background, admin, "ws", "c49", NewBreakpoint{Body: strings.NewReader(pattern(30000))})
					return err
				}
				return f.DeleteBreakpoint(background, admin, "ws", "c49")
			})
			assert.Contains(t, []map[wire.Code]int{{0: 2}, {0: 1, -262: 1}}, got)
			_ = f.DeleteBreakpoint(background, admin, "ws", "c49")
		})
		t.Run("C54 append against delete", func(t *testing.T) {
			f.create("c54", NewBreakpoint{Body: strings.NewReader("hello")})
			got := outcomes(2, func(i int) error {
				if i == 0 {
					_, err := f.append("c54", 5, pattern(30000), true)
					return err
				}
				return f.DeleteBreakpoint(background, admin, "ws", "c54")
			})
			assert.Contains(t, []map[wire.Code]int{{0: 2}, {0: 1, -262: 1}}, got)
			_, err := f.Breakpoint(background, admin, "ws", "c54")
			requireCode(t, -262, err)
		})
		t.Run("C107 two conversions onto one version", func(t *testing.T) {
			id := str(f.put("ws", named("c107", ""), ""), "id")
			f.bp("a", "a", NewBreakpoint{})
			f.bp("b", "b", NewBreakpoint{})
			got := outcomes(2, func(i int) error {
				_, err := f.convertOnto(string(rune('a'+i)), id, Version{1, 0}, false)
				return err
			})
			assert.Contains(t, []map[wire.Code]int{{0: 2}, {0: 1, -264: 1}}, got)
			for _, n := range []string{"a", "b"} {
				_ = f.DeleteBreakpoint(background, admin, "ws", n)
			}
			require.NoError(t, f.DeleteFile(admin, "ws", FileRef{ID: id}))
		})
	}
}
