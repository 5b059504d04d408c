package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
)

// maxRows is of one answer to which the protocol sets no limit, such as all
// versions of a file, maxPage of one that was asked to be a page: a server that
// answers a little more is forgiven.
const (
	maxRows = 100_000
	maxPage = 10 * pageSize
)

// rowOf makes rows of their JSON.
type rowOf[V any] struct {
	// quick, if not nil, reads a row at the start of b; n is its length, 0 when that
	// is not what it knows. last is the row before, for what they have in common.
	quick func(b []byte, last *V) (row V, n int)
	whole func(b []byte, last *V) (V, error) // reads b, a row
	more  func(*V) int                       // what the row takes beyond the bytes of its JSON
}

// eachBy is for lists of which convert makes the rows.
func eachBy[R, V any](convert func(*R) (V, error)) rowOf[V] {
	return rowOf[V]{
		whole: func(b []byte, _ *V) (v V, err error) {
			var raw R
			if err := json.Unmarshal(b, &raw); err != nil {
				return v, cutOff(err)
			}
			return convert(&raw)
		},
		more: func(*V) int { return rowBytes },
	}
}

// What a row takes in memory, apart from its text, and an entry of a map.
const (
	rowBytes   = 320
	entryBytes = 64
)

// fileRows is for lists of files, the long ones: what scanRow does not understand
// is for encoding/json to read or to refuse.
func fileRows() rowOf[File] {
	slow := eachBy(fileOf)
	return rowOf[File]{
		quick: scanRow,
		whole: func(b []byte, last *File) (File, error) {
			if f, n := scanRow(b, last); n > 0 && n == len(b) {
				return f, nil
			}
			return slow.whole(b, last)
		},
		more: func(f *File) int {
			return rowBytes + entryBytes*(len(f.Metadata)+len(f.CustomTags)+len(f.Tags))
		},
	}
}

// held is what lists take of the client's [Options.ListBytes].
type held struct {
	c *Client
	n int64
}

func (h *held) add(n int) error {
	h.n += int64(n)
	if h.c.listed.Add(int64(n)) > h.c.o.ListBytes {
		return fmt.Errorf("%w: lists that are being read take more than %d bytes", errTooMuch, h.c.o.ListBytes)
	}
	return nil
}

func (h *held) release() { h.giveBack(h.n) }

func (h *held) giveBack(n int64) {
	h.n -= n
	h.c.listed.Add(-n)
}

// fetchList fetches a JSON array of at most limit rows. Anything but one complete
// array is an error: the server can report a failure in the middle in no other way
// (part 1 section 1.7). The caller releases h when it has no use for the rows.
func fetchList[V any](ctx context.Context, h *held, k *call, limit int, decode rowOf[V]) ([]V, error) {
	k.method = http.MethodGet
	before := h.n
	var rows []V
	k.takeList = func(e *elements) error {
		h.giveBack(h.n - before) // a retry starts over
		rows = nil
		var v V
		last, n := new(V), 0
		if decode.quick != nil {
			e.whole = func(b []byte) int {
				v, n = decode.quick(b, last)
				return n
			}
		}
		for {
			n = 0
			b, err := e.next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if len(rows) == limit {
				return fmt.Errorf("the list has more than %d rows", limit)
			}
			if n == 0 {
				if v, err = decode.whole(b, last); err != nil {
					return fmt.Errorf("list row %d: %w", len(rows), err)
				}
			}
			if err := h.add(len(b) + decode.more(&v)); err != nil {
				return err
			}
			if len(rows) == 64 {
				rows = slices.Grow(rows, pageSize-len(rows)) // there are more most of the time
			}
			rows = append(rows, v)
			last = &rows[len(rows)-1]
		}
	}
	_, err := h.c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// cutOff tells a list that is not whole from one of something else.
func cutOff(err error) error {
	if _, syntax := errors.AsType[*json.SyntaxError](err); syntax || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %v", errCutOff, err) //nolint:errorlint // an end of JSON is not the connection's
	}
	return err
}

// pages runs keyset paging by a unique string key: each page starts behind the
// last row of the one before, so that concurrent changes cannot shift rows.
func pages[V any](ctx context.Context, c *Client, op, after string, page func(after string) (*call, error), decode rowOf[V], key func(V) string) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		var zero V
		h := held{c: c}
		defer h.release()
		loop := circle{at: after, next: 1}
		for after := after; ; {
			k, err := page(after)
			var rows []V
			if err == nil {
				rows, err = fetchList(ctx, &h, k, maxPage, decode)
			}
			if err != nil {
				yield(zero, err)
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
