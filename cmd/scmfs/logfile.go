package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// logFile is a log that does not grow without bound: at its size it becomes
// FILE.1, FILE.1 becomes FILE.2 and so on, and the oldest goes. A file that
// somebody else moved away (logrotate) is opened anew. Nothing is lost when
// rotating fails; the file then grows on. Safe for concurrent use.
type logFile struct {
	path string
	max  int64
	keep int
	// crash sends what the Go runtime writes when it dies, and what libraries
	// print, into the present file: descriptors 1 and 2 follow each rotation.
	crash bool

	mu     sync.Mutex
	f      *os.File
	size   int64
	looked time.Time
}

func openLogFile(path string, limit int64, keep int, crash bool) (*logFile, error) {
	l := &logFile{path: path, max: limit, keep: keep, crash: crash}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fileFailure("log file", err)
	}
	fi, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("log file: %w", err), f.Close())
	}
	if l.crash {
		for _, fd := range []int{1, 2} {
			if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
				return errors.Join(fmt.Errorf("log file: %w", err), f.Close())
			}
		}
	}
	if l.f != nil {
		_ = l.f.Close()
	}
	l.f, l.size, l.looked = f, fi.Size(), time.Now()
	return nil
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return 0, os.ErrClosed
	}
	if l.size > 0 && l.size+int64(len(p)) > l.max {
		l.rotate()
	} else if time.Since(l.looked) > time.Second {
		l.looked = time.Now()
		if !l.inPlace() {
			_ = l.open() // else it goes on in the file that was moved
		}
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) inPlace() bool {
	here, err := os.Stat(l.path)
	ours, oerr := l.f.Stat()
	return err == nil && oerr == nil && os.SameFile(here, ours)
}

func (l *logFile) rotate() {
	for i := l.keep; i > 1; i-- {
		_ = os.Rename(l.numbered(i-1), l.numbered(i)) // there may be none
	}
	if os.Rename(l.path, l.numbered(1)) == nil {
		_ = l.open()
	}
}

func (l *logFile) numbered(i int) string { return fmt.Sprintf("%s.%d", l.path, i) }

// Close implements io.Closer.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}

// onTerminal tells whether w is shown to somebody who watches.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isTerminal(f)
}
