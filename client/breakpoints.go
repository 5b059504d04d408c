package client

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// CheckBreakpointName applies the driver's rules (part 2 section 5.2) and ours:
// no control characters, and neither "." nor "..".
func CheckBreakpointName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\%;`) {
		return fmt.Errorf(`a breakpoint file's name must not be empty, "." or "..", or contain any of / \ %% ;`)
	}
	for i := range len(name) {
		if name[i] < 0x20 {
			return fmt.Errorf("a breakpoint file's name must not contain control characters")
		}
	}
	return nil
}

// BreakpointFile asks for one; it waits for a running increment and then tells
// the truth.
func (s *Store) BreakpointFile(ctx context.Context, name string) (BreakpointFile, error) {
	k := &call{op: "get breakpoint file", name: name, method: http.MethodHead, path: breakpointPath(name), kind: "HEAD /breakpointfiles/{name}", query: s.ws()}
	if err := CheckBreakpointName(name); err != nil {
		return BreakpointFile{}, &Error{Op: k.op, Name: name, Kind: Invalid, Err: err}
	}
	h, err := s.c.do(ctx, k)
	if err != nil {
		return BreakpointFile{}, err
	}
	var rec wire.BreakpointRecord
	if err := decodeHeader(h.Get(wire.HeaderBreakpoint), &rec); err != nil {
		return BreakpointFile{}, &Error{Op: k.op, Name: name, Kind: Protocol, Err: err}
	}
	return s.breakpoint(k, &rec)
}

func (s *Store) breakpoint(k *call, rec *wire.BreakpointRecord) (BreakpointFile, error) {
	b, err := breakpointOf(rec)
	if err == nil && b.Name != "" && b.Name != k.name {
		err = fmt.Errorf("asked for %q, the answer is about %q", k.name, b.Name)
	}
	if err != nil {
		return BreakpointFile{}, &Error{Op: k.op, Name: k.name, Kind: Protocol, Err: err}
	}
	return b, nil
}

// CreateBreakpointFile makes an empty one; [Exist] when the name is taken. After
// a lost answer ask for it by name.
func (s *Store) CreateBreakpointFile(ctx context.Context, name string, o BreakpointOptions) (BreakpointFile, error) {
	if o.ChecksumType == "" {
		o.ChecksumType = wire.ChecksumNone
	}
	created := int64(0)
	if !o.CreateTime.IsZero() {
		created = o.CreateTime.UnixMilli()
	}
	var rec wire.BreakpointRecord
	k := &call{op: "create breakpoint file", name: name, method: http.MethodPost, path: breakpointPath(name), kind: "POST /breakpointfiles/{name}", once: true, out: &rec,
		form: s.ws().Add(wire.ParamCreateTime, strconv.FormatInt(created, 10)).Add(wire.ParamChecksumType, string(o.ChecksumType)).
			Add(wire.ParamIsLastContent, "false").Add(wire.ParamNeedMD5, strconv.FormatBool(o.NeedMD5)).
			Add(wire.ParamHasSetTime, strconv.FormatBool(!o.CreateTime.IsZero()))}
	if err := CheckBreakpointName(name); err != nil {
		return BreakpointFile{}, &Error{Op: k.op, Name: name, Kind: Invalid, Err: err}
	}
	if _, err := s.c.do(ctx, k); err != nil {
		return BreakpointFile{}, err
	}
	return s.breakpoint(k, &rec)
}

// AppendBreakpointFile sends an increment at offset, which must be the uploaded
// size; last completes the file. The returned record is what the server holds
// now. After any error ask for the record: its size may be anything up to the
// end of the increment, 0 included (part 2 section 5.6).
func (s *Store) AppendBreakpointFile(ctx context.Context, name string, offset int64, body Body, last bool) (BreakpointFile, error) {
	var rec wire.BreakpointRecord
	k := &call{op: "append to breakpoint file", name: name, method: http.MethodPut, path: breakpointPath(name), kind: "PUT /breakpointfiles/{name}", stream: true, once: true,
		body: &body, out: &rec, query: s.ws().Add(wire.ParamOffset, offsetParam(offset)).Add(wire.ParamIsLastContent, strconv.FormatBool(last))}
	if _, err := s.c.do(ctx, k); err != nil {
		return BreakpointFile{}, err
	}
	return s.breakpoint(k, &rec)
}

// DeleteBreakpointFile removes one in any state. After a lost answer one that is
// gone counts as deleted.
func (s *Store) DeleteBreakpointFile(ctx context.Context, name string) error {
	k := &call{op: "delete breakpoint file", name: name, method: http.MethodDelete, path: breakpointPath(name), kind: "DELETE /breakpointfiles/{name}", once: true, query: s.ws()}
	if err := CheckBreakpointName(name); err != nil {
		return &Error{Op: k.op, Name: name, Kind: Invalid, Err: err}
	}
	_, err := s.c.do(ctx, k)
	if KindOf(err) == Uncertain {
		if _, err = s.c.do(ctx, k); KindOf(err) == NotExist {
			return nil
		}
	}
	return err
}

// CalcBreakpointMD5 makes the server compute the md5 (base64) of a completed one.
func (s *Store) CalcBreakpointMD5(ctx context.Context, name string) (string, error) {
	return s.md5(ctx, &call{op: "compute md5", name: name, method: http.MethodPost, path: breakpointPath(name), kind: "POST /breakpointfiles/{name}",
		query: wire.Params{{Name: wire.ParamAction, Value: wire.ActionCalcMD5}}, form: s.ws()})
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
