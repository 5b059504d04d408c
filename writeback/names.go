package writeback

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// DefaultHeldNames are the temporary names of known programs. A file closed
// under one is not published until it has another name. Patterns are those of
// path.Match; rsync's is special, see held.
var DefaultHeldNames = slices.Concat(contentNames, []string{
	"*~",        // backups: vim, emacs
	"~*.tmp",    // MS Office: Word's new content and what it puts aside
	"*~RF*.TMP", // ReplaceFile of Windows, through a gateway
	"ppt????.tmp",
	excelPattern,
})

// contentNames are those under which programs only write what is new. No program
// renames the file that it saves to one of them.
var contentNames = []string{
	rsyncPattern, // .name.XXXXXX
	"4913",       // vim's test for a writable directory
	".*.sw?",     // vim
	".~lock.*#",  // LibreOffice
	"lu*.tmp",    // LibreOffice
	"~$*",        // MS Office
	".goutputstream-*",
	"*.part",
	"*.crdownload",
	"sed??????", // sed -i
}

// rsyncPattern stands for ".name.XXXXXX" with six characters of mkstemp: as a
// glob it would also match ".config.backup".
const rsyncPattern = "rsync:.*.??????"

// excelPattern is what Excel puts a file aside as.
const excelPattern = "[0-9A-F][0-9A-F][0-9A-F][0-9A-F][0-9A-F][0-9A-F][0-9A-F][0-9A-F].tmp"

// Temporary tells whether a name is one under which nothing is published.
func (q *Queue) Temporary(t Target) bool { return q.held(t, false) }

// held is Temporary of a file of which it is known whether mkstemp made its name.
func (q *Queue) held(t Target, mkstemp bool) bool {
	return !t.Partial && held(q.rules(t.Workspace).heldNames, t.Name, mkstemp)
}

// PutsAside tells whether a program that renames a file to a name may be saving
// that file anew: a temporary name, but not one that is only for new content.
// Whoever renames a published file to such a name wants it to be there, at the
// store, as rename(2) has said.
func (q *Queue) PutsAside(t Target) bool {
	return q.Temporary(t) && !held(contentNames, t.Name, false)
}

// held tells whether a name is a temporary one; mkstemp that it is known to be made
// by that function, so that its six characters are random whatever they spell.
func held(patterns []string, name string, mkstemp bool) bool {
	for _, p := range patterns {
		if p == rsyncPattern {
			if rsyncTemporary(name, mkstemp) {
				return true
			}
			continue
		}
		if ok, err := path.Match(p, name); ok && err == nil {
			return p != "sed??????" || random(name[3:], mkstemp)
		}
	}
	return false
}

func rsyncTemporary(name string, mkstemp bool) bool {
	if len(name) < 9 || name[0] != '.' || name[len(name)-7] != '.' {
		return false
	}
	return random(name[len(name)-6:], mkstemp)
}

// random tells whether six characters may be mkstemp's: letters and digits. Unless
// that is known, one must be a digit or a capital: a word like "backup" is no random
// name, but one random name in 190 is of small letters only.
func random(s string, known bool) bool {
	odd := known
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z':
			odd = true
		default:
			return false
		}
	}
	return odd
}

// breakpointName makes a unique name that a person recognises: characters that
// are safe on every server, the mount's id and a random number.
func breakpointName(mount, name string) string {
	var b strings.Builder
	for i := 0; i < len(name) && b.Len() < 120; i++ {
		c := name[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-' {
			b.WriteByte(c)
		} else {
			b.WriteByte('_')
		}
	}
	return fmt.Sprintf("%s.%s-%08x", strings.TrimLeft(b.String(), "."), mount, rand.Uint32())
}
