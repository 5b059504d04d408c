package repo

import (
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Limits of custom_tag, part 2 section 2.6; lengths in characters.
const (
	maxCustomTags     = 10
	maxCustomTagKey   = 128
	maxCustomTagValue = 256
)

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
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// editTag adds or removes one tag; adding one that is there, or removing one
// that is not, is no error.
func (f *fileRecord) editTag(p wire.Field) error {
	s, err := nonEmpty(p)
	if err != nil {
		return err
	}
	f.Tags = slices.DeleteFunc(f.Tags, func(t string) bool { return t == s })
	if p.Key == "add_tag" {
		f.Tags = append(f.Tags, s)
	}
	return nil
}

// customTags reads a map of strings; null values are dropped.
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

func checkCustomTags(tags map[string]string) error {
	if len(tags) > maxCustomTags {
		return Errorf(wire.CodeFileCustomtagTooLarge, "%d custom tags, at most %d", len(tags), maxCustomTags)
	}
	for k, v := range tags {
		if n := utf8.RuneCountInString(k); n == 0 || n > maxCustomTagKey || utf8.RuneCountInString(v) > maxCustomTagValue {
			return Errorf(wire.CodeFileInvalidCustomtag, "custom tag %.40q has a bad length", k)
		}
	}
	return nil
}

func (f *fileRecord) editCustomTag(p wire.Field) error {
	entry, ok := p.Value.(wire.Doc)
	if !ok || len(entry) != 1 {
		return Errorf(wire.CodeAttributeFormatError, "%s must be an object with one entry", p.Key)
	}
	next := maps.Clone(f.CustomTag)
	if next == nil {
		next = map[string]string{}
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
