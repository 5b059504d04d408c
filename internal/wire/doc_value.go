package wire

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Doc is a JSON object with its key order kept. Order matters in orderby
// (part 1 section 6) and makes printed records comparable. Values are nil, bool,
// int32, int64, float64, string, Doc, []any, and, from request JSON only, the
// types that [ParseDoc] names.
type Doc []Field

// Field is one key of a [Doc].
type Field struct {
	Key   string
	Value any
}

// Get returns the value of a top-level key.
func (d Doc) Get(key string) (any, bool) {
	for i := range d {
		if d[i].Key == key {
			return d[i].Value, true
		}
	}
	return nil, false
}

// Has reports whether the key is present, with whatever value.
func (d Doc) Has(key string) bool {
	_, ok := d.Get(key)
	return ok
}

// Set replaces the value of key in place or appends it.
func (d *Doc) Set(key string, value any) {
	for i := range *d {
		if (*d)[i].Key == key {
			(*d)[i].Value = value
			return
		}
	}
	*d = append(*d, Field{key, value})
}

// Delete removes the key if present.
func (d *Doc) Delete(key string) {
	for i := range *d {
		if (*d)[i].Key == key {
			*d = append((*d)[:i:i], (*d)[i+1:]...)
			return
		}
	}
}

// MarshalJSON prints compact JSON in key order, nulls included, nothing
// HTML-escaped (printer 3 of part 1 section 1.7).
func (d Doc) MarshalJSON() ([]byte, error) { return AppendJSON(nil, d), nil }

// AppendJSON appends v as compact JSON.
func AppendJSON(b []byte, v any) []byte { return appendValue(b, v, "", ":", ",", jsonString) }

// AppendBSONText appends v in the spelling of the database's own printer, blanks
// around every token (printer 1 of part 1 section 1.7): list bodies, success
// headers and X-SCM-ERROR use it.
func AppendBSONText(b []byte, v any) []byte {
	return appendValue(b, v, " ", " : ", " , ", bsonString)
}

func appendValue(b []byte, v any, pad, colon, comma string, str func([]byte, string) []byte) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int32:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint32:
		return strconv.AppendUint(b, uint64(v), 10)
	case float64:
		return strconv.AppendFloat(b, v, 'f', -1, 64)
	case string:
		return str(b, v)
	case Doc:
		b = append(b, '{')
		b = append(b, pad...)
		for i := range v {
			if i > 0 {
				b = append(b, comma...)
			}
			b = str(b, v[i].Key)
			b = append(b, colon...)
			b = appendValue(b, v[i].Value, pad, colon, comma, str)
		}
		b = append(b, pad...)
		return append(b, '}')
	case []any:
		b = append(b, '[')
		b = append(b, pad...)
		for i := range v {
			if i > 0 {
				b = append(b, comma...)
			}
			b = appendValue(b, v[i], pad, colon, comma, str)
		}
		b = append(b, pad...)
		return append(b, ']')
	case []string:
		items := make([]any, len(v))
		for i := range v {
			items[i] = v[i]
		}
		return appendValue(b, items, pad, colon, comma, str)
	default:
		// Only the types named at Doc are ever put into one.
		raw, err := json.Marshal(v)
		if err != nil {
			return append(b, "null"...)
		}
		return append(b, raw...)
	}
}

func jsonString(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return append(b, `""`...)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})...)
}

// bsonString escapes only \\ \" \n \r \t \b and silently drops other control
// characters, as the real printer does.
func bsonString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\' || c == '"':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c < 0x20:
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
