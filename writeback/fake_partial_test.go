package writeback

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/sequoiacm/scmfs/client"
)

func (s *fakeStore) BreakpointFile(ctx context.Context, name string) (b client.BreakpointFile, err error) {
	err = s.call(ctx, "get breakpoint file", false, nil, func([]byte) error {
		if s.noBP == client.Permission {
			return refusal("get breakpoint file", client.Permission)
		}
		if s.bps[name] == nil {
			return refusal("get breakpoint file", client.NotExist)
		}
		b = s.bps[name].BreakpointFile
		return nil
	})
	return b, err
}

func (s *fakeStore) BreakpointFiles(ctx context.Context, prefix string) iter.Seq2[client.BreakpointFile, error] {
	return func(yield func(client.BreakpointFile, error) bool) {
		var rows []client.BreakpointFile
		err := s.call(ctx, "list breakpoint files", false, nil, func([]byte) error {
			for _, name := range slices.Sorted(maps.Keys(s.bps)) {
				if strings.HasPrefix(name, prefix) {
					rows = append(rows, s.bps[name].BreakpointFile)
				}
			}
			return nil
		})
		for _, b := range rows {
			if !yield(b, nil) {
				return
			}
		}
		if err != nil {
			yield(client.BreakpointFile{}, err)
		}
	}
}

func (s *fakeStore) CreateBreakpointFile(ctx context.Context, name string, o client.BreakpointOptions) (b client.BreakpointFile, err error) {
	err = s.call(ctx, "create breakpoint file", true, nil, func([]byte) error {
		if s.noBP != client.Other {
			return refusal("create breakpoint file", s.noBP)
		}
		if s.bps[name] != nil {
			return refusal("create breakpoint file", client.Exist)
		}
		s.bps[name] = &fakeBP{BreakpointFile: client.BreakpointFile{Name: name, ChecksumType: o.ChecksumType}}
		b = s.bps[name].BreakpointFile
		return nil
	})
	return b, err
}

func (s *fakeStore) AppendBreakpointFile(ctx context.Context, name string, offset int64, body client.Body, last bool) (out client.BreakpointFile, err error) {
	err = s.call(ctx, "append to breakpoint file", true, &body, func(data []byte) error {
		if s.noBP != client.Other {
			return refusal("append", s.noBP)
		}
		b := s.bps[name]
		switch {
		case b == nil:
			return refusal("append", client.NotExist)
		case b.Completed || offset != b.Size:
			return refusal("append", client.Invalid)
		case s.align > 0 && offset%s.align != 0 && len(data) > 0:
			return refusal("append", client.Corrupt) // -410, nothing recorded
		}
		f := s.faults[s.n]
		if s.always != nil {
			f = *s.always
		}
		if f.kind == faultQuota {
			s.lost = s.lost || b.Size > 0
			b.data, b.Size, b.Checksum, b.Data = nil, 0, 0, client.DataID(s.newID('d'))
			return refusal("append", client.Quota)
		}
		if f.kind == faultFlip && len(data) > 0 {
			s.lost = s.lost || b.Size > 0
			data = bytes.Clone(data)
			data[len(data)/2] ^= 1
		}
		if b.Data == "" {
			b.Data = client.DataID(s.newID('d'))
		}
		b.Checksum = b.ChecksumType.Extend(b.Checksum, b.Size, data)
		b.data = append(b.data, data...)
		b.Size, b.Completed = int64(len(b.data)), last
		out = b.BreakpointFile
		return nil
	})
	return out, err
}

// again asks a second time after a lost answer, as the client's deletes do.
func again(del func() error) error {
	err := del()
	if client.KindOf(err) == client.Uncertain {
		if err = del(); client.KindOf(err) == client.NotExist {
			return nil
		}
	}
	return err
}

func (s *fakeStore) DeleteBreakpointFile(ctx context.Context, name string) error {
	return again(func() error {
		return s.call(ctx, "delete breakpoint file", true, nil, func([]byte) error {
			if s.noBP != client.Other {
				return refusal("delete breakpoint file", s.noBP)
			}
			if s.bps[name] == nil {
				return refusal("delete breakpoint file", client.NotExist)
			}
			delete(s.bps, name)
			return nil
		})
	})
}
