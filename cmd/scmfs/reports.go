package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/sequoiacm/scmfs/writeback"
)

// reports are the files of .scmfs: status for programs, the others one line per
// event for people and for grep.
func (r *running) reports() map[string]func() any {
	return map[string]func() any{
		"status": func() any { return r.status() },
		"queue": func() any {
			return lines(r.queue.Pending(), func(p writeback.Info) string {
				return fmt.Sprintf("%s %s %s %d of %d bytes acknowledged", stamp(p.Modified), p.ID, p.State, p.Acked, p.Size) + "\t" + p.Target.String()
			})
		},
		"errors": func() any {
			return lines(r.queue.Pending(), func(p writeback.Info) string {
				if p.Error == "" {
					return ""
				}
				return fmt.Sprintf("%s %s %s", stamp(p.Modified), p.ID, p.State) + "\t" + p.Target.String() + "\t" + oneLine(p.Error)
			})
		},
		"conflicts": func() any {
			return lines(r.queue.Conflicts(), func(c writeback.Conflict) string {
				return fmt.Sprintf("%s expected %s, made %s", stamp(c.Time), c.Expected, c.Made) + "\t" + c.Target.String()
			})
		},
	}
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// lines puts what has a text on a line of its own.
func lines[T any](all []T, text func(T) string) string {
	var b strings.Builder
	for _, v := range all {
		if t := text(v); t != "" {
			b.WriteString(t + "\n")
		}
	}
	return b.String()
}
