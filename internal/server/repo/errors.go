package repo

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// Error is a refusal with SCM's code. A transaction function that returns one
// has changed nothing.
type Error struct {
	Code  wire.Code
	Msg   string
	Extra wire.Doc // for X-SCM-EXTRA-ERROR-INFO, usually nil
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Msg) }

// Errorf returns an [Error].
func Errorf(code wire.Code, format string, args ...any) error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of err, CodeSystemError for a foreign error and 0 for nil.
func CodeOf(err error) wire.Code {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return wire.CodeSystemError
}

func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("damaged record: %w", err)
	}
	return nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		// Records are plain structs of strings and numbers; this cannot happen.
		panic(fmt.Sprintf("encode record: %v", err))
	}
	return b
}
