package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// FileID names a file for its life.
type FileID string

// DirID names a directory for its life.
type DirID string

// DataID names bytes that never change: every new content has a new one.
type DataID string

// RootDir is the root directory of every workspace.
const RootDir DirID = wire.RootDirID

// Version numbers a content of a file. The zero value means "the current one".
type Version struct{ Major, Minor int }

// IsZero reports whether v means the current version.
func (v Version) IsZero() bool { return v == Version{} }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Next is the version that a content update of v makes.
func (v Version) Next() Version { return Version{Major: v.Major + 1} }

// ParseVersion reads "2.0".
func ParseVersion(s string) (Version, error) {
	a, b, ok := strings.Cut(s, ".")
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil || major < 1 || minor < 0 {
		return Version{}, fmt.Errorf("version %q: want MAJOR.MINOR", s)
	}
	return Version{major, minor}, nil
}

// Content names bytes that never change. Data is their identity: a version
// number can come back with other bytes after versions were deleted.
type Content struct {
	File    FileID
	Version Version
	Data    DataID
	Size    int64
}

// File is one version of a file.
type File struct {
	ID                                     FileID
	Name                                   string
	Dir                                    DirID
	Version                                Version
	Size                                   int64
	Data                                   DataID
	User, UpdateUser                       string
	CreateTime, UpdateTime, DataCreateTime time.Time // see ModTime
	MimeType, Title, Author, ClassID       string
	MD5                                    string // base64, empty unless computed
	Tags                                   []string
	CustomTags, Metadata                   map[string]string // values that are no strings are left out
}

// Content names the bytes of this version.
func (f File) Content() Content {
	return Content{File: f.ID, Version: f.Version, Data: f.Data, Size: f.Size}
}

// ModTime is the best guess of when the file last changed: update_time falls
// back to create_time after a content update (part 2 section 2.4).
func (f File) ModTime() time.Time {
	if f.DataCreateTime.After(f.UpdateTime) {
		return f.DataCreateTime
	}
	return f.UpdateTime
}

// Directory is a directory record.
type Directory struct {
	ID                     DirID
	Name                   string
	Parent                 DirID
	User, UpdateUser       string
	CreateTime, UpdateTime time.Time
	TreeVersion            int64 // of the root only: counts renames, moves and removals in the workspace
}

// Workspace is a workspace record.
type Workspace struct {
	ID                     int
	Name, Description      string
	CreateUser             string
	CreateTime, UpdateTime time.Time
	Directories            bool // false: a flat workspace
}

// BreakpointFile is a resumable upload buffer (part 2 section 5): what the store
// held of it when it was asked, and a handle that uploads to it. The methods
// that upload bring the record up to date; they are not safe for concurrent use.
type BreakpointFile struct {
	s       *Store  // nil: a mere record
	pending *[]byte // of buffered uploads, not sent yet

	Name, Site             string // Site is the owner: only there can it be uploaded and converted
	ChecksumType           ChecksumType
	Checksum               uint32 // of bytes [0, Size)
	Data                   DataID // what a file made of it will have
	Completed              bool
	Size                   int64 // upload_size: the only valid next offset
	CreateUser, UploadUser string
	CreateTime, UploadTime time.Time
	NeedMD5                bool
	MD5                    string // base64
}

// NewFile describes a file to create. Only Name is required. All of it travels
// in one header, of which a gateway takes about 7 KiB in percent-encoding: more
// is [TooLarge].
type NewFile struct {
	ID                      FileID // of the caller's choice, see [NewFileID]; "" = the server's
	Name                    string // see [CheckFileName]
	Dir                     DirID  // "" = the root
	MimeType, Title, Author string
	Tags                    []string
	CustomTags              map[string]string // at most 10, keys to 128 and values to 256 characters
	Metadata                map[string]string // custom_metadata, free
	CreateTime              time.Time         // zero: now; milliseconds count
	Overwrite               bool              // a file of this name is removed in the same step, with all its versions
	NeedMD5                 bool              // let the server compute it
}

// BreakpointOptions describes a breakpoint file to create.
type BreakpointOptions struct {
	ChecksumType ChecksumType // "" = NONE, which leaves nothing to compare a resumed upload with
	NeedMD5      bool         // let the server compute it when the file is completed
	CreateTime   time.Time    // zero: now; it becomes the DataCreateTime of what is made of it
}

// Code is the store's own number of an error, negative, or the HTTP status of a
// framework's, positive.
type Code = wire.Code

// ChecksumType is how the server computes a breakpoint file's running checksum.
type ChecksumType = wire.ChecksumType

// The checksum types.
const (
	ChecksumNone    = wire.ChecksumNone
	ChecksumCRC32   = wire.ChecksumCRC32
	ChecksumAdler32 = wire.ChecksumAdler32
)

// ValidID tells whether s has the form of an id: 24 hex digits.
func ValidID(s string) bool { return wire.ValidID(s) }
