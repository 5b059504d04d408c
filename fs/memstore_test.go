package fs

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sequoiacm/scmfs/client"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// memStores is a store in memory that keeps SCM's rules as far as the tree can
// see them, and counts what it is asked.
type memStores struct {
	mu    sync.Mutex
	ws    map[string]*memStore
	calls map[string]int
	seq   uint32
}

func newMemStores(names ...string) *memStores {
	s := &memStores{ws: make(map[string]*memStore), calls: make(map[string]int)}
	for _, name := range names {
		s.add(name, true)
	}
	return s
}

func (s *memStores) add(name string, directories bool) *memStore {
	m := &memStore{
		all: s, info: client.Workspace{Name: name, Directories: directories, CreateTime: time.Now()},
		dirs: map[client.DirID]client.Directory{}, files: map[client.FileID][]client.File{},
		data: map[client.DataID][]byte{}, parts: map[string]*memPart{},
	}
	s.ws[name] = m
	return m
}

// count takes the number of calls of a kind since the last time.
func (s *memStores) count(names ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, c := range s.calls {
		if len(names) == 0 || slices.Contains(names, name) {
			n += c
			delete(s.calls, name)
		}
	}
	return n
}

func (s *memStores) Workspaces(context.Context) iter.Seq2[client.Workspace, error] {
	return func(yield func(client.Workspace, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.ws)) {
			if !yield(s.ws[name].info, nil) {
				return
			}
		}
	}
}

func (s *memStores) WorkspaceInfo(_ context.Context, name string) (client.Workspace, error) {
	if m, ok := s.ws[name]; ok {
		return m.info, nil
	}
	return client.Workspace{}, &client.Error{Op: "workspace", Kind: client.NoWorkspace}
}

func (s *memStores) Store(name string) Store { return s.ws[name] }

type memStore struct {
	all  *memStores
	info client.Workspace

	dirs  map[client.DirID]client.Directory
	files map[client.FileID][]client.File // newest first
	data  map[client.DataID][]byte
	parts map[string]*memPart
}

type memPart struct {
	rec  client.BreakpointFile
	data []byte
}

func (m *memStore) lock(call string) func() {
	m.all.mu.Lock()
	m.all.calls[call]++
	return m.all.mu.Unlock
}

func fail(kind client.Kind, op string) error { return &client.Error{Op: op, Kind: kind} }

func (m *memStore) id() string {
	m.all.seq++ // one for all workspaces: a data id never means two contents
	return wire.ID{Seconds: time.Now().Unix(), Server: 1, Serial: m.all.seq}.String()
}

func (m *memStore) dirNamed(parent client.DirID, name string) (client.Directory, bool) {
	for _, d := range m.dirs {
		if d.Parent == parent && d.Name == name {
			return d, true
		}
	}
	return client.Directory{}, false
}

func (m *memStore) fileNamed(dir client.DirID, name string) (client.File, bool) {
	for _, f := range m.files {
		if f[0].Dir == dir && f[0].Name == name {
			return f[0], true
		}
	}
	return client.File{}, false
}

func (m *memStore) Directory(_ context.Context, id client.DirID) (client.Directory, error) {
	defer m.lock("Directory")()
	d, ok := m.dirs[id]
	if !ok {
		return d, fail(client.NotExist, "directory")
	}
	return d, nil
}

func (m *memStore) LookupDirectory(_ context.Context, parent client.DirID, name string) (client.Directory, error) {
	defer m.lock("LookupDirectory")()
	d, ok := m.dirNamed(parent, name)
	if !ok {
		return d, fail(client.NotExist, "lookup directory")
	}
	return d, nil
}

