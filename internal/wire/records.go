package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Int is a 64-bit integer of a record. It reads plain numbers, null (0) and the
// extended form {"$numberLong":"1"}, which the protocol thinks cannot occur but
// asks to tolerate (part 2 section 1.3).
type Int int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *Int) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		*n = 0
		return nil
	}
	if len(s) > 0 && s[0] == '{' {
		var ext struct {
			Long string `json:"$numberLong"`
		}
		if err := json.Unmarshal(b, &ext); err != nil {
			return err
		}
		s = ext.Long
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != float64(int64(f)) {
			return fmt.Errorf("not an integer: %.40q", s)
		}
		v = int64(f)
	}
	*n = Int(v)
	return nil
}

// FileRecord is one version of a file as SCM prints it, field order included
// (part 2 section 2.3). Pointers are the fields that may be null.
type FileRecord struct {
	ID              string         `json:"id"`
	Name            string         `json:"name"`
	DirectoryID     string         `json:"directory_id"`
	BatchID         string         `json:"batch_id"`
	MajorVersion    Int            `json:"major_version"`
	MinorVersion    Int            `json:"minor_version"`
	Type            Int            `json:"type"`
	ClassID         *string        `json:"class_id"`
	ClassProperties map[string]any `json:"class_properties"`
	User            string         `json:"user"`
	UpdateUser      string         `json:"update_user"`
	CreateTime      Int            `json:"create_time"` // ms
	UpdateTime      Int            `json:"update_time"` // ms
	CreateMonth     string         `json:"create_month"`
	DataCreateTime  Int            `json:"data_create_time"` // ms
	DataType        Int            `json:"data_type"`
	Size            Int            `json:"size"`
	DataID          string         `json:"data_id"`
	SiteList        []SiteLocation `json:"site_list"`
	Title           *string        `json:"title"`
	Author          *string        `json:"author"`
	MimeType        string         `json:"mime_type"`
	MD5             *string        `json:"md5"` // base64
	ETag            *string        `json:"etag"`
	CustomMetadata  StringMap      `json:"custom_metadata"`
	DeleteMarker    bool           `json:"delete_marker"`
	Status          Int            `json:"status"`
	Tags            []string       `json:"tags"`
	CustomTag       StringMap      `json:"custom_tag"`
}

// SiteLocation is one element of a file's site_list.
type SiteLocation struct {
	SiteID         Int `json:"site_id"`
	LastAccessTime Int `json:"last_access_time"`
	CreateTime     Int `json:"create_time"`
}

// DirectoryRecord is a directory as SCM prints it (part 1 section 5.1).
type DirectoryRecord struct {
	Name       string `json:"name"`
	ParentID   string `json:"parent_directory_id"`
	ID         string `json:"id"`
	User       string `json:"user"`
	UpdateUser string `json:"update_user"`
	CreateTime Int    `json:"create_time"` // ms
	UpdateTime Int    `json:"update_time"` // ms
	Version    *Int   `json:"version,omitempty"`
}

// BreakpointRecord is a breakpoint file as SCM prints it (part 2 section 5.1).
type BreakpointRecord struct {
	FileName     string       `json:"file_name"`
	SiteName     string       `json:"site_name"`
	ChecksumType ChecksumType `json:"checksum_type"`
	Checksum     Int          `json:"checksum"` // unsigned 32 bit
	DataID       *string      `json:"data_id"`
	Completed    bool         `json:"completed"`
	UploadSize   Int          `json:"upload_size"`
	CreateUser   *string      `json:"create_user"`
	CreateTime   Int          `json:"create_time"` // ms
	UploadUser   *string      `json:"upload_user"`
	UploadTime   Int          `json:"upload_time"` // ms
	NeedMD5      bool         `json:"is_need_md5"`
	MD5          *string      `json:"md5"` // base64
}

// WorkspaceRecord is the part of a workspace that a client reads (part 1
// section 4.2); the server prints more.
type WorkspaceRecord struct {
	ID              Int            `json:"id"`
	Name            string         `json:"name"`
	Description     string         `json:"description"`
	CreateUser      string         `json:"create_user"`
	CreateTime      Int            `json:"create_time"` // ms
	UpdateUser      string         `json:"update_user"`
	UpdateTime      Int            `json:"update_time"` // ms
	EnableDirectory *bool          `json:"enable_directory"`
	MetaLocation    map[string]any `json:"meta_location"`
	DataLocation    []any          `json:"data_location"`
}

// ErrorRecord is the body of an error answer and the content of X-SCM-ERROR
// (part 1 section 3.1).
type ErrorRecord struct {
	Timestamp Int    `json:"timestamp"` // ms
	Status    Int    `json:"status"`
	Error     string `json:"error"`
	Exception string `json:"exception"`
	Message   string `json:"message"` // contains the live token: scrub before logging
	Path      string `json:"path"`
}

// SaltRecord is the answer of [PathSalt]; the field names are capitalised.
type SaltRecord struct {
	Salt string `json:"Salt"`
	Date string `json:"Date"`
}

// StringMap is an object of strings. Values of other types are left out: other
// clients may store any JSON, and one odd value must not hide a file.
type StringMap map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (m *StringMap) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*m = StringMap{}
	for k, v := range raw {
		var s string
		if json.Unmarshal(v, &s) == nil && string(v) != "null" {
			(*m)[k] = s
		}
	}
	return nil
}
