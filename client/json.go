package client

import (
	"strings"

	"github.com/sequoiacm/scmfs/internal/wire"
)

// encodeDoc prints request JSON. encoding/json writes a form feed as "\f", which
// the server's parser takes for the letter (part 1 section 1.7).
func encodeDoc(d wire.Doc) string {
	s := string(wire.AppendJSON(nil, d))
	if !strings.Contains(s, `\f`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if s[i+1] == 'f' {
				b.WriteString(`\u000c`)
			} else {
				b.WriteString(s[i : i+2])
			}
			i++
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
