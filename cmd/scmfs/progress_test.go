package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestProgress(t *testing.T) {
	half := progress{files: 1, ofFiles: 2, bytes: 1 << 20, ofBytes: 2 << 20, took: time.Second}
	assert.Equal(t, "1 of 2+ files, 1.0 MiB of 2.0 MiB+, 1.0 MiB/s\n", half.line(), "totals that may grow say so")
	half.all = true
	assert.Equal(t, "1 of 2 files, 1.0 MiB of 2.0 MiB, 1.0 MiB/s\n", half.line())
	assert.Equal(t, barWidth/2, strings.Count(half.bar(), "#"))
	assert.True(t, strings.HasPrefix(half.bar(), "\r"), "it takes the place of the last one")
	assert.Zero(t, strings.Count(progress{}.bar(), "#"))
	grown := progress{bytes: 3, ofBytes: 2}
	assert.Equal(t, barWidth, strings.Count(grown.bar(), "#"), "a file that grew meanwhile")
}
