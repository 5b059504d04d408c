package repo

import (
	"fmt"
	"sort"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// fileRecord is one version of a file as stored; fields that all versions share
// are repeated in each.
type fileRecord struct {
	ID         string
	Name       string
	Dir        string
	Major      int64
	User       string
	UpdateUser string
	CreateTime int64
	UpdateTime int64
	DataTime   int64
	Size       int64
	DataID     string
	Title      *string
	Author     *string
	Mime       string
	MD5        *string // base64
	ETag       *string // hex
	ClassID    *string
	ClassProps string // JSON object, "" for none; so are the next two
	External   string
	Meta       string
	Tags       []string
	CustomTag  map[string]string
}

// fileCodec is the first byte of a stored file record.
const fileCodec = 1

func (f *fileRecord) encode() []byte {
	w := make(writer, 0, 256)
	w = append(w, fileCodec)
	w.str(f.ID)
	w.str(f.Name)
	w.str(f.Dir)
	w.int(f.Major)
	w.str(f.User)
	w.str(f.UpdateUser)
	w.int(f.CreateTime)
	w.int(f.UpdateTime)
	w.int(f.DataTime)
	w.int(f.Size)
	w.str(f.DataID)
	w.opt(f.Title)
	w.opt(f.Author)
	w.str(f.Mime)
	w.opt(f.MD5)
	w.opt(f.ETag)
	w.opt(f.ClassID)
	w.str(f.ClassProps)
	w.str(f.External)
	w.str(f.Meta)
	w.int(int64(len(f.Tags)))
	for _, t := range f.Tags {
		w.str(t)
	}
	w.int(int64(len(f.CustomTag)))
	for _, k := range sortedKeys(f.CustomTag) {
		w.str(k)
		w.str(f.CustomTag[k])
	}
	return w
}

func decodeFile(b []byte) (*fileRecord, error) {
	if len(b) == 0 || b[0] != fileCodec {
		return nil, fmt.Errorf("file: %w", errDamaged)
	}
	r := &reader{s: string(b[1:])}
	f := &fileRecord{ID: r.str(), Name: r.str(), Dir: r.str(), Major: r.int(), User: r.str(), UpdateUser: r.str(),
		CreateTime: r.int(), UpdateTime: r.int(), DataTime: r.int(), Size: r.int(), DataID: r.str(),
		Title: r.opt(), Author: r.opt(), Mime: r.str(), MD5: r.opt(), ETag: r.opt(), ClassID: r.opt(),
		ClassProps: r.str(), External: r.str(), Meta: r.str()}
	for range r.list() {
		f.Tags = append(f.Tags, r.str())
	}
	if n := r.list(); n > 0 {
		f.CustomTag = make(map[string]string, n)
		for range n {
			k := r.str()
			f.CustomTag[k] = r.str()
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("file: %w", r.err)
	}
	return f, nil
}

// fileFields are the fields of part 2 section 2.3, in the order they are printed.
var fileFields = [...]string{"id", "name", "bucket_id", "directory_id", "batch_id", "major_version", "minor_version",
	"type", "class_id", "class_properties", "user", "update_user", "create_time", "update_time", "create_month",
	"data_create_time", "data_type", "size", "data_id", "site_list", "title", "author", "mime_type", "md5", "etag",
	"external_data", "custom_metadata", "version_serial", "delete_marker", "status", "transaction_id", "access_history",
	"tags", "custom_tag"}

func (f *fileRecord) keys() []string { return fileFields[:] }

// field returns one field as it is printed. A list computes only what it
// matches, orders by or prints.
func (f *fileRecord) field(key string) (any, bool) {
	switch key {
	case "id":
		return f.ID, true
	case "name":
		return f.Name, true
	case "directory_id":
		return f.Dir, true
	case "major_version":
		return f.Major, true
	case "class_id":
		return strOrNil(f.ClassID), true
	case "class_properties":
		return objectOr(f.ClassProps, wire.Doc{}), true
	case "user":
		return f.User, true
	case "update_user":
		return f.UpdateUser, true
	case "create_time":
		return f.CreateTime, true
	case "update_time":
		return f.UpdateTime, true
	case "create_month":
		return wire.CreateMonth(fileSeconds(f.ID, f.CreateTime)), true
	case "data_create_time":
		return f.DataTime, true
	case "size":
		return f.Size, true
	case "data_id":
		return f.DataID, true
	case "title":
		return strOrNil(f.Title), true
	case "author":
		return strOrNil(f.Author), true
	case "mime_type":
		return f.Mime, true
	case "md5":
		return strOrNil(f.MD5), true
	case "etag":
		return strOrNil(f.ETag), true
	case "external_data":
		return objectOr(f.External, wire.Doc{}), true
	case "custom_metadata":
		return objectOr(f.Meta, wire.Doc{}), true
	case "tags":
		return anyList(f.Tags), true
	case "custom_tag":
		return sortedDoc(f.CustomTag), true
	}
	return f.constant(key)
}

// constant returns the fields that one site without buckets and batches fixes.
func (f *fileRecord) constant(key string) (any, bool) {
	switch key {
	case "bucket_id", "version_serial":
		return nil, true
	case "batch_id", "transaction_id":
		return "", true
	case "minor_version", "status":
		return int32(0), true
	case "type", "data_type":
		return int32(1), true
	case "delete_marker":
		return false, true
	case "site_list":
		return []any{wire.Doc{{Key: "site_id", Value: int32(1)}, {Key: "last_access_time", Value: f.DataTime},
			{Key: "create_time", Value: f.DataTime}, {Key: "ws_version", Value: int32(1)}}}, true
	case "access_history":
		return []any{wire.Doc{{Key: "site_id", Value: int32(1)}, {Key: "last_access_time_his", Value: []any{f.DataTime}}}}, true
	}
	return nil, false
}

func (f *fileRecord) doc() wire.Doc { return docOf(f) }

// fileSeconds is the time that decides create_month.
func fileSeconds(id string, createTime int64) int64 {
	if parsed, err := wire.ParseID(id); err == nil {
		return parsed.Seconds
	}
	return floorSeconds(createTime)
}

func strOrNil(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

// objectOr parses an object that was checked when it was stored.
func objectOr(raw string, absent any) any {
	if raw == "" {
		return absent
	}
	d, err := wire.ParseDoc(raw)
	if err != nil {
		return absent
	}
	return d
}

func anyList(all []string) []any {
	out := make([]any, len(all))
	for i, s := range all {
		out[i] = s
	}
	return out
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func sortedDoc(m map[string]string) wire.Doc {
	out := wire.Doc{}
	for _, k := range sortedKeys(m) {
		out = append(out, wire.Field{Key: k, Value: m[k]})
	}
	return out
}
