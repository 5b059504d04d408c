package client

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func elementsOf(r io.Reader) (rows []string, err error) {
	for e := newElements(r); ; {
		row, err := e.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, string(row))
	}
}

func TestElements(t *testing.T) {
	long := `"` + strings.Repeat(`\"]`, 50_000) + `"`
	for body, want := range map[string][]string{
		"[]":                          nil,
		" \n[ ] \t":                   nil,
		"[1]":                         {"1"},
		`[{"a":[1,2]},{"b":"]},["}]`:  {`{"a":[1,2]}`, `{"b":"]},["}`},
		`["\\","\"",[[],{}]]`:         {`"\\"`, `"\""`, `[[],{}]`},
		"[1 , 2]":                     {"1 ", "2"},
		"[" + long + "," + long + "]": {long, long},
		strings.Repeat(" ", 100_000) + "[1" + strings.Repeat(" ", 100_000) + "]" + strings.Repeat(" ", 100_000): {"1" + strings.Repeat(" ", 100_000)},
	} {
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(body), "by the byte": iotest.OneByteReader(strings.NewReader(body)),
			"end with the last byte": iotest.DataErrReader(strings.NewReader(body))} {
			got, err := elementsOf(r)
			require.NoError(t, err, "%s %.40q", name, body)
			assert.Equal(t, want, got, "%s %.40q", name, body)
		}
	}
	for _, body := range []string{"", "  ", "[", "[1", "[1,", `["`, `["\`, `[{"a":1]`, "[1]]", "[1]x", "[]1", `[{}`} {
		_, err := elementsOf(strings.NewReader(body))
		assert.ErrorIs(t, err, errCutOff, body)
	}
	_, err := elementsOf(strings.NewReader("{}"))
	require.ErrorContains(t, err, "not a list")
	_, err = elementsOf(strings.NewReader(`["` + strings.Repeat("x", maxRecord)))
	require.ErrorIs(t, err, errTooLong)
	// A connection that breaks is no end.
	_, err = elementsOf(io.MultiReader(strings.NewReader("[1,2"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.NotErrorIs(t, err, errCutOff)
}
