package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/sequoiacm/scmfs/internal/wire"
)

func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func millis(n wire.Int) time.Time { return time.UnixMilli(int64(n)) }

// checkID refuses ids that could change the meaning of a URL.
func checkID(what, id string) error {
	if !wire.ValidID(id) {
		return fmt.Errorf("%s %.40q is not 24 hex digits", what, id)
	}
	return nil
}

func fileOf(r *wire.FileRecord) (File, error) {
	if err := checkID("file id", r.ID); err != nil {
		return File{}, err
	}
	if r.Size < 0 {
		return File{}, fmt.Errorf("file %s has size %d", r.ID, r.Size)
	}
	return File{ID: FileID(r.ID), Name: r.Name, Dir: DirID(r.DirectoryID),
		Version: Version{int(r.MajorVersion), int(r.MinorVersion)}, Size: int64(r.Size), Data: DataID(r.DataID),
		User: r.User, UpdateUser: r.UpdateUser, CreateTime: millis(r.CreateTime), UpdateTime: millis(r.UpdateTime),
		DataCreateTime: millis(r.DataCreateTime), MimeType: r.MimeType, Title: text(r.Title), Author: text(r.Author),
		ClassID: text(r.ClassID), MD5: text(r.MD5), Tags: r.Tags, CustomTags: r.CustomTag, Metadata: r.CustomMetadata}, nil
}

func directoryOf(r *wire.DirectoryRecord) (Directory, error) {
	if err := checkID("directory id", r.ID); err != nil {
		return Directory{}, err
	}
	d := Directory{ID: DirID(r.ID), Name: r.Name, Parent: DirID(r.ParentID), User: r.User, UpdateUser: r.UpdateUser,
		CreateTime: millis(r.CreateTime), UpdateTime: millis(r.UpdateTime)}
	if r.Version != nil {
		d.TreeVersion = int64(*r.Version)
	}
	return d, nil
}

func (s *Store) breakpointOf(r *wire.BreakpointRecord) (BreakpointFile, error) {
	if r.FileName == "" {
		return BreakpointFile{}, errors.New("a breakpoint file without a name")
	}
	if r.UploadSize < 0 || r.Checksum < 0 || r.Checksum > 0xffffffff {
		return BreakpointFile{}, fmt.Errorf("breakpoint file %q has size %d, checksum %d", r.FileName, r.UploadSize, r.Checksum)
	}
	return BreakpointFile{s: s, Name: r.FileName, Site: r.SiteName, ChecksumType: r.ChecksumType, Checksum: uint32(r.Checksum),
		Data: DataID(text(r.DataID)), Completed: r.Completed, Size: int64(r.UploadSize), CreateUser: text(r.CreateUser),
		UploadUser: text(r.UploadUser), CreateTime: millis(r.CreateTime), UploadTime: millis(r.UploadTime),
		NeedMD5: r.NeedMD5, MD5: text(r.MD5)}, nil
}

func workspaceOf(r *wire.WorkspaceRecord) (Workspace, error) {
	if r.Name == "" {
		return Workspace{}, errors.New("a workspace without a name")
	}
	return Workspace{ID: int(r.ID), Name: r.Name, Description: r.Description, CreateUser: r.CreateUser,
		CreateTime: millis(r.CreateTime), UpdateTime: millis(r.UpdateTime),
		Directories: r.EnableDirectory == nil || *r.EnableDirectory}, nil
}

// headerJSON returns what is in a response header as E(JSON).
func headerJSON(value string) ([]byte, error) {
	if value == "" {
		return nil, errors.New("the answer lacks its header")
	}
	s, err := wire.Unescape(value)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return []byte(s), nil
}
