package writeback

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/disk"
)

func sampleRecord() record {
	sum := uint32(7)
	return record{Format: journalFormat, ID: "00112233", Target: Target{Workspace: ws, Dir: "d", Name: "f"}, FileID: "f1",
		Onto: &ontoRecord{"f1", client.Version{Major: 3}, "d3", 100}, Size: 90, Origin: &client.Content{File: "f1", Size: 100}, Extents: [][2]int64{{0, 10}, {20, 90}},
		Partial: true, Meta: map[string]string{"posix": "x"}, MetaSet: true, Modified: time.Unix(1, 0).UTC(), Promised: true,
		Commit: &intent{90, &sum, true}, Held: true, Abandoned: true, Discarded: true, Stuck: "no", BP: "bp", BPData: "bd"}
}

func TestRecordRoundTrip(t *testing.T) {
	want := sampleRecord()
	b, err := json.Marshal(want)
	require.NoError(t, err)
	got, err := parseRecord(want.ID, b)
	require.NoError(t, err)
	assert.Equal(t, want, *got)
	for _, field := range []string{"Origin", "Extents", "Meta", "Commit", "Stuck", "BPData"} {
		assert.Contains(t, string(b), map[string]string{"Origin": `"origin"`, "Extents": `"extents"`, "Meta": `"meta"`, "Commit": `"commit"`, "Stuck": `"stuck"`, "BPData": `"breakpoint_data"`}[field])
	}
}

func TestRecordRefused(t *testing.T) {
	for name, change := range map[string]func(*record){
		"another id":          func(r *record) { r.ID = "x" },
		"no format":           func(r *record) { r.Format = 0 },
		"newer format":        func(r *record) { r.Format = journalFormat + 1 },
		"no name":             func(r *record) { r.Target.Name = "" },
		"no workspace":        func(r *record) { r.Target.Workspace = "" },
		"negative size":       func(r *record) { r.Size = -1 },
		"no origin":           func(r *record) { r.Origin = nil },
		"onto nothing":        func(r *record) { r.Onto.File = "" },
		"negative commit":     func(r *record) { r.Commit.Size = -1 },
		"extents overlap":     func(r *record) { r.Extents = [][2]int64{{0, 10}, {5, 20}} },
		"empty extent":        func(r *record) { r.Extents = [][2]int64{{5, 5}} },
		"negative extent":     func(r *record) { r.Extents = [][2]int64{{-5, 5}} },
		"extents behind size": func(r *record) { r.Extents = [][2]int64{{0, 91}} },
	} {
		r := sampleRecord()
		change(&r)
		b, err := json.Marshal(r)
		require.NoError(t, err)
		_, err = parseRecord("00112233", b)
		assert.Error(t, err, name)
	}
}

// Whatever is in a journal file, the mount starts, and what was promised to
// other drafts is kept.
func FuzzJournal(f *testing.F) {
	b, _ := json.Marshal(sampleRecord())
	f.Add(b, []byte("content"))
	f.Add(b[:len(b)/2], []byte(nil))
	f.Add([]byte(`{"format":1,"id":"00112233","target":{"workspace":"ws","name":"f"},"promised":true,"size":9007199254740993}`), []byte("x"))
	f.Add([]byte(`{"format":1,"id":"00112233","target":{"workspace":"ws","name":"g"},"discarded":true,"commit":{"size":1}}`), []byte("x"))
	f.Add([]byte(`null`), []byte("x"))
	f.Fuzz(func(t *testing.T, rec, content []byte) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "fuzz", Options{RetryTimeout: time.Second})
			require.NoError(t, w.mount())
			g := w.create("other")
			g.append(30)
			g.fsync()
			w.stop()
			w.disk = w.disk.Crash(dice(0)[0])
			require.NoError(t, disk.WriteFile(w.disk, "test", filepath.Join(state, "journal", "00112233.json"), rec))
			require.NoError(t, disk.WriteFile(w.disk, "test", filepath.Join(state, "spool", "00112233"), content))
			require.NoError(t, w.mount())
			defer w.stop()
			time.Sleep(time.Minute)
			_, data, ok := w.store.stat("other")
			if w.names["other"].must == nil || !ok || !bytes.Equal(data, g.data) {
				if _, mine, _ := w.store.stat("other"); len(mine) == 0 || !strings.Contains(string(rec), "other") {
					t.Fatalf("the other draft is lost: %v %d bytes", ok, len(data))
				}
			}
		})
	})
}

// A record that cannot be used harms only its own draft; its bytes are listed,
// and can be exported and discarded.
func TestDamagedRecordIsSetAside(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"half written": func(b []byte) []byte { return b[:len(b)/2] },
		"empty":        func([]byte) []byte { return nil },
		"garbage":      func([]byte) []byte { return []byte("\x00\x01garbage") },
		"newer":        func(b []byte) []byte { return bytes.Replace(b, []byte(`"format":1`), []byte(`"format":2`), 1) },
		"more promised than there is": func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"size":40`), []byte(`"size":4000`), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, name, Options{})
				require.NoError(t, w.mount())
				defer w.stop()
				f, g := w.create("f"), w.create("g")
				f.append(40)
				f.fsync()
				g.append(50)
				g.fsync()
				id := f.d.ID()
				w.crash(dice(0)[0])
				path := filepath.Join(state, "journal", id+".json")
				b, err := disk.ReadFile(w.disk, "test", path)
				require.NoError(t, err)
				require.NotEqual(t, string(b), string(spoil(b)))
				require.NoError(t, disk.WriteFile(w.disk, "test", path, spoil(b)))
				for range 2 { // it stays so across restarts
					require.NoError(t, w.mount())
					w.drain0(t)
					_, data, ok := w.store.stat("g")
					require.True(t, ok, "the other draft is published")
					assert.Equal(t, g.data, data)
					_, _, ok = w.store.stat("f")
					assert.False(t, ok)
					p := w.q.Pending()
					require.Len(t, p, 1)
					assert.Equal(t, "damaged", p[0].State)
					assert.Equal(t, id, p[0].ID)
					assert.EqualValues(t, 40, p[0].Size)
					assert.NotEmpty(t, p[0].Error)
					assert.Error(t, w.q.Retry(id))
					var out bytes.Buffer
					require.NoError(t, w.q.Export(t.Context(), id, &out))
					assert.Equal(t, f.data, out.Bytes())
					w.stop()
					require.NoError(t, w.q.Close())
				}
				assert.Contains(t, strings.Join(w.logs.lines, ""), id)
				require.NoError(t, w.mount())
				require.NoError(t, w.q.Discard(id))
				assert.Empty(t, w.q.Pending())
				assert.ErrorIs(t, w.q.Discard(id), ErrUnknown)
				w.noFiles()
				w.stop()
			})
		})
	}
}

func (w *world) drain0(t *testing.T) {
	t.Helper()
	require.NoError(t, w.q.Drain(t.Context()))
}

func TestSecondMountIsRefused(t *testing.T) {
	m := disk.NewMem()
	open := func() (*Queue, error) {
		return Open(m, state, func(string) Store { return newFakeStore() }, Options{})
	}
	q, err := open()
	require.NoError(t, err)
	_, err = open()
	require.ErrorIs(t, err, disk.ErrLocked)
	require.NoError(t, q.Close())
	q, err = open()
	require.NoError(t, err, "the lock ends with the mount")
	require.NoError(t, q.Close())
}
