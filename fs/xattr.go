package fs

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
)

var (
	_ fusefs.NodeGetxattrer    = (*fileNode)(nil)
	_ fusefs.NodeSetxattrer    = (*fileNode)(nil)
	_ fusefs.NodeListxattrer   = (*fileNode)(nil)
	_ fusefs.NodeRemovexattrer = (*fileNode)(nil)
	_ fusefs.NodeGetxattrer    = (*dirNode)(nil)
)

const (
	userPrefix = "user."
	scmPrefix  = "user.scm." // the store's side, see xattr_scm.go

	// oddPrefix marks a key of custom_metadata that holds an attribute whose name
	// or value is not plain text: name in hex, value in base64.
	oddPrefix = "x-"

	// maxMetadata bounds all of a file's metadata together. The record of a file
	// comes in a response header, percent-encoded, and a gateway takes 8 KiB.
	maxMetadata = 2048

	maxXattrName = 255 // bytes, XATTR_NAME_MAX of the kernel

	xattrCreate  = 1
	xattrReplace = 2
)

// xattrKeys are the metadata keys under which an attribute may be kept: the
// plain one, which other programs read and write as well, and the odd one.
func xattrKeys(name string) (plain, odd string) {
	short := strings.TrimPrefix(name, userPrefix)
	odd = oddPrefix + hex.EncodeToString([]byte(short))
	if short != posixKey && !strings.HasPrefix(short, oddPrefix) && plainKey(short) {
		plain = short
	}
	return plain, odd
}

// plainKey tells whether SCM's database takes a key for certain (protocol part 1,
// section 7.2).
func plainKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func plainValue(v []byte) bool {
	return utf8.Valid(v) && !slices.ContainsFunc(v, func(c byte) bool { return c < 0x20 })
}

// xattrGet finds an attribute in metadata.
func xattrGet(meta map[string]string, name string) ([]byte, bool) {
	plain, odd := xattrKeys(name)
	if v, ok := meta[odd]; ok {
		b, err := base64.StdEncoding.DecodeString(v)
		if err == nil {
			return b, true
		}
	}
	if plain == "" {
		return nil, false
	}
	v, ok := meta[plain]
	return []byte(v), ok
}

// xattrSet returns metadata with an attribute set, or removed when value is nil.
func xattrSet(meta map[string]string, name string, value []byte) map[string]string {
	plain, odd := xattrKeys(name)
	out := make(map[string]string, len(meta)+1)
	for k, v := range meta {
		if k != plain && k != odd {
			out[k] = v
		}
	}
	switch {
	case value == nil:
	case plain != "" && plainValue(value):
		out[plain] = string(value)
	default:
		out[odd] = base64.StdEncoding.EncodeToString(value)
	}
	return out
}

// xattrsOnto returns the metadata of a file that another is renamed onto: its own,
// with the attributes that the other one brings.
func xattrsOnto(base, from map[string]string) map[string]string {
	for _, name := range xattrNames(from) {
		if v, ok := xattrGet(from, name); ok {
			base = xattrSet(base, name, v)
		}
	}
	return base
}

