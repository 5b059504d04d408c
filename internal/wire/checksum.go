package wire

import (
	"fmt"
	"hash"
	"hash/adler32"
	"hash/crc32"
)

// ChecksumType is how a breakpoint file's running checksum is computed, part 2
// section 5.1.
type ChecksumType string

// The checksum types of the protocol.
const (
	ChecksumNone    ChecksumType = "NONE"
	ChecksumCRC32   ChecksumType = "CRC32"
	ChecksumAdler32 ChecksumType = "ADLER32"
)

// ParseChecksumType accepts the three spellings and nothing else.
func ParseChecksumType(s string) (ChecksumType, error) {
	switch t := ChecksumType(s); t {
	case ChecksumNone, ChecksumCRC32, ChecksumAdler32:
		return t, nil
	}
	return "", fmt.Errorf("unknown checksum type %q", s)
}

// New returns a hash of this type; NONE always sums to 0.
func (t ChecksumType) New() hash.Hash32 {
	switch t {
	case ChecksumCRC32:
		return crc32.NewIEEE()
	case ChecksumAdler32:
		return adler32.New()
	default:
		return noChecksum{}
	}
}

// Extend continues a record's checksum over size bytes with p. A record of size
// 0 shows checksum 0 whatever its type (part 2 section 5.5), so the start value
// of ADLER32 is restored here.
func (t ChecksumType) Extend(sum uint32, size int64, p []byte) uint32 {
	switch {
	case len(p) == 0:
		return sum
	case t == ChecksumCRC32:
		return crc32.Update(sum, crc32.IEEETable, p)
	case t == ChecksumAdler32:
		if size == 0 {
			sum = 1
		}
		return extendAdler(sum, p)
	default:
		return 0
	}
}

const adlerMod = 65521

func extendAdler(sum uint32, p []byte) uint32 {
	a, b := sum&0xffff, sum>>16
	for len(p) > 0 {
		// 5552 is the longest run for which b cannot overflow 32 bits.
		n := min(len(p), 5552)
		for _, c := range p[:n] {
			a += uint32(c)
			b += a
		}
		a %= adlerMod
		b %= adlerMod
		p = p[n:]
	}
	return b<<16 | a
}

type noChecksum struct{}

func (noChecksum) Write(p []byte) (int, error) { return len(p), nil }
func (noChecksum) Sum(b []byte) []byte         { return append(b, 0, 0, 0, 0) }
func (noChecksum) Reset()                      {}
func (noChecksum) Size() int                   { return 4 }
func (noChecksum) BlockSize() int              { return 1 }
func (noChecksum) Sum32() uint32               { return 0 }
