package writeback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
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

func (s *fakeStore) BreakpointFile(ctx context.Context, name string) (b client.BreakpointFile, err error) {
	err = s.call(ctx, "get breakpoint file", false, nil, func([]byte) error {
		if s.noBP == client.Permission {
			return refusal("get breakpoint file", client.Permission)
		}
		if s.bps[name] == nil {
			return refusal("get breakpoint file", client.NotExist)
		}
		b = s.bps[name].BreakpointFile
		return nil
	})
	return b, err
}

func (s *fakeStore) BreakpointFiles(ctx context.Context, prefix string) iter.Seq2[client.BreakpointFile, error] {
	return func(yield func(client.BreakpointFile, error) bool) {
		var rows []client.BreakpointFile
		err := s.call(ctx, "list breakpoint files", false, nil, func([]byte) error {
			for _, name := range slices.Sorted(maps.Keys(s.bps)) {
				if strings.HasPrefix(name, prefix) {
					rows = append(rows, s.bps[name].BreakpointFile)
				}
			}
			return nil
		})
		for _, b := range rows {
			if !yield(b, nil) {
				return
			}
		}
		if err != nil {
			yield(client.BreakpointFile{}, err)
		}
	}
}

func (s *fakeStore) CreateBreakpointFile(ctx context.Context, name string, o client.BreakpointOptions) (b client.BreakpointFile, err error) {
	err = s.call(ctx, "create breakpoint file", true, nil, func([]byte) error {
		if s.noBP != client.Other {
			return refusal("create breakpoint file", s.noBP)
		}
		if s.bps[name] != nil {
			return refusal("create breakpoint file", client.Exist)
		}
		s.bps[name] = &fakeBP{BreakpointFile: client.BreakpointFile{Name: name, ChecksumType: o.ChecksumType}}
		b = s.bps[name].BreakpointFile
		return nil
	})
	return b, err
}

func (s *fakeStore) AppendBreakpointFile(ctx context.Context, name string, offset int64, body client.Body, last bool) (out client.BreakpointFile, err error) {
	err = s.call(ctx, "append to breakpoint file", true, &body, func(data []byte) error {
		if s.noBP != client.Other {
			return refusal("append", s.noBP)
		}
		b := s.bps[name]
		switch {
		case b == nil:
			return refusal("append", client.NotExist)
		case b.Completed || offset != b.Size:
			return refusal("append", client.Invalid)
		case s.align > 0 && offset%s.align != 0 && len(data) > 0:
			return refusal("append", client.Corrupt) // -410, nothing recorded
		}
		f := s.faults[s.n]
		if s.always != nil {
			f = *s.always
		}
		if f.kind == faultQuota {
			s.lost = s.lost || b.Size > 0
			b.data, b.Size, b.Checksum, b.Data = nil, 0, 0, client.DataID(s.newID('d'))
			return refusal("append", client.Quota)
		}
		if f.kind == faultFlip && len(data) > 0 {
			s.lost = s.lost || b.Size > 0
			data = bytes.Clone(data)
			data[len(data)/2] ^= 1
		}
		if b.Data == "" {
			b.Data = client.DataID(s.newID('d'))
		}
		b.Checksum = b.ChecksumType.Extend(b.Checksum, b.Size, data)
		b.data = append(b.data, data...)
		b.Size, b.Completed = int64(len(b.data)), last
		out = b.BreakpointFile
		return nil
	})
	return out, err
}

// again asks a second time after a lost answer, as the client's deletes do.
func again(del func() error) error {
	err := del()
	if client.KindOf(err) == client.Uncertain {
		if err = del(); client.KindOf(err) == client.NotExist {
			return nil
		}
	}
	return err
}

func (s *fakeStore) DeleteBreakpointFile(ctx context.Context, name string) error {
	return again(func() error {
		return s.call(ctx, "delete breakpoint file", true, nil, func([]byte) error {
			if s.noBP != client.Other {
				return refusal("delete breakpoint file", s.noBP)
			}
			if s.bps[name] == nil {
				return refusal("delete breakpoint file", client.NotExist)
			}
			delete(s.bps, name)
			return nil
		})
	})
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
