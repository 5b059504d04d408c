package repo

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"sort"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// UpdateFile changes exactly one property (part 2 section 3.7) and returns the
// addressed version's record.
func (r *Repo) UpdateFile(c Caller, ws, id string, v Version, info wire.Doc) (wire.Doc, error) {
	var out wire.Doc
	err := r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		f, err := r.findFile(c, w, FileRef{ID: id}, v, Update)
		if err != nil {
			return err
		}
		if err := oneProperty(info); err != nil {
			return err
		}
		now := r.nowMillis()
		switch key := info[0].Key; key {
		case "name", "directory_id", "parent_directory_path":
			err = w.placeFile(f, info[0], c.User, now)
		default:
			for _, p := range info {
				if err := f.setProperty(p); err != nil {
					return err
				}
			}
			f.UpdateUser, f.UpdateTime = c.User, now
			err = w.putVersion(f)
		}
		if err != nil {
			return err
		}
		f, err = w.version(id, v)
		if err == nil {
			out = f.doc()
		}
		return err
	})
	return out, err
}

func oneProperty(info wire.Doc) error {
	if len(info) == 1 || len(info) == 2 && info.Has("class_id") && info.Has("class_properties") {
		return nil
	}
	return Errorf(wire.CodeInvalidArgument, "exactly one property can be changed at a time, got %d", len(info))
}

func nonEmpty(p wire.Field) (string, error) {
	s, ok := p.Value.(string)
	if !ok || s == "" {
		return "", Errorf(wire.CodeAttributeFormatError, "%s must be a non-empty string", p.Key)
	}
	return s, nil
}

// placeFile renames or moves a file; all its versions change.
func (w *wsTx) placeFile(f *fileRecord, p wire.Field, user string, now int64) error {
	to, err := nonEmpty(p)
	if err != nil {
		return err
	}
	dir, name := f.Dir, f.Name
	switch p.Key {
	case "name":
		if err := checkFileName(w, to); err != nil {
			return err
		}
		name = to
	default:
		if err := w.needDirs(); err != nil {
			return err
		}
		ref := DirRef{ID: to}
		if p.Key == "parent_directory_path" {
			ref = DirRef{Path: to}
		}
		d, err := w.resolve(ref)
		if err != nil {
			return err
		}
		dir = d.ID
		if _, taken := w.dirByName(dir, name); taken {
			return Errorf(wire.CodeDirExist, "a directory has this name: parent=%s name=%s", dir, name)
		}
	}
	if dir != f.Dir || name != f.Name {
		if _, taken := w.fileByName(dir, name); taken {
			return Errorf(wire.CodeFileExist, "file exists: directory=%s name=%s", dir, name)
		}
		if err := w.names.Delete(w.fileNameKey(f.Dir, f.Name, f.ID)); err != nil {
			return err
		}
		if err := w.names.Put(w.fileNameKey(dir, name, f.ID), []byte(f.ID)); err != nil {
			return err
		}
	}
	var all []*fileRecord
	if err := w.versions(f.ID, func(v *fileRecord) error { all = append(all, v); return nil }); err != nil {
		return err
	}
	for _, v := range all {
		v.Dir, v.Name, v.UpdateUser, v.UpdateTime = dir, name, user, now
		if err := w.putVersion(v); err != nil {
			return err
		}
	}
	return nil
}

