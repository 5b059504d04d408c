package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// plot is a line chart with an axis x of doubling steps, written as SVG.
type plot struct {
	title, x, y string
	names       []string
	lines       map[string][][2]float64
}

func newPlot(title, x, y string) *plot {
	return &plot{title: title, x: x, y: y, lines: map[string][][2]float64{}}
}

func (p *plot) add(line string, x, y float64) {
	if !slices.Contains(p.names, line) {
		p.names = append(p.names, line)
	}
	p.lines[line] = append(p.lines[line], [2]float64{x, y})
}

// save writes the chart to a file in dir, or nothing if dir is "".
func (p *plot) save(dir, name string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), []byte(p.svg()), 0o644)
}

const (
	plotWidth, plotHeight               = 640, 360
	plotLeft, plotRight, plotTop, below = 64, 150, 40, 48
)

// svg draws with colours that read on light and on dark pages.
func (p *plot) svg() string {
	var xs []float64
	top := 0.0
	for _, l := range p.lines {
		for _, v := range l {
			xs = append(xs, v[0])
			top = max(top, v[1])
		}
	}
	slices.Sort(xs)
	xs = slices.Compact(xs)
	step := niceStep(top)
	top = max(step, math.Ceil(top/step)*step)
	w, h := float64(plotWidth-plotLeft-plotRight), float64(plotHeight-plotTop-below)
	// Zero has no logarithm: the values are spread evenly, each at its mark.
	at := func(x float64) float64 {
		return plotLeft + w*float64(slices.Index(xs, x))/float64(max(1, len(xs)-1))
	}
	up := func(y float64) float64 { return plotTop + h*(1-y/top) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#808080">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<title>%s</title><text x="%d" y="20" font-size="14">%s</text>`+"\n", html.EscapeString(p.title), plotLeft, html.EscapeString(p.title))
	for y := 0.0; y <= top+step/2; y += step {
		fmt.Fprintf(&b, `<line x1="%d" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#808080" stroke-opacity=".3"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, plotLeft+w, up(y), up(y), plotLeft-6, up(y)+4, short(y))
	}
	for _, x := range xs {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", at(x), plotTop+h+18, short(x))
	}
	fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text><text transform="translate(14 %.1f) rotate(-90)" text-anchor="middle">%s</text>`+"\n",
		plotLeft+w/2, plotHeight-8, html.EscapeString(p.x), plotTop+h/2, html.EscapeString(p.y))
	colours := []string{"#3b82f6", "#f97316", "#16a34a", "#a855f7", "#e11d48", "#0891b2"}
	for i, name := range p.names {
		c := colours[i%len(colours)]
		var points []string
		for _, v := range p.lines[name] {
			points = append(points, fmt.Sprintf("%.1f,%.1f", at(v[0]), up(v[1])))
		}
		y := plotTop + 12 + 18*i
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), c)
		fmt.Fprintf(&b, `<line x1="%[1]d" x2="%[2]d" y1="%[3]d" y2="%[3]d" stroke="%[4]s" stroke-width="2"/><text x="%[5]d" y="%[6]d">%[7]s</text>`+"\n",
			plotWidth-plotRight+12, plotWidth-plotRight+28, y-4, c, plotWidth-plotRight+34, y, html.EscapeString(name))
	}
	return b.String() + "</svg>\n"
}

// niceStep is a distance of grid lines that gives about five of them up to top.
func niceStep(top float64) float64 {
	if top <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(top/5)))
	for _, m := range []float64{1, 2, 5} {
		if top/(m*p) <= 5 {
			return m * p
		}
	}
	return 10 * p
}

func short(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }
