package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// NewFileID chooses an id for [NewFile], which makes a lost answer of its creation
// certain to settle. The seconds of now are part of the id and must be those of
// NewFile.CreateTime if that is set; the rest is random.
func NewFileID(now time.Time) FileID {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return FileID(wire.ID{Seconds: now.Unix(), Cluster: 0xf, Server: binary.BigEndian.Uint16(b[:2]) & 0x7fff, Serial: binary.BigEndian.Uint32(b[2:])}.String())
}

func (nf *NewFile) description() string {
	d := wire.Doc{{Key: "name", Value: nf.Name}, {Key: "author", Value: nf.Author}, {Key: "title", Value: nf.Title},
		{Key: "mime_type", Value: nf.MimeType}, {Key: "tags", Value: nf.Tags}}
	if nf.Dir != "" {
		d.Set("directory_id", string(nf.Dir))
	}
	if nf.ID != "" {
		d.Set("id", string(nf.ID))
	}
	if !nf.CreateTime.IsZero() {
		d.Set("create_time", nf.CreateTime.UnixMilli())
	}
	if len(nf.CustomTags) > 0 {
		d.Set("custom_tag", stringDoc(nf.CustomTags))
	}
	if len(nf.Metadata) > 0 {
		d.Set("custom_metadata", stringDoc(nf.Metadata))
	}
	return wire.Escape(encodeDoc(d))
}

func stringDoc(m map[string]string) wire.Doc {
	d := wire.Doc{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		d = append(d, wire.Field{Key: k, Value: m[k]})
	}
	return d
}

func (nf *NewFile) uploadConfig() string {
	return fmt.Sprintf(`{"is_overwrite":%t,"is_need_md5":%t}`, nf.Overwrite, nf.NeedMD5)
}

// CheckFileName applies the rule of part 2 section 2.6 for a workspace with
// directories: not empty, no "/"; and ours: valid UTF-8, without which the
// server would store another name, and no NUL. A flat workspace also takes "/".
func CheckFileName(name string) error {
	if strings.Contains(name, "/") {
		return errors.New(`a file name must not contain "/"`)
	}
	return checkFlatName(name)
}

func checkFlatName(name string) error {
	switch {
	case name == "":
		return errors.New("a file name must not be empty")
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return errors.New("a file name must be UTF-8 without NUL")
	}
	return nil
}

func (nf *NewFile) check(op string) error {
	err := checkFlatName(nf.Name)
	if ms := nf.CreateTime.Unix(); err == nil && !nf.CreateTime.IsZero() && (ms < wire.MinSeconds || ms > wire.MaxSeconds) {
		err = fmt.Errorf("create time %s is out of range", nf.CreateTime)
	}
	if err == nil && nf.ID != "" && !wire.ValidID(string(nf.ID)) {
		err = errors.New("an id is 24 hex digits")
	}
	if err == nil && nf.Dir != "" && !wire.ValidID(string(nf.Dir)) {
		err = errors.New("a directory id is 24 hex digits")
	}
	if err != nil {
		return &Error{Op: op, Name: nf.Name, Kind: Invalid, Err: err}
	}
	return nil
}

func (nf *NewFile) dir() DirID {
	if nf.Dir == "" {
		return RootDir
	}
	return nf.Dir
}

// CreateFile sends a new file in one request (part 2 section 3.1). The file
// appears at once and whole, or not at all. [Exist] when the name is taken, which
// shows only after the whole body was sent; [NotExist] when there is no such
// directory. CREATE on the directory, with Overwrite also UPDATE and DELETE.
//
// A lost answer is settled by nf.ID, or else by name, creator, time and content
// if body can be read again. Where the store shows nothing of it the error is
// [Uncertain]: the request may still be on its way.
func (s *Store) CreateFile(ctx context.Context, nf NewFile, body Body) (File, error) {
	start := time.Now()
	return s.createFile(ctx, "create file", nf, &call{stream: true, body: &body, query: s.ws().Add(wire.ParamUploadConfig, nf.uploadConfig())},
		func(ctx context.Context) (File, verdict, error) { return s.findCreated(ctx, nf, body, start) })
}

// findCreated looks for a file that a lost request may have made. It is never
// sent again by us: the first one may be executed after we looked.
func (s *Store) findCreated(ctx context.Context, nf NewFile, body Body, start time.Time) (File, verdict, error) {
	if nf.ID != "" {
		f, err := s.File(ctx, nf.ID)
		if err == nil && (body.Size < 0 || f.Size == body.Size) {
			return f, done, nil
		}
		return f, unknown, err
	}
	f, err := s.LookupFile(ctx, nf.dir(), nf.Name)
	if err != nil {
		return f, unknown, err
	}
	if f.User != s.c.o.User || nf.CreateTime.IsZero() && !s.c.ours(f.User, f.CreateTime, start) ||
		!nf.CreateTime.IsZero() && f.CreateTime.UnixMilli() != nf.CreateTime.UnixMilli() {
		return f, unknown, errors.New("the file of this name is another one")
	}
	if same, err := s.sameContent(ctx, f, body); !same {
		return f, unknown, err
	}
	return f, done, nil
}

