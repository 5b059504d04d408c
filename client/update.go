package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// updateOption never asks for an md5: it would make the server read every byte
// again. [Store.CalcMD5] does when it is wanted.
const updateOption = `{"is_need_md5":false}`

// UpdateContent sends a new version in one request (part 2 section 3.9). expect
// is the version it replaces, zero for any; a mismatch seen before the upload is
// [VersionMismatch]. Compare the returned version with expect.Next: the server
// checks only once, so somebody else's version may have come between. UPDATE on
// the file.
//
// A lost answer is settled by comparing the content of version expect.Next, if
// expect is given and body can be read again; else the error is [Uncertain].
func (s *Store) UpdateContent(ctx context.Context, id FileID, expect Version, body Body) (File, error) {
	if err := checkedID("update content", string(id)); err != nil {
		return File{}, err
	}
	k := &call{op: "update content", name: string(id), method: http.MethodPut, stream: true,
		path: "/files/" + string(id), kind: "PUT /files/{id}", body: &body,
		query: versionParams(s.ws(), expect).Add(wire.ParamUpdateOption, updateOption)}
	return settle(ctx, s.c, k, k.answersFile(wire.HeaderFileInfo), func(ctx context.Context) (File, verdict, error) {
		if expect.IsZero() {
			return File{}, unknown, errors.New("without an expected version nothing tells")
		}
		f, err := s.FileVersion(ctx, id, expect.Next())
		if err != nil || f.UpdateUser != s.c.o.User {
			return f, unknown, err
		}
		same, err := s.sameContent(ctx, f, body)
		return f, doneIf(same), err
	})
}

// UpdateContentFromBreakpoint makes a new version of a completed breakpoint
// file, which is consumed on success and intact on refusal. [Invalid] when there
// is none or it is not completed. [BreakpointFile.UpdateContent] is the same and
// can settle a lost answer, because it knows the data id.
func (s *Store) UpdateContentFromBreakpoint(ctx context.Context, id FileID, expect Version, bp string) (File, error) {
	return s.convertToVersion(ctx, id, expect, bp, "")
}

func (s *Store) convertToVersion(ctx context.Context, id FileID, expect Version, bp string, data DataID) (File, error) {
	if err := checkedID("convert to version", string(id)); err != nil {
		return File{}, err
	}
	k := &call{op: "convert to version", name: string(id), method: http.MethodPut, path: "/files/" + string(id), kind: "PUT /files/{id}",
		form: versionParams(s.ws(), expect).Add(wire.ParamBreakpointFile, bp).Add(wire.ParamUpdateOption, updateOption)}
	return settle(ctx, s.c, k, k.answersFile(wire.HeaderFileInfo), func(ctx context.Context) (File, verdict, error) {
		if left, err := s.unconsumed(ctx, bp, &data); left || err != nil {
			return File{}, stillThere(left), err
		}
		f, err := s.File(ctx, id)
		if err == nil && data != "" && f.Data != data && !expect.IsZero() {
			f, err = s.FileVersion(ctx, id, expect.Next()) // a later one may be current
		}
		return f, doneIf(err == nil && data != "" && f.Data == data), err
	})
}

// SetProperty changes one property of the current version (part 2 section 3.7):
// name, directory_id, parent_directory_path, title, author, mime_type, tags,
// add_tag, custom_tag, custom_metadata and so on; [Unsupported] for others. The
// value is a string, []string or map[string]string. It
// is not atomic with anything: the last writer wins. UPDATE on the file.
//
// After a lost answer the file is asked before the change is sent again.
func (s *Store) SetProperty(ctx context.Context, id FileID, key string, value any) (File, error) {
	op := "set " + key
	if err := checkedID(op, string(id)); err != nil {
		return File{}, err
	}
	if m, ok := value.(map[string]string); ok {
		value = stringDoc(m)
	}
	info := encodeDoc(wire.Doc{{Key: key, Value: value}})
	if len(wire.Escape(info)) > maxHeader {
		// It would be taken, and then no answer could carry the file's record any more.
		return File{}, &Error{Op: op, Name: string(id), Kind: TooLarge, Err: fmt.Errorf("the value takes more than %d bytes in a header", maxHeader)}
	}
	k := &call{op: op, name: string(id), method: http.MethodPut, path: "/files/" + string(id), kind: "PUT /files/{id} info",
		form: versionParams(s.ws(), Version{}).Add(wire.ParamFileInfo, info)}
	return settle(ctx, s.c, k, k.answersFile(wire.HeaderFileInfo), func(ctx context.Context) (File, verdict, error) {
		f, err := s.File(ctx, id)
		switch {
		case KindOf(err) == NotExist:
			return f, refused, err
		case err != nil:
			return f, unknown, err
		case hasProperty(f, key, value):
			return f, done, nil
		}
		return f, undone, nil // setting the same twice is harmless
	})
}

