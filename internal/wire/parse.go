package wire

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNotObject reports request JSON that is not an object.
var ErrNotObject = errors.New("not a JSON object")

// maxDepth bounds nesting, so that a hostile parameter cannot exhaust the stack.
const maxDepth = 64

// Extended is a wrapper object of a type that no record holds, such as
// {"$minKey":1}: it is equal to nothing and has no order.
type Extended struct{ Doc }

// Regex is {"$regex":…,"$options":…} of request JSON.
type Regex struct{ Pattern, Options string }

// ParseDoc reads request JSON as leniently as the database's own parser (part 1
// section 1.7): keys may be unquoted or single-quoted, strings single-quoted,
// anything behind the object is ignored, integers that fit 32 bits become int32
// and others int64, "\f" and "\/" are the bare character. The extended forms
// {"$oid":…}, {"$date":…}, {"$numberLong":…}, {"$decimal":…} and {"$regex":…}
// become string, int64, int64, float64 and [Regex], others an [Extended].
func ParseDoc(s string) (Doc, error) {
	p := parser{s: s}
	p.space()
	if !p.peek('{') {
		return nil, ErrNotObject
	}
	v, err := p.object(0)
	if err != nil {
		return nil, err
	}
	d, ok := v.(Doc)
	if !ok {
		return nil, ErrNotObject
	}
	return d, nil
}

type parser struct {
	s string
	i int
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("JSON at byte %d: %s", p.i, fmt.Sprintf(format, args...))
}

func (p *parser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *parser) peek(c byte) bool { return p.i < len(p.s) && p.s[p.i] == c }

func (p *parser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, p.errorf("nested too deeply")
	}
	p.space()
	if p.i >= len(p.s) {
		return nil, p.errorf("ends early")
	}
	switch c := p.s[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"' || c == '\'':
		return p.str()
	default:
		return p.word()
	}
}

func (p *parser) object(depth int) (any, error) {
	p.i++
	d := Doc{}
	for {
		p.space()
		if p.peek('}') {
			p.i++
			return extended(d), nil
		}
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.peek(':') {
			return nil, p.errorf("want ':' behind key %.40q", key)
		}
		p.i++
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		d.Set(key, v)
		p.space()
		switch {
		case p.peek(','):
			p.i++
		case !p.peek('}'):
			return nil, p.errorf("want ',' or '}'")
		}
	}
}

func (p *parser) array(depth int) (any, error) {
	p.i++
	out := []any{}
	for {
		p.space()
		if p.peek(']') {
			p.i++
			return out, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		p.space()
		switch {
		case p.peek(','):
			p.i++
		case !p.peek(']'):
			return nil, p.errorf("want ',' or ']'")
		}
	}
}

func (p *parser) key() (string, error) {
	if p.peek('"') || p.peek('\'') {
		return p.str()
	}
	start := p.i
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n:{}[],\"'", p.s[p.i]) < 0 {
		p.i++
	}
	if p.i == start {
		return "", p.errorf("want a key")
	}
	return p.s[start:p.i], nil
}

func (p *parser) str() (string, error) {
	quote := p.s[p.i]
	p.i++
	start := p.i
	for j := start; j < len(p.s); j++ {
		if p.s[j] == quote {
			p.i = j + 1
			return p.s[start:j], nil
		}
		if p.s[j] == '\\' {
			break
		}
	}
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		p.i++
		if c == quote {
			return b.String(), nil
		}
		if c != '\\' {
			b.WriteByte(c)
			continue
		}
		if p.i >= len(p.s) {
			break
		}
		c = p.s[p.i]
		p.i++
		switch c {
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'b':
			b.WriteByte('\b')
		case 'u':
			r, err := p.hex4()
			if err != nil {
				return "", err
			}
			if utf16.IsSurrogate(r) && strings.HasPrefix(p.s[p.i:], `\u`) {
				p.i += 2
				low, err := p.hex4()
				if err != nil {
					return "", err
				}
				r = utf16.DecodeRune(r, low)
			}
			b.WriteRune(r)
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorf("string without end")
}

func (p *parser) hex4() (rune, error) {
	if p.i+4 > len(p.s) {
		return utf8.RuneError, p.errorf("short \\u escape")
	}
	n, err := strconv.ParseUint(p.s[p.i:p.i+4], 16, 16)
	if err != nil {
		return utf8.RuneError, p.errorf("bad \\u escape")
	}
	p.i += 4
	return rune(n), nil
}

func (p *parser) word() (any, error) {
	start := p.i
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n:{}[],\"'", p.s[p.i]) < 0 {
		p.i++
	}
	switch w := p.s[start:p.i]; w {
	case "":
		return nil, p.errorf("want a value")
	case "null", "undefined":
		return nil, nil
	case "true", "false":
		return w == "true", nil
	default:
		if n, err := strconv.ParseInt(w, 10, 64); err == nil {
			return narrow(n), nil
		}
		f, err := strconv.ParseFloat(w, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, p.errorf("unknown word %.40q", w)
		}
		return f, nil
	}
}

func narrow(n int64) any {
	if n == int64(int32(n)) {
		return int32(n)
	}
	return n
}

// extended turns the wrapper objects of extended JSON into values.
func extended(d Doc) any {
	if len(d) == 0 || len(d) > 2 || !strings.HasPrefix(d[0].Key, "$") {
		return d
	}
	s, isString := d[0].Value.(string)
	switch d[0].Key {
	case "$oid":
		if isString {
			return s
		}
	case "$numberLong":
		if n, err := strconv.ParseInt(s, 10, 64); isString && err == nil {
			return n
		}
	case "$date":
		switch v := d[0].Value.(type) {
		case int64:
			return v
		case int32:
			return int64(v)
		}
	case "$decimal":
		if f, err := strconv.ParseFloat(s, 64); isString && err == nil {
			return f
		}
	case "$regex":
		o, ok := d.Get("$options")
		if !isString || len(d) == 2 && !ok {
			return d // one operator among others
		}
		opts, _ := o.(string)
		return Regex{Pattern: s, Options: opts}
	case "$timestamp", "$minKey", "$maxKey", "$binary":
	default:
		return d
	}
	return Extended{d}
}
