package repo

import (
	"encoding/binary"
	"encoding/json"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// dirRecord is a directory as stored.
type dirRecord struct {
	ID         string `json:"i"`
	Name       string `json:"n"`
	Parent     string `json:"p"`
	User       string `json:"u"`
	UpdateUser string `json:"uu"`
	CreateTime int64  `json:"c"`
	UpdateTime int64  `json:"ut"`
	Version    int64  `json:"v,omitempty"` // root only
}

func (d *dirRecord) doc() wire.Doc {
	out := wire.Doc{
		{Key: "name", Value: d.Name}, {Key: "parent_directory_id", Value: d.Parent}, {Key: "id", Value: d.ID},
		{Key: "user", Value: d.User}, {Key: "update_user", Value: d.UpdateUser},
		{Key: "create_time", Value: d.CreateTime}, {Key: "update_time", Value: d.UpdateTime},
	}
	if d.ID == wire.RootDirID {
		out = append(out, wire.Field{Key: "version", Value: d.Version})
	}
	return out
}

// fileRecord is one version of a file as stored; fields that all versions share
// are repeated in each.
type fileRecord struct {
	ID         string            `json:"i"`
	Name       string            `json:"n"`
	Dir        string            `json:"d"`
	Major      int64             `json:"v"`
	Minor      int64             `json:"m,omitempty"`
	User       string            `json:"u"`
	UpdateUser string            `json:"uu"`
	CreateTime int64             `json:"c"`
	UpdateTime int64             `json:"ut"`
	DataTime   int64             `json:"dc"`
	Size       int64             `json:"s"`
	DataID     string            `json:"di"`
	Title      *string           `json:"t,omitempty"`
	Author     *string           `json:"a,omitempty"`
	Mime       string            `json:"mt"`
	MD5        *string           `json:"5,omitempty"`
	ETag       *string           `json:"e,omitempty"`
	ClassID    *string           `json:"ci,omitempty"`
	ClassProps json.RawMessage   `json:"cp,omitempty"`
	External   json.RawMessage   `json:"x,omitempty"`
	Meta       json.RawMessage   `json:"cm,omitempty"`
	Tags       []string          `json:"tg,omitempty"`
	CustomTag  map[string]string `json:"ct,omitempty"`
}

func strOrNil(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}

// rawDoc parses an object that was checked when it was stored.
func rawDoc(raw json.RawMessage, absent any) any {
	if len(raw) == 0 {
		return absent
	}
	d, err := wire.ParseDoc(string(raw))
	if err != nil {
		return absent
	}
	return d
}

// doc prints the record with every field of part 2 section 2.3, in that order.
func (f *fileRecord) doc() wire.Doc {
	site := wire.Doc{{Key: "site_id", Value: int32(1)}, {Key: "last_access_time", Value: f.DataTime},
		{Key: "create_time", Value: f.DataTime}, {Key: "ws_version", Value: int32(1)}}
	history := wire.Doc{{Key: "site_id", Value: int32(1)}, {Key: "last_access_time_his", Value: []any{f.DataTime}}}
	tags := make([]any, len(f.Tags))
	for i, t := range f.Tags {
		tags[i] = t
	}
	return wire.Doc{
		{Key: "id", Value: f.ID}, {Key: "name", Value: f.Name}, {Key: "bucket_id", Value: nil},
		{Key: "directory_id", Value: f.Dir}, {Key: "batch_id", Value: ""},
		{Key: "major_version", Value: f.Major}, {Key: "minor_version", Value: f.Minor}, {Key: "type", Value: int32(1)},
		{Key: "class_id", Value: strOrNil(f.ClassID)}, {Key: "class_properties", Value: rawDoc(f.ClassProps, wire.Doc{})},
		{Key: "user", Value: f.User}, {Key: "update_user", Value: f.UpdateUser},
		{Key: "create_time", Value: f.CreateTime}, {Key: "update_time", Value: f.UpdateTime},
		{Key: "create_month", Value: wire.CreateMonth(fileSeconds(f.ID, f.CreateTime))}, {Key: "data_create_time", Value: f.DataTime},
		{Key: "data_type", Value: int32(1)}, {Key: "size", Value: f.Size}, {Key: "data_id", Value: f.DataID},
		{Key: "site_list", Value: []any{site}}, {Key: "title", Value: strOrNil(f.Title)}, {Key: "author", Value: strOrNil(f.Author)},
		{Key: "mime_type", Value: f.Mime}, {Key: "md5", Value: strOrNil(f.MD5)}, {Key: "etag", Value: strOrNil(f.ETag)},
		{Key: "external_data", Value: rawDoc(f.External, wire.Doc{})}, {Key: "custom_metadata", Value: rawDoc(f.Meta, wire.Doc{})},
		{Key: "version_serial", Value: nil}, {Key: "delete_marker", Value: false}, {Key: "status", Value: int32(0)},
		{Key: "transaction_id", Value: ""}, {Key: "access_history", Value: []any{history}},
		{Key: "tags", Value: tags}, {Key: "custom_tag", Value: sortedDoc(f.CustomTag)},
	}
}

func fileSeconds(id string, createTime int64) int64 {
	if parsed, err := wire.ParseID(id); err == nil {
		return parsed.Seconds
	}
	return floorSeconds(createTime)
}

// bpRecord is a breakpoint file as stored.
type bpRecord struct {
	Name       string            `json:"n"`
	Type       wire.ChecksumType `json:"t"`
	Checksum   uint32            `json:"k,omitempty"`
	DataID     string            `json:"d"`
	Completed  bool              `json:"f,omitempty"`
	Size       int64             `json:"s,omitempty"`
	CreateUser string            `json:"cu"`
	CreateTime int64             `json:"c"`
	UploadUser string            `json:"uu"`
	UploadTime int64             `json:"ut,omitempty"`
	NeedMD5    bool              `json:"m,omitempty"`
	MD5        *string           `json:"5,omitempty"`
}

func (b *bpRecord) doc(site string) wire.Doc {
	return wire.Doc{
		{Key: "file_name", Value: b.Name}, {Key: "site_name", Value: site}, {Key: "checksum_type", Value: string(b.Type)},
		{Key: "checksum", Value: int64(b.Checksum)}, {Key: "data_id", Value: b.DataID}, {Key: "completed", Value: b.Completed},
		{Key: "upload_size", Value: b.Size}, {Key: "create_user", Value: b.CreateUser}, {Key: "create_time", Value: b.CreateTime},
		{Key: "upload_user", Value: b.UploadUser}, {Key: "upload_time", Value: b.UploadTime},
		{Key: "is_need_md5", Value: b.NeedMD5}, {Key: "md5", Value: strOrNil(b.MD5)},
	}
}

// versionKey orders a file's versions, oldest first.
func versionKey(id string, major int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(id), uint64(major))
}

func nameKey(parent, name string) []byte {
	b := make([]byte, 0, len(parent)+1+len(name))
	b = append(b, parent...)
	b = append(b, 0)
	return append(b, name...)
}
