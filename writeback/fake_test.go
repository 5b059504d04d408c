package writeback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// fakeStore is one workspace in memory. It keeps the rules of protocol part 2,
// sections 3 and 5, fails where its script says, and remembers every version.
type fakeStore struct {
	script
	mu     sync.Mutex
	files  map[client.FileID]*fakeFile
	bps    map[string]*fakeBP
	seq    int
	noBP   client.Kind // not Other: creating, appending and deleting are refused with it
	ownIDs bool        // chosen ids are ignored
	lost   bool        // or damaged bytes that it had acknowledged
	align  int64       // increments must start at multiples of it (Ceph S3), 0: anywhere
}

type fakeFile struct{ versions []fakeVersion } // newest first

type fakeVersion struct {
	client.File
	data []byte
}

type fakeBP struct {
	client.BreakpointFile
	data []byte
}

func newFakeStore() *fakeStore {
	return &fakeStore{files: map[client.FileID]*fakeFile{}, bps: map[string]*fakeBP{}, script: script{faults: map[int]fault{}}}
}

func refusal(op string, k client.Kind) error { return &client.Error{Op: op, Kind: k, HTTP: 400} }

func (s *fakeStore) newID(kind byte) string {
	s.seq++
	return fmt.Sprintf("%c%023x", kind, s.seq)
}

func (s *fakeStore) named(dir client.DirID, name string) *fakeFile {
	for _, f := range s.files {
		if f.versions[0].Dir == dir && f.versions[0].Name == name {
			return f
		}
	}
	return nil
}

func (s *fakeStore) File(ctx context.Context, id client.FileID) (f client.File, err error) {
	err = s.call(ctx, "get file", false, nil, func([]byte) error {
		if s.files[id] == nil {
			return refusal("get file", client.NotExist)
		}
		f = s.files[id].versions[0].File
		return nil
	})
	return f, err
}

func (s *fakeStore) Versions(ctx context.Context, id client.FileID) (out []client.File, err error) {
	err = s.call(ctx, "list versions", false, nil, func([]byte) error {
		if s.files[id] == nil {
			return refusal("list versions", client.NotExist)
		}
		for _, v := range s.files[id].versions {
			out = append(out, v.File)
		}
		return nil
	})
	return out, err
}

func (s *fakeStore) LookupFile(ctx context.Context, dir client.DirID, name string) (f client.File, err error) {
	err = s.call(ctx, "look up file", false, nil, func([]byte) error {
		ff := s.named(dir, name)
		if ff == nil {
			return refusal("look up file", client.NotExist)
		}
		f = ff.versions[0].File
		return nil
	})
	return f, err
}

func (s *fakeStore) Open(ctx context.Context, c client.Content, off int64) (r io.ReadCloser, err error) {
	cut := int64(-1)
	err = s.call(ctx, "open", false, nil, func([]byte) error {
		for _, f := range s.files {
			for _, v := range f.versions {
				if v.Data == c.Data {
					r = io.NopCloser(bytes.NewReader(v.data[min(off, v.Size):]))
					cut = s.cutOf(s.n, v.Size-off)
					return nil
				}
			}
		}
		return refusal("open", client.NotExist)
	})
	if err == nil && cut >= 0 {
		r = io.NopCloser(io.MultiReader(io.LimitReader(r, cut), brokenReader{}))
	}
	return r, err
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) {
	return 0, &client.Error{Op: "read", Kind: client.Unavailable, Err: io.ErrUnexpectedEOF}
}

func (s *fakeStore) insert(nf client.NewFile, data []byte, did client.DataID) (client.File, error) {
	if s.named(nf.Dir, nf.Name) != nil || nf.ID != "" && !s.ownIDs && s.files[nf.ID] != nil {
		return client.File{}, refusal("create file", client.Exist)
	}
	id := nf.ID
	if id == "" || s.ownIDs {
		id = client.FileID(s.newID('f'))
	}
	f := client.File{ID: id, Name: nf.Name, Dir: nf.Dir, Version: client.Version{Major: 1}, Size: int64(len(data)), Data: did, Metadata: maps.Clone(nf.Metadata)}
	s.files[id] = &fakeFile{versions: []fakeVersion{{f, data}}}
	return f, nil
}

func (s *fakeStore) CreateFile(ctx context.Context, nf client.NewFile, body client.Body) (f client.File, err error) {
	err = s.call(ctx, "create file", true, &body, func(data []byte) (err error) {
		f, err = s.insert(nf, data, client.DataID(s.newID('d')))
		return err
	})
	return f, err
}

