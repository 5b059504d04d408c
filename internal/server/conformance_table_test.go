package server

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outOfScope are the rows of the conformance table (part 2 section 9) that this
// server cannot show, with the reason.
var outOfScope = map[int]string{
	3:   "the driver refuses a second save of a handle; no request is sent",
	12:  "the driver refuses new content for a saved handle; no request is sent",
	33:  "the driver refuses a create_time for an existing breakpoint file; no request is sent",
	44:  "several sites: this server is one site, so every breakpoint file is its own",
	45:  "several sites",
	46:  "several sites",
	47:  "several sites; on one site it is C51",
	89:  "the driver refuses a second commit of an output stream; no request is sent",
	95:  "several sites: nothing is stored elsewhere only; LOCALSITE is accepted, see C98",
	97:  "several sites: no data is remote; NEEDSEEK with FORCE_NO_CACHE is accepted, see C98",
	104: "the driver refuses an update of an unsaved handle; no request is sent",
}

// Every row C1 to C114 is named by a test or is out of scope, not both.
func TestEveryConformanceRow(t *testing.T) {
	files, err := filepath.Glob("conformance_*_test.go")
	require.NoError(t, err)
	name := regexp.MustCompile(`(?:run|t\.Run)\("((?:C\d+ )+)`)
	tested := map[int]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			for row := range strings.FieldsSeq(m[1]) {
				n, err := strconv.Atoi(row[1:])
				require.NoError(t, err)
				tested[n] = file
			}
		}
	}
	for n := 1; n <= 114; n++ {
		reason, out := outOfScope[n]
		switch {
		case out && tested[n] != "":
			assert.Fail(t, "both", "C%d is out of scope and in %s", n, tested[n])
		case out:
			assert.NotEmpty(t, reason, "C%d", n)
		default:
			assert.NotEmpty(t, tested[n], "C%d is in no test", n)
		}
	}
	assert.Len(t, tested, 114-len(outOfScope), "no rows beyond the table")
}