// setProperty changes one property of one version in memory.
func (f *fileRecord) setProperty(p wire.Field) error {
	single := wire.Doc{p}
	switch p.Key {
	case "author", "title", "mime_type", "class_id":
		s, err := nonEmpty(p)
		if err != nil {
			return err
		}
		switch p.Key {
		case "author":
			f.Author = &s
		case "title":
			f.Title = &s
		case "mime_type":
			f.Mime = s
		case "class_id":
			f.ClassID = &s
		}
		return nil
	case "custom_metadata", "class_properties":
		obj, ok := p.Value.(wire.Doc)
		if !ok {
			return Errorf(wire.CodeAttributeFormatError, "%s must be an object", p.Key)
		}
		raw := json.RawMessage(wire.AppendJSON(nil, obj))
		if p.Key == "custom_metadata" {
			f.Meta = raw
		} else {
			f.ClassProps = raw
		}
		return nil
	case "tags":
		tags, err := tagList(single, "tags")
		f.Tags = tags
		return err
	case "add_tag":
		s, err := nonEmpty(p)
		if err == nil && !containsString(f.Tags, s) {
			f.Tags = append(f.Tags, s)
		}
		return err
	case "remove_tag":
		s, err := nonEmpty(p)
		if err == nil {
			f.Tags = withoutString(f.Tags, s)
		}
		return err
	case "custom_tag":
		tags, err := customTags(single, "custom_tag")
		if err == nil {
			f.CustomTag = tags
		}
		return err
	case "add_custom_tag", "remove_custom_tag":
		return f.editCustomTag(p)
	}
	if k, ok := strings.CutPrefix(p.Key, "class_properties."); ok && k != "" {
		props, _ := rawDoc(f.ClassProps, wire.Doc{}).(wire.Doc)
		props.Set(k, p.Value)
		f.ClassProps = wire.AppendJSON(nil, props)
		return nil
	}
	return Errorf(wire.CodeOperationUnsupported, "property cannot be changed: %s", p.Key)
}

func (f *fileRecord) editCustomTag(p wire.Field) error {
	entry, ok := p.Value.(wire.Doc)
	if !ok || len(entry) != 1 {
		return Errorf(wire.CodeAttributeFormatError, "%s must be an object with one entry", p.Key)
	}
	next := map[string]string{}
	for k, v := range f.CustomTag {
		next[k] = v
	}
	if p.Key == "remove_custom_tag" {
		delete(next, entry[0].Key)
	} else if s, ok := entry[0].Value.(string); ok {
		next[entry[0].Key] = s
	}
	if err := checkCustomTags(next); err != nil {
		return err
	}
	f.CustomTag = next
	return nil
}

// expect checks the version a content update is made against; it is not checked
// again when the update is committed (part 2 section 3.9).
func (r *Repo) expect(c Caller, ws, id string, v Version) error {
	return r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		f, err := r.findFile(c, w, FileRef{ID: id}, Version{}, Update)
		if err != nil {
			return err
		}
		if !v.unset() && (v.Major != f.Major || v.Minor != f.Minor) {
			return Errorf(wire.CodeFileVersionMismatching, "current version is %d.%d, expected %d.%d", f.Major, f.Minor, v.Major, v.Minor)
		}
		return nil
	})
}

// UpdateContent makes a new version from a stream.
func (r *Repo) UpdateContent(c Caller, ws, id string, v Version, needMD5 bool, body io.Reader) (wire.Doc, error) {
	if err := r.expect(c, ws, id, v); err != nil {
		return nil, err
	}
	data, err := r.takeBody(r.ids.next(), body, needMD5)
	if err != nil {
		return nil, err
	}
	var out wire.Doc
	err = r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		next, err := w.current(id)
		if err != nil {
			return err
		}
		next.DataID, next.Size, next.DataTime, next.MD5 = data.id, data.size, r.nowMillis(), nil
		if data.md5 != nil {
			next.MD5, _ = md5Strings(data.md5)
		}
		if err := data.commit(tx); err != nil {
			return err
		}
		out, err = r.addVersion(w, next, c)
		return err
	})
	if err != nil {
		r.drop(data)
	}
	return out, err
}

// addVersion commits next, a copy of the current version with new content.
func (r *Repo) addVersion(w *wsTx, next *fileRecord, c Caller) (wire.Doc, error) {
	next.Major++
	next.ETag = nil
	next.UpdateUser, next.UpdateTime = c.User, next.CreateTime
	if r.o.UpdateTimeNow {
		next.UpdateTime = r.nowMillis()
	}
	if err := w.addCount(countVersions, 1); err != nil {
		return nil, err
	}
	return next.doc(), w.putVersion(next)
}

