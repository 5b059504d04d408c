package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// progress is how far a command with much to do has come.
type progress struct {
	files, ofFiles int64
	bytes, ofBytes int64
	all            bool // the totals are final
	took           time.Duration
}

const barWidth = 30

func (p progress) more() string {
	if p.all {
		return ""
	}
	return "+"
}

func (p progress) text() string {
	size := func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
	rate := int64(0)
	if s := p.took.Seconds(); s > 0 {
		rate = int64(float64(p.bytes) / s)
	}
	return fmt.Sprintf("%d of %d%s files, %s of %s%s, %s/s", p.files, p.ofFiles, p.more(), size(p.bytes), size(p.ofBytes), p.more(), size(rate))
}

// line is the progress as one line of a log.
func (p progress) line() string { return p.text() + "\n" }

// bar is the progress in place of what is in the terminal's line.
func (p progress) bar() string {
	n := 0
	if p.ofBytes > 0 {
		n = int(min(p.bytes, p.ofBytes) * barWidth / p.ofBytes)
	}
	return "\r[" + strings.Repeat("#", n) + strings.Repeat(".", barWidth-n) + "] " + p.text() + "\x1b[K"
}

// wipe empties the terminal's line.
func (p progress) wipe() string { return "\r\x1b[K" }
