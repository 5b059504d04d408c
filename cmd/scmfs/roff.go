package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// roff writes a manual page in man(7). Its methods take plain text.
type roff struct{ b bytes.Buffer }

func newRoff(name, section, title string) *roff {
	r := &roff{}
	fmt.Fprintf(&r.b, ".\\\" Made by 'scmfs man' from the program's own help.\n.TH %s %s \"\" \"scmfs %s\" \"SequoiaCM\"\n.ad l\n", strings.ToUpper(name), section, version)
	r.section("Name")
	r.b.WriteString(name + " \\- " + escapeRoff(title) + "\n")
	return r
}

func (r *roff) section(title string) { r.b.WriteString(".SH " + strings.ToUpper(title) + "\n") }

func (r *roff) subsection(title string) { r.b.WriteString(".SS " + quoteRoff(title) + "\n") }

// text writes paragraphs: blocks of lines set apart by empty lines. Indented
// lines stay as they are.
func (r *roff) text(s string) {
	fill, empty := true, true // where we are: filling, at the start of a block
	for line := range strings.Lines(strings.TrimSpace(s) + "\n") {
		line = strings.TrimRight(line, " \n")
		switch verbatim := strings.HasPrefix(line, "  "); {
		case line == "":
			if !fill {
				r.b.WriteString(".EE\n.RE\n")
				fill = true
			}
			if !empty {
				r.b.WriteString(".PP\n")
			}
			empty = true
			continue
		case verbatim && fill:
			r.b.WriteString(".RS 4\n.EX\n")
			fill = false
		case !verbatim && !fill:
			r.b.WriteString(".EE\n.RE\n.PP\n")
			fill = true
		}
		if !fill {
			line = line[2:]
		}
		r.b.WriteString(escapeRoff(line) + "\n")
		empty = false
	}
	if !fill {
		r.b.WriteString(".EE\n.RE\n")
	}
}

// item is a term with its explanation.
func (r *roff) item(term, text string) {
	fmt.Fprintf(&r.b, ".TP\n.B %s\n%s\n", quoteRoff(term), escapeRoff(text))
}

func (r *roff) synopsis(lines ...string) {
	r.section("Synopsis")
	for _, l := range lines {
		fmt.Fprintf(&r.b, ".nf\n.B %s\n.fi\n", quoteRoff(l))
	}
}

// flags lists flags with their types and defaults.
func (r *roff) flags(set *pflag.FlagSet, term func(*pflag.Flag) string) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		r.item(term(f), flagText(f))
	})
}

// flagText is the help of a flag, with its default unless that says nothing or
// depends on who asks.
func flagText(f *pflag.Flag) string {
	_, text := pflag.UnquoteUsage(f)
	switch f.DefValue {
	case "", "false", "[]", "0", "0 B":
		return text
	}
	switch f.Name {
	case "allow-other":
		return text + " (default: true for root)"
	case "uid", "gid":
		return text + " (default: yours)"
	}
	return text + " (default " + strings.ReplaceAll(f.DefValue, ",", ", ") + ")"
}

// flagTerm is how a flag is given on the command line.
func flagTerm(f *pflag.Flag) string {
	term := "--" + f.Name
	if f.Shorthand != "" {
		term = "-" + f.Shorthand + ", " + term
	}
	if kind, _ := pflag.UnquoteUsage(f); kind != "" {
		term += " " + kind
	}
	return term
}

// escapeRoff protects what roff would take for its own: backslashes, hyphens
// that must stay hyphens, dots and quotes at the start of a line.
func escapeRoff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func quoteRoff(s string) string {
	return `"` + strings.ReplaceAll(escapeRoff(s), `"`, `\(dq`) + `"`
}
