package writeback

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

// BenchmarkSpool writes a draft's bytes as programs do: a small file, which stays
// in memory, and a large one by pieces of 1 MiB, which goes to the disk.
func BenchmarkSpool(b *testing.B) {
	for _, c := range []struct {
		name        string
		size, piece int
	}{{"memory", 4 << 10, 4 << 10}, {"growing", 1 << 20, 4 << 10}, {"disk", 64 << 20, 1 << 20}} {
		b.Run(c.name, func(b *testing.B) {
			piece := make([]byte, c.piece)
			path := filepath.Join(b.TempDir(), "spool")
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			for b.Loop() {
				s := newSpool(disk.OS(), path, 1<<20, newBudget(0))
				for off := 0; off < c.size; off += c.piece {
					if _, err := s.WriteAt(piece, int64(off)); err != nil {
						b.Fatal(err)
					}
				}
				require.NoError(b, s.discard())
			}
		})
	}
}

// BenchmarkChecksum sums an increment in the spool, as a close does with what was
// sent while the file was written and may have been written over.
func BenchmarkChecksum(b *testing.B) {
	const size = 15 << 20
	for _, typ := range []client.ChecksumType{client.ChecksumCRC32} {
		b.Run(string(typ), func(b *testing.B) {
			d := &Draft{spool: newSpool(disk.OS(), filepath.Join(b.TempDir(), "spool"), 0, newBudget(0))}
			_, err := d.spool.WriteAt(make([]byte, size), 0)
			require.NoError(b, err)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.crcOf(typ, 0, 0, size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchRecord is a record as an fsync of a new file writes it.
func benchRecord() *record {
	return &record{Format: journalFormat, ID: "0123456789abcdef", Target: Target{Workspace: "default", Dir: "000000000000000000000000", Name: "report.pdf"},
		FileID: client.FileID("6744f0a50000000f3a1b0001"), Promised: true, Size: 1 << 20, Meta: map[string]string{"scmfs": `{"mtime":"2026-11-25T10:00:00Z"}`}}
}

// BenchmarkRecord is the journal without the disk: a record to text and back.
func BenchmarkRecord(b *testing.B) {
	b.ReportAllocs()
	r := benchRecord()
	for b.Loop() {
		text, err := json.Marshal(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := parseRecord(r.ID, text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJournal is what an fsync of a draft costs, mostly the disk.
func BenchmarkJournal(b *testing.B) {
	q, err := Open(disk.OS(), b.TempDir(), func(string) Store { return newFakeStore() }, Options{})
	require.NoError(b, err)
	d, err := q.Create(context.Background(), target("f"), nil)
	require.NoError(b, err)
	b.ReportAllocs()
	for off := int64(0); b.Loop(); off++ {
		if _, err := d.WriteAt(context.Background(), []byte("x"), off); err != nil {
			b.Fatal(err)
		}
		if err := d.Fsync(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
