package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
)

// Bounds of what a list may take in memory, whatever a server sends.
const (
	// maxRows is of one answer: a row of the fewest bytes, an id, becomes ten times
	// as many bytes in memory.
	maxRows = 250_000
	// maxListed bounds the answers of all lists under way in this client that go on
	// from page to page, in bytes of JSON: 1.5 million files with what is usually
	// known of one.
	maxListed = 1 << 30
)

// rowsOf reads all rows of a list, at most maxRows.
type rowsOf[V any] func(b []byte) ([]V, error)

// eachBy is for lists of which convert makes the rows.
func eachBy[R, V any](convert func(*R) (V, error)) rowsOf[V] {
	return func(b []byte) ([]V, error) { return decodeRows(b, convert) }
}

// fileRows is for lists of files, the long ones: what scanFiles does not
// understand, or has too many rows, is for decodeRows to read or to refuse.
func fileRows(b []byte) ([]File, error) {
	if files, ok := scanFiles(b); ok {
		return files, nil
	}
	return decodeRows(b, fileOf)
}

// fetchList fetches a JSON array. Anything but one complete array is an error:
// the server can report a failure in the middle in no other way (part 1 section
// 1.7). The whole is read first, up to a limit: a decoder on the stream looks at
// blanks again and again, and a server may send any number of them.
func fetchList[V any](ctx context.Context, c *Client, k *call, decode rowsOf[V]) ([]V, error) {
	k.method = http.MethodGet
	var rows []V
	k.takeBody = func(b []byte) (err error) {
		k.size = int64(len(b))
		rows, err = decode(b) // a retry starts over
		return err
	}
	_, err := c.do(ctx, k)
	return rows, err
}

// decodeRows reads an array row by row, so that each is judged before the next
// takes any memory: 64 MiB of "{}," would otherwise be 9 GiB of records.
func decodeRows[R, V any](b []byte, convert func(*R) (V, error)) ([]V, error) {
	if b = bytes.TrimLeft(b, " \t\r\n"); len(b) > 0 && b[0] != '[' {
		return nil, errors.New("the answer is not a list")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil {
		return nil, cutOff(err)
	}
	var rows []V
	for dec.More() {
		if len(rows) == maxRows {
			return nil, fmt.Errorf("the list has more than %d rows", maxRows)
		}
		var raw R
		if err := dec.Decode(&raw); err != nil {
			return nil, cutOff(err)
		}
		v, err := convert(&raw)
		if err != nil {
			return nil, fmt.Errorf("list row %d: %w", len(rows), err)
		}
		rows = append(rows, v)
	}
	if _, err := dec.Token(); err != nil { // the bracket
		return nil, cutOff(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: there is more behind its end", errCutOff)
	}
	return rows, nil
}

// cutOff tells a list that is not whole from one of something else.
func cutOff(err error) error {
	if _, syntax := errors.AsType[*json.SyntaxError](err); syntax || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %v", errCutOff, err) //nolint:errorlint // an end of JSON is not the connection's
	}
	return err
}

// pages runs keyset paging by a unique string key: each page starts behind the
// last row of the one before, so that concurrent changes cannot shift rows.
func pages[V any](ctx context.Context, c *Client, op, after string, page func(after string) (*call, error), decode rowsOf[V], key func(V) string) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var zero V
		held := int64(0)
		defer func() { c.listed.Add(-held) }()
		loop := circle{at: after, next: 1}
		for after := after; ; {
			k, err := page(after)
			var rows []V
			if err == nil {
				rows, err = fetchList(ctx, c, k, decode)
			}
			if err != nil {
				yield(zero, err)
				return
			}
			held += k.size
			if c.listed.Add(k.size) > c.maxListed {
				yield(zero, &Error{Op: op, Name: k.name, Kind: TooLarge, Err: fmt.Errorf("lists take more than %d bytes", c.maxListed)})
				return
			}
			for _, v := range rows {
				if !yield(v, nil) {
					return
				}
			}
			if len(rows) < pageSize {
				return
			}
			// The database's order of names is thought to be bytewise (part 1
			// section 9, 7), so that keys cannot be compared: a server that ignores
			// the filter and would keep us here for ever shows by a key that was
			// there before.
			after = key(rows[len(rows)-1])
			if loop.closes(after) {
				yield(zero, &Error{Op: op, Name: k.name, Kind: Protocol, Err: fmt.Errorf("the pages repeat, from %.80q", after)})
				return
			}
		}
	}
}

// circle finds out that a sequence repeats, remembering one value of it: the
// 1st, 2nd, 4th, 8th… (Brent).
type circle struct {
	at      string
	n, next int
}

func (c *circle) closes(v string) bool {
	if v == c.at {
		return true
	}
	if c.n++; c.n == c.next {
		c.at, c.n, c.next = v, 0, 2*c.next
	}
	return false
}
