package wire

import (
	"net/url"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// Escape is the protocol's percent-encoding: the UTF-8 bytes A-Z a-z 0-9 . - * _
// stay, every other byte becomes %XX with upper-case hex, a space %20. It serves
// path segments, query values and JSON in headers (part 1 section 1.5, part 2 "E").
func Escape(s string) string {
	n := 0
	for i := range len(s) {
		if !unreserved(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		c := s[i]
		if unreserved(c) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', upperHex[c>>4], upperHex[c&15])
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '-' || c == '*' || c == '_'
}

// Unescape is form decoding: %XX as UTF-8 and '+' as a space (part 2 "D").
func Unescape(s string) (string, error) { return url.QueryUnescape(s) }

// EscapePath encodes an absolute directory or file path for a by-path endpoint:
// segments are split at one or more slashes, each is escaped, and a trailing
// slash is appended. "/a/b c" becomes "a/b%20c/", the root becomes "" (part 1
// section 1.5).
func EscapePath(p string) string {
	var b strings.Builder
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "" {
			continue
		}
		b.WriteString(Escape(seg))
		b.WriteByte('/')
	}
	return b.String()
}

// Param is one name and value of a query or form.
type Param struct{ Name, Value string }

// Params is an ordered query or form. JSON key order matters to the server
// inside values only, but a stable order of parameters makes exchanges
// comparable.
type Params []Param

// Add returns p with one more parameter.
func (p Params) Add(name, value string) Params { return append(p, Param{name, value}) }

// Encode returns the parameters as a query string, every value through [Escape].
func (p Params) Encode() string {
	var b strings.Builder
	for i, kv := range p {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(Escape(kv.Name))
		b.WriteByte('=')
		b.WriteString(Escape(kv.Value))
	}
	return b.String()
}