// CreateFileFromBreakpoint turns a completed breakpoint file into a file without
// moving data (part 2 section 3.2); it is consumed on success and intact on
// refusal. [Invalid] when there is none or it is not completed.
// [BreakpointFile.CreateFile] is the same and can always settle a lost answer,
// because it knows the data id; here nf.ID does that.
func (s *Store) CreateFileFromBreakpoint(ctx context.Context, nf NewFile, bp string) (File, error) {
	return s.convertToFile(ctx, nf, bp, "")
}

func (s *Store) convertToFile(ctx context.Context, nf NewFile, bp string, data DataID) (File, error) {
	k := &call{form: s.ws().Add(wire.ParamBreakpointFile, bp).Add(wire.ParamUploadConfig, nf.uploadConfig())}
	return s.createFile(ctx, "convert to file", nf, k, func(ctx context.Context) (File, verdict, error) {
		if left, err := s.unconsumed(ctx, bp, &data); left || err != nil {
			return File{}, stillThere(left), err
		}
		if nf.ID != "" {
			f, err := s.File(ctx, nf.ID)
			return f, doneIf(err == nil && (data == "" || f.Data == data)), err
		}
		f, err := s.LookupFile(ctx, nf.dir(), nf.Name)
		return f, doneIf(err == nil && data != "" && f.Data == data), err
	})
}

// unconsumed asks whether a breakpoint file is still there. The server answers
// only when no conversion of it is running, so that "there" means "not
// converted", and of two conversions one wins (part 2 section 5.13).
func (s *Store) unconsumed(ctx context.Context, name string, data *DataID) (bool, error) {
	b, err := s.BreakpointFile(ctx, name)
	switch {
	case KindOf(err) == NotExist:
		return false, nil
	case err != nil:
		return false, err
	case *data == "":
		*data = b.Data
	}
	return b.Data == *data, nil // else it is another one of the same name
}

func stillThere(left bool) verdict {
	if left {
		return undone
	}
	return unknown
}

func doneIf(ok bool) verdict {
	if ok {
		return done
	}
	return unknown
}

func (s *Store) createFile(ctx context.Context, op string, nf NewFile, k *call, look func(context.Context) (File, verdict, error)) (File, error) {
	if err := nf.check(op); err != nil {
		return File{}, err
	}
	var out struct {
		File wire.FileRecord `json:"file"`
	}
	var f File
	k.op, k.name, k.method, k.path, k.kind, k.out = op, nf.Name, http.MethodPost, "/files/", "POST /files", &out
	k.accept = func() (err error) { f, err = fileOf(&out.File); return err }
	k.quick = func(b []byte) (ok bool) { f, ok = scanAnswer(b); return ok }
	k.header = http.Header{wire.HeaderDescription: {nf.description()}}
	return settle(ctx, s.c, k, func() File { return f }, look)
}

// answersFile makes k's answer a file in a header.
func (k *call) answersFile(header string) func() File {
	var rec wire.FileRecord
	var f File
	k.inHeader, k.out = header, &rec
	k.accept = func() (err error) { f, err = fileOf(&rec); return err }
	k.quick = func(b []byte) (ok bool) { f, ok = scanRecord(b); return ok }
	return func() File { return f }
}

func (s *Store) headFile(ctx context.Context, name, path, kind string, v Version) (File, error) {
	k := &call{op: "get file", name: name, method: http.MethodHead, path: path, kind: kind, query: versionParams(s.ws(), v)}
	f := k.answersFile(wire.HeaderFile)
	_, err := s.c.do(ctx, k)
	return f(), err
}

// File returns the current version of a file; [NotExist] when there is none.
// READ on its directory.
func (s *Store) File(ctx context.Context, id FileID) (File, error) {
	return s.FileVersion(ctx, id, Version{})
}

// FileVersion returns one version of a file; [NotExist] when there is none.
func (s *Store) FileVersion(ctx context.Context, id FileID, v Version) (File, error) {
	if err := checkedID("get file", string(id)); err != nil {
		return File{}, err
	}
	return s.headFile(ctx, string(id), "/files/id/"+string(id), "HEAD /files/id/{id}", v)
}

// FileByPath returns a version of a file by absolute path, the zero Version is
// the current one. Names with \ % ; or equal to "." cannot be addressed this way
// (part 1 section 1.3): prefer ids.
func (s *Store) FileByPath(ctx context.Context, path string, v Version) (File, error) {
	if err := checkPath("get file", path); err != nil {
		return File{}, err
	}
	return s.headFile(ctx, path, "/files/path/"+wire.EscapePath(path), "HEAD /files/path/{path}", v)
}

// CalcMD5 makes the server compute and store a version's md5 (base64), which
// for large content takes it some time. UPDATE on the file.
func (s *Store) CalcMD5(ctx context.Context, id FileID, v Version) (string, error) {
	if err := checkedID("compute md5", string(id)); err != nil {
		return "", err
	}
	return s.md5(ctx, &call{op: "compute md5", name: string(id), method: http.MethodPost, path: "/files/" + string(id), kind: "POST /files/{id}",
		query: wire.Params{{Name: wire.ParamAction, Value: wire.ActionCalcMD5}}, form: versionParams(s.ws(), v).Add(wire.ParamKeepAlive, "true")})
}

func (s *Store) md5(ctx context.Context, k *call) (string, error) {
	var out struct {
		MD5 string `json:"md5"`
	}
	k.out = &out
	k.accept = func() error {
		if out.MD5 == "" {
			return errors.New("the answer has no md5")
		}
		return nil
	}
	_, err := s.c.do(ctx, k)
	return out.MD5, err
}
