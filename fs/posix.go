package fs

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sequoiacm/scmfs/internal/scan"
)

// posixKey is the one custom_metadata key that holds what SCM has no field for:
// type, mode, owner, modification time, symlink target and device number.
const posixKey = "posix"

// maxSymlink is PATH_MAX: symlink(2) refuses longer targets.
const maxSymlink = 4096

// posix is what a file has beyond its SCM record. A nil pointer is an attribute
// that was never set: the mount's default applies.
type posix struct {
	Type uint32 // S_IFMT bits; 0 is a regular file
	Perm *uint32
	UID  *uint32
	GID  *uint32

	// MTime counts only for the version Major: SCM copies custom_metadata to the
	// next version, and another client's new content must not keep an old time.
	MTime time.Time
	Major int

	Link string // target of a symbolic link
	Rdev uint32
}

// posixJSON is the stored form. It is text that a human can read, and every
// field may be missing.
type posixJSON struct {
	Type  string `json:"type,omitempty"`
	Mode  string `json:"mode,omitempty"` // octal
	UID   *int64 `json:"uid,omitempty"`
	GID   *int64 `json:"gid,omitempty"`
	MTime string `json:"mtime,omitempty"` // seconds.nanoseconds
	Major int    `json:"major,omitempty"` // version the mtime belongs to
	Link  string `json:"link,omitempty"`
	Rdev  uint32 `json:"rdev,omitempty"`
}

var posixTypes = []struct {
	bits uint32
	name string
}{
	{syscall.S_IFLNK, "symlink"},
	{syscall.S_IFIFO, "fifo"},
	{syscall.S_IFSOCK, "socket"},
	{syscall.S_IFCHR, "char"},
	{syscall.S_IFBLK, "block"},
}

// decodePosix reads the attributes out of custom_metadata. It is lenient: what
// does not parse counts as not set, because another program may have written it.
func decodePosix(metadata map[string]string) posix {
	text, ok := metadata[posixKey]
	if !ok {
		return posix{}
	}
	j, uid, gid, ok := scanPosix(text)
	if !ok {
		if j, uid, gid, ok = parsePosix(text); !ok {
			return posix{}
		}
	}
	p := posix{UID: id32(uid), GID: id32(gid), Rdev: j.Rdev}
	for _, t := range posixTypes {
		if t.name == j.Type {
			p.Type = t.bits
		}
	}
	if p.Type == syscall.S_IFLNK {
		if j.Link == "" || len(j.Link) > maxSymlink {
			p.Type = 0 // a link without a target is shown as the plain file it is
		} else {
			p.Link = j.Link
		}
	}
	if v, err := strconv.ParseUint(j.Mode, 8, 32); err == nil {
		perm := uint32(v) & 0o7777
		p.Perm = &perm
	}
	if t, ok := parseTime(j.MTime); ok && j.Major > 0 {
		p.MTime, p.Major = t, j.Major
	}
	return p
}

// scanPosix reads what encode writes. Each row of a listing has it, so that
// parsePosix alone took a tenth of the time of listing a directory.
func scanPosix(text string) (j posixJSON, uid, gid int64, ok bool) {
	uid, gid = -1, -1
	s := scan.New([]byte(text))
	s.Object(func(key []byte) {
		switch string(key) {
		case "type":
			j.Type = string(s.Text())
		case "mode":
			j.Mode = string(s.Text())
		case "uid":
			uid = s.Int()
		case "gid":
			gid = s.Int()
		case "mtime":
			j.MTime = string(s.Text())
		case "major":
			j.Major = int(s.Int())
		case "link":
			j.Link = string(s.Text())
		case "rdev":
			v := s.Int()
			if j.Rdev = uint32(v); int64(j.Rdev) != v {
				s.Fail()
			}
		default:
			s.Fail()
		}
	})
	return j, uid, gid, s.End()
}

// parsePosix reads what others may have written: each field by itself.
func parsePosix(text string) (j posixJSON, uid, gid int64, ok bool) {
	uid, gid = -1, -1
	var raw map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &raw) != nil {
		return j, uid, gid, false
	}
	for name, into := range map[string]any{
		"type": &j.Type, "mode": &j.Mode, "uid": &uid, "gid": &gid,
		"mtime": &j.MTime, "major": &j.Major, "link": &j.Link, "rdev": &j.Rdev,
	} {
		if v, ok := raw[name]; ok {
			_ = json.Unmarshal(v, into) // a field of the wrong type stays unset
		}
	}
	return j, uid, gid, true
}

func id32(v int64) *uint32 {
	if v < 0 || v > 0xfffffffe {
		return nil
	}
	id := uint32(v)
	return &id
}

// encode returns the text for [posixKey]; "" when nothing is set.
func (p posix) encode() string {
	j := posixJSON{Rdev: p.Rdev, Link: p.Link}
	for _, t := range posixTypes {
		if t.bits == p.Type {
			j.Type = t.name
		}
	}
	if p.Perm != nil {
		j.Mode = fmt.Sprintf("%04o", *p.Perm)
	}
	if p.UID != nil {
		v := int64(*p.UID)
		j.UID = &v
	}
	if p.GID != nil {
		v := int64(*p.GID)
		j.GID = &v
	}
	if !p.MTime.IsZero() && p.Major > 0 {
		j.MTime, j.Major = formatTime(p.MTime), p.Major
	}
	b, err := json.Marshal(j)
	if err != nil || string(b) == "{}" {
		return ""
	}
	return string(b)
}

// into returns a copy of metadata with p in it; the other keys stay.
func (p posix) into(metadata map[string]string) map[string]string {
	out := make(map[string]string, len(metadata)+1)
	maps.Copy(out, metadata)
	if text := p.encode(); text != "" {
		out[posixKey] = text
	} else {
		delete(out, posixKey)
	}
	return out
}

// formatTime and parseTime keep nanoseconds, and times before 1970: the fraction
// is always counted upwards, as in a struct timespec.
func formatTime(t time.Time) string {
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

func parseTime(s string) (time.Time, bool) {
	sec, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	if len(frac) > 9 {
		frac = frac[:9]
	}
	var ns uint64
	if frac != "" {
		ns, err = strconv.ParseUint(frac+strings.Repeat("0", 9-len(frac)), 10, 32)
		if err != nil {
			return time.Time{}, false
		}
	}
	return time.Unix(n, int64(ns)), true
}