// UpdateContentFromBreakpoint makes a new version that takes over a completed
// breakpoint file's content.
func (r *Repo) UpdateContentFromBreakpoint(c Caller, ws, id string, v Version, needMD5 bool, bp string, unlock func()) (wire.Doc, error) {
	defer unlock()
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err == nil {
			_, err = w.completedBreakpoint(bp, false)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := r.expect(c, ws, id, v); err != nil {
		return nil, err
	}
	var out wire.Doc
	err = r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		b, err := w.completedBreakpoint(bp, needMD5)
		if err != nil {
			return err
		}
		next, err := w.current(id)
		if err != nil {
			return err
		}
		next.DataID, next.Size, next.DataTime, next.MD5 = b.DataID, b.Size, b.CreateTime, b.MD5
		if err := w.consume(tx, b); err != nil {
			return err
		}
		out, err = r.addVersion(w, next, c)
		return err
	})
	return out, err
}

// CalcMD5 computes and stores a version's md5 (part 2 section 3.10).
func (r *Repo) CalcMD5(c Caller, ws, id string, v Version) (string, error) {
	var f *fileRecord
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err == nil {
			f, err = r.findFile(c, w, FileRef{ID: id}, v, Update)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	h, err := r.md5Of(f.DataID, f.Size)
	if err != nil {
		return "", err
	}
	sum, etag := md5Strings(h)
	return *sum, r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, ws)
		if err != nil {
			return err
		}
		now, err := w.version(id, Version{f.Major, f.Minor})
		if err != nil {
			return err
		}
		if now.MD5 = sum; now.ETag == nil {
			now.ETag = etag
		}
		return w.putVersion(now)
	})
}

// etagOf returns the hex form of a base64 md5.
func etagOf(md5 *string) *string {
	if md5 == nil {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(*md5)
	if err != nil {
		return nil
	}
	s := hex.EncodeToString(raw)
	return &s
}

func docStringPtr(d wire.Doc, key string) *string {
	if s, ok := docString(d, key); ok {
		return &s
	}
	return nil
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case float64:
		return int64(v), v == float64(int64(v))
	}
	return 0, false
}

// tagList reads an array of strings as a set; empty strings are dropped.
func tagList(d wire.Doc, key string) ([]string, error) {
	v, ok := d.Get(key)
	if !ok || v == nil {
		return nil, nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, Errorf(wire.CodeAttributeFormatError, "%s is not an array", key)
	}
	var out []string
	for _, it := range items {
		s, ok := it.(string)
		if !ok {
			return nil, Errorf(wire.CodeAttributeFormatError, "%s holds something that is not a string", key)
		}
		if s != "" && !containsString(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

func customTags(d wire.Doc, key string) (map[string]string, error) {
	v, ok := d.Get(key)
	if !ok || v == nil {
		return nil, nil
	}
	obj, ok := v.(wire.Doc)
	if !ok {
		return nil, Errorf(wire.CodeAttributeFormatError, "%s is not an object", key)
	}
	out := map[string]string{}
	for _, f := range obj {
		if s, ok := f.Value.(string); ok {
			out[f.Key] = s
		} else if f.Value != nil {
			return nil, Errorf(wire.CodeFileInvalidCustomtag, "custom tag %q is not a string", f.Key)
		}
	}
	return out, checkCustomTags(out)
}

// checkCustomTags applies the limits of part 2 section 2.6.
func checkCustomTags(tags map[string]string) error {
	if len(tags) > 10 {
		return Errorf(wire.CodeFileCustomtagTooLarge, "%d custom tags, at most 10", len(tags))
	}
	for k, v := range tags {
		if n := len([]rune(k)); n == 0 || n > 128 || len([]rune(v)) > 256 {
			return Errorf(wire.CodeFileInvalidCustomtag, "custom tag %q has a bad length", k)
		}
	}
	return nil
}

func sortedDoc(m map[string]string) wire.Doc {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	out := wire.Doc{}
	for _, k := range keys {
		out = append(out, wire.Field{Key: k, Value: m[k]})
	}
	return out
}

func containsString(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

func withoutString(all []string, s string) []string {
	var out []string
	for _, a := range all {
		if a != s {
			out = append(out, a)
		}
	}
	return out
}
