package writeback

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

// Whatever is written, cut and grown, a checksum that is said to be known is that
// of the content; and of what was written from the beginning to the end all at
// the grid are known.
func TestSumsAreThoseOfTheContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grid := int64(rapid.IntRange(1, 9).Draw(t, "grid"))
		var s sums
		var content []byte
		ordered := true
		check := func() {
			for n := range int64(len(content)) + 1 {
				sum, known := s.of(n)
				if known && sum != crc32.ChecksumIEEE(content[:n]) {
					t.Fatalf("the sum of %d of %d bytes", n, len(content))
				}
				if at := n%grid == 0 || n == int64(len(content)); ordered && at && !known && n > 0 {
					t.Fatalf("the sum of %d of %d bytes written in order is not known", n, len(content))
				}
			}
			if _, known := s.of(int64(len(content)) + 1); known {
				t.Fatalf("a sum of more than there is")
			}
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			if rapid.IntRange(0, 4).Draw(t, "op") == 0 {
				size := rapid.IntRange(0, 60).Draw(t, "size")
				s.cut(int64(size))
				if size > len(content) {
					ordered = false
					content = append(content, make([]byte, size-len(content))...)
				} else {
					ordered = ordered && (int64(size)%grid == 0 || size == len(content))
					content = content[:size]
				}
			} else {
				off := len(content)
				if rapid.Bool().Draw(t, "elsewhere") {
					off = rapid.IntRange(0, len(content)+5).Draw(t, "off")
				}
				p := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "p")
				if off != len(content) {
					ordered = false
				}
				if len(p) > 0 && off > len(content) {
					content = append(content, make([]byte, off-len(content))...)
				}
				if len(p) > 0 {
					content = append(content[:off:off], append(bytes.Clone(p), content[min(len(content), off+len(p)):]...)...)
				}
				s.wrote(p, int64(off), grid)
			}
			check()
		}
	})
}

// Bytes that are written over while they are sent are no damage on the way.
func TestWrittenOverWhileTheyAreSent(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		f := w.create("f")
		f.append(60) // makes no increment yet
		w.settle()
		w.store.delay(time.Second) // before the body is read
		f.append(150)
		time.Sleep(time.Second * 3 / 2) // the breakpoint file is made, an increment begins
		f.write(10, 20)
		w.store.delay(0)
		f.close()
		assert.NotContains(t, strings.Join(w.logs.lines, ""), "starting over")
		w.finish(false)
	})
}

// What the spool's disk made of the content does not become a version: the sum is
// that of what was written.
func TestDamagedSpoolIsNotPublished(t *testing.T) {
	in(t, Options{}, func(t *testing.T, w *world) {
		w.store.delay(time.Second) // nothing is read before it is damaged
		f := w.create("f")
		f.append(90)
		f.append(200) // more than stays in memory, less than a close waits for
		_, err := f.d.spool.mu.file.WriteAt([]byte{^f.data[250]}, 250)
		require.NoError(t, err)
		_, err = f.d.Publish(w.ctx)
		require.ErrorIs(t, err, errMismatch)
		_, _, ok := w.store.stat("f")
		assert.False(t, ok)
		_, err = f.d.spool.mu.file.WriteAt(f.data[250:251], 250)
		require.NoError(t, err)
		f.close()
		w.finish(false)
	})
}

// A section that is in a file is given to the kernel, up to where the file ends.
func TestSectionIsInTheFile(t *testing.T) {
	q := &Queue{}
	d := &Draft{q: q, spool: newSpool(disk.OS(), filepath.Join(t.TempDir(), "spool"), 100, newBudget(1<<20))}
	content := bytes.Repeat([]byte("0123456789"), 30)
	open := func(off, end int64) client.FileReader {
		r, err := d.section(context.Background(), off, end).Open()
		require.NoError(t, err)
		return r.(client.FileReader)
	}
	_, err := d.spool.WriteAt(content[:50], 0)
	require.NoError(t, err)
	_, _, n := open(0, 50).Next()
	assert.Zero(t, n, "it is in memory")
	_, err = d.spool.WriteAt(content[50:], 50)
	require.NoError(t, err)
	r := open(20, 320)
	f, off, n := r.Next()
	got := make([]byte, n)
	_, err = f.ReadAt(got, off)
	require.NoError(t, err)
	assert.Equal(t, content[20:], got)
	r.Skip(n)
	assert.EqualValues(t, 300, d.handed.Load())
	_, _, n = r.Next()
	assert.Zero(t, n, "behind it the section is a hole")
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, make([]byte, 20), rest)
	require.NoError(t, d.spool.discard())
	_, _, n = open(0, 10).Next()
	if n > 0 { // the file is closed: reading tells
		_, err = io.ReadAll(open(0, 10))
		assert.ErrorIs(t, err, os.ErrClosed)
	}
}
