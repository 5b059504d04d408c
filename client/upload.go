package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// UploadOptions says how a breakpoint file is sent. The zero value is the
// reference driver's: direct, 15 MiB per increment.
type UploadOptions struct {
	// Increment is how many bytes one request carries at most, and how many are
	// held in memory for it: 15 MiB if 0, not below 1 MiB nor above 45 MiB. On Ceph
	// S3 storage it must be a multiple of 5 MiB (part 2 section 5.12).
	Increment int64
	// Buffered sends whole blocks of 5 MiB only and keeps the rest for the next
	// call, so that increments of any length suit every storage. What is kept is
	// lost with the process.
	Buffered bool
}

const minIncrement = 1 << 20

func (o UploadOptions) block() int64 {
	switch {
	case o.Buffered:
		return wire.PartSize
	case o.Increment == 0:
		return wire.DefaultIncrement
	}
	return min(max(o.Increment, minIncrement), wire.MaxIncrement)
}

// Upload sends r, which must be the whole content from its first byte, and
// completes the breakpoint file. What the store already has of it is not sent
// again but compared by checksum; [Invalid] when r does not begin with it, is
// shorter, or is longer than what was completed. With checksum type NONE only
// the length can be compared. A completed file and the same content are no work.
//
// If r can seek, the upload goes on by itself after a broken connection, from
// wherever the store then is (part 2 section 6.1), as long as it makes progress
// within Options.RetryTimeout. Otherwise ask for the breakpoint file again after
// an error, and Upload the content from its first byte.
func (b *BreakpointFile) Upload(ctx context.Context, r io.Reader, o UploadOptions) error {
	const op = "upload"
	if err := b.usable(op); err != nil {
		return err
	}
	b.pending = nil // r has it
	seeker, canSeek := r.(io.Seeker)
	var start int64
	if canSeek {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			canSeek = false // a pipe has the method but not the ability
		}
	}
	doubt := false
	attempt := func() error {
		if doubt {
			if err := b.Refresh(ctx); err != nil {
				return err
			}
			if _, err := seeker.Seek(start, io.SeekStart); err != nil {
				return &Error{Op: op, Name: b.Name, Kind: Other, Err: err}
			}
		}
		doubt = true
		if err := b.verify(op, r); err != nil {
			return err
		}
		if b.Completed {
			return nil
		}
		return b.IncrementalUpload(ctx, r, true, o)
	}
	if !canSeek {
		return attempt()
	}
	for {
		at := b.Size
		_, err := b.s.c.retry(ctx, &call{op: op, name: b.Name}, func(err error) bool { return b.Size <= at && IsTransient(err) },
			func() (http.Header, error) { return nil, attempt() })
		if err == nil || b.Size <= at || !IsTransient(err) || ctx.Err() != nil {
			return err
		}
	}
}

// verify compares what the store has with the beginning of r and leaves r behind it.
func (b *BreakpointFile) verify(op string, r io.Reader) error {
	sum, n, err := prefixSum(b.ChecksumType, r, b.Size)
	switch {
	case err != nil:
		return &Error{Op: op, Name: b.Name, Kind: sourceKind(err), Err: fmt.Errorf("source: %w", err)}
	case n < b.Size:
		return &Error{Op: op, Name: b.Name, Kind: Invalid, Code: wire.CodeSystemError,
			Err: fmt.Errorf("the content has %d bytes, the store already %d", n, b.Size)}
	case sum != b.Checksum:
		return &Error{Op: op, Name: b.Name, Kind: Invalid, Code: wire.CodeInvalidArgument,
			Err: fmt.Errorf("the content does not begin with the %d bytes that the store has", b.Size)}
	}
	if b.Completed {
		if more, _ := io.CopyN(io.Discard, r, 1); more > 0 {
			return &Error{Op: op, Name: b.Name, Kind: Invalid, Code: wire.CodeInvalidArgument,
				Err: fmt.Errorf("the content is longer than the %d bytes that were completed", b.Size)}
		}
	}
	return nil
}

// prefixSum sums up to size bytes of r.
func prefixSum(t ChecksumType, r io.Reader, size int64) (sum uint32, n int64, err error) {
	buf := make([]byte, 256<<10)
	for n < size {
		k, err := r.Read(buf[:min(int64(len(buf)), size-n)])
		sum = t.Extend(sum, n, buf[:k])
		n += int64(k)
		if errors.Is(err, io.EOF) {
			return sum, n, nil
		}
		if err != nil {
			return sum, n, err
		}
	}
	return sum, n, nil
}

