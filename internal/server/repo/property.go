package repo

import (
	"strings"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// UpdateFile changes exactly one property (part 2 sections 3.7 and 3.8) and
// returns the addressed version's record. A name or directory changes in all
// versions, anything else in the addressed one.
func (r *Repo) UpdateFile(c Caller, ws, id string, v Version, info wire.Doc) (wire.Doc, error) {
	var out wire.Doc
	err := r.changeWorkspace(ws, func(w *wsTx) error {
		if !wire.ValidID(id) {
			return Errorf(wire.CodeInvalidID, "invalid id: %q", id)
		}
		f, err := r.findFile(c, w, FileRef{ID: id}, v, Update)
		if err != nil {
			return err
		}
		if err := oneProperty(info); err != nil {
			return err
		}
		f.UpdateUser, f.UpdateTime = c.User, r.nowMillis()
		switch info[0].Key {
		case "name", "directory_id", "parent_directory_path":
			err = w.placeFile(f, info[0])
		default:
			if info[0].Key == "class_properties" && len(info) > 1 {
				info = wire.Doc{info[1], info[0]} // the class decides about its properties
			}
			for _, p := range info {
				if err := f.setProperty(p); err != nil {
					return err
				}
			}
			err = w.putVersion(f)
		}
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

// placeFile renames or moves a file in all its versions; f gets the new place.
func (w *wsTx) placeFile(f *fileRecord, p wire.Field) error {
	to, err := nonEmpty(p)
	if err != nil {
		return err
	}
	dir, name := f.Dir, f.Name
	if p.Key == "name" {
		if err := checkFileName(w, to); err != nil {
			return err
		}
		name = to
	} else if dir, err = w.moveTarget(f, p.Key, to); err != nil {
		return err
	}
	if id, taken := w.fileByName(dir, name); taken && !(id == f.ID && p.Key == "name") {
		// A move to where the file is already conflicts with itself: of two
		// movers to one place the later one gets this answer.
		return Errorf(wire.CodeFileExist, "file exists: directory=%s name=%s", dir, name)
	}
	if err := w.names.Delete(w.fileNameKey(f.Dir, f.Name, f.ID)); err != nil {
		return err
	}
	if err := w.names.Put(w.fileNameKey(dir, name, f.ID), []byte(f.ID)); err != nil {
		return err
	}
	f.Dir, f.Name = dir, name
	var all []*fileRecord
	if err := w.versions(f.ID, func(v *fileRecord) error { all = append(all, v); return nil }); err != nil {
		return err
	}
	for _, v := range all {
		v.Dir, v.Name, v.UpdateUser, v.UpdateTime = dir, name, f.UpdateUser, f.UpdateTime
		if err := w.putVersion(v); err != nil {
			return err
		}
	}
	return nil
}

// moveTarget returns the id of the directory a file is to move to. A directory
// of the file's name there is -240, before a file of that name is looked for.
func (w *wsTx) moveTarget(f *fileRecord, key, to string) (string, error) {
	if err := w.needDirs(); err != nil {
		return "", err
	}
	ref := DirRef{ID: to}
	if key == "parent_directory_path" {
		ref = DirRef{Path: to}
	}
	d, err := w.resolve(ref)
	if err != nil {
		return "", err
	}
	if _, taken := w.dirByName(d.ID, f.Name); taken {
		return "", Errorf(wire.CodeDirExist, "a directory has this name: parent=%s name=%s", d.ID, f.Name)
	}
	return d.ID, nil
}

// setProperty changes one property of one version in memory.
func (f *fileRecord) setProperty(p wire.Field) error {
	single := wire.Doc{p}
	switch p.Key {
	case "author", "title", "mime_type", "class_id":
		return f.setText(p)
	case "custom_metadata", "class_properties":
		obj, ok := p.Value.(wire.Doc)
		if !ok {
			return Errorf(wire.CodeAttributeFormatError, "%s must be an object", p.Key)
		}
		to := &f.Meta
		if p.Key == "class_properties" {
			if to = &f.ClassProps; len(obj) > 0 && f.ClassID == nil {
				return Errorf(wire.CodeFileClassUndefined, "the file has no class")
			}
		}
		*to = string(wire.AppendJSON(nil, obj))
		return nil
	case "tags":
		tags, err := tagList(single, "tags")
		f.Tags = tags
		return err
	case "add_tag", "remove_tag":
		return f.editTag(p)
	case "custom_tag":
		tags, err := customTags(single, "custom_tag")
		f.CustomTag = tags
		return err
	case "add_custom_tag", "remove_custom_tag":
		return f.editCustomTag(p)
	}
	if k, ok := strings.CutPrefix(p.Key, "class_properties."); ok && k != "" {
		if f.ClassID == nil {
			return Errorf(wire.CodeFileClassUndefined, "the file has no class")
		}
		props, _ := objectOr(f.ClassProps, wire.Doc{}).(wire.Doc)
		props.Set(k, p.Value)
		f.ClassProps = string(wire.AppendJSON(nil, props))
		return nil
	}
	return Errorf(wire.CodeOperationUnsupported, "property cannot be changed: %s", p.Key)
}

func (f *fileRecord) setText(p wire.Field) error {
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
}
