package readcache

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sequoiacm/scmfs/client"
	"github.com/sirupsen/logrus"
)

// Source delivers committed content. *client.Store is one.
//
// Both calls must return soon after ctx is done, and so must Read of a body
// opened under it.
type Source interface {
	// Open returns the bytes of c from off to the end. A body that ends early
	// returns an error; a plain io.EOF before the end is taken as one.
	Open(ctx context.Context, c client.Content, off int64) (io.ReadCloser, error)
	// ReadRange fills p from off with one short request. len(p) is at most
	// 64 KiB and never reaches beyond the content.
	ReadRange(ctx context.Context, c client.Content, p []byte, off int64) (int, error)
}

// ErrClosed is returned by reads after the cache or the reader was closed.
var ErrClosed = errors.New("read cache is closed")

// Defaults of [Options].
const (
	DefaultMemory    = 256 << 20
	DefaultBlockSize = 1 << 20
	DefaultMaxWindow = 32 << 20
)

// Options are the optional parts of a [Cache]. The zero value works.
type Options struct {
	// Memory bounds the bytes of content in memory, those being received
	// included. 0 is [DefaultMemory]; the smallest value is two blocks. From 64 MiB
	// on a 32nd of it is for what was written here, see [Cache.Keep].
	Memory int64
	// BlockSize is the unit of eviction and of the disk cache in bytes, a
	// multiple of 64 KiB. 0 is [DefaultBlockSize].
	BlockSize int64
	// MaxWindow bounds how far ahead of a sequential reader the cache reads, in
	// bytes. 0 is [DefaultMaxWindow]. All readers together prefetch at most half
	// of Memory.
	MaxWindow int64
	// Streams is how many bodies may be open at once for one sequential reader.
	// 0 is 1: on one link a second stream of the same file only shares it.
	Streams int

	// Dir turns the disk cache on. The directory is made with mode 0700, belongs
	// to this cache alone and may be deleted at any time.
	Dir string
	// DirMax bounds the bytes of content below Dir. 0 is no bound but DirMinFree.
	DirMax int64
	// DirMinFree is the free space in bytes that the disk cache leaves to others.
	DirMinFree int64

	// Logger takes the few things worth knowing; nil discards them.
	Logger logrus.FieldLogger
	// Registerer takes the metrics; nil keeps them private (see [Cache.Stats]).
	Registerer prometheus.Registerer
}

// withDefaults fills in and checks.
func (o Options) withDefaults() (Options, error) {
	if o.BlockSize == 0 {
		o.BlockSize = DefaultBlockSize
	}
	if o.BlockSize < pageSize || o.BlockSize%pageSize != 0 {
		return o, fmt.Errorf("read cache: block size %d is not a multiple of %d", o.BlockSize, pageSize)
	}
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.Memory < 2*o.BlockSize {
		return o, fmt.Errorf("read cache: %d bytes of memory are less than two blocks of %d", o.Memory, o.BlockSize)
	}
	if o.MaxWindow == 0 {
		o.MaxWindow = DefaultMaxWindow
	}
	if o.Streams == 0 {
		o.Streams = 1
	}
	if o.MaxWindow < 0 || o.Streams < 0 || o.DirMax < 0 || o.DirMinFree < 0 {
		return o, errors.New("read cache: negative limit")
	}
	if o.Logger == nil {
		l := logrus.New()
		l.SetOutput(io.Discard)
		o.Logger = l
	}
	return o, nil
}
