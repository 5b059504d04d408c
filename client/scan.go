package client

import (
	"time"

	"github.com/sequoiacm/scmfs/internal/scan"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// scanFiles reads a list of files as [fileSelector] asks for it, in a tenth of
// the time that encoding/json takes. ok is false when there is anything in it,
// right or wrong, that decodeRows has to look at; more than maxRows are.
//
// The strings that rows have in common with the row before are shared.
func scanFiles(b []byte) (files []File, ok bool) {
	s := scan.New(b)
	files = make([]File, 0, min(len(b)/512, maxRows))
	var last File
	s.Array(func() {
		f := File{CreateTime: millis(0), UpdateTime: millis(0), DataCreateTime: millis(0)}
		s.Object(func(key []byte) { scanFile(s, string(key), &f, &last) })
		if !wire.ValidID(string(f.ID)) || f.Size < 0 || len(files) == maxRows {
			s.Fail()
			return
		}
		files = append(files, f)
		last = f
	})
	if !s.End() {
		return nil, false
	}
	if len(files) == 0 {
		return nil, true
	}
	return files, true
}

// scanFile reads the value of one field.
func scanFile(s *scan.Scan, key string, f, last *File) {
	null := s.Null()
	text := func(into *string, common string) {
		if null {
			return
		}
		if b := s.Text(); string(b) == common {
			*into = common
		} else {
			*into = string(b)
		}
	}
	number := func() int64 {
		if null {
			return 0
		}
		return s.Int()
	}
	at := func(into *time.Time) { *into = time.UnixMilli(number()) }
	switch key {
	case "id":
		text((*string)(&f.ID), "")
	case "name":
		text(&f.Name, "")
	case "directory_id":
		text((*string)(&f.Dir), string(last.Dir))
	case "major_version":
		f.Version.Major = int(number())
	case "minor_version":
		f.Version.Minor = int(number())
	case "user":
		text(&f.User, last.User)
	case "update_user":
		text(&f.UpdateUser, last.UpdateUser)
	case "create_time":
		at(&f.CreateTime)
	case "update_time":
		at(&f.UpdateTime)
	case "data_create_time":
		at(&f.DataCreateTime)
	case "size":
		f.Size = number()
	case "data_id":
		text((*string)(&f.Data), "")
	case "mime_type":
		text(&f.MimeType, last.MimeType)
	case "custom_metadata":
		f.Metadata = map[string]string{}
		if null {
			break
		}
		s.Object(func(key []byte) {
			if k := string(key); s.Null() {
				delete(f.Metadata, k)
			} else {
				f.Metadata[k] = string(s.Text())
			}
		})
	default:
		s.Fail()
	}
}
