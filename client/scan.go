package client

import (
	"time"

	"github.com/sequoiacm/scmfs/internal/scan"
	"github.com/sequoiacm/scmfs/internal/wire"
)

// scanRow reads a row of a list of files, at the start of b, as [fileSelector] asks
// for it, in a tenth of the time that encoding/json takes. n is its length, 0 when
// there is anything in it, right or wrong, that encoding/json has to look at.
//
// The strings that it has in common with the row before are shared.
func scanRow(b []byte, last *File) (f File, n int) {
	s := scan.New(b)
	f = newScanned()
	s.Object(func(key []byte) { scanFile(s, string(key), &f, last) })
	if n = s.Read(); n == 0 || !scannedWell(&f) {
		return File{}, 0
	}
	return f, n
}

// scanRecord reads the record of one file, with all that servers print of it.
func scanRecord(b []byte) (File, bool) {
	f, n := scanRow(b, &File{})
	return f, n > 0 && n == len(b)
}

// scanAnswer reads the answer of what makes a file: its record as member "file".
func scanAnswer(b []byte) (File, bool) {
	s := scan.New(b)
	f, none := newScanned(), File{}
	s.Object(func(key []byte) {
		if string(key) != "file" {
			s.Fail()
			return
		}
		s.Object(func(key []byte) { scanFile(s, string(key), &f, &none) })
	})
	return f, s.End() && scannedWell(&f)
}

// newScanned is what encoding/json makes of no fields.
func newScanned() File {
	return File{CreateTime: millis(0), UpdateTime: millis(0), DataCreateTime: millis(0)}
}

func scannedWell(f *File) bool { return wire.ValidID(string(f.ID)) && f.Size >= 0 }

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
	optional := func(into *string) {
		if *into = ""; !null {
			*into = string(s.Text())
		}
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
		f.Metadata = scanMap(s, null)
	case "custom_tag":
		f.CustomTags = scanMap(s, null)
	case "title":
		optional(&f.Title)
	case "author":
		optional(&f.Author)
	case "class_id":
		optional(&f.ClassID)
	case "md5":
		optional(&f.MD5)
	case "etag":
		optional(new(string))
	case "batch_id", "create_month":
		text(new(string), "")
	case "type", "data_type", "status":
		number()
	case "delete_marker":
		if !null {
			s.Bool()
		}
	case "bucket_id", "external_data", "version_serial", "transaction_id", "access_history":
		if !null {
			s.Skip()
		}
	case "tags": // what is in them is rare
		f.Tags = nil
		if !null {
			f.Tags = []string{}
			s.Array(s.Fail)
		}
	case "class_properties":
		if !null {
			s.Object(func([]byte) { s.Fail() })
		}
	case "site_list":
		if !null {
			s.Array(func() { scanSite(s) })
		}
	default:
		s.Fail()
	}
}

func scanMap(s *scan.Scan, null bool) map[string]string {
	m := map[string]string{}
	if null {
		return m
	}
	s.Object(func(key []byte) {
		if k := string(key); s.Null() {
			delete(m, k)
		} else {
			m[k] = string(s.Text())
		}
	})
	return m
}

// scanSite reads where a content is, which nothing here needs to know.
func scanSite(s *scan.Scan) {
	if s.Null() {
		return
	}
	s.Object(func(key []byte) {
		switch string(key) {
		case "site_id", "last_access_time", "create_time":
			if !s.Null() {
				s.Int()
			}
		case "ws_version":
			s.Skip()
		default:
			s.Fail()
		}
	})
}
