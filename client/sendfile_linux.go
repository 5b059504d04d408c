package client

import (
	"context"
	"errors"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// plainConn is a TCP connection that sends files by itself. net/http does so for
// whole files only.
type plainConn struct{ *net.TCPConn }

func dialPlain(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok {
			return plainConn{tcp}, err
		}
		return c, err
	}
}

// ReadFrom implements io.ReaderFrom.
func (c plainConn) ReadFrom(r io.Reader) (int64, error) {
	sent := int64(0)
	if l, ok := r.(*io.LimitedReader); ok {
		if src, ok := l.R.(*source); ok {
			n, err := c.sendFile(src, l.N)
			l.N -= n
			if sent = n; err != nil || l.N == 0 {
				return sent, err
			}
		}
	}
	n, err := c.TCPConn.ReadFrom(r)
	return sent + n, err
}

// Close implements net.Conn. What the server has not taken yet is dropped: the kernel
// would go on sending a file's pages after the call was given up, and they may be
// written over by then.
func (c plainConn) Close() error {
	if raw, err := c.SyscallConn(); err == nil {
		queued := 0
		err := raw.Control(func(fd uintptr) { queued, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if err == nil && queued > 0 {
			_ = c.SetLinger(0)
		}
	}
	return c.TCPConn.Close()
}

// sendFile sends up to most bytes as long as they are in a file.
func (c plainConn) sendFile(src *source, most int64) (sent int64, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, nil // Write tells
	}
	for sent < most {
		n, wait := int64(0), false
		err := raw.Write(func(fd uintptr) bool {
			// The source is not held while the connection is waited for: who closes it
			// must not have to wait as well.
			n, wait = src.sendTo(int(fd), most-sent)
			return !wait
		})
		if sent += n; err != nil {
			return sent, err
		}
		if n == 0 {
			break
		}
	}
	return sent, nil
}

// sendTo hands to a socket what it takes of a file without waiting. 0 without
// wait: the next bytes have to be read. That is the answer to errors, too: whether
// the file's or the socket's, the read or the write after it will tell.
func (s *source) sendTo(socket int, most int64) (sent int64, wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.beginLocked() != nil {
		return 0, false
	}
	r, ok := s.mu.r.(FileReader)
	if !ok {
		return 0, false
	}
	f, off, n := r.Next()
	if n <= 0 {
		return 0, false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, false
	}
	k := 0
	cerr := raw.Control(func(fd uintptr) {
		for {
			if k, err = unix.Sendfile(socket, int(fd), &off, int(min(n, most))); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if cerr != nil {
		return 0, false
	}
	if errors.Is(err, unix.EAGAIN) {
		return 0, true
	}
	if err != nil || k <= 0 {
		return 0, false
	}
	r.Skip(int64(k))
	s.n.Add(int64(k))
	s.w.progress()
	return int64(k), false
}
