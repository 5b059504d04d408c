package repo

import (
	"encoding/binary"
	"encoding/json"
	"iter"
	"strings"

	bolt "go.etcd.io/bbolt"

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
	Sharding    string          `json:"shard,omitempty"`
	TimeRegex   *string         `json:"regex,omitempty"`
	TimePattern *string         `json:"pattern,omitempty"`
	UniqueNames bool            `json:"uniq,omitempty"`
	Preferred   string          `json:"pref,omitempty"`
	Cache       string          `json:"cache,omitempty"`
	External    json.RawMessage `json:"ext,omitempty"`
	Version     int64           `json:"ver"`
}

// doc prints the record of part 1 section 4.2; one adds what only GET one has.
func (w *wsRecord) doc(site string, one bool) wire.Doc {
	loc := func(domain string) wire.Doc {
		d := wire.Doc{{Key: "site_id", Value: int32(1)}, {Key: "domain", Value: domain}}
		if one {
			d.Set("site", site)
			d.Set("location_type", "sequoiadb")
		}
		return d
	}
	out := wire.Doc{
		{Key: "id", Value: int32(w.ID)}, {Key: "name", Value: w.Name}, {Key: "description", Value: w.Description},
		{Key: "create_user", Value: w.CreateUser}, {Key: "create_time", Value: w.CreateTime},
		{Key: "update_user", Value: w.UpdateUser}, {Key: "update_time", Value: w.UpdateTime},
		{Key: "meta_location", Value: loc("domain1")}, {Key: "data_location", Value: []any{loc("domain2")}},
		{Key: "batch_sharding_type", Value: orElse(w.Sharding, "none")},
		{Key: "batch_id_time_regex", Value: strOrNil(w.TimeRegex)}, {Key: "batch_id_time_pattern", Value: strOrNil(w.TimePattern)},
		{Key: "batch_file_name_unique", Value: w.UniqueNames}, {Key: "enable_directory", Value: w.Directories},
		{Key: "site_cache_strategy", Value: orElse(w.Cache, "ALWAYS")}, {Key: "version", Value: int32(w.Version)},
		{Key: "tag_retrieval_status", Value: "disabled"},
	}
	if w.Preferred != "" {
		out.Set("preferred", w.Preferred)
	}
	if len(w.External) > 0 {
		out.Set("external_data", rawDoc(w.External, nil))
	}
	return out
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func checkWorkspaceName(name string) error {
	if name == "" || strings.ContainsAny(name, `/\%;|.:*?<>"`) {
		return Errorf(wire.CodeInvalidArgument, "invalid workspace name: %q", name)
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			return Errorf(wire.CodeInvalidArgument, "workspace name is not ASCII: %q", name)
		}
	}
	return nil
}

// CreateWorkspace makes a workspace from its configuration (keys of part 1
// section 4.2); only ROLE_AUTH_ADMIN may. Existing is -208.
func (r *Repo) CreateWorkspace(c Caller, name string, conf wire.Doc) (wire.Doc, error) {
	if !r.isAdmin(c) {
		return nil, Errorf(wire.CodeOperationUnauthorized, "user %s may not create workspaces", c.User)
	}
	if err := checkWorkspaceName(name); err != nil {
		return nil, err
	}
	now := r.nowMillis()
	rec := &wsRecord{Name: name, CreateUser: c.User, UpdateUser: c.User, CreateTime: now, UpdateTime: now, Version: 1}
	rec.Description, _ = docString(conf, "description")
	rec.Directories, _ = docBool(conf, "enable_directory")
	rec.Sharding, _ = docString(conf, "batch_sharding_type")
	rec.UniqueNames, _ = docBool(conf, "batch_file_name_unique")
	rec.Preferred, _ = docString(conf, "preferred")
	rec.Cache, _ = docString(conf, "site_cache_strategy")
	for key, to := range map[string]**string{"batch_id_time_regex": &rec.TimeRegex, "batch_id_time_pattern": &rec.TimePattern} {
		if s, ok := docString(conf, key); ok {
			*to = &s
		}
	}
	err := r.q.run(func(tx *bolt.Tx) error {
		all := tx.Bucket(bucketWS)
		if all.Get([]byte(name)) != nil {
			return Errorf(wire.CodeWorkspaceExist, "workspace exists: %s", name)
		}
		meta := tx.Bucket(bucketMeta)
		if b := meta.Get(keyWSSerial); b != nil {
			rec.ID = int64(binary.BigEndian.Uint64(b))
		}
		rec.ID++
		if err := meta.Put(keyWSSerial, binary.BigEndian.AppendUint64(nil, uint64(rec.ID))); err != nil {
			return err
		}
		if err := all.Put([]byte(name), encode(rec)); err != nil {
			return err
		}
		top, err := tx.CreateBucket(wsBucketName(rec.ID))
		if err != nil {
			return err
		}
		for _, sub := range wsBuckets {
			if _, err := top.CreateBucket([]byte(sub)); err != nil {
				return err
			}
		}
		w := openWorkspace(tx, rec)
		if err := w.addCount(countDirs, 1); err != nil {
			return err
		}
		return w.putDir(&dirRecord{ID: wire.RootDirID, Name: "/", Parent: wire.RootParentID,
			User: c.User, UpdateUser: c.User, CreateTime: now, UpdateTime: now, Version: 1})
	})
	if err != nil {
		return nil, err
	}
	return rec.doc(r.o.Site, true), nil
}

