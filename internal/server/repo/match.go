package repo

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// matcher is a compiled filter (part 1 section 6).
type matcher func(row) bool

func badFilter(format string, args ...any) error {
	return Errorf(wire.CodeMetasourceError, "bad matcher: %s", fmt.Sprintf(format, args...))
}

// compile turns a filter into a matcher; an unknown operator is -206.
func compile(filter wire.Doc) (matcher, error) {
	var all []matcher
	for _, f := range filter {
		m, err := compileField(f)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return func(d row) bool {
		for _, m := range all {
			if !m(d) {
				return false
			}
		}
		return true
	}, nil
}

func compileField(f wire.Field) (matcher, error) {
	switch f.Key {
	case "$and", "$or", "$not":
		items, ok := f.Value.([]any)
		if !ok {
			return nil, badFilter("%s wants an array", f.Key)
		}
		var subs []matcher
		for _, it := range items {
			d, ok := it.(wire.Doc)
			if !ok {
				return nil, badFilter("%s wants objects", f.Key)
			}
			m, err := compile(d)
			if err != nil {
				return nil, err
			}
			subs = append(subs, m)
		}
		want := f.Key == "$or"
		return func(d row) bool {
			for _, m := range subs {
				if m(d) == want {
					return want != (f.Key == "$not")
				}
			}
			// $not is true unless all its conditions hold.
			return !want && f.Key != "$not"
		}, nil
	}
	if strings.HasPrefix(f.Key, "$") {
		return nil, badFilter("unknown operator %s", f.Key)
	}
	ops, ok := f.Value.(wire.Doc)
	if !ok || len(ops) == 0 || !strings.HasPrefix(ops[0].Key, "$") {
		test, err := equalTest(f.Value)
		if err != nil {
			return nil, err
		}
		return func(d row) bool { return any1(lookup(d, f.Key), test) }, nil
	}
	var tests []func([]any) bool
	for _, op := range ops {
		t, err := compileOp(op, ops)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return func(d row) bool {
		vs := lookup(d, f.Key)
		for _, t := range tests {
			if !t(vs) {
				return false
			}
		}
		return true
	}, nil
}

// lookup returns the values at a dotted path; an array on the way contributes
// each of its elements, "$0" one of them. Nothing found is nil.
func lookup(d row, path string) []any {
	if v, ok := d.field(path); ok {
		return []any{v}
	}
	head, rest, dotted := strings.Cut(path, ".")
	if !dotted {
		return nil
	}
	v, ok := d.field(head)
	if !ok {
		return nil
	}
	return descend(v, rest)
}

func descend(v any, path string) []any {
	switch v := v.(type) {
	case wire.Doc:
		return lookup(docRow(v), path)
	case []any:
		head, rest, dotted := strings.Cut(path, ".")
		if i, err := strconv.Atoi(strings.TrimPrefix(head, "$")); err == nil {
			if i < 0 || i >= len(v) {
				return nil
			}
			if !dotted {
				return []any{v[i]}
			}
			return descend(v[i], rest)
		}
		var out []any
		for _, e := range v {
			out = append(out, descend(e, path)...)
		}
		return out
	}
	return nil
}

// any1 reports whether a value, or an element of an array value, passes.
func any1(vs []any, test func(any) bool) bool {
	for _, v := range vs {
		if test(v) {
			return true
		}
		if arr, ok := v.([]any); ok {
			for _, e := range arr {
				if test(e) {
					return true
				}
			}
		}
	}
	return false
}

func equalTest(want any) (func(any) bool, error) {
	if re, ok := want.(wire.Regex); ok {
		return regexTest(re)
	}
	return func(v any) bool { return equal(v, want) }, nil
}

func regexTest(re wire.Regex) (func(any) bool, error) {
	p := re.Pattern
	if re.Options != "" {
		p = "(?" + strings.Map(func(r rune) rune {
			if strings.ContainsRune("ims", r) {
				return r
			}
			return -1
		}, re.Options) + ")" + p
		p = strings.Replace(p, "(?)", "", 1)
	}
	c, err := regexp.Compile(p)
	if err != nil {
		return nil, badFilter("regular expression: %v", err)
	}
	return func(v any) bool { s, ok := v.(string); return ok && c.MatchString(s) }, nil
}

func compileOp(op wire.Field, all wire.Doc) (func([]any) bool, error) {
	one := func(test func(any) bool) func([]any) bool {
		return func(vs []any) bool { return any1(vs, test) }
	}
	order := func(ok func(int) bool) (func([]any) bool, error) {
		return one(func(v any) bool { c, same := compare(v, op.Value); return same && ok(c) }), nil
	}
	switch op.Key {
	case "$gt":
		return order(func(c int) bool { return c > 0 })
	case "$gte":
		return order(func(c int) bool { return c >= 0 })
	case "$lt":
		return order(func(c int) bool { return c < 0 })
	case "$lte":
		return order(func(c int) bool { return c <= 0 })
	case "$et":
		return one(func(v any) bool { return equal(v, op.Value) }), nil
	case "$ne":
		// Does not match records that lack the field (part 3).
		return func(vs []any) bool {
			return len(vs) > 0 && !any1(vs, func(v any) bool { return equal(v, op.Value) })
		}, nil
	case "$in", "$nin", "$all":
		items, ok := op.Value.([]any)
		if !ok {
			return nil, badFilter("%s wants an array", op.Key)
		}
		return setTest(op.Key, items), nil
	case "$exists", "$isnull":
		want, ok := truth(op.Value)
		if !ok {
			return nil, badFilter("%s wants 0 or 1", op.Key)
		}
		if op.Key == "$exists" {
			return func(vs []any) bool { return (len(vs) > 0) == want }, nil
		}
		return func(vs []any) bool { return (len(vs) == 0 || vs[0] == nil) == want }, nil
	case "$elemMatch":
		d, ok := op.Value.(wire.Doc)
		if !ok {
			return nil, badFilter("$elemMatch wants an object")
		}
		m, err := compile(d)
		if err != nil {
			return nil, err
		}
		return one(func(v any) bool { e, ok := v.(wire.Doc); return ok && m(docRow(e)) }), nil
	case "$size":
		return func(vs []any) bool {
			for _, v := range vs {
				if arr, ok := v.([]any); ok && equal(int64(len(arr)), op.Value) {
					return true
				}
			}
			return false
		}, nil
	case "$mod":
		pair, ok := op.Value.([]any)
		if !ok || len(pair) != 2 {
			return nil, badFilter("$mod wants [divisor, remainder]")
		}
		div, ok1 := number(pair[0])
		rem, ok2 := number(pair[1])
		if !ok1 || !ok2 || div == 0 {
			return nil, badFilter("$mod wants two numbers")
		}
		return one(func(v any) bool { n, ok := number(v); return ok && math.Mod(n, div) == rem }), nil
	case "$regex":
		p, _ := op.Value.(string)
		opts, _ := docString(all, "$options")
		t, err := regexTest(wire.Regex{Pattern: p, Options: opts})
		return one(t), err
	case "$options":
		return func([]any) bool { return true }, nil
	}
	return nil, badFilter("unknown operator %s", op.Key)
}

func setTest(op string, items []any) func([]any) bool {
	in := func(v any) bool {
		for _, it := range items {
			if equal(v, it) {
				return true
			}
		}
		return false
	}
	switch op {
	case "$in":
		return func(vs []any) bool { return any1(vs, in) }
	case "$nin":
		return func(vs []any) bool { return len(vs) > 0 && !any1(vs, in) }
	default:
		return func(vs []any) bool {
			for _, it := range items {
				if !any1(vs, func(v any) bool { return equal(v, it) }) {
					return false
				}
			}
			return true
		}
	}
}

func truth(v any) (bool, bool) {
	if b, ok := v.(bool); ok {
		return b, true
	}
	n, ok := number(v)
	return n != 0, ok
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int32:
		return float64(v), true
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func equal(a, b any) bool {
	if c, same := compare(a, b); same {
		return c == 0
	}
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	switch a.(type) {
	case wire.Doc, []any:
		return string(wire.AppendJSON(nil, a)) == string(wire.AppendJSON(nil, b))
	}
	return false
}

// compare orders two values of one type: numbers by value, strings bytewise.
func compare(a, b any) (int, bool) {
	if x, ok := a.(string); ok {
		y, ok := b.(string)
		return strings.Compare(x, y), ok
	}
	if x, ok := a.(bool); ok {
		y, ok := b.(bool)
		return cmp.Compare(b2i(x), b2i(y)), ok
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y), true // exact beyond 2^53
		}
	}
	x, ok1 := number(a)
	y, ok2 := number(b)
	return cmp.Compare(x, y), ok1 && ok2
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
