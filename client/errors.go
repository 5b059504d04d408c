package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Kind says what an error means to a program, whatever its code.
type Kind int

// The kinds of errors.
const (
	Other               Kind = iota
	NotExist                 // no such file, directory, version or breakpoint file
	Exist                    // the name is taken
	NotEmpty                 // directory or workspace still holds something
	Permission               // a privilege is missing
	Auth                     // wrong user or password, or the session cannot be renewed
	Invalid                  // the argument can never be right
	Unsupported              // the store cannot do this
	Busy                     // locked or in use at the moment
	VersionMismatch          // the content is no longer the expected version
	MoveIntoSelf             // a directory cannot move below itself
	Quota                    // no space left for this user or store
	TooLarge                 // exceeds a limit of the protocol
	Corrupt                  // the store's own data is damaged
	Timeout                  // no progress within the limit
	Unavailable              // connection refused or broken, node down: worth trying again
	Uncertain                // the request may or may not have been carried out
	Canceled                 // the caller's context ended
	DirectoriesDisabled      // the workspace has no directories
	NoWorkspace              // the workspace does not exist
	Protocol                 // the answer is not what the protocol promises
	kindCount
)

var kindNames = [...]string{"error", "does not exist", "already exists", "not empty", "permission denied",
	"not authenticated", "invalid argument", "not supported", "busy", "version mismatch", "move into itself",
	"quota exceeded", "too large", "corrupt", "timed out", "unavailable", "outcome unknown", "canceled",
	"workspace has no directories", "workspace does not exist", "protocol violation"}

func (k Kind) String() string {
	if k >= 0 && k < kindCount {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Kinds lists every kind, for tables that must be total.
func Kinds() []Kind {
	out := make([]Kind, kindCount)
	for i := range out {
		out[i] = Kind(i)
	}
	return out
}

// Error is every error of this package.
type Error struct {
	Op   string // what was tried, "create file"
	Name string // what it was tried on, may be empty
	Kind Kind   // what it means: branch on this
	Code Code   // the server's, 0 if it did not say
	HTTP int    // status line, 0 if there was none
	Err  error  // cause, may be nil

	unsent      bool // no byte of the request was sent
	sessionGone bool // the message says so
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Name != "" {
		fmt.Fprintf(&b, " %q", e.Name)
	}
	b.WriteString(": ")
	b.WriteString(e.Kind.String())
	if e.Code != 0 {
		fmt.Fprintf(&b, ", %s", e.Code)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of err: Canceled and Timeout for context errors,
// Other for foreign ones.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Other
}

// CodeOf returns the server's code, 0 if there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}

// IsTransient reports whether the same call may succeed later by itself.
func IsTransient(err error) bool {
	switch KindOf(err) {
	case Unavailable, Timeout, Uncertain, Busy:
		return true
	}
	return false
}

// codeKinds says what SCM's codes mean to a program (part 1 section 3.4). What
// is not listed is decided by range in kindOfCode, or Other: an I/O error that
// nobody can act on.
var codeKinds = map[wire.Code]Kind{
	wire.CodeInvalidArgument: Invalid, wire.CodeInvalidID: Invalid, wire.CodeSystemError: Unavailable,
	wire.CodeLockError: Busy, wire.CodeMissingArgument: Invalid, wire.CodeOutOfBound: Invalid,
	wire.CodeOperationUnsupported: Unsupported, wire.CodeOperationForbidden: Permission,
	wire.CodeOperationUnauthorized: Permission, wire.CodeOperationTimeout: Timeout, wire.CodeResourceConflict: Busy,
	wire.CodeAttributeFormatError: Invalid, wire.CodeNoOperandForKey: Invalid, wire.CodeSessionClosed: Auth,
	wire.CodeNetworkIO: Unavailable, wire.CodeCommitUncertainState: Uncertain, wire.CodeSaltNotExist: Auth,
	wire.CodeServerNotInWorkspace: NoWorkspace, wire.CodeSiteNotExist: NotExist, wire.CodeWorkspaceNotExist: NoWorkspace,
	wire.CodeWorkspaceNotEmpty: NotEmpty, wire.CodeWorkspaceExist: Exist, wire.CodeMetasourceRecordExist: Exist,
	wire.CodeDirExist: Exist, wire.CodeDirNotFound: NotExist, wire.CodeDirNotEmpty: NotEmpty,
	wire.CodeDirMoveToSubdir: MoveIntoSelf, wire.CodeDirFeatureDisable: DirectoriesDisabled,
	wire.CodeFileExist: Exist, wire.CodeFileNotFound: NotExist, wire.CodeFileVersionMismatching: VersionMismatch,
	wire.CodeBatchFileSameName: Exist, wire.CodeBatchExist: Exist, wire.CodeDataExist: Exist,
	wire.CodeDataCorrupted: Corrupt, wire.CodeDataIsInUse: Busy, wire.CodeDataUnavailable: Unavailable,
	wire.CodeDataPiecesInfoOverflow: TooLarge, wire.CodeDataStorageQuotaExceeded: Quota, wire.CodeBucketQuotaExceeded: Quota,
	wire.CodeMetadataCheckError: Invalid, wire.CodeFileIO: Unavailable, wire.CodeFileNotExist: NotExist,
	wire.CodeFileInvalidCustomtag: Invalid, wire.CodeFileCustomtagTooLarge: TooLarge,
	wire.CodeWorkspaceCacheExpire: Unavailable, wire.CodeFileClassUndefined: Invalid, wire.CodeBatchClassUndefined: Invalid,
	wire.CodeFileInSpecifiedBatch: Invalid, wire.CodeFileInAnotherBatch: Invalid, wire.CodeFileNotInBatch: Invalid,
	wire.CodeFileInAnotherBucket: Invalid, wire.CodePrivilegeGrantFailed: Permission, wire.CodePrivilegeRevokeFailed: Permission,
}

func kindOfCode(c wire.Code) Kind {
	if k, ok := codeKinds[c]; ok {
		return k
	}
	switch {
	case c <= -401 && c >= -412:
		return Corrupt
	case c <= -501 && c >= -508:
		return Invalid // the class and attribute interface
	case c == 400:
		return Invalid
	case c == 401 || c == 403:
		return Auth
	case c == 404 || c == 405 || c == 406:
		return Protocol // an unknown service or URL; what does not exist has a code
	case c == 413 || c == 414 || c == 431:
		return TooLarge
	case c == 408 || c == 429 || c >= 500:
		return Unavailable
	}
	return Other
}

// transportKind classifies an error below HTTP. sent says whether the request
// may have reached the server.
func transportKind(ctx context.Context, err error, sent bool) Kind {
	if ctx.Err() != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			if sent {
				return Uncertain
			}
			return Timeout
		}
		return KindOf(ctx.Err())
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return Unavailable
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return Unavailable
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Auth // waiting does not make the server trustworthy
	}
	if sent {
		return Uncertain
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return Timeout
	}
	return Unavailable
}

// why replaces the error of a request that the watchdog ended, which would read
// as if the caller had canceled it.
func why(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}

// errStalled ends a transfer that made no progress.
var errStalled = errors.New("no progress within the stall timeout")

// ErrShort reports fewer bytes than the server announced.
var ErrShort = fmt.Errorf("fewer bytes than announced: %w", io.ErrUnexpectedEOF)

// errLong reports more bytes than the server announced: they are not the content.
var errLong = errors.New("more bytes than announced")
