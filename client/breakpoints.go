package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// CheckBreakpointName applies the driver's rules (part 2 section 5.2) and ours:
// valid UTF-8 without control characters, and neither "." nor "..".
func CheckBreakpointName(name string) error {
	switch {
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, `/\%;`):
		return errors.New(`a breakpoint file's name must not be empty, "." or "..", or contain any of / \ % ;`)
	case hasControl(name) || !utf8.ValidString(name):
		return errors.New("a breakpoint file's name must be UTF-8 without control characters")
	}
	return nil
}

func breakpointCall(op, method, name string) (*call, error) {
	if err := CheckBreakpointName(name); err != nil {
		return nil, &Error{Op: op, Name: name, Kind: Invalid, Code: wire.CodeInvalidArgument, Err: err}
	}
	return &call{op: op, name: name, method: method, path: "/breakpointfiles/" + wire.Escape(name), kind: method + " /breakpointfiles/{name}"}, nil
}

// answersBreakpoint makes k's answer a breakpoint record.
func (s *Store) answersBreakpoint(k *call) func() BreakpointFile {
	var rec wire.BreakpointRecord
	var b BreakpointFile
	k.out = &rec
	k.accept = func() (err error) {
		if b, err = s.breakpointOf(&rec); err == nil && b.Name != k.name {
			err = fmt.Errorf("asked for %q, the answer is about %q", k.name, b.Name)
		}
		return err
	}
	return func() BreakpointFile { return b }
}

// BreakpointFile asks for one; [NotExist] when there is none. It waits for a
// running increment or conversion and then tells the truth. READ on the
// workspace.
func (s *Store) BreakpointFile(ctx context.Context, name string) (BreakpointFile, error) {
	k, err := breakpointCall("get breakpoint file", http.MethodHead, name)
	if err != nil {
		return BreakpointFile{}, err
	}
	k.query, k.inHeader = s.ws(), wire.HeaderBreakpoint
	b := s.answersBreakpoint(k)
	if _, err := s.c.do(ctx, k); err != nil {
		return BreakpointFile{}, err
	}
	return b(), nil
}

// CreateBreakpointFile makes an empty one; [Exist] when the name is taken, on
// whatever site. Choose a name that no other writer chooses. After a lost answer
// an untouched one of this user counts as made. CREATE on the workspace.
func (s *Store) CreateBreakpointFile(ctx context.Context, name string, o BreakpointOptions) (BreakpointFile, error) {
	if o.ChecksumType == "" {
		o.ChecksumType = wire.ChecksumNone
	}
	k, err := breakpointCall("create breakpoint file", http.MethodPost, name)
	if err != nil {
		return BreakpointFile{}, err
	}
	created := int64(0)
	if !o.CreateTime.IsZero() {
		created = o.CreateTime.UnixMilli()
		if sec := o.CreateTime.Unix(); sec < wire.MinSeconds || sec > wire.MaxSeconds {
			return BreakpointFile{}, &Error{Op: k.op, Name: name, Kind: Invalid, Err: fmt.Errorf("create time %s is out of range", o.CreateTime)}
		}
	}
	k.form = s.ws().Add(wire.ParamCreateTime, strconv.FormatInt(created, 10)).Add(wire.ParamChecksumType, string(o.ChecksumType)).
		Add(wire.ParamIsLastContent, "false").Add(wire.ParamNeedMD5, strconv.FormatBool(o.NeedMD5)).
		Add(wire.ParamHasSetTime, strconv.FormatBool(!o.CreateTime.IsZero()))
	return settle(ctx, s.c, k, s.answersBreakpoint(k), func(ctx context.Context) (BreakpointFile, verdict, error) {
		b, err := s.BreakpointFile(ctx, name)
		switch {
		case KindOf(err) == NotExist:
			return b, undone, nil
		case err != nil:
			return b, unknown, err
		case b.CreateUser == s.c.o.User && b.Size == 0 && !b.Completed && b.ChecksumType == o.ChecksumType && b.NeedMD5 == o.NeedMD5:
			return b, done, nil
		}
		return b, refused, &Error{Op: k.op, Name: name, Kind: Exist, Code: wire.CodeFileExist}
	})
}

// AppendBreakpointFile sends an increment at offset, which must be the uploaded
// size; last completes the file. [Invalid] when the offset is another, the file
// is completed or belongs to another site: ask for the record to see which. The
// returned record is what the server holds now; compare its checksum, the server
// itself verifies nothing.
//
// After a lost answer the record is asked for and the increment, if the server
// has nothing of it and body can be read again, is sent again. After any other
// error the size may be anything up to the end of the increment, 0 included (part
// 2 section 5.6). CREATE on the workspace.
func (s *Store) AppendBreakpointFile(ctx context.Context, name string, offset int64, body Body, last bool) (BreakpointFile, error) {
	k, err := breakpointCall("append to breakpoint file", http.MethodPut, name)
	if err != nil {
		return BreakpointFile{}, err
	}
	if offset < 0 {
		return BreakpointFile{}, &Error{Op: k.op, Name: name, Kind: Invalid, Err: fmt.Errorf("offset %d", offset)}
	}
	k.stream, k.body = true, &body
	k.query = s.ws().Add(wire.ParamOffset, offsetParam(offset)).Add(wire.ParamIsLastContent, strconv.FormatBool(last))
	return settle(ctx, s.c, k, s.answersBreakpoint(k), func(ctx context.Context) (BreakpointFile, verdict, error) {
		b, err := s.BreakpointFile(ctx, name)
		switch {
		case err != nil:
			return b, unknown, err
		case body.Size >= 0 && b.Size == offset+body.Size && b.Completed == last:
			return b, done, nil
		case b.Size == offset && !b.Completed:
			return b, undone, nil
		}
		return b, refused, &Error{Op: k.op, Name: name, Kind: Unavailable, Err: fmt.Errorf("the increment at %d was not taken whole, the server has %d bytes", offset, b.Size)}
	})
}

// DeleteBreakpointFile removes one in any state; [NotExist] when there is none.
// After a lost answer one that is gone counts as removed; one that is there is
// [Uncertain], it may be a new one of the same name. DELETE on the workspace.
func (s *Store) DeleteBreakpointFile(ctx context.Context, name string) error {
	k, err := breakpointCall("delete breakpoint file", http.MethodDelete, name)
	if err != nil {
		return err
	}
	k.query = s.ws()
	return settleError(ctx, s.c, k, func(ctx context.Context) (verdict, error) {
		_, err := s.BreakpointFile(ctx, name)
		return gone(err, NotExist, unknown)
	})
}

// CalcBreakpointMD5 makes the server compute the md5 (base64) of a completed
// one; [Invalid] when it is not completed. UPDATE on the workspace.
func (s *Store) CalcBreakpointMD5(ctx context.Context, name string) (string, error) {
	k, err := breakpointCall("compute md5", http.MethodPost, name)
	if err != nil {
		return "", err
	}
	k.query, k.form = wire.Params{{Name: wire.ParamAction, Value: wire.ActionCalcMD5}}, s.ws()
	return s.md5(ctx, k)
}