// whole returns a completed breakpoint file; missing and incomplete look alike.
func (s *fakeStore) whole(bp string) (*fakeBP, error) {
	b := s.bps[bp]
	if b == nil || !b.Completed {
		return nil, refusal("convert", client.Invalid)
	}
	return b, nil
}

func (s *fakeStore) CreateFileFromBreakpoint(ctx context.Context, nf client.NewFile, bp string) (f client.File, err error) {
	err = s.call(ctx, "convert to file", true, nil, func([]byte) error {
		b, err := s.whole(bp)
		if err != nil {
			return err
		}
		if f, err = s.insert(nf, b.data, b.Data); err == nil {
			delete(s.bps, bp)
		}
		return err
	})
	return f, err
}

func (s *fakeStore) update(id client.FileID, expect client.Version, data []byte, did client.DataID) (client.File, error) {
	ff := s.files[id]
	if ff == nil {
		return client.File{}, refusal("update", client.NotExist)
	}
	f := ff.versions[0].File
	if !expect.IsZero() && f.Version != expect {
		return client.File{}, refusal("update", client.VersionMismatch)
	}
	f.Version, f.Size, f.Data = f.Version.Next(), int64(len(data)), did
	ff.versions = append([]fakeVersion{{f, data}}, ff.versions...)
	return f, nil
}

func (s *fakeStore) UpdateContent(ctx context.Context, id client.FileID, expect client.Version, body client.Body) (f client.File, err error) {
	err = s.call(ctx, "update content", true, &body, func(data []byte) (err error) {
		f, err = s.update(id, expect, data, client.DataID(s.newID('d')))
		return err
	})
	return f, err
}

func (s *fakeStore) UpdateContentFromBreakpoint(ctx context.Context, id client.FileID, expect client.Version, bp string) (f client.File, err error) {
	err = s.call(ctx, "convert to version", true, nil, func([]byte) error {
		b, err := s.whole(bp)
		if err != nil {
			return err
		}
		if f, err = s.update(id, expect, b.data, b.Data); err == nil {
			delete(s.bps, bp)
		}
		return err
	})
	return f, err
}

func (s *fakeStore) SetMetadata(ctx context.Context, id client.FileID, m map[string]string) (f client.File, err error) {
	err = s.call(ctx, "set metadata", false, nil, func([]byte) error {
		if s.files[id] == nil {
			return refusal("set metadata", client.NotExist)
		}
		v := &s.files[id].versions[0]
		v.Metadata = maps.Clone(m)
		f = v.File
		return nil
	})
	return f, err
}

func (s *fakeStore) DeleteFile(ctx context.Context, id client.FileID) error {
	return again(func() error {
		return s.call(ctx, "delete file", true, nil, func([]byte) error {
			if s.files[id] == nil {
				return refusal("delete file", client.NotExist)
			}
			delete(s.files, id)
			return nil
		})
	})
}

// What tests do behind the queue's back, without a request.

func (s *fakeStore) put(name string, data []byte) client.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.named(client.RootDir, name); f != nil {
		g, _ := s.update(f.versions[0].ID, client.Version{}, data, client.DataID(s.newID('d')))
		return g
	}
	f, err := s.insert(client.NewFile{Name: name, Dir: client.RootDir}, data, client.DataID(s.newID('d')))
	if err != nil {
		panic(err)
	}
	return f
}

func (s *fakeStore) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.named(client.RootDir, name); f != nil {
		delete(s.files, f.versions[0].ID)
	}
}

func (s *fakeStore) stat(name string) (client.File, []byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.named(client.RootDir, name)
	if f == nil {
		return client.File{}, nil, false
	}
	return f.versions[0].File, f.versions[0].data, true
}

// everything lists the content of every version of every file.
func (s *fakeStore) everything() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		for _, v := range f.versions {
			out = append(out, string(v.data))
		}
	}
	return out
}

func (s *fakeStore) partial(name string) (b client.BreakpointFile, data []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.bps[name]; p != nil {
		return p.BreakpointFile, p.data, true
	}
	return b, nil, false
}

func (s *fakeStore) lostBytes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

func (s *fakeStore) partials() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.bps))
}

var errDead = errors.New("the process is dead")

// stallTimeout is after how long without progress the client gives up a request.
const stallTimeout = 30 * time.Second