// UpdateWorkspace makes one logical change (part 1 section 4.1).
func (r *Repo) UpdateWorkspace(c Caller, name string, updator wire.Doc) (wire.Doc, error) {
	if !r.isAdmin(c) {
		return nil, Errorf(wire.CodeOperationUnauthorized, "user %s may not change workspaces", c.User)
	}
	var out wire.Doc
	err := r.q.run(func(tx *bolt.Tx) error {
		w, err := workspace(tx, name)
		if err != nil {
			return err
		}
		for _, f := range updator {
			switch f.Key {
			case "description":
				w.ws.Description, _ = f.Value.(string)
			case "preferred":
				w.ws.Preferred, _ = f.Value.(string)
			case "site_cache_strategy":
				w.ws.Cache, _ = f.Value.(string)
			case "enable_directory":
				on, _ := f.Value.(bool)
				if on && !w.ws.Directories {
					return Errorf(wire.CodeConfigServerError, "directories cannot be turned on again")
				}
				w.ws.Directories = on
			case "add_data_location", "rmove_data_location", "update_data_location", "merge", "meta_domain":
			default:
				return Errorf(wire.CodeInvalidArgument, "unknown updator key: %s", f.Key)
			}
		}
		w.ws.UpdateUser, w.ws.UpdateTime = c.User, r.nowMillis()
		w.ws.Version++
		out = w.ws.doc(r.o.Site, true)
		return tx.Bucket(bucketWS).Put([]byte(name), encode(w.ws))
	})
	return out, err
}

// DeleteWorkspace removes a workspace; one that holds files or directories is
// -207 unless enforced.
func (r *Repo) DeleteWorkspace(c Caller, name string, enforced bool) error {
	if !r.isAdmin(c) {
		return Errorf(wire.CodeOperationUnauthorized, "user %s may not delete workspaces", c.User)
	}
	var gone []string
	err := r.q.run(func(tx *bolt.Tx) error {
		gone = nil
		w, err := workspace(tx, name)
		if err != nil {
			return err
		}
		if !enforced && (w.count(countFiles) > 0 || w.count(countDirs) > 1) {
			return Errorf(wire.CodeWorkspaceNotEmpty, "workspace is not empty: %s", name)
		}
		forgetID := func(id string) error {
			file, err := forget(tx, id)
			if file != "" {
				gone = append(gone, file)
			}
			return err
		}
		if err := w.files.ForEach(func(_, v []byte) error {
			var f fileRecord
			if err := decode(v, &f); err != nil {
				return err
			}
			return forgetID(f.DataID)
		}); err != nil {
			return err
		}
		if err := w.bps.ForEach(func(_, v []byte) error {
			var bp bpRecord
			if err := decode(v, &bp); err != nil {
				return err
			}
			gone = append(gone, bp.DataID)
			return nil
		}); err != nil {
			return err
		}
		if err := tx.DeleteBucket(wsBucketName(w.ws.ID)); err != nil {
			return err
		}
		return tx.Bucket(bucketWS).Delete([]byte(name))
	})
	if err == nil {
		r.removeLater(gone)
		r.forgetPrivileges(name)
	}
	return err
}

// Workspace returns one workspace as GET one prints it.
func (r *Repo) Workspace(name string) (wire.Doc, error) {
	var out wire.Doc
	err := r.db.View(func(tx *bolt.Tx) error {
		w, err := workspace(tx, name)
		if err == nil {
			out = w.ws.doc(r.o.Site, true)
		}
		return err
	})
	return out, err
}

// Workspaces lists raw records.
func (r *Repo) Workspaces(q Query) iter.Seq2[wire.Doc, error] {
	return r.list(q, func(tx *bolt.Tx, yield func(wire.Doc) bool) error {
		return forEachWorkspace(tx, func(w *wsTx) error {
			if !yield(w.ws.doc(r.o.Site, false)) {
				return errStop
			}
			return nil
		})
	})
}

func docString(d wire.Doc, key string) (string, bool) {
	v, _ := d.Get(key)
	s, ok := v.(string)
	return s, ok
}

func docBool(d wire.Doc, key string) (bool, bool) {
	v, _ := d.Get(key)
	b, ok := v.(bool)
	return b, ok
}