// xattrNames lists the attributes in metadata, sorted. What other programs keep
// there under a name that no attribute can have is left out: in a list of names
// that NULs separate it would be read as something else.
func xattrNames(meta map[string]string) []string {
	var names []string
	for k := range meta {
		short, odd := strings.CutPrefix(k, oddPrefix)
		if odd {
			b, err := hex.DecodeString(short)
			if err != nil {
				continue
			}
			short = string(b)
		}
		if k != posixKey && short != "" && len(userPrefix+short) <= maxXattrName && !strings.Contains(short, "\x00") {
			names = append(names, userPrefix+short)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func metadataSize(meta map[string]string) int {
	n := 0
	for k, v := range meta {
		if k != posixKey {
			n += len(k) + len(v)
		}
	}
	return n
}

// errForeign answers for the names that are not the user's: security labels, file
// capabilities, access lists. No file here has any, and programs that hear "not
// supported" ask once per mount; with ENODATA `ls -l` asked two questions per
// file, which took four times as long as the listing itself.
const errForeign = syscall.EOPNOTSUPP

// answer puts a value into the caller's buffer: an empty buffer asks for the size.
func answer(v, dest []byte) (uint32, syscall.Errno) {
	if len(dest) < len(v) {
		return uint32(len(v)), syscall.ERANGE
	}
	return uint32(copy(dest, v)), 0
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *fileNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	switch {
	case strings.HasPrefix(name, scmPrefix):
		v, errno := n.scm(ctx, strings.TrimPrefix(name, scmPrefix))
		if errno != 0 {
			return 0, errno
		}
		return answer([]byte(v), dest)
	case !strings.HasPrefix(name, userPrefix):
		return 0, errForeign
	}
	n.mu.Lock()
	meta := n.meta
	n.mu.Unlock()
	v, ok := xattrGet(meta, name)
	if !ok {
		return 0, syscall.ENODATA
	}
	return answer(v, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *fileNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	n.mu.Lock()
	meta := n.meta
	n.mu.Unlock()
	var b []byte
	for _, name := range xattrNames(meta) {
		b = append(append(b, name...), 0)
	}
	return answer(b, dest)
}

// writableXattr tells whether an attribute may be set.
func (n *fileNode) writableXattr(name string) syscall.Errno {
	switch {
	case n.ws.rules.ReadOnly:
		return syscall.EROFS
	case !strings.HasPrefix(name, userPrefix), name == userPrefix:
		return syscall.EOPNOTSUPP
	case n.kind != syscall.S_IFREG:
		return syscall.EPERM
	}
	return 0
}

// Setxattr implements fusefs.NodeSetxattrer.
func (n *fileNode) Setxattr(ctx context.Context, name string, data []byte, flags uint32) syscall.Errno {
	if errno := n.writableXattr(name); errno != 0 {
		return errno
	}
	if strings.HasPrefix(name, scmPrefix) {
		return n.setSCM(ctx, strings.TrimPrefix(name, scmPrefix), string(data))
	}
	n.mu.Lock()
	meta, px := n.meta, n.px
	n.mu.Unlock()
	_, exists := xattrGet(meta, name)
	switch {
	case flags&xattrCreate != 0 && exists:
		return syscall.EEXIST
	case flags&xattrReplace != 0 && !exists:
		return syscall.ENODATA
	case len(data) > maxMetadata:
		return syscall.E2BIG
	}
	next := xattrSet(meta, name, append([]byte{}, data...))
	if metadataSize(next) > maxMetadata {
		return syscall.ENOSPC
	}
	octx, cancel := n.ws.fs.deed(ctx)
	defer cancel()
	return n.store(octx, px, next, false)
}

// Removexattr implements fusefs.NodeRemovexattrer.
func (n *fileNode) Removexattr(ctx context.Context, name string) syscall.Errno {
	if errno := n.writableXattr(name); errno != 0 {
		return errno
	}
	if strings.HasPrefix(name, scmPrefix) {
		return n.setSCM(ctx, strings.TrimPrefix(name, scmPrefix), "")
	}
	n.mu.Lock()
	meta, px := n.meta, n.px
	n.mu.Unlock()
	if _, ok := xattrGet(meta, name); !ok {
		return syscall.ENODATA
	}
	octx, cancel := n.ws.fs.deed(ctx)
	defer cancel()
	return n.store(octx, px, xattrSet(meta, name, nil), false)
}

// Getxattr implements fusefs.NodeGetxattrer: a directory has its id and nothing else.
func (d *dirNode) Getxattr(ctx context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	if name == scmPrefix+"id" {
		return answer([]byte(d.id), dest)
	}
	return d.noXattr.Getxattr(ctx, name, dest)
}
