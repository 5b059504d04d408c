package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReplaceSection(t *testing.T) {
	name := filepath.Join(t.TempDir(), "doc.md")
	write := func(s string) { require.NoError(t, os.WriteFile(name, []byte(s), 0o644)) }
	read := func() string {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(b)
	}
	write("before\n")
	require.NoError(t, replaceSection(name, "one\n"))
	assert.Equal(t, "before\n"+sectionBegin+"one\n"+sectionEnd, read())
	write(read() + "after\n")
	require.NoError(t, replaceSection(name, "two\n"))
	assert.Equal(t, "before\n"+sectionBegin+"two\n"+sectionEnd+"after\n", read())
	write("before\n" + sectionBegin + "torn")
	require.Error(t, replaceSection(name, "three\n"))
	assert.Equal(t, "before\n"+sectionBegin+"torn", read(), "what is not understood is left alone")
}

func TestShortTop(t *testing.T) {
	const from = "File: scmfs\nBuild ID: 1\nDuration: 5s, Total samples = 680ms (13.60%)\nShowing nodes accounting for 680ms, 100% of 680ms total\n" +
		"Showing top 15 nodes out of 200\n      flat  flat%   sum%        cum   cum%\n" +
		"     620ms 91.18% 91.18%      620ms 91.18%  github.com/sequoiacm/scmfs/fs.feed[go.shape.struct { ID string; Tags []string }].func1 \n"
	assert.Equal(t, "Duration: 5s, Total samples = 680ms (13.60%)\nShowing nodes accounting for 680ms, 100% of 680ms total\n"+
		"      flat  flat%   sum%        cum   cum%\n     620ms 91.18% 91.18%      620ms 91.18%  fs.feed[…].func1\n", shortTop(from))
}
