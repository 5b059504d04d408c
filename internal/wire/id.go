package wire

import (
	"encoding/hex"
	"fmt"
	"time"
)

// RootDirID is the id of every workspace's root directory (part 1 section 5.1).
const RootDirID = "000000000000000000000000"

// RootParentID is the parent_directory_id of the root.
const RootParentID = "-1"

// Allowed seconds of an id and of a create_time, part 2 section 2.1.
const (
	MinSeconds int64 = -62135798400
	MaxSeconds int64 = 253339200000
)

// ID is a decoded object id: 24 hex digits, 12 bytes (part 2 section 2.1).
type ID struct {
	Seconds int64 // since the epoch, 40 bits signed on the wire
	Cluster uint8 // low nibble
	Server  uint16
	Serial  uint32
}

const idVersionAndZone = 0x40 | 0x10 // id version 1, time zone 1 = Asia/Shanghai

// String returns the 24 lower-case hex digits.
func (id ID) String() string {
	sec := uint64(id.Seconds)
	b := [12]byte{
		byte(sec >> 24), byte(sec >> 16), byte(sec >> 8), byte(sec),
		idVersionAndZone | id.Cluster&0x0f,
		byte(id.Server>>8) & 0x7f, byte(id.Server),
		byte(sec >> 32),
		byte(id.Serial >> 24), byte(id.Serial >> 16), byte(id.Serial >> 8), byte(id.Serial),
	}
	return hex.EncodeToString(b[:])
}

// ParseID decodes 24 hex digits, both the present layout and the older one
// without high seconds.
func ParseID(s string) (ID, error) {
	if len(s) != 24 {
		return ID{}, fmt.Errorf("id %q: want 24 hex digits", s)
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return ID{}, fmt.Errorf("id %q: %w", s, err)
	}
	low := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	id := ID{Serial: uint32(b[8])<<24 | uint32(b[9])<<16 | uint32(b[10])<<8 | uint32(b[11])}
	if b[4]>>6 == 0 {
		id.Cluster = b[4]
		id.Seconds = int64(int32(low))
		return id, nil
	}
	id.Cluster = b[4] & 0x0f
	id.Server = uint16(b[5])<<8 | uint16(b[6])
	id.Seconds = int64(int8(b[7]))<<32 | int64(low)
	return id, nil
}

// ValidID reports whether s is 24 hex digits.
func ValidID(s string) bool {
	_, err := ParseID(s)
	return err == nil
}

// shanghai is fixed at UTC+8: the zone has had no other offset since 1991, and
// a fixed zone needs no time-zone database on the machine.
var shanghai = time.FixedZone("Asia/Shanghai", 8*3600)

// CreateMonth returns yyyyMM of the seconds in Asia/Shanghai, the month table a
// file lives in (part 2 section 2.1).
func CreateMonth(seconds int64) string {
	return time.Unix(seconds, 0).In(shanghai).Format("200601")
}

// Millis and FromMillis convert between Go times and the protocol's
// milliseconds since the epoch.
func Millis(t time.Time) int64 { return t.UnixMilli() }

// FromMillis is the inverse of [Millis].
func FromMillis(ms int64) time.Time { return time.UnixMilli(ms) }
