package repo

import (
	"encoding/binary"

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

// doc prints the record of part 1 section 5.1; only the root has a version.
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

// doc prints the record of part 2 section 5.1, nulls included.
func (b *bpRecord) doc(site string) wire.Doc {
	var dataID any // null until the first data or the creation reached the storage
	if b.DataID != "" {
		dataID = b.DataID
	}
	return wire.Doc{
		{Key: "file_name", Value: b.Name}, {Key: "site_name", Value: site}, {Key: "checksum_type", Value: string(b.Type)},
		{Key: "checksum", Value: int64(b.Checksum)}, {Key: "data_id", Value: dataID}, {Key: "completed", Value: b.Completed},
		{Key: "upload_size", Value: b.Size}, {Key: "create_user", Value: b.CreateUser}, {Key: "create_time", Value: b.CreateTime},
		{Key: "upload_user", Value: b.UploadUser}, {Key: "upload_time", Value: b.UploadTime},
		{Key: "is_need_md5", Value: b.NeedMD5}, {Key: "md5", Value: strOrNil(b.MD5)},
	}
}

// versionKey orders a file's versions, oldest first.
func versionKey(id string, major int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(id), uint64(major))
}

// nameKey is parent, 0, name: all names of a parent in bytewise order.
func nameKey(parent, name string) []byte {
	b := make([]byte, 0, len(parent)+1+len(name))
	b = append(b, parent...)
	b = append(b, 0)
	return append(b, name...)
}

// behind returns the first key after all keys that start with prefix; nil means
// the end.
func behind(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}
