package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// killPriv takes set-user-id and set-group-id off a file when an unprivileged
// program writes to it. With CAP_HANDLE_KILLPRIV_V2 the kernel leaves that to us
// (and saves a GETXATTR before each write); it says so in flags of WRITE and OPEN
// that go-fuse does not hand to nodes, hence this decorator. The flag of SETATTR
// and chown are [fileNode.Setattr]'s.
type killPriv struct{ fuse.RawFileSystem }

// withoutPriv is what writing and chown leave of permissions: set-group-id
// without group execute means something else and stays.
func withoutPriv(perm uint32) uint32 {
	perm &^= syscall.S_ISUID
	if perm&syscall.S_IXGRP != 0 {
		perm &^= syscall.S_ISGID
	}
	return perm
}

// kill asks the node as the kernel does with a truncation.
func (k killPriv) kill(c <-chan struct{}, in fuse.InHeader) {
	var set fuse.SetAttrIn
	set.InHeader, set.Valid = in, fuse.FATTR_KILL_SUIDGID
	k.SetAttr(c, &set, &fuse.AttrOut{})
}

func (k killPriv) Write(c <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 {
		k.kill(c, in.InHeader)
	}
	return k.RawFileSystem.Write(c, in, data)
}

// Writev comes before Write, which follows when this is not carried out.
func (k killPriv) Writev(c <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	n, st := k.RawFileSystem.Writev(c, in, data)
	if st == fuse.OK && in.WriteFlags&fuse.WRITE_KILL_SUIDGID != 0 {
		k.kill(c, in.InHeader)
	}
	return n, st
}

func (k killPriv) Open(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	st := k.RawFileSystem.Open(c, in, out)
	if st == fuse.OK && in.Mode&fuse.OPEN_KILL_SUIDGID != 0 {
		k.kill(c, in.InHeader)
	}
	return st
}

// Fallocate has no flag: whoever is not root loses the bits, as on a disk.
func (k killPriv) Fallocate(c <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if in.Caller.Uid != 0 {
		k.kill(c, in.InHeader)
	}
	return k.RawFileSystem.Fallocate(c, in)
}
