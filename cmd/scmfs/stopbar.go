package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/sequoiacm/scmfs/writeback"
)

// stopProgress shows what a stop waits for: a bar on a terminal, elsewhere a line
// whenever something has changed.
type stopProgress struct {
	out      io.Writer
	width    int // of the terminal, 0: none
	started  time.Time
	most     int64 // bytes that were left at the most
	said     string
	unclosed bool // the last line has no end yet
}

func newProgress(out io.Writer, now time.Time) *stopProgress {
	p := &stopProgress{out: out, started: now}
	if f, ok := out.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			if p.width = max(int(ws.Col), 40); ws.Col == 0 {
				p.width = 80 // a terminal that does not say
			}
		}
	}
	return p
}

// show tells how things stand.
func (p *stopProgress) show(all []writeback.Info, now time.Time) {
	line := waiting(all)
	if line == "" {
		return
	}
	if p.width == 0 {
		if line != p.said {
			p.said = line
			fmt.Fprintln(p.out, "waiting for", line)
		}
		return
	}
	left := bytesLeft(all)
	p.most = max(p.most, left)
	fmt.Fprint(p.out, "\r\x1b[K"+p.bar(left, sentBeyond(all), line, now))
	p.unclosed = true
}

// end leaves the cursor on a line of its own.
func (p *stopProgress) end() {
	if p.unclosed {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.unclosed = false
	}
}

// bar is one line no wider than the terminal: "#" for what the server has
// acknowledged since the stop began, "=" for what was sent beyond that.
func (p *stopProgress) bar(left, sent int64, line string, now time.Time) string {
	done := p.most - left
	rate := ""
	if s := now.Sub(p.started).Seconds(); s >= 1 && done > 0 {
		rate = fmt.Sprintf(" %s/s", humanize.IBytes(uint64(float64(done)/s)))
	}
	text := []rune(bar(done, done+sent, p.most, 20) + rate + "  " + line)
	return string(text[:min(len(text), p.width-1)])
}

// onItsWay tells whether a stop waits for it.
func onItsWay(p writeback.Info) bool {
	return p.State != writeback.Writing.String() && !p.Held && p.Error == ""
}

func bytesLeft(all []writeback.Info) (n int64) {
	for _, p := range all {
		if onItsWay(p) {
			n += max(p.Size-p.Acked, 0)
		}
	}
	return n
}

// sentBeyond is what was sent and is not acknowledged.
func sentBeyond(all []writeback.Info) (n int64) {
	for _, p := range all {
		if onItsWay(p) {
			n += max(p.Handed-p.Acked, 0)
		}
	}
	return n
}

// waiting names what is on its way, "" when nothing is.
func waiting(all []writeback.Info) string {
	var names []string
	for _, p := range all {
		if onItsWay(p) {
			names = append(names, p.Target.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	list := strings.Join(names[:min(len(names), 3)], ", ")
	if len(names) > 3 {
		list += fmt.Sprintf(" and %d more", len(names)-3)
	}
	noun := "files"
	if len(names) == 1 {
		noun = "file"
	}
	return fmt.Sprintf("%d %s, %s: %s", len(names), noun, humanize.IBytes(uint64(bytesLeft(all))), list)
}