// hasProperty tells whether a change shows in a file; false where a record does
// not tell.
func hasProperty(f File, key string, value any) bool {
	switch key {
	case "name":
		return f.Name == value
	case "directory_id":
		return string(f.Dir) == value
	case "title":
		return f.Title == value
	case "author":
		return f.Author == value
	case "mime_type":
		return f.MimeType == value
	case "custom_metadata":
		d, ok := value.(wire.Doc)
		return ok && reflect.DeepEqual(stringDoc(f.Metadata), d)
	case "add_tag":
		t, ok := value.(string)
		return ok && slices.Contains(f.Tags, t)
	}
	return false
}

// SetMetadata replaces the whole custom_metadata of the current version.
func (s *Store) SetMetadata(ctx context.Context, id FileID, m map[string]string) (File, error) {
	return s.SetProperty(ctx, id, "custom_metadata", m)
}

// RenameFile gives a file another name in its directory; [Exist] when a file has
// it. The server does not look for a directory of that name (part 1 section
// 5.5): ask before, where that matters.
func (s *Store) RenameFile(ctx context.Context, id FileID, name string) (File, error) {
	if err := checkFlatName(name); err != nil {
		return File{}, &Error{Op: "set name", Name: name, Kind: Invalid, Err: err}
	}
	return s.SetProperty(ctx, id, "name", name)
}

// MoveFile puts a file into another directory under its name; [Exist] when a
// file or a directory has it there.
func (s *Store) MoveFile(ctx context.Context, id FileID, dir DirID) (File, error) {
	if err := checkedID("set directory_id", string(dir)); err != nil {
		return File{}, err
	}
	return s.SetProperty(ctx, id, "directory_id", string(dir))
}

// DeleteFile removes a file with all its versions, for good: there is no trash.
// After a lost answer a file that is gone counts as removed. DELETE on the file.
func (s *Store) DeleteFile(ctx context.Context, id FileID) error {
	return s.deleteFile(ctx, "delete file", id, s.ws().Add(wire.ParamIsPhysical, "true"), func(ctx context.Context) (verdict, error) {
		_, err := s.File(ctx, id)
		return gone(err, NotExist, undone)
	})
}

// DeleteVersion removes one version, the current one if v is zero; the newest of
// the rest becomes current, and with the last one the file is gone. A version
// that does not exist is no error. After a lost answer a version that is there is
// [Uncertain]: its number may have come back with other content.
func (s *Store) DeleteVersion(ctx context.Context, id FileID, v Version) error {
	return s.deleteFile(ctx, "delete version", id, versionParams(s.ws(), v).Add(wire.ParamAction, wire.ActionDeleteVersion), func(ctx context.Context) (verdict, error) {
		if v.IsZero() {
			return unknown, nil
		}
		_, err := s.FileVersion(ctx, id, v)
		return gone(err, NotExist, unknown)
	})
}

func (s *Store) deleteFile(ctx context.Context, op string, id FileID, query wire.Params, look func(context.Context) (verdict, error)) error {
	if err := checkedID(op, string(id)); err != nil {
		return err
	}
	return settleError(ctx, s.c, &call{op: op, name: string(id), method: http.MethodDelete, path: "/files/" + string(id), kind: "DELETE /files/{id}", query: query}, look)
}
