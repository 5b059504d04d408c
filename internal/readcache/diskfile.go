package readcache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sequoiacm/scmfs/client"
	"golang.org/x/sys/unix"
)

// A file of the disk cache is one complete block:
//
//	 0  magic "SCMBLK01"
//	 8  block size, uint32 big endian like all numbers
//	12  length n of the content in this block, uint32
//	16  CRC-32C of each 64 KiB page, uint32 each
//	..  CRC-32C of the key and all of the above, uint32
//	..  n bytes of content
//
// A checksum per page and not per file, so that a small read loads one page. The
// key is part of the header's checksum: a file under another name is damaged.
const (
	diskMagic  = "SCMBLK01"
	maxDiskKey = 200 // bytes of an encoded data id in a file name
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged reports a file that is not what was written.
var errDamaged = errors.New("damaged file in the disk cache")

// diskKey names a block on disk.
type diskKey struct {
	data  client.DataID
	index int64
}

// name is the path of the key's file below the cache directory, "" for a data id
// that no file name can hold.
func (k diskKey) name() string {
	id := url.PathEscape(string(k.data))
	if len(id) > maxDiskKey {
		return ""
	}
	base := id + "-" + strconv.FormatInt(k.index, 10)
	return filepath.Join(fmt.Sprintf("%02x", byte(crc32.Checksum([]byte(base), castagnoli))), base)
}

// parseDiskName is the inverse of the last element of name.
func parseDiskName(base string) (diskKey, bool) {
	i := strings.LastIndexByte(base, '-')
	if i <= 0 {
		return diskKey{}, false
	}
	id, err := url.PathUnescape(base[:i])
	if err != nil {
		return diskKey{}, false
	}
	index, err := strconv.ParseInt(base[i+1:], 10, 64)
	k := diskKey{client.DataID(id), index}
	return k, err == nil && index >= 0 && filepath.Base(k.name()) == base
}

// diskHeader is the part of a file before the content.
func diskHeader(k diskKey, blockSize, length int64, pages []uint32) []byte {
	b := make([]byte, 0, diskHeaderSize(length))
	b = append(b, diskMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(blockSize))
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	for _, sum := range pages {
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	sum := crc32.Update(crc32.Checksum([]byte(k.name()), castagnoli), castagnoli, b)
	return binary.BigEndian.AppendUint32(b, sum)
}

func diskHeaderSize(length int64) int64 {
	return int64(len(diskMagic)) + 4 + 4 + (length+pageSize-1)/pageSize*4 + 4
}

// createDiskFile opens a file of the disk cache to be written from its beginning.
func createDiskFile(path string) (io.WriteCloser, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
}

// writeDiskFile writes a complete block under a temporary name and renames it.
// Nothing is synced: after a power cut the checksums tell.
func writeDiskFile(create func(string) (io.WriteCloser, error), path string, k diskKey, blockSize, length int64, pages []page) (err error) {
	sums := make([]uint32, len(pages))
	for i := range pages {
		sums[i] = crc32.Checksum(pageContent(pages[i].data, int64(i), length), castagnoli)
	}
	tmp := path + ".tmp"
	f, err := create(tmp)
	if errors.Is(err, os.ErrNotExist) { // first of its directory, or somebody deleted it
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		f, err = create(tmp)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp)
		}
	}()
	_, err = f.Write(diskHeader(k, blockSize, length, sums))
	for i := 0; i < len(pages) && err == nil; i++ {
		_, err = f.Write(pageContent(pages[i].data, int64(i), length))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// pageContent is the part of a page's memory that is content.
func pageContent(data []byte, i, length int64) []byte {
	return data[:min(pageSize, length-i*pageSize)]
}

// diskFile is an open file of the disk cache whose header was found right.
type diskFile struct {
	*os.File
	length int64
	sums   []byte // the pages' checksums
}

// openDiskFile opens the file of a block of length bytes. It returns errDamaged
// for anything but that.
func openDiskFile(path string, k diskKey, blockSize, length int64) (*diskFile, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	head := make([]byte, diskHeaderSize(length))
	if _, err := f.ReadAt(head, 0); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s: %w", errDamaged, path, err)
	}
	d := &diskFile{File: f, length: length, sums: head[len(diskMagic)+8 : len(head)-4]}
	sums := make([]uint32, len(d.sums)/4)
	for i := range sums {
		sums[i] = d.sum(int64(i))
	}
	if string(head) != string(diskHeader(k, blockSize, length, sums)) {
		_ = f.Close()
		return nil, fmt.Errorf("%w: %s: header", errDamaged, path)
	}
	return d, nil
}

func (d *diskFile) sum(i int64) uint32 { return binary.BigEndian.Uint32(d.sums[4*i:]) }

// readPage reads page i into data and returns how many bytes it has.
func (d *diskFile) readPage(data []byte, i int64) (int64, error) {
	p := pageContent(data, i, d.length)
	if _, err := d.ReadAt(p, diskHeaderSize(d.length)+i*pageSize); err != nil {
		return 0, fmt.Errorf("%w: %s: %w", errDamaged, d.Name(), err)
	}
	if crc32.Checksum(p, castagnoli) != d.sum(i) {
		return 0, fmt.Errorf("%w: %s: page %d", errDamaged, d.Name(), i)
	}
	return int64(len(p)), nil
}
