package main

import (
	"errors"

	"github.com/sequoiacm/scmfs/client"
)

// Exit codes. They are documented in exitCodesHelp.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitServer  = 3
	exitPending = 4
	exitMount   = 5
)

const exitCodesHelp = `Exit codes:
  0  done
  1  failed, the message says why
  2  the command line is wrong
  3  the server cannot be reached, or refuses the user
  4  time is up and uploads are left; they are kept in the state directory
  5  the mount point is not usable, busy or not mounted`

// failed is an error with an exit code.
type failed struct {
	code int
	err  error
}

func (f *failed) Error() string { return f.err.Error() }
func (f *failed) Unwrap() error { return f.err }

func failure(code int, err error) error { return &failed{code, err} }

func exitCode(err error) int {
	if f, ok := errors.AsType[*failed](err); ok {
		return f.code
	}
	switch client.KindOf(err) {
	case client.Auth, client.Unavailable, client.Timeout, client.Permission:
		return exitServer
	}
	return exitFailed
}
