package fs

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
)

func TestEqual(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 40_000)
	other := bytes.Clone(long)
	other[len(other)-1]++
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		a, b io.Reader
		same bool
		err  error
	}{
		"nothing":        {bytes.NewReader(nil), bytes.NewReader(nil), true, nil},
		"same":           {bytes.NewReader(long), iotest.OneByteReader(bytes.NewReader(long)), true, nil},
		"last byte":      {bytes.NewReader(long), bytes.NewReader(other), false, nil},
		"shorter":        {bytes.NewReader(long), bytes.NewReader(long[:len(long)-1]), false, nil},
		"longer":         {bytes.NewReader(nil), bytes.NewReader(long), false, nil},
		"error":          {bytes.NewReader(long), iotest.ErrReader(broken), false, broken},
		"error of first": {iotest.ErrReader(broken), bytes.NewReader(nil), false, broken},
	} {
		t.Run(name, func(t *testing.T) {
			same, err := equal(c.a, c.b)
			assert.Equal(t, c.same, same)
			assert.ErrorIs(t, err, c.err)
		})
	}
}
