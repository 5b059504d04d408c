package client

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// pageSize is how many rows one list request asks for.
const pageSize = 1000

// fileSelector asks for what a mount shows. data_id, data_create_time and
// custom_metadata take the query to the file table; without them neither mtime
// nor content identity would be right (part 2 section 4.2).
const fileSelector = `{"id":null,"name":null,"directory_id":null,"size":null,"create_time":null,"update_time":null,` +
	`"major_version":null,"minor_version":null,"mime_type":null,"user":null,"update_user":null,` +
	`"data_id":null,"data_create_time":null,"custom_metadata":null}`

// entrySelector keeps a listing on the small indexed table (part 1 section 5.6).
const entrySelector = `{"id":null,"name":null,"size":null,"update_time":null,"create_time":null,"user":null,` +
	`"update_user":null,"major_version":null,"minor_version":null,"mime_type":null}`

// quoteJSON writes a string as a JSON literal. Control characters become \u00XX:
// the server's parser takes "\f" for a bare f (part 1 section 1.7).
func quoteJSON(s string) string {
	b := make([]byte, 0, len(s)+2)
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// Directories lists the sub-directories of parent in order of name, from behind
// after ("" = all). Needs no privilege, so a listing may show what cannot be
// opened; a parent that does not exist lists nothing.
func (s *Store) Directories(ctx context.Context, parent DirID, after string) iter.Seq2[Directory, error] {
	const op = "list directories"
	return pages(ctx, s.c, op, after, func(after string) (*call, error) {
		filter := `{"parent_directory_id":` + quoteJSON(string(parent)) + nameAfter(after) + `}`
		return s.list(op, "/directories/", string(parent), filter, byName, "", pageSize), nil
	}, eachBy(directoryOf), func(d Directory) string { return d.Name })
}

// Files lists the files of a directory in order of name, from behind after (""
// = all), with everything that a stat needs: content identity, both times and
// metadata. READ on the directory. A directory that does not exist lists nothing
// for a user with READ on the workspace (part 1 section 5.2, D10): ask
// [Store.Directory] where that matters.
func (s *Store) Files(ctx context.Context, dir DirID, after string) iter.Seq2[File, error] {
	return s.files(ctx, dir, after, fileSelector)
}

// Entries is [Store.Files] on the server's small indexed table: cheaper on large
// directories, but Data, DataCreateTime, Metadata, Title, Author and Tags are
// empty, so it serves for names and sizes, not for reading or exact times (part
// 2 section 4.2).
func (s *Store) Entries(ctx context.Context, dir DirID, after string) iter.Seq2[File, error] {
	return s.files(ctx, dir, after, entrySelector)
}

func (s *Store) files(ctx context.Context, dir DirID, after, selector string) iter.Seq2[File, error] {
	const op = "list files"
	return pages(ctx, s.c, op, after, func(after string) (*call, error) {
		if err := checkedID(op, string(dir)); err != nil {
			return nil, err
		}
		filter := ""
		if after != "" {
			filter = `{"name":{"$gt":` + quoteJSON(after) + `}}`
		}
		return s.listFiles(op, dir, string(dir), filter, selector, pageSize), nil
	}, fileRows(), func(f File) string { return f.Name })
}

// FlatFiles lists all current files of a workspace in order of id, from behind
// after ("" = all): names may repeat in a workspace without directories.
// LOW_LEVEL_READ on the workspace.
func (s *Store) FlatFiles(ctx context.Context, after string) iter.Seq2[File, error] {
	const op = "list files"
	return pages(ctx, s.c, op, after, func(after string) (*call, error) {
		filter := ""
		if after != "" {
			filter = `{"id":{"$gt":` + quoteJSON(after) + `}}`
		}
		k := s.list(op, "/files/", s.name, filter, `{"id":1}`, fileSelector, pageSize)
		k.query = k.query.Add(wire.ParamScope, strconv.Itoa(wire.ScopeCurrent))
		return k, nil
	}, fileRows(), func(f File) string { return string(f.ID) })
}

// byName is a unique order within one directory: paging without one may skip or
// repeat rows (part 1 section 5.6).
const byName = `{"name":1}`

func nameAfter(after string) string {
	if after == "" {
		return ""
	}
	return `,"name":{"$gt":` + quoteJSON(after) + `}`
}

func (s *Store) list(op, path, name, filter, order, selector string, limit int) *call {
	q := s.ws().Add(wire.ParamFilter, filter).Add(wire.ParamOrderBy, order).Add(wire.ParamSkip, "0").Add(wire.ParamLimit, strconv.Itoa(limit))
	if selector != "" {
		q = q.Add(wire.ParamSelector, selector)
	}
	return &call{op: op, name: name, path: path, query: q}
}

func (s *Store) listFiles(op string, dir DirID, name, filter, selector string, limit int) *call {
	k := s.list(op, "/directories/id/"+string(dir)+"/listfiles", name, filter, byName, selector, limit)
	k.kind = "GET /directories/id/{id}/listfiles"
	return k
}

// LookupDirectory finds a sub-directory by name; [NotExist] when there is none.
// Needs no privilege.
func (s *Store) LookupDirectory(ctx context.Context, parent DirID, name string) (Directory, error) {
	k := s.list("look up directory", "/directories/", name, `{"parent_directory_id":`+quoteJSON(string(parent))+`,"name":`+quoteJSON(name)+`}`, byName, "", 1)
	return first(ctx, s.c, k, eachBy(directoryOf))
}

// LookupFile finds a file of a directory by name; [NotExist] when there is none.
// READ on the directory. In a workspace without directories dir is not looked at;
// the newest of several files of that name is returned.
func (s *Store) LookupFile(ctx context.Context, dir DirID, name string) (File, error) {
	const op = "look up file"
	filter := `{"name":` + quoteJSON(name) + `}`
	if !s.flat.Load() {
		if err := checkedID(op, string(dir)); err != nil {
			return File{}, err
		}
		f, err := first(ctx, s.c, s.listFiles(op, dir, name, filter, fileSelector, 1), fileRows())
		if KindOf(err) != DirectoriesDisabled {
			return f, err
		}
		s.flat.Store(true)
	}
	k := s.list(op, "/files/", name, filter, `{"create_time":-1,"id":-1}`, fileSelector, 1)
	k.query = k.query.Add(wire.ParamScope, strconv.Itoa(wire.ScopeCurrent))
	return first(ctx, s.c, k, fileRows())
}

func first[V any](ctx context.Context, c *Client, k *call, decode rowOf[V]) (V, error) {
	var none V
	h := held{c: c}
	defer h.release()
	rows, err := fetchList(ctx, &h, k, maxPage, decode)
	switch {
	case err != nil:
		return none, err
	case len(rows) == 0:
		return none, &Error{Op: k.op, Name: k.name, Kind: NotExist}
	}
	return rows[0], nil
}

// Versions lists all versions of a file, newest first; [NotExist] when the file
// does not exist. LOW_LEVEL_READ on the workspace.
func (s *Store) Versions(ctx context.Context, id FileID) ([]File, error) {
	k := &call{op: "list versions", name: string(id), path: "/files/",
		query: s.ws().Add(wire.ParamScope, strconv.Itoa(wire.ScopeAll)).Add(wire.ParamFilter, `{"id":`+quoteJSON(string(id))+`}`).Add(wire.ParamSelector, fileSelector)}
	h := held{c: s.c}
	defer h.release()
	out, err := fetchList(ctx, &h, k, maxRows, fileRows())
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, &Error{Op: k.op, Name: k.name, Kind: NotExist}
	}
	slices.SortFunc(out, func(a, b File) int {
		return cmp.Or(cmp.Compare(b.Version.Major, a.Version.Major), cmp.Compare(b.Version.Minor, a.Version.Minor))
	})
	return out, nil
}

// BreakpointFiles lists breakpoint files whose name starts with prefix, in no
// order; during an increment it shows what was last recorded. READ on the
// workspace.
func (s *Store) BreakpointFiles(ctx context.Context, prefix string) iter.Seq2[BreakpointFile, error] {
	return func(yield func(BreakpointFile, error) bool) {
		k := &call{op: "list breakpoint files", name: prefix, path: "/breakpointfiles/", query: s.ws()}
		if prefix != "" {
			k.query = k.query.Add(wire.ParamFilter, `{"file_name":{"$gte":`+quoteJSON(prefix)+`,"$lt":`+quoteJSON(prefix+"\U0010ffff")+`}}`)
		}
		h := held{c: s.c}
		defer h.release()
		rows, err := fetchList(ctx, &h, k, maxRows, eachBy(s.breakpointOf))
		if err != nil {
			yield(BreakpointFile{}, err)
			return
		}
		for _, b := range rows {
			if !yield(b, nil) {
				return
			}
		}
	}
}