func (m *memStore) Directories(_ context.Context, parent client.DirID, after string) iter.Seq2[client.Directory, error] {
	return func(yield func(client.Directory, error) bool) {
		unlock := m.lock("Directories")
		var out []client.Directory
		for _, d := range m.dirs {
			if d.Parent == parent && d.Name > after {
				out = append(out, d)
			}
		}
		unlock()
		slices.SortFunc(out, func(a, b client.Directory) int { return strings.Compare(a.Name, b.Name) })
		for _, d := range out {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (m *memStore) CreateDirectory(_ context.Context, parent client.DirID, name string) (client.Directory, error) {
	defer m.lock("CreateDirectory")()
	if _, ok := m.dirNamed(parent, name); ok {
		return client.Directory{}, fail(client.Exist, "mkdir")
	}
	if _, ok := m.fileNamed(parent, name); ok {
		return client.Directory{}, fail(client.Exist, "mkdir")
	}
	d := client.Directory{ID: client.DirID(m.id()), Name: name, Parent: parent, CreateTime: time.Now(), UpdateTime: time.Now()}
	m.dirs[d.ID] = d
	return d, nil
}

func (m *memStore) DeleteDirectory(_ context.Context, id client.DirID) error {
	defer m.lock("DeleteDirectory")()
	if _, ok := m.dirs[id]; !ok {
		return fail(client.NotExist, "rmdir")
	}
	for _, d := range m.dirs {
		if d.Parent == id {
			return fail(client.NotEmpty, "rmdir")
		}
	}
	for _, f := range m.files {
		if f[0].Dir == id {
			return fail(client.NotEmpty, "rmdir")
		}
	}
	delete(m.dirs, id)
	return nil
}

func (m *memStore) changeDir(call string, id client.DirID, change func(*client.Directory)) (client.Directory, error) {
	defer m.lock(call)()
	d, ok := m.dirs[id]
	if !ok {
		return d, fail(client.NotExist, call)
	}
	change(&d)
	if old, ok := m.dirNamed(d.Parent, d.Name); ok && old.ID != id {
		return d, fail(client.Exist, call)
	}
	for p := d.Parent; p != client.RootDir; p = m.dirs[p].Parent {
		if p == id {
			return d, fail(client.MoveIntoSelf, call)
		}
	}
	d.UpdateTime = time.Now()
	m.dirs[id] = d
	return d, nil
}

func (m *memStore) RenameDirectory(_ context.Context, id client.DirID, name string) (client.Directory, error) {
	return m.changeDir("RenameDirectory", id, func(d *client.Directory) { d.Name = name })
}

func (m *memStore) MoveDirectory(_ context.Context, id, parent client.DirID) (client.Directory, error) {
	return m.changeDir("MoveDirectory", id, func(d *client.Directory) { d.Parent = parent })
}

func (m *memStore) File(_ context.Context, id client.FileID) (client.File, error) {
	defer m.lock("File")()
	f, ok := m.files[id]
	if !ok {
		return client.File{}, fail(client.NotExist, "file")
	}
	return f[0], nil
}

func (m *memStore) LookupFile(_ context.Context, dir client.DirID, name string) (client.File, error) {
	defer m.lock("LookupFile")()
	f, ok := m.fileNamed(dir, name)
	if !ok {
		return f, fail(client.NotExist, "lookup file")
	}
	return f, nil
}

func (m *memStore) Files(_ context.Context, dir client.DirID, after string) iter.Seq2[client.File, error] {
	return func(yield func(client.File, error) bool) {
		unlock := m.lock("Files")
		var out []client.File
		for _, f := range m.files {
			if f[0].Dir == dir && f[0].Name > after {
				out = append(out, f[0])
			}
		}
		unlock()
		slices.SortFunc(out, func(a, b client.File) int { return strings.Compare(a.Name, b.Name) })
		for _, f := range out {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (m *memStore) FlatFiles(ctx context.Context, after string) iter.Seq2[client.File, error] {
	return func(yield func(client.File, error) bool) {
		files := slices.Collect(func(y func(client.File) bool) {
			for f := range m.Files(ctx, client.RootDir, "") {
				if string(f.ID) > after && !y(f) {
					return
				}
			}
		})
		slices.SortFunc(files, func(a, b client.File) int { return strings.Compare(string(a.ID), string(b.ID)) })
		for _, f := range files {
			if !yield(f, nil) {
				return
			}
		}
	}
}

func (m *memStore) Versions(_ context.Context, id client.FileID) ([]client.File, error) {
	defer m.lock("Versions")()
	return slices.Clone(m.files[id]), nil
}

func (m *memStore) CountFiles(context.Context) (int64, error)       { return int64(len(m.files)), nil }
func (m *memStore) CountDirectories(context.Context) (int64, error) { return int64(len(m.dirs)), nil }

func (m *memStore) changeFile(call string, id client.FileID, change func(*client.File)) (client.File, error) {
	defer m.lock(call)()
	f, ok := m.files[id]
	if !ok {
		return client.File{}, fail(client.NotExist, call)
	}
	next := f[0]
	change(&next)
	if old, ok := m.fileNamed(next.Dir, next.Name); ok && old.ID != id && m.info.Directories {
		return client.File{}, fail(client.Exist, call)
	}
	next.UpdateTime = time.Now()
	f[0] = next
	return next, nil
}

func (m *memStore) RenameFile(_ context.Context, id client.FileID, name string) (client.File, error) {
	return m.changeFile("RenameFile", id, func(f *client.File) { f.Name = name })
}

func (m *memStore) MoveFile(_ context.Context, id client.FileID, dir client.DirID) (client.File, error) {
	return m.changeFile("MoveFile", id, func(f *client.File) { f.Dir = dir })
}

func (m *memStore) SetMetadata(_ context.Context, id client.FileID, meta map[string]string) (client.File, error) {
	return m.changeFile("SetMetadata", id, func(f *client.File) { f.Metadata = maps.Clone(meta) })
}

func (m *memStore) SetProperty(_ context.Context, id client.FileID, key string, value any) (client.File, error) {
	return m.changeFile("SetProperty", id, func(f *client.File) {
		if title, ok := value.(string); ok && key == "title" {
			f.Title = title
		}
	})
}

func (m *memStore) DeleteFile(_ context.Context, id client.FileID) error {
	defer m.lock("DeleteFile")()
	f, ok := m.files[id]
	if !ok {
		return fail(client.NotExist, "delete")
	}
	for _, v := range f {
		delete(m.data, v.Data)
	}
	delete(m.files, id)
	return nil
}

func (m *memStore) DeleteVersion(_ context.Context, id client.FileID, v client.Version) error {
	defer m.lock("DeleteVersion")()
	m.files[id] = slices.DeleteFunc(m.files[id], func(f client.File) bool { return f.Version == v })
	return nil
}

func (m *memStore) Open(_ context.Context, c client.Content, off int64) (io.ReadCloser, error) {
	defer m.lock("Open")()
	b, ok := m.data[c.Data]
	if !ok {
		return nil, fail(client.NotExist, "read")
	}
	return io.NopCloser(bytes.NewReader(b[min(off, int64(len(b))):])), nil
}

func (m *memStore) ReadRange(_ context.Context, c client.Content, p []byte, off int64) (int, error) {
	defer m.lock("ReadRange")()
	b, ok := m.data[c.Data]
	if !ok {
		return 0, fail(client.NotExist, "read")
	}
	return copy(p, b[min(off, int64(len(b))):]), nil
}

// What the queue writes through.

func (m *memStore) body(b client.Body) []byte {
	if b.Open == nil {
		return nil
	}
	r, err := b.Open()
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(r)
	return out
}

func (m *memStore) CreateFile(_ context.Context, nf client.NewFile, body client.Body) (client.File, error) {
	data := m.body(body)
	defer m.lock("CreateFile")()
	return m.create(nf, data)
}

func (m *memStore) create(nf client.NewFile, data []byte) (client.File, error) {
	if _, ok := m.fileNamed(nf.Dir, nf.Name); ok && m.info.Directories {
		return client.File{}, fail(client.Exist, "create file")
	}
	now := time.Now().Truncate(time.Millisecond)
	id := nf.ID
	if id == "" {
		id = client.FileID(m.id())
	}
	f := client.File{
		ID: id, Name: nf.Name, Dir: nf.Dir, Version: client.Version{Major: 1}, Size: int64(len(data)), Data: client.DataID(m.id()),
		CreateTime: now, UpdateTime: now, DataCreateTime: now, Metadata: maps.Clone(nf.Metadata),
	}
	m.data[f.Data] = data
	m.files[f.ID] = []client.File{f}
	return f, nil
}

func (m *memStore) UpdateContent(_ context.Context, id client.FileID, expect client.Version, body client.Body) (client.File, error) {
	data := m.body(body)
	defer m.lock("UpdateContent")()
	return m.update(id, expect, data)
}

func (m *memStore) update(id client.FileID, expect client.Version, data []byte) (client.File, error) {
	old, ok := m.files[id]
	if !ok {
		return client.File{}, fail(client.NotExist, "update")
	}
	if !expect.IsZero() && old[0].Version != expect {
		return client.File{}, fail(client.VersionMismatch, "update")
	}
	f := old[0]
	f.Version, f.Size, f.Data, f.DataCreateTime = f.Version.Next(), int64(len(data)), client.DataID(m.id()), time.Now().Truncate(time.Millisecond)
	m.data[f.Data] = data
	m.files[id] = append([]client.File{f}, old...)
	return f, nil
}

func (m *memStore) BreakpointFile(_ context.Context, name string) (client.BreakpointFile, error) {
	defer m.lock("BreakpointFile")()
	p, ok := m.parts[name]
	if !ok {
		return client.BreakpointFile{}, fail(client.NotExist, "breakpoint file")
	}
	return p.rec, nil
}

func (m *memStore) BreakpointFiles(_ context.Context, prefix string) iter.Seq2[client.BreakpointFile, error] {
	return func(yield func(client.BreakpointFile, error) bool) {
		unlock := m.lock("BreakpointFiles")
		var out []client.BreakpointFile
		for name, p := range m.parts {
			if strings.HasPrefix(name, prefix) {
				out = append(out, p.rec)
			}
		}
		unlock()
		for _, bp := range out {
			if !yield(bp, nil) {
				return
			}
		}
	}
}

func (m *memStore) CreateBreakpointFile(_ context.Context, name string, o client.BreakpointOptions) (client.BreakpointFile, error) {
	defer m.lock("CreateBreakpointFile")()
	if _, ok := m.parts[name]; ok {
		return client.BreakpointFile{}, fail(client.Exist, "create breakpoint file")
	}
	p := &memPart{rec: client.BreakpointFile{Name: name, ChecksumType: o.ChecksumType, CreateTime: time.Now()}}
	m.parts[name] = p
	return p.rec, nil
}

func (m *memStore) AppendBreakpointFile(_ context.Context, name string, offset int64, body client.Body, last bool) (client.BreakpointFile, error) {
	data := m.body(body)
	defer m.lock("AppendBreakpointFile")()
	p, ok := m.parts[name]
	if !ok {
		return client.BreakpointFile{}, fail(client.NotExist, "append")
	}
	if p.rec.Completed || offset != p.rec.Size {
		return client.BreakpointFile{}, fail(client.Invalid, fmt.Sprintf("append at %d of %d", offset, p.rec.Size))
	}
	p.data = append(p.data, data...)
	p.rec.Size, p.rec.Completed, p.rec.UploadTime = int64(len(p.data)), last, time.Now()
	p.rec.Checksum = crc32.ChecksumIEEE(p.data)
	return p.rec, nil
}

func (m *memStore) DeleteBreakpointFile(_ context.Context, name string) error {
	defer m.lock("DeleteBreakpointFile")()
	if _, ok := m.parts[name]; !ok {
		return fail(client.NotExist, "delete breakpoint file")
	}
	delete(m.parts, name)
	return nil
}

func (m *memStore) completed(bp string) ([]byte, error) {
	p, ok := m.parts[bp]
	if !ok || !p.rec.Completed {
		return nil, fail(client.Invalid, "convert")
	}
	return p.data, nil
}

func (m *memStore) CreateFileFromBreakpoint(_ context.Context, nf client.NewFile, bp string) (client.File, error) {
	defer m.lock("CreateFileFromBreakpoint")()
	data, err := m.completed(bp)
	if err != nil {
		return client.File{}, err
	}
	f, err := m.create(nf, data)
	if err == nil {
		delete(m.parts, bp)
	}
	return f, err
}

func (m *memStore) UpdateContentFromBreakpoint(_ context.Context, id client.FileID, expect client.Version, bp string) (client.File, error) {
	defer m.lock("UpdateContentFromBreakpoint")()
	data, err := m.completed(bp)
	if err != nil {
		return client.File{}, err
	}
	f, err := m.update(id, expect, data)
	if err == nil {
		delete(m.parts, bp)
	}
	return f, err
}
