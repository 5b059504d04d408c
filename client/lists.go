package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
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

// fetchList decodes a JSON array as it arrives. A truncated array is an error:
// the server can report a failure in the middle in no other way (part 1 section 1.7).
func fetchList[R any](ctx context.Context, c *Client, k *call, row func(*R) error) error {
	k.method = http.MethodGet
	var rows []*R
	k.each = func(body io.Reader) error {
		rows = rows[:0] // a retry starts over
		dec := json.NewDecoder(body)
		if t, err := dec.Token(); err != nil || t != json.Delim('[') {
			return errors.Join(fmt.Errorf("the answer is not a list"), ioOnly(err))
		}
		for dec.More() {
			r := new(R)
			if err := dec.Decode(r); err != nil {
				return fmt.Errorf("list row %d: %w", len(rows), err)
			}
			rows = append(rows, r)
		}
		if _, err := dec.Token(); err != nil {
			return fmt.Errorf("the list is cut off: %w", io.ErrUnexpectedEOF)
		}
		return nil
	}
	if _, err := c.do(ctx, k); err != nil {
		return err
	}
	for _, r := range rows {
		if err := row(r); err != nil {
			return err
		}
	}
	return nil
}

func ioOnly(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

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

// pages runs keyset paging by a unique string key: each page starts behind the
// last row of the one before, so that concurrent changes cannot shift rows.
func pages[R, V any](after string, fetch func(after string, row func(*R) error) error, convert func(*R) (V, error), key func(V) string) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var zero V
		for {
			var page []V
			err := fetch(after, func(r *R) error {
				v, err := convert(r)
				if err != nil {
					return &Error{Op: "list", Kind: Protocol, Err: err}
				}
				page = append(page, v)
				return nil
			})
			if err != nil {
				yield(zero, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if len(page) > 0 {
				last := key(page[len(page)-1])
				if last <= after {
					// A server that ignores the filter would keep us here for ever.
					yield(zero, &Error{Op: "list", Kind: Protocol, Err: fmt.Errorf("page ends at %q, behind %q was asked for", last, after)})
					return
				}
				after = last
			}
			if len(page) < pageSize {
				return
			}
		}
	}
}

// Directories lists the sub-directories of parent in bytewise order of name,
// from behind after. Needs no privilege.
func (s *Store) Directories(ctx context.Context, parent DirID, after string) iter.Seq2[Directory, error] {
	return pages(after, func(after string, row func(*wire.DirectoryRecord) error) error {
		filter := `{"parent_directory_id":` + quoteJSON(string(parent)) + nameAfter(after) + `}`
		return fetchList(ctx, s.c, s.list("list directories", "/directories/", string(parent), filter, `{"name":1}`, ""), row)
	}, directoryOf, func(d Directory) string { return d.Name })
}

// Files lists the files of a directory in bytewise order of name, from behind
// after. READ on the directory.
func (s *Store) Files(ctx context.Context, dir DirID, after string) iter.Seq2[File, error] {
	return pages(after, func(after string, row func(*wire.FileRecord) error) error {
		filter := ""
		if after != "" {
			filter = `{"name":{"$gt":` + quoteJSON(after) + `}}`
		}
		k := s.list("list files", "/directories/id/"+string(dir)+"/listfiles", string(dir), filter, `{"name":1}`, fileSelector)
		k.kind = "GET /directories/id/{id}/listfiles"
		return fetchList(ctx, s.c, k, row)
	}, fileOf, func(f File) string { return f.Name })
}

// FlatFiles lists all current files of a workspace in order of id, from behind
// after: names may repeat in a workspace without directories.
func (s *Store) FlatFiles(ctx context.Context, after string) iter.Seq2[File, error] {
	return pages(after, func(after string, row func(*wire.FileRecord) error) error {
		filter := ""
		if after != "" {
			filter = `{"id":{"$gt":` + quoteJSON(after) + `}}`
		}
		k := s.list("list files", "/files/", "", filter, `{"id":1}`, fileSelector)
		k.query = k.query.Add(wire.ParamScope, "1")
		return fetchList(ctx, s.c, k, row)
	}, fileOf, func(f File) string { return string(f.ID) })
}

func nameAfter(after string) string {
	if after == "" {
		return ""
	}
	return `,"name":{"$gt":` + quoteJSON(after) + `}`
}

func (s *Store) list(op, path, name, filter, order, selector string) *call {
	q := s.ws().Add(wire.ParamFilter, filter).Add(wire.ParamOrderBy, order).Add(wire.ParamSkip, "0").Add(wire.ParamLimit, strconv.Itoa(pageSize))
	if selector != "" {
		q = q.Add(wire.ParamSelector, selector)
	}
	return &call{op: op, name: name, path: path, query: q}
}

// LookupDirectory finds a sub-directory by name; [NotExist] when there is none.
func (s *Store) LookupDirectory(ctx context.Context, parent DirID, name string) (Directory, error) {
	k := s.list("look up directory", "/directories/", name, `{"parent_directory_id":`+quoteJSON(string(parent))+`,"name":`+quoteJSON(name)+`}`, "", "")
	return first(ctx, s.c, k, directoryOf)
}

// LookupFile finds a file of a directory by name; [NotExist] when there is none.
// In a workspace without directories dir is not looked at; the newest of several
// files of that name is returned.
func (s *Store) LookupFile(ctx context.Context, dir DirID, name string) (File, error) {
	filter := `{"name":` + quoteJSON(name) + `}`
	if !s.flat.Load() {
		k := s.list("look up file", "/directories/id/"+string(dir)+"/listfiles", name, filter, "", fileSelector)
		k.kind = "GET /directories/id/{id}/listfiles"
		f, err := first(ctx, s.c, k, fileOf)
		if KindOf(err) != DirectoriesDisabled {
			return f, err
		}
		s.flat.Store(true)
	}
	k := s.list("look up file", "/files/", name, filter, `{"create_time":-1,"id":-1}`, fileSelector)
	k.query = k.query.Add(wire.ParamScope, "1")
	return first(ctx, s.c, k, fileOf)
}

func first[R, V any](ctx context.Context, c *Client, k *call, convert func(*R) (V, error)) (V, error) {
	var out V
	found := false
	err := fetchList(ctx, c, k, func(r *R) error {
		if found {
			return nil
		}
		found = true
		v, err := convert(r)
		if err != nil {
			return &Error{Op: k.op, Name: k.name, Kind: Protocol, Err: err}
		}
		out = v
		return nil
	})
	if err == nil && !found {
		err = &Error{Op: k.op, Name: k.name, Kind: NotExist}
	}
	return out, err
}

// Versions lists all versions of a file, newest first; [NotExist] when the file
// does not exist. LOW_LEVEL_READ on the workspace.
func (s *Store) Versions(ctx context.Context, id FileID) ([]File, error) {
	k := &call{op: "list versions", name: string(id), path: "/files/",
		query: s.ws().Add(wire.ParamScope, "3").Add(wire.ParamFilter, `{"id":`+quoteJSON(string(id))+`}`).Add(wire.ParamSelector, fileSelector)}
	var out []File
	err := fetchList(ctx, s.c, k, func(r *wire.FileRecord) error {
		f, err := fileOf(r)
		if err != nil {
			return &Error{Op: k.op, Name: k.name, Kind: Protocol, Err: err}
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, &Error{Op: k.op, Name: k.name, Kind: NotExist}
	}
	sortVersions(out)
	return out, nil
}

// BreakpointFiles lists breakpoint files whose name starts with prefix, in no
// order. READ on the workspace.
func (s *Store) BreakpointFiles(ctx context.Context, prefix string) iter.Seq2[BreakpointFile, error] {
	return func(yield func(BreakpointFile, error) bool) {
		k := &call{op: "list breakpoint files", name: prefix, path: "/breakpointfiles/", query: s.ws()}
		if prefix != "" {
			k.query = k.query.Add(wire.ParamFilter, `{"file_name":{"$gte":`+quoteJSON(prefix)+`,"$lt":`+quoteJSON(prefix+"\U0010ffff")+`}}`)
		}
		var rows []BreakpointFile
		err := fetchList(ctx, s.c, k, func(r *wire.BreakpointRecord) error {
			b, err := breakpointOf(r)
			if err != nil {
				return &Error{Op: k.op, Kind: Protocol, Err: err}
			}
			rows = append(rows, b)
			return nil
		})
		for _, b := range rows {
			if !yield(b, nil) {
				return
			}
		}
		if err != nil {
			yield(BreakpointFile{}, err)
		}
	}
}
