package repo

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// wsRecord is a workspace as stored.
type wsRecord struct {
	ID          int64           `json:"id"`
	Name        string          `json:"name"`
	Description string          `json:"desc,omitempty"`
	CreateUser  string          `json:"cu"`
	CreateTime  int64           `json:"c"`
	UpdateUser  string          `json:"uu"`
	UpdateTime  int64           `json:"ut"`
	Directories bool            `json:"dirs"`
	Meta        json.RawMessage `json:"meta,omitempty"` // location as configured
	Data        json.RawMessage `json:"data,omitempty"`
	Sharding    string          `json:"shard,omitempty"`
	TimeRegex   *string         `json:"regex,omitempty"`
	TimePattern *string         `json:"pattern,omitempty"`
	UniqueNames bool            `json:"uniq,omitempty"`
	Preferred   string          `json:"pref,omitempty"`
	Cache       string          `json:"cache,omitempty"`
	Version     int64           `json:"ver"`
}

// The one site of this store.
const siteID = int32(1)

// location prints where metadata or data is: as configured, or the default
// domain. Site name and type are only in what GET one answers.
func location(raw json.RawMessage, domain, site string, one bool) wire.Doc {
	out := wire.Doc{{Key: "site_id", Value: siteID}}
	conf, err := wire.ParseDoc(string(raw))
	if err != nil || len(conf) == 0 {
		conf = wire.Doc{{Key: "domain", Value: domain}}
	}
	for _, f := range conf {
		if f.Key != "site" && f.Key != "site_id" && f.Key != "location_type" {
			out = append(out, f)
		}
	}
	if one {
		out = append(out, wire.Field{Key: "site", Value: site}, wire.Field{Key: "location_type", Value: "sequoiadb"})
	}
	return out
}

// doc prints the record of part 1 section 4.2; one adds what only GET one has.
func (w *wsRecord) doc(site string, one bool) wire.Doc {
	out := wire.Doc{
		{Key: "id", Value: int32(w.ID)}, {Key: "name", Value: w.Name}, {Key: "description", Value: w.Description},
		{Key: "create_user", Value: w.CreateUser}, {Key: "create_time", Value: w.CreateTime},
		{Key: "update_user", Value: w.UpdateUser}, {Key: "update_time", Value: w.UpdateTime},
		{Key: "meta_location", Value: location(w.Meta, "domain1", site, one)},
		{Key: "data_location", Value: []any{location(w.Data, "domain2", site, one)}},
		{Key: "batch_sharding_type", Value: orElse(w.Sharding, "none")},
		{Key: "batch_id_time_regex", Value: strOrNil(w.TimeRegex)}, {Key: "batch_id_time_pattern", Value: strOrNil(w.TimePattern)},
		{Key: "batch_file_name_unique", Value: w.UniqueNames}, {Key: "enable_directory", Value: w.Directories},
		{Key: "site_cache_strategy", Value: orElse(w.Cache, "ALWAYS")},
		{Key: "tag_lib_table", Value: nil}, {Key: "tag_lib_meta_option", Value: nil},
		{Key: "tag_retrieval_status", Value: nil}, {Key: "version", Value: int32(w.Version)},
	}
	if w.Preferred != "" {
		out.Set("preferred", w.Preferred)
	}
	return out
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// checkWorkspaceName applies part 1 section 4.4.
func checkWorkspaceName(name string) error {
	if strings.ContainsAny(name, `/\%;|.:*?<>"`) {
		return Errorf(wire.CodeInvalidArgument, "invalid workspace name: %q", name)
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			return Errorf(wire.CodeInvalidArgument, "workspace name is not ASCII: %q", name)
		}
	}
	return checkName("workspace name", name)
}

// configure fills the record from the parameter workspace_conf.
func (w *wsRecord) configure(conf wire.Doc, site string) error {
	w.Description, _ = docString(conf, "description")
	w.Directories, _ = docBool(conf, "enable_directory") // off unless asked for, since 3.2.0
	w.Sharding, _ = docString(conf, "batch_sharding_type")
	w.TimeRegex, w.TimePattern = docStringPtr(conf, "batch_id_time_regex"), docStringPtr(conf, "batch_id_time_pattern")
	w.UniqueNames, _ = docBool(conf, "batch_file_name_unique")
	w.Preferred, _ = docString(conf, "preferred")
	w.Cache, _ = docString(conf, "site_cache_strategy")
	if err := w.checkChoices(); err != nil {
		return err
	}
	if v, _ := conf.Get("meta_location"); v != nil {
		if err := w.setLocation(&w.Meta, v, site); err != nil {
			return err
		}
	}
	v, _ := conf.Get("data_location")
	if all, ok := v.([]any); ok {
		for _, one := range all {
			if err := w.setLocation(&w.Data, one, site); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkChoices refuses words that are not in part 1 section 4.2, in whatever case.
func (w *wsRecord) checkChoices() error {
	w.Sharding, w.Cache = strings.ToLower(w.Sharding), strings.ToUpper(w.Cache)
	if !slices.Contains([]string{"", "none", "month", "year", "quarter", "day"}, w.Sharding) {
		return Errorf(wire.CodeInvalidArgument, "unknown batch_sharding_type: %q", w.Sharding)
	}
	if !slices.Contains([]string{"", "ALWAYS", "NEVER", "AUTO"}, w.Cache) {
		return Errorf(wire.CodeInvalidArgument, "unknown site_cache_strategy: %q", w.Cache)
	}
	return nil
}

// setLocation stores one location; it must be on our site.
func (w *wsRecord) setLocation(to *json.RawMessage, v any, site string) error {
	d, ok := v.(wire.Doc)
	if !ok {
		return Errorf(wire.CodeInvalidArgument, "a location is not an object")
	}
	if name, ok := docString(d, "site"); ok && !strings.EqualFold(name, site) {
		return Errorf(wire.CodeSiteNotExist, "site does not exist: %s", name)
	}
	*to = wire.AppendJSON(nil, d)
	return nil
}
