package repo

import (
	"math"
	"strings"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// UploadConfig is the parameter upload_config.
type UploadConfig struct{ Overwrite, NeedMD5 bool }

// newFile is a checked description of a file to create.
type newFile struct {
	rec     fileRecord
	idGiven bool // chosen by the client
}

// describe checks the JSON of the header description (part 2 section 3.1).
func (r *Repo) describe(w *wsTx, c Caller, d wire.Doc) (*newFile, error) {
	n := &newFile{rec: fileRecord{Major: 1, User: c.User, UpdateUser: c.User}}
	f := &n.rec
	f.Name, _ = docString(d, "name")
	if err := checkFileName(w, f.Name); err != nil {
		return nil, err
	}
	f.Dir, _ = docString(d, "directory_id")
	if f.Dir == "" {
		f.Dir = wire.RootDirID
	}
	if f.Dir != wire.RootDirID {
		if err := w.needDirs(); err != nil {
			return nil, err
		}
	}
	if err := f.describeProperties(d); err != nil {
		return nil, err
	}
	if err := r.identify(n, d); err != nil {
		return nil, err
	}
	f.UpdateTime, f.DataTime = f.CreateTime, f.CreateTime
	return n, nil
}

// checkFileName applies part 2 section 2.6: not empty, and no slash where there
// are directories.
func checkFileName(w *wsTx, name string) error {
	if w.ws.Directories && strings.Contains(name, "/") {
		return Errorf(wire.CodeInvalidArgument, "invalid file name: %q", name)
	}
	return checkName("file name", name)
}

// describeProperties takes over the free fields.
func (f *fileRecord) describeProperties(d wire.Doc) (err error) {
	f.Title, f.Author, f.ClassID = docStringPtr(d, "title"), docStringPtr(d, "author"), docStringPtr(d, "class_id")
	f.Mime = "application/octet-stream"
	if m, ok := docString(d, "mime_type"); ok {
		f.Mime = m
	}
	if f.Tags, err = tagList(d, "tags"); err != nil {
		return err
	}
	if f.CustomTag, err = customTags(d, "custom_tag"); err != nil {
		return err
	}
	objects := []struct {
		key string
		to  *string
	}{{"custom_metadata", &f.Meta}, {"external_data", &f.External}, {"class_properties", &f.ClassProps}}
	for _, o := range objects {
		v, ok := d.Get(o.key)
		if !ok || v == nil {
			continue
		}
		obj, ok := v.(wire.Doc)
		if !ok {
			return Errorf(wire.CodeInvalidArgument, "%s is not an object", o.key)
		}
		if o.key == "class_properties" && len(obj) > 0 && f.ClassID == nil {
			return Errorf(wire.CodeFileClassUndefined, "class_properties without class_id")
		}
		*o.to = string(wire.AppendJSON(nil, obj))
	}
	return nil
}

// identify decides id, create_time and data id. The seconds of the id are those
// of the creation; the data id is the file's unless the client chose that.
func (r *Repo) identify(n *newFile, d wire.Doc) error {
	f := &n.rec
	f.CreateTime = r.nowMillis()
	v, timeGiven := d.Get("create_time")
	if timeGiven = timeGiven && v != nil; timeGiven {
		if big, ok := v.(float64); ok && math.Abs(big) > 1<<62 {
			return ErrTimeRange // beyond 64 bits, so certainly out of range
		}
		ms, ok := integer(v)
		if !ok {
			return Errorf(wire.CodeInvalidArgument, "create_time is not a number")
		}
		if err := CheckTimeRange(ms); err != nil {
			return err
		}
		f.CreateTime = ms
	}
	id, _ := docString(d, "id")
	if id == "" {
		f.ID = r.ids.at(floorSeconds(f.CreateTime))
		f.DataID = f.ID
		return nil
	}
	parsed, err := wire.ParseID(id)
	if err != nil {
		return Errorf(wire.CodeInvalidID, "invalid id: %v", err)
	}
	if timeGiven && parsed.Seconds != floorSeconds(f.CreateTime) {
		return Errorf(wire.CodeInvalidArgument, "id and create_time disagree: %s, %d", id, f.CreateTime)
	}
	f.ID, f.DataID, n.idGiven = strings.ToLower(id), r.ids.next(), true
	return nil
}

func docString(d wire.Doc, key string) (string, bool) {
	v, _ := d.Get(key)
	s, ok := v.(string)
	return s, ok
}

func docStringPtr(d wire.Doc, key string) *string {
	if s, ok := docString(d, key); ok {
		return &s
	}
	return nil
}

func docBool(d wire.Doc, key string) (value, ok bool) {
	v, _ := d.Get(key)
	value, ok = v.(bool)
	return value, ok
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case float64:
		return int64(v), v == float64(int64(v))
	}
	return 0, false
}
