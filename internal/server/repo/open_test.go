package repo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/disk"
	"github.com/sequoiacm/scmfs/internal/wire"
)

func TestOpenTwice(t *testing.T) {
	f := newFixture(t, Options{})
	_, err := Open(f.dir, Options{})
	require.ErrorIs(t, err, disk.ErrLocked)
	f.put("ws", named("still", ""), "works")
	f.close()
	f.open()
}

func TestNewerFormat(t *testing.T) {
	f := newFixture(t, Options{})
	require.NoError(t, f.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyFormat, binary.BigEndian.AppendUint64(nil, formatVersion+1))
	}))
	f.close()
	_, err := Open(f.dir, Options{})
	require.ErrorContains(t, err, "use a newer one")
	_, err = Open(f.dir, Options{})
	require.ErrorContains(t, err, "use a newer one", "the lock was given back")
}

func TestOpenNotAStore(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "meta.db"), []byte("this is no database at all"), 0o600))
	_, err := Open(dir, Options{})
	require.Error(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	_, err = Open(filepath.Join(dir, "file"), Options{})
	require.Error(t, err)
}

func TestStoreCheck(t *testing.T) {
	f := newFixture(t, Options{})
	keep := f.put("ws", named("keep", ""), pattern(50000))
	lost := f.put("ws", named("lost", ""), pattern(50000))
	short := f.put("ws", named("short", ""), pattern(50000))
	up := f.create("up", NewBreakpoint{Body: endingBody("hello")})
	f.create("nothing yet", NewBreakpoint{})
	orphan := f.dataPath("6553f100510003001a2b3cff")
	require.NoError(t, os.MkdirAll(filepath.Dir(orphan), 0o700))
	require.NoError(t, os.WriteFile(orphan, []byte("left by a crash"), 0o600))
	f.reopen()
	assert.Equal(t, CheckReport{Contents: 4, Orphans: 1}, f.Checked())
	assert.NoFileExists(t, orphan)
	assert.FileExists(t, f.dataPath(str(up, "data_id")))
	require.NoError(t, os.Remove(f.dataPath(str(lost, "data_id"))))
	require.NoError(t, os.Truncate(f.dataPath(str(short, "data_id")), 10))
	require.NoError(t, f.Repo.Close())
	f.open()
	assert.Equal(t, CheckReport{Contents: 3, Missing: []string{str(lost, "data_id")}}, f.Checked())
	assert.Equal(t, pattern(50000), f.content("ws", str(keep, "id"), Current))
	_, _, err := f.OpenFile(admin, "ws", str(lost, "id"), Current)
	requireCode(t, wire.CodeDataError, err) // C96
	_, _, err = f.OpenFile(admin, "ws", str(short, "id"), Current)
	requireCode(t, wire.CodeDataCorrupted, err)
	_, err = f.CalcMD5(admin, "ws", str(short, "id"), Current)
	requireCode(t, wire.CodeDataCorrupted, err)
	require.NoError(t, f.DeleteFile(admin, "ws", FileRef{ID: str(lost, "id")}))
	require.NoError(t, f.DeleteFile(admin, "ws", FileRef{ID: str(short, "id")}))
}

// Grants of a workspace whose removal a crash cut short are not inherited.
func TestPruneGrants(t *testing.T) {
	f := newFixture(t, Options{})
	c := f.user("u", [3]string{"workspace", "ws", "ALL"}, [3]string{"directory", "ws:/", "READ"})
	require.NoError(t, f.changeAuth(func(s *authState) error {
		s.Grants["ROLE_u"]["gone"] = Everything
		s.Grants["ROLE_u"]["gone:/a/"] = Everything
		return nil
	}))
	f.reopen()
	assert.Equal(t, map[string]Privilege{"ws": Everything, "ws:/": Read}, f.auth.state.Load().Grants["ROLE_u"])
	assert.True(t, f.allowed(c, "ws", "", Everything))
}

// A transaction that fails for a reason of its own takes nobody with it, and a
// panic does not stop the queue.
func TestGroupFailure(t *testing.T) {
	f := newFixture(t, Options{})
	cause := errors.New("no such bucket")
	inside, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 4)
	go func() { done <- f.q.run(func(*bolt.Tx) error { close(inside); <-release; return nil }) }()
	<-inside // whatever comes now is one group
	put := func(key string, then func() error) {
		go func() {
			done <- f.q.run(func(tx *bolt.Tx) error {
				if err := tx.Bucket(bucketMeta).Put([]byte(key), []byte("x")); err != nil {
					return err
				}
				return then()
			})
		}()
	}
	put("good", func() error { return nil })
	put("bad", func() error { return cause })
	put("worse", func() error { panic("bug") })
	require.Eventually(t, func() bool {
		f.q.mu.Lock()
		defer f.q.mu.Unlock()
		return len(f.q.mu.pending) == 3
	}, waitLimit, pollEvery)
	close(release)
	var errs []error
	for range 4 {
		if err := <-done; err != nil {
			errs = append(errs, err)
		}
	}
	assert.Len(t, errs, 2)
	require.NoError(t, f.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		assert.NotNil(t, b.Get([]byte("good")))
		assert.Nil(t, b.Get([]byte("bad")))
		assert.Nil(t, b.Get([]byte("worse")))
		return nil
	}))
	f.put("ws", named("after", ""), "")
}

func TestCodec(t *testing.T) {
	s := func(s string) *string { return &s }
	full := &fileRecord{ID: "id", Name: "名", Dir: "d", Major: 7, User: "u", UpdateUser: "v", CreateTime: -5, UpdateTime: 1 << 62, DataTime: 3, Size: 1 << 40,
		DataID: "x", Title: s(""), Author: s("a"), Mime: "m", MD5: s("5"), ETag: s("e"), ClassID: s("c"), ClassProps: "{}", External: "{}", Meta: `{"k":"v"}`,
		Tags: []string{"a", "b"}, CustomTag: map[string]string{"k": "v", "l": ""}}
	for _, f := range []*fileRecord{full, {}, {Title: s(pattern(300))}} {
		got, err := decodeFile(f.encode())
		require.NoError(t, err)
		assert.Equal(t, f, got)
	}
	b := full.encode()
	for n := range len(b) {
		_, err := decodeFile(b[:n])
		require.ErrorIs(t, err, errDamaged, "cut at %d", n)
	}
	_, err := decodeFile(append([]byte{fileCodec + 1}, b[1:]...))
	require.ErrorIs(t, err, errDamaged)
}

func FuzzDecodeFile(f *testing.F) {
	f.Add((&fileRecord{Name: "x", Tags: []string{"t"}, CustomTag: map[string]string{"k": "v"}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := decodeFile(b)
		if err != nil {
			return
		}
		again, err := decodeFile(rec.encode())
		require.NoError(t, err)
		require.Equal(t, rec, again)
	})
}

func endingBody(s string) io.Reader { return endingReader{bytes.NewBufferString(s)} }