// IncrementalUpload appends all of r, in as many requests as it takes; with last
// it then completes the breakpoint file by a request of its own, as the driver
// does. After each increment size and checksum are compared with what was sent:
// [Corrupt] when they differ. After any error the record may be out of date: ask
// for it again, and [BreakpointFile.Upload] the whole content.
func (b *BreakpointFile) IncrementalUpload(ctx context.Context, r io.Reader, last bool, o UploadOptions) error {
	const op = "upload"
	if err := b.usable(op); err != nil {
		return err
	}
	if b.Completed {
		return &Error{Op: op, Name: b.Name, Kind: Invalid, Code: wire.CodeInvalidArgument, Err: errors.New("it is completed")}
	}
	var block []byte
	if b.pending != nil {
		block, b.pending = *b.pending, nil
	}
	size := o.block()
	for end := false; !end; {
		var err error
		if block, err = fill(block, r, size); err != nil {
			end = errors.Is(err, io.EOF)
			if !end {
				return &Error{Op: op, Name: b.Name, Kind: sourceKind(err), Err: fmt.Errorf("source: %w", err)}
			}
		}
		if end && o.Buffered && !last && int64(len(block)) < size {
			b.pending = &block
			return nil
		}
		if len(block) > 0 {
			if err := b.send(ctx, block, false); err != nil {
				return err
			}
			block = block[:0]
		}
	}
	if last {
		return b.send(ctx, nil, true)
	}
	return nil
}

// fill reads until block has size bytes; io.EOF means that r has ended. The
// block grows with what arrives: most content is smaller than an increment.
func fill(block []byte, r io.Reader, size int64) ([]byte, error) {
	for int64(len(block)) < size {
		if len(block) == cap(block) {
			grown := make([]byte, len(block), min(max(2*int64(cap(block)), 64<<10), max(size, int64(len(block)))))
			copy(grown, block)
			block = grown
		}
		n, err := r.Read(block[len(block):min(int64(cap(block)), size)])
		block = block[:len(block)+n]
		if err != nil {
			return block, err
		}
	}
	return block, nil
}

func (b *BreakpointFile) send(ctx context.Context, p []byte, last bool) error {
	want := b.ChecksumType.Extend(b.Checksum, b.Size, p)
	now, err := b.s.AppendBreakpointFile(ctx, b.Name, b.Size, BytesBody(p), last)
	if err != nil {
		return err
	}
	end := b.Size + int64(len(p))
	if now.Size != end || now.Completed != last || now.ChecksumType == b.ChecksumType && now.Checksum != want {
		return &Error{Op: "upload", Name: b.Name, Kind: Corrupt,
			Err: fmt.Errorf("the store has %d bytes with checksum %d, sent were %d with %d", now.Size, now.Checksum, end, want)}
	}
	pending := b.pending
	*b = now
	b.pending = pending
	return nil
}

// UploadSize is how many bytes were given to the handle: Size and what
// [UploadOptions.Buffered] keeps.
func (b *BreakpointFile) UploadSize() int64 {
	if b.pending == nil {
		return b.Size
	}
	return b.Size + int64(len(*b.pending))
}

// Refresh asks the store for the record.
func (b *BreakpointFile) Refresh(ctx context.Context) error {
	if err := b.usable("get breakpoint file"); err != nil {
		return err
	}
	now, err := b.s.BreakpointFile(ctx, b.Name)
	if err != nil {
		return err
	}
	now.pending = b.pending
	*b = now
	return nil
}

// CreateFile turns the completed breakpoint file into a file without moving data
// (part 2 section 3.2); it is consumed on success and intact on refusal. A lost
// answer is settled by the data id. CREATE on the directory.
func (b *BreakpointFile) CreateFile(ctx context.Context, nf NewFile) (File, error) {
	if err := b.convertible("convert to file"); err != nil {
		return File{}, err
	}
	return b.s.convertToFile(ctx, nf, b.Name, b.Data)
}

// UpdateContent makes the completed breakpoint file the next version of a file;
// expect and the rest are as with [Store.UpdateContent]. A lost answer is settled
// by the data id. UPDATE on the file.
func (b *BreakpointFile) UpdateContent(ctx context.Context, id FileID, expect Version) (File, error) {
	if err := b.convertible("convert to version"); err != nil {
		return File{}, err
	}
	return b.s.convertToVersion(ctx, id, expect, b.Name, b.Data)
}

func (b *BreakpointFile) convertible(op string) error {
	if err := b.usable(op); err != nil {
		return err
	}
	if !b.Completed {
		return &Error{Op: op, Name: b.Name, Kind: Invalid, Code: wire.CodeInvalidArgument, Err: errors.New("it is not completed")}
	}
	return nil
}

func (b *BreakpointFile) usable(op string) error {
	if b.s == nil {
		return &Error{Op: op, Name: b.Name, Kind: Invalid, Err: errors.New("not from a Store: create it or ask for it")}
	}
	return nil
}
