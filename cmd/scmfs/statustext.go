package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sequoiacm/scmfs/writeback"
)

func human(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// count is "1 file", "2 files".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func humanRate(n int64) string { return human(n) + "/s" }

// noLimit shows a limit for which 0 means that there is none.
func noLimit(n int64, unit string) string {
	if n == 0 {
		return "no limit"
	}
	return human(n) + unit
}

// about shortens a duration to what people say.
func about(d time.Duration) string {
	switch d = d.Abs(); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return strings.TrimSuffix(d.Round(time.Second).String(), "m0s")
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// bar is a progress bar for a terminal: "#" for what the server has acknowledged,
// which is what the percentage counts, "=" for what was sent beyond that.
func bar(done, sent, total int64, width int) string {
	part := func(n int64) float64 {
		if total <= 0 {
			return 1
		}
		return min(max(float64(n)/float64(total), 0), 1)
	}
	n := int(part(done) * float64(width))
	way := max(int(part(sent)*float64(width)), n) - n
	return "[" + strings.Repeat("#", n) + strings.Repeat("=", way) + strings.Repeat("-", width-n-way) + "]" + fmt.Sprintf(" %3d%%", int(part(done)*100))
}

// onTheWay tells how much was sent and is not acknowledged, "" when nothing is.
func onTheWay(n int64) string {
	if n <= 0 {
		return ""
	}
	return ", " + human(n) + " more on the way"
}

// statusText is the status for people. Bars only where somebody watches.
func statusText(s status, bars bool, now time.Time) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s, pid %d, up %s\n", s.Version, s.PID, about(now.Sub(s.Started)))
	shows := ""
	if s.Root != "" {
		shows = " shows " + s.Root
	}
	row("mount", "%s%s, write mode %s", s.Mountpoint, shows, s.WriteMode)
	row("server", "%s, %s", s.Seed, serverText(s.Server))
	row("session", "%s, since %s, %s", s.Session.User, s.Session.Since.Local().Format(time.DateTime), count(s.Session.Logins, "login"))
	row("workspaces", "%s", workspacesText(&s.more))
	row("state", "%s, %s used of %s, %s free on its disk", s.StateDir, human(s.Spool.Spool), noLimit(s.Limits.SpoolMax, ""), human(s.Spool.Free))
	row("cache", "%s", cacheText(&s.more))
	row("limits", "increments of %s, %d uploads at once, %s, %s of the disk stay free", human(s.Limits.Increment), s.Limits.Uploads,
		noLimit(s.Limits.UploadLimit, "/s"), human(s.Limits.SpoolFree))
	logFile := s.LogFile
	if logFile == "" {
		logFile = "standard error"
	}
	row("log", "%s, level %s", logFile, s.LogLevel)
	if s.Page != "" {
		row("page", "%s  token %s", s.Page, s.Token)
	}
	if n := len(s.Conflicts); n > 0 {
		c := s.Conflicts[n-1]
		row("conflicts", "%d; the last one: %s at %s, both contents are versions", n, s.pathOf(c.Target), c.Time.Local().Format(time.DateTime))
	}
	b.WriteString("\n" + queueLine(s) + "\n")
	pendingText(&b, &s, bars)
	stuckText(&b, &s)
	for i, e := range s.Errors {
		if i == 0 {
			b.WriteString("\nrecent warnings and errors:\n")
		}
		if i == 10 {
			fmt.Fprintf(&b, "  … and %d more, see the log\n", len(s.Errors)-i)
			break
		}
		b.WriteString("  " + e.Time.Local().Format(time.DateTime) + " " + strings.ToUpper(e.Level) + " " + errorText(e) + "\n")
	}
	return b.String()
}

func errorText(e logLine) string {
	t := e.Message
	if e.File != "" {
		t = e.File + ": " + t
	}
	if e.Error != "" {
		t += " (" + e.Error + ")"
	}
	if e.Count > 1 {
		t += fmt.Sprintf(", %d times", e.Count)
	}
	return t
}

func serverText(s serverState) string {
	switch {
	case s.Asked.IsZero():
		return "not asked yet"
	case s.Error != "":
		return "does not answer: " + s.Error
	case s.Skew != 0:
		return fmt.Sprintf("answers in %s, its clock differs by %s", s.Took.Round(100*time.Microsecond), s.Skew)
	}
	return fmt.Sprintf("answers in %s", s.Took.Round(100*time.Microsecond))
}

func workspacesText(m *more) string {
	var names []string
	for _, w := range m.Workspaces {
		n := w.Name
		if !w.Directories {
			n += " (flat)"
		}
		if w.NoBreakpoints {
			n += " (no breakpoint files)"
		}
		names = append(names, n)
	}
	switch {
	case m.Uncertain != "":
		names = append(names, m.Uncertain)
	case len(names) == 0 && m.Server.Error != "":
		return "not known"
	case len(names) == 0:
		return "none"
	}
	return strings.Join(names, ", ")
}

func cacheText(m *more) string {
	t := fmt.Sprintf("%s of %s memory", human(m.Cache.Memory), human(m.Limits.CacheSize))
	if m.Limits.CacheMax > 0 {
		t += fmt.Sprintf(", %s of %s disk", human(m.Cache.Disk), human(m.Limits.CacheMax))
	}
	if reads := m.Cache.Hits + m.Cache.Misses; reads > 0 {
		t += fmt.Sprintf(", %d%% hits", 100*m.Cache.Hits/reads)
	}
	return t
}

// queueLine sums the queue up.
func queueLine(s status) string {
	files, stuck := 0, 0
	var left, rate int64
	for _, p := range s.Pending {
		if p.State == writeback.Stuck.String() {
			stuck++
			continue
		}
		files++
		left += max(p.Size-p.Acked, 0)
		rate += s.Rates[p.ID]
	}
	if files+stuck == 0 {
		return "nothing is waiting to be published"
	}
	t := fmt.Sprintf("%s not published, %s to send", count(files, "file"), human(left))
	if rate > 0 {
		t += fmt.Sprintf(" at %s, about %s", humanRate(rate), about(time.Duration(float64(left)/float64(rate)*1e9)))
	}
	if stuck > 0 {
		t += fmt.Sprintf("; %d STUCK", stuck)
	}
	return t
}

func pendingText(b *strings.Builder, s *status, bars bool) {
	for _, p := range s.Pending {
		if p.State == writeback.Stuck.String() {
			continue
		}
		state := p.State
		if p.Held {
			state = "temporary name"
		}
		progress := fmt.Sprintf("%s of %s", human(p.Acked), human(p.Size))
		if bars {
			progress = bar(p.Acked, p.Handed, p.Size, 20) + "  " + progress
		}
		progress += onTheWay(p.Handed - p.Acked)
		if r := s.Rates[p.ID]; r > 0 {
			progress += "  " + humanRate(r)
		}
		fmt.Fprintf(b, "  %s  %-10s  %s  %s\n", p.ID, state, progress, s.pathOf(p.Target))
	}
}

func stuckText(b *strings.Builder, s *status) {
	first := true
	for _, p := range s.Pending {
		if p.State != writeback.Stuck.String() {
			continue
		}
		if first {
			b.WriteString("\nstuck; nothing is lost:\n")
			first = false
		}
		fmt.Fprintf(b, "  %s  %s  %s\n    why: %s\n    do:  scmfs pending retry|export|discard %s %s\n", p.ID, s.pathOf(p.Target), human(p.Size), p.Error, s.Mountpoint, p.ID)
	}
}
