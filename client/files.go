package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// NewFileID chooses an id for a file to create. Server id and serial are random:
// a server that is given the id by us does not count it.
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
	for _, k := range sortedKeys(m) {
		d = append(d, wire.Field{Key: k, Value: m[k]})
	}
	return d
}

func (nf *NewFile) uploadConfig() string {
	return fmt.Sprintf(`{"is_overwrite":%t,"is_need_md5":%t}`, nf.Overwrite, nf.NeedMD5)
}

type fileAnswer struct {
	File wire.FileRecord `json:"file"`
}

// CreateFile sends a new file in one request (part 2 section 3.1). A name
// conflict shows only after the whole body was sent. After a lost answer
// ([Uncertain]) HEAD of nf.ID tells whether it was made.
func (s *Store) CreateFile(ctx context.Context, nf NewFile, body Body) (File, error) {
	return s.createFile(ctx, "create file", nf, &call{stream: true, path: "/files/", body: &body,
		query: s.ws().Add(wire.ParamUploadConfig, nf.uploadConfig())})
}

// CreateFileFromBreakpoint turns a completed breakpoint file into a file without
// moving data (part 2 section 3.2); it is consumed on success and intact on
// refusal. After a lost answer: the file has the breakpoint file's data id.
func (s *Store) CreateFileFromBreakpoint(ctx context.Context, nf NewFile, bp string) (File, error) {
	return s.createFile(ctx, "convert to file", nf, &call{path: "/files/",
		form: s.ws().Add(wire.ParamBreakpointFile, bp).Add(wire.ParamUploadConfig, nf.uploadConfig())})
}

func (s *Store) createFile(ctx context.Context, op string, nf NewFile, k *call) (File, error) {
	var out fileAnswer
	k.op, k.name, k.method, k.kind, k.once, k.out = op, nf.Name, http.MethodPost, "POST /files", true, &out
	k.header = http.Header{wire.HeaderDescription: {nf.description()}}
	if _, err := s.c.do(ctx, k); err != nil {
		return File{}, err
	}
	f, err := fileOf(&out.File)
	if err != nil {
		return File{}, &Error{Op: op, Name: nf.Name, Kind: Protocol, Err: err}
	}
	return f, nil
}

// fileFromHeader runs a call whose answer is a file in a header.
func (s *Store) fileFromHeader(ctx context.Context, k *call, header string) (File, error) {
	h, err := s.c.do(ctx, k)
	if err != nil {
		return File{}, err
	}
	var rec wire.FileRecord
	if err := decodeHeader(h.Get(header), &rec); err != nil {
		return File{}, &Error{Op: k.op, Name: k.name, Kind: Protocol, Err: err}
	}
	f, err := fileOf(&rec)
	if err != nil {
		return File{}, &Error{Op: k.op, Name: k.name, Kind: Protocol, Err: err}
	}
	return f, nil
}

// File returns the current version of a file.
func (s *Store) File(ctx context.Context, id FileID) (File, error) {
	return s.FileVersion(ctx, id, Version{})
}

// FileVersion returns one version of a file.
func (s *Store) FileVersion(ctx context.Context, id FileID, v Version) (File, error) {
	if err := checkedID("get file", string(id)); err != nil {
		return File{}, err
	}
	return s.fileFromHeader(ctx, &call{op: "get file", name: string(id), method: http.MethodHead, path: "/files/id/" + string(id),
		kind: "HEAD /files/id/{id}", query: versionParams(s.ws(), v)}, wire.HeaderFile)
}

// FileByPath returns a version of a file by absolute path. Names with \ % ; or
// equal to "." cannot be addressed this way (part 1 section 1.3): prefer ids.
func (s *Store) FileByPath(ctx context.Context, path string, v Version) (File, error) {
	return s.fileFromHeader(ctx, &call{op: "get file", name: path, method: http.MethodHead, path: "/files/path/" + wire.EscapePath(path),
		kind: "HEAD /files/path/{path}", query: versionParams(s.ws(), v)}, wire.HeaderFile)
}

// UpdateContent sends a new version in one request (part 2 section 3.9). expect
// is the version it replaces, zero for any; a mismatch seen before the upload is
// [VersionMismatch]. The caller compares the returned version with expect.Next:
// the server checks only once.
func (s *Store) UpdateContent(ctx context.Context, id FileID, expect Version, body Body) (File, error) {
	if err := checkedID("update content", string(id)); err != nil {
		return File{}, err
	}
	return s.fileFromHeader(ctx, &call{op: "update content", name: string(id), method: http.MethodPut, stream: true, once: true,
		path: "/files/" + string(id), kind: "PUT /files/{id}", body: &body,
		query: versionParams(s.ws(), expect).Add(wire.ParamUpdateOption, `{"is_need_md5":false}`)}, wire.HeaderFileInfo)
}

