package repo

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func BenchmarkCreateSmall(b *testing.B) {
	for _, workers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			f := newFixture(b, Options{})
			content := strings.Repeat("x", 4096)
			var n atomic.Int64
			b.SetParallelism(workers)
			b.ResetTimer()
			if workers == 1 {
				for b.Loop() {
					f.put("ws", named(fmt.Sprintf("f%09d", n.Add(1)), ""), content)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, err := f.CreateFile(admin, "ws", named(fmt.Sprintf("f%09d", n.Add(1)), ""), UploadConfig{}, strings.NewReader(content))
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// fill puts n empty files into the root of a workspace, many in a transaction.
func (f *fixture) fill(ws string, n int) {
	f.t.Helper()
	for from := 0; from < n; from += 10_000 {
		err := f.changeWorkspace(ws, func(w *wsTx) error {
			for i := from; i < min(from+10_000, n); i++ {
				nf, err := f.describe(w, admin, named(fmt.Sprintf("file-%07d", i), ""))
				if err != nil {
					return err
				}
				if _, err := w.insert(nf, UploadConfig{}); err != nil {
					return err
				}
				if err := (&content{id: nf.rec.DataID, inline: []byte{inlineMark}}).commit(w); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(f.t, err)
	}
}

// BenchmarkLarge works in a directory of 100,000 files.
func BenchmarkLarge(b *testing.B) {
	const n = 100_000
	f := newFixture(b, Options{})
	f.fill("ws", n)
	selector := parse(b, `{id: null, name: null, size: null, create_time: null, update_time: null, major_version: null, minor_version: null, mime_type: null}`)
	orderby := parse(b, `{name: 1}`)
	b.Run("page of 1000", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			q := Query{Filter: parse(b, fmt.Sprintf(`{name: {$gt: 'file-%07d'}}`, i*997%n)), OrderBy: orderby, Selector: selector, Limit: 1000}
			_, err := Count(f.FilesOf(admin, "ws", wire.RootDirID, q))
			require.NoError(b, err)
		}
	})
	b.Run("one name", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			q := Query{Filter: wire.Doc{{Key: "name", Value: fmt.Sprintf("file-%07d", i*997%n)}}, Selector: selector, Limit: 1}
			_, err := Count(f.FilesOf(admin, "ws", wire.RootDirID, q))
			require.NoError(b, err)
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			_, err := f.CountFiles(admin, "ws", wire.ScopeCurrent, nil)
			require.NoError(b, err)
		}
	})
	b.Run("scan with filter", func(b *testing.B) {
		for b.Loop() {
			_, err := f.CountFiles(admin, "ws", wire.ScopeCurrent, parse(b, `{size: {$gt: 5}}`))
			require.NoError(b, err)
		}
	})
	b.Run("sorted by size", func(b *testing.B) {
		for b.Loop() {
			_, err := Count(f.Files(admin, "ws", wire.ScopeCurrent, Query{OrderBy: parse(b, `{size: -1}`), Selector: selector, Limit: 10}))
			require.NoError(b, err)
		}
	})
	b.Run("reopen", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, f.Repo.Close())
			f.open()
		}
	})
}
