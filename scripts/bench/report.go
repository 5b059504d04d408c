package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// report collects what is printed, to be appended to a Markdown file.
type report struct{ text strings.Builder }

// head names the machine, the binary and the command, without which figures mean
// nothing.
func (r *report) head(e *env, args []string) {
	version, _ := exec.Command(e.binary, "--version").Output()
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Fprintf(&r.text, "\n## %s, %s\n\n%d x %s, %s of memory, Linux %s, %s. Medians of %d rounds, all sides in each round.\n\n    bench %s\n",
		time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(string(version)), runtime.NumCPU(), field("/proc/cpuinfo", "model name"),
		field("/proc/meminfo", "MemTotal"), strings.TrimSpace(string(kernel)), runtime.Version(), e.rounds, strings.Join(args, " "))
}

func (r *report) part(p part) { fmt.Fprintf(&r.text, "\n### %s\n\n%s\n", p.name, p.about) }

// save appends the report to a file.
func (r *report) save(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(r.text.String()); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// caption heads one of several tables of a part.
func (e *env) caption(what string) {
	fmt.Println("  --", what)
	fmt.Fprintf(&e.report.text, "\n**%s**\n", what)
}

// show prints a table and keeps it for the report. limit is the side that the
// target is a share of, "" for none.
func (e *env) show(t *table, limit string) {
	t.print(limit)
	w := &e.report.text
	fmt.Fprintf(w, "\n| %s | median | share | rounds |\n|---|---:|---:|---|\n", t.unit)
	for _, name := range t.names {
		m, share := median(t.rows[name]), ""
		if b := median(t.rows[limit]); limit != "" && b > 0 {
			share = fmt.Sprintf("%.2f", m/b)
		}
		fmt.Fprintf(w, "| %s | %.4g | %s | %s |\n", name, m, share, rounds(t.rows[name]))
	}
}

func rounds(v []float64) string {
	var all []string
	for _, x := range v {
		all = append(all, fmt.Sprintf("%.4g", x))
	}
	return strings.Join(all, " ")
}

// field is the first value of that name in a file of "name: value" lines.
func field(file, name string) string {
	b, _ := os.ReadFile(file)
	for l := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "?"
}