// UpdateContentFromBreakpoint makes a new version of a completed breakpoint file.
func (s *Store) UpdateContentFromBreakpoint(ctx context.Context, id FileID, expect Version, bp string) (File, error) {
	if err := checkedID("convert to version", string(id)); err != nil {
		return File{}, err
	}
	return s.fileFromHeader(ctx, &call{op: "convert to version", name: string(id), method: http.MethodPut, once: true,
		path: "/files/" + string(id), kind: "PUT /files/{id}",
		form: versionParams(s.ws(), expect).Add(wire.ParamBreakpointFile, bp).Add(wire.ParamUpdateOption, `{"is_need_md5":false}`)}, wire.HeaderFileInfo)
}

// SetProperty changes one property (part 2 section 3.7). Setting the same value
// twice is harmless, so this call is retried.
func (s *Store) SetProperty(ctx context.Context, id FileID, key string, value any) (File, error) {
	if err := checkedID("set "+key, string(id)); err != nil {
		return File{}, err
	}
	return s.fileFromHeader(ctx, &call{op: "set " + key, name: string(id), method: http.MethodPut, path: "/files/" + string(id), kind: "PUT /files/{id} info",
		form: versionParams(s.ws(), Version{}).Add(wire.ParamFileInfo, encodeDoc(wire.Doc{{Key: key, Value: value}}))}, wire.HeaderFileInfo)
}

// SetMetadata replaces the whole custom_metadata of the current version.
func (s *Store) SetMetadata(ctx context.Context, id FileID, m map[string]string) (File, error) {
	return s.SetProperty(ctx, id, "custom_metadata", stringDoc(m))
}

// RenameFile gives a file another name in its directory. The server accepts a
// rename to the present name, so a repetition after a lost answer is harmless.
func (s *Store) RenameFile(ctx context.Context, id FileID, name string) (File, error) {
	return s.SetProperty(ctx, id, "name", name)
}

// MoveFile puts a file into another directory under its name; likewise harmless
// to repeat.
func (s *Store) MoveFile(ctx context.Context, id FileID, dir DirID) (File, error) {
	return s.SetProperty(ctx, id, "directory_id", string(dir))
}

// DeleteFile removes a file with all its versions. After a lost answer a file
// that is gone counts as deleted.
func (s *Store) DeleteFile(ctx context.Context, id FileID) error {
	return s.deleteFile(ctx, "delete file", id, s.ws().Add(wire.ParamIsPhysical, "true"))
}

// DeleteVersion removes one version; the newest of the rest becomes current.
func (s *Store) DeleteVersion(ctx context.Context, id FileID, v Version) error {
	return s.deleteFile(ctx, "delete version", id, versionParams(s.ws(), v).Add(wire.ParamAction, wire.ActionDeleteVersion))
}

func (s *Store) deleteFile(ctx context.Context, op string, id FileID, query wire.Params) error {
	if err := checkedID(op, string(id)); err != nil {
		return err
	}
	k := &call{op: op, name: string(id), method: http.MethodDelete, path: "/files/" + string(id), kind: "DELETE /files/{id}", once: true, query: query}
	_, err := s.c.do(ctx, k)
	if KindOf(err) == Uncertain {
		if _, err = s.c.do(ctx, k); KindOf(err) == NotExist {
			return nil
		}
	}
	return err
}

// CalcMD5 makes the server compute and store a version's md5 (base64).
func (s *Store) CalcMD5(ctx context.Context, id FileID, v Version) (string, error) {
	if err := checkedID("compute md5", string(id)); err != nil {
		return "", err
	}
	return s.md5(ctx, &call{op: "compute md5", name: string(id), method: http.MethodPost, path: "/files/" + string(id), kind: "POST /files/{id}",
		query: wire.Params{{Name: wire.ParamAction, Value: wire.ActionCalcMD5}}, form: versionParams(s.ws(), v)})
}

// md5 runs a call that may report a failure inside a 200 (part 1 section 1.8).
func (s *Store) md5(ctx context.Context, k *call) (string, error) {
	var out struct {
		MD5     string   `json:"md5"`
		Status  wire.Int `json:"status"`
		Message string   `json:"message"`
	}
	k.out = &out
	if _, err := s.c.do(ctx, k); err != nil {
		return "", err
	}
	if out.Status != 0 {
		code := wire.Code(out.Status)
		return "", &Error{Op: k.op, Name: k.name, Kind: kindOfCode(code), Code: code, HTTP: http.StatusOK}
	}
	return out.MD5, nil
}

func breakpointPath(name string) string { return "/breakpointfiles/" + wire.Escape(name) }

func offsetParam(n int64) string { return strconv.FormatInt(n, 10) }
